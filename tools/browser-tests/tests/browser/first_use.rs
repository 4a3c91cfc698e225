//! A first session: ag sends gb a photo, gb views it, replies and opens the transcript, and ag reads the reply.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::{Fixture, Screen, Servers};

use crate::{assert_no_console_errors, send, sign_in};

/// Creates a JPEG image.
const CREATE_PHOTO: &str = "\
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

/// Whether the photo is visible, loaded and not a broken-image icon.
const PHOTO_IS_VISIBLE: &str = "return [...document.images].some((image) => image.checkVisibility() && image.complete \
                    && image.naturalWidth === 1200 && image.clientWidth > 250)";

#[tokio::test]
async fn first_use_on_a_desktop() {
    use_for_the_first_time(Screen::Desktop, "desktop").await;
}

#[tokio::test]
async fn first_use_on_a_phone() {
    use_for_the_first_time(Screen::Phone, "phone").await;
}

async fn use_for_the_first_time(screen: Screen, name: &str) {
    let fixture = Fixture::open_on(screen, Servers::start("")).await;
    let Fixture { page, servers, .. } = &fixture;
    let screenshot = async |step: &str| page.screenshot(&format!("first-use-{name}-{step}")).await;
    page.wait_for("field", "Username").await;
    page.freeze_clock().await;
    screenshot("1-sign-in").await;
    let photo = page.run(CREATE_PHOTO, vec![]).await;
    let photo = BASE64_STANDARD.decode(photo.as_str().expect("base64")).expect("base64");
    assert!(photo.starts_with(&[0xff, 0xd8, 0xff]), "not a JPEG");

    sign_in(page, "ag", "aviator").await;
    page.wait_for_text("Your inbox is empty.").await;
    screenshot("2-empty").await;
    page.press("Compose").await;
    page.fill("To", "gb@iit.edu").await;
    page.fill("Subject", "Sunset over the lab").await;
    page.fill("Text", "Hello,\n\nlook what I saw on the way home.\n\nAg").await;
    page.attach_file(&servers.file("sunset.jpg", &photo)).await;
    page.wait_for_text("sunset.jpg").await;
    screenshot("3-compose").await;
    send(page).await;
    page.wait_for_text("Message sent.").await;
    screenshot("4-sent").await;
    page.choose_menu_item("Sign out").await;

    page.wait_for("field", "Password").await;
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "Sunset over the lab").await;
    screenshot("5-list").await;
    page.open_row("Sunset over the lab").await;
    page.wait_for_text("look what I saw on the way home").await;
    page.wait_until("the photo", async || page.run(PHOTO_IS_VISIBLE, vec![]).await == true).await;
    screenshot("6-photo").await;
    page.press("Reply").await;
    page.wait_until("the subject of the reply", async || {
        page.value("Subject").await == "Re: Sunset over the lab"
    })
    .await;
    page.type_at_start("Text", "What a sky!").await;
    screenshot("7-reply").await;
    send(page).await;
    page.advance_clock(Duration::from_secs(6)).await;
    page.wait_for_text_gone("Message sent.").await;
    page.choose_menu_item("Show protocol log").await;
    for line in ["C: RCPT TO:<ag@iitkgp.edu>", "S: 250 2.0.0 OK Message accepted for delivery"] {
        page.wait_for_text(line).await;
    }
    screenshot("8-transcript").await;
    assert!(!page.text().await.contains("gondola"), "the transcript contains the password");
    page.press("Close").await;
    page.choose_menu_item("Sign out").await;

    page.wait_for("field", "Password").await;
    sign_in(page, "ag", "aviator").await;
    page.open_row("Re: Sunset over the lab").await;
    page.wait_for_text("What a sky!").await;
    page.press("Show quoted text").await;
    page.wait_for_reader_text("look what I saw on the way home.").await;
    screenshot("9-reply-received").await;
    assert_no_console_errors(page).await;
}
