//! The first quarter of an hour of somebody who knows nothing of all this: ag sends gb a photo, gb looks at it and
//! answers, and both look at what went over the wire.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::{Page, Screen, Servers, Stage};

use crate::{enter, is_well};

/// Paints a picture as a camera would store it.
const PHOTO: &str = "\
    const canvas = Object.assign(document.createElement('canvas'), { width: 1200, height: 800 });
    const paint = canvas.getContext('2d');
    const sky = paint.createLinearGradient(0, 0, 0, 800);
    ['#20407a', '#f2b36b', '#7a3b2e'].forEach((colour, at) => sky.addColorStop(at / 2, colour));
    paint.fillStyle = sky;
    paint.fillRect(0, 0, 1200, 800);
    paint.fillStyle = '#fff3d0';
    paint.arc(820, 380, 90, 0, 7);
    paint.fill();
    return canvas.toDataURL('image/jpeg', 0.9).split(',')[1];";

/// Whether a photo is seen at its full width or that of its place, and not as a mark for a broken one.
const SEEN: &str = "return [...document.images].some((image) => image.checkVisibility() && image.complete \
                    && image.naturalWidth === 1200 && image.clientWidth > 250)";

#[tokio::test]
async fn on_a_desktop() {
    walk(Screen::Desktop, "desktop").await;
}

#[tokio::test]
async fn on_a_phone() {
    walk(Screen::Phone, "phone").await;
}

async fn walk(screen: Screen, name: &str) {
    let stage = Stage::open_on(screen, Servers::start("")).await;
    let Stage { page, servers, .. } = &stage;
    let picture = async |step: &str| page.picture(&format!("walk-{name}-{step}")).await;
    page.finds("field", "Username").await;
    page.hold_the_clock().await;
    picture("1-sign-in").await;
    let photo = page.run(PHOTO, vec![]).await;
    let photo = BASE64_STANDARD.decode(photo.as_str().expect("it is base64")).expect("it is base64");
    assert!(photo.starts_with(&[0xff, 0xd8, 0xff]), "it is a JPEG");

    enter(page, "ag", "aviator").await;
    page.sees("No mail. What arrives shows up here by itself.").await;
    picture("2-empty").await;
    page.press("Compose").await;
    page.fill("To", "gb@iit.edu").await;
    page.fill("Subject", "Sunset over the lab").await;
    page.fill("Text", "Hello,\n\nlook what I saw on the way home.\n\nAg").await;
    page.attach(&servers.file("sunset.jpg", &photo)).await;
    page.sees("sunset.jpg").await;
    picture("3-compose").await;
    send(page).await;
    page.sees("Sent. The server said: 250").await;
    picture("4-sent").await;
    page.choose("Sign out").await;

    page.finds("field", "Password").await;
    enter(page, "gb", "gondola").await;
    page.finds("row", "Sunset over the lab").await;
    picture("5-list").await;
    page.open("Sunset over the lab").await;
    page.sees("look what I saw on the way home").await;
    page.until("the photo", async || page.run(SEEN, vec![]).await == true).await;
    picture("6-photo").await;
    page.press("Reply").await;
    page.until("the subject of an answer", async || page.value("Subject").await == "Re: Sunset over the lab")
        .await;
    page.write("Text", "What a sky!").await;
    picture("7-answer").await;
    send(page).await;
    page.passes(Duration::from_secs(6)).await;
    page.misses("Sent. The server said").await;
    page.choose("Transcript").await;
    for line in ["C: RCPT TO:<ag@iitkgp.edu>", "S: 250 2.0.0 OK Message accepted for delivery"] {
        page.sees(line).await;
    }
    picture("8-dialogue").await;
    assert!(!page.text().await.contains("gondola"), "the password is in the dialogue");
    page.press("Close").await;
    page.choose("Sign out").await;

    page.finds("field", "Password").await;
    enter(page, "ag", "aviator").await;
    page.open("Re: Sunset over the lab").await;
    page.sees("What a sky!").await;
    page.sees("> look what I saw on the way home.").await;
    picture("9-answered").await;
    is_well(page).await;
}

async fn send(page: &Page) {
    page.press("Send").await;
    page.lacks("field", "Subject").await;
}
