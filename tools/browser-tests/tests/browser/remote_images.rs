//! Remote images: blocked until the user shows them once, or always for a sender.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::{Fixture, ImageServer, Page, Screen, TrapServer};

use crate::hostile_html::SAMPLES;
use crate::sample_mails::{SQUARE, html};
use crate::{assert_no_console_errors, open_inbox, reload};

fn image_server() -> ImageServer {
    ImageServer::start(BASE64_STANDARD.decode(SQUARE).expect("base64"))
}

fn paths(images: &ImageServer) -> Vec<String> {
    images.requests().into_iter().map(|request| request.path).collect()
}

async fn wait_for_request(page: &Page, images: &ImageServer, path: &str) {
    page.wait_until(&format!("the request of {path}"), async || {
        paths(images).iter().any(|requested| requested == path)
    })
    .await;
}

/// Widths of the drawn images.
const WIDTHS: &str = "return [...document.images].map((image) => image.naturalWidth)";

#[tokio::test]
async fn images_are_requested_by_https_after_the_user_shows_them() {
    let images = image_server();
    let mail = html(
        "Offers",
        &format!(
            "<h1>Offers</h1><img src='{}' alt=one><img src='{}' alt=two>\
             <p style=\"background:url({})\">The end.</p>\
             <style>p::before{{content:url({})}}</style><ul style=\"list-style-image:url({})\"><li>x</ul>",
            images.url("/one.png"),
            images.url("/two.png").replace("https:", "http:"),
            images.url("/background"),
            images.url("/content"),
            images.url("/list")
        ),
    );
    let fixture = open_inbox(&[&mail]).await;
    let page = &fixture.page;
    page.open_row("Offers").await;
    page.wait_for_message_text("The end.").await;
    page.wait_for_text("2 images are blocked to protect your privacy.").await;
    page.screenshot("images-blocked").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    assert_eq!(images.requests(), []);

    page.press("Show images").await;
    wait_for_request(page, &images, "/one.png").await;
    wait_for_request(page, &images, "/two.png").await;
    page.wait_until("both images", async || {
        page.run_in_message(WIDTHS).await == Some(serde_json::json!([48, 48]))
    })
    .await;
    page.wait_for_text_gone("images are blocked").await;
    page.screenshot("images-shown").await;
    for request in images.requests() {
        // Styles request nothing.
        assert!(matches!(request.path.as_str(), "/one.png" | "/two.png"), "{request:?}");
        assert_eq!(request.destination, "image");
        assert!(!request.fields.iter().any(|name| name == "referer" || name == "cookie"), "{request:?}");
    }
    // The frame has no origin, so the mail cannot reach the page or its storage.
    assert_eq!(page.run_in_message("return self.origin").await, Some("null".into()));

    // Once is once.
    page.press("Inbox").await;
    page.open_row("Offers").await;
    page.wait_for_text("2 images are blocked").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn images_of_a_sender_are_always_shown_until_the_user_blocks_them() {
    let images = image_server();
    let newsletter =
        |path: &str| html(&path[1..], &format!("<p>News</p><img src='{}' alt=x>", images.url(path)));
    let other = newsletter("/other").replace("stranger@example.org", "other@example.org");
    let fixture = open_inbox(&[&newsletter("/first"), &newsletter("/second"), &other]).await;
    let page = &fixture.page;
    page.open_row("first").await;
    page.press("Always show from stranger@example.org").await;
    wait_for_request(page, &images, "/first").await;
    page.wait_until("the stored setting", async || {
        page.stored_data().await.contains("\"imagesFrom\":[\"stranger@example.org\"]")
    })
    .await;
    reload(page).await;
    page.open_row("second").await;
    wait_for_request(page, &images, "/second").await;
    page.open_row("other").await;
    page.wait_for_text("1 image is blocked").await;

    page.choose_menu_item("Settings").await;
    page.screenshot("images-settings").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Remove stranger@example.org").await;
    page.press("Save").await;
    page.open_row("first").await;
    page.wait_for_text("1 image is blocked").await;
    assert!(!paths(&images).contains(&"/other".to_owned()), "{:?}", images.requests());
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn message_is_shown_without_its_images_if_the_server_is_away() {
    let images = image_server();
    let mail = html("Offers", &format!("<p>News</p><img src='{}' alt=x>", images.url("/one")));
    let mut fixture = open_inbox(&[&mail]).await;
    fixture.page.open_row("Offers").await;
    fixture.page.press("Always show from stranger@example.org").await;
    wait_for_request(&fixture.page, &images, "/one").await;
    fixture.page.wait_for_text("1 of 1 available offline").await;
    fixture.page.press("Inbox").await;
    fixture.page.freeze_clock().await;
    fixture.servers.kill();
    let page = &fixture.page;
    page.open_row("Offers").await;
    page.wait_for("frame", "Message").await;
    page.advance_clock(Duration::from_secs(4)).await;
    page.wait_for_message_text("News").await;
    page.wait_for_text("1 image is blocked").await;
    assert_eq!(images.requests().len(), 1);
}

/// Heights that depend on the height of the frame would grow without end.
#[tokio::test]
async fn frame_with_images_is_as_high_as_its_content() {
    let images = image_server();
    let sheet = "<style>html,body{height:100%;min-height:150vh}div{height:calc(100vh + 1px)}</style>";
    let mail = html("Tall", &format!("{sheet}<img src='{}' alt=x><div>Text</div>", images.url("/one")));
    let fixture = open_inbox(&[&mail]).await;
    let page = &fixture.page;
    page.open_row("Tall").await;
    page.press("Show images").await;
    page.wait_for_message_text("Text").await;
    page.wait_until("both images", async || {
        page.run_in_message(WIDTHS).await == Some(serde_json::json!([48]))
    })
    .await;
    let height = "return document.querySelector('.frame').offsetHeight";
    page.wait_until("a low frame", async || {
        page.run(height, vec![]).await.as_i64().is_some_and(|height| (50..200).contains(&height))
    })
    .await;
}

/// Every sample that works in an unprotected page, in the frame that may request images.
#[tokio::test]
async fn hostile_mail_with_shown_images_requests_only_images() {
    let (images, trap) = (image_server(), TrapServer::start());
    let samples: Vec<_> = SAMPLES.iter().filter(|sample| sample.is_effective).collect();
    let mails: Vec<_> = samples
        .iter()
        .map(|sample| {
            let probe = images.url(&format!("/probe/{}", sample.name));
            let [by_http, by_https] = [trap.url(""), images.url("")]
                .map(|server| sample.html(&format!("{server}/mail/{}", sample.name)));
            let body = format!("<p>Start</p><img src='{probe}' alt=x>{by_http}{by_https}");
            html(&format!("[{}]", sample.name), &body)
        })
        .collect();
    let fixture = open_inbox(&mails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let Fixture { page, servers, .. } = &fixture;
    page.run("window.marked = 0", vec![]).await;
    for sample in &samples {
        let subject = format!("[{}]", sample.name);
        page.fill("Search", &subject).await;
        page.open_row(&subject).await;
        page.wait_for("heading", &subject).await;
        page.wait_for_message_text("Start").await;
        assert!(!paths(&images).iter().any(|path| path.ends_with(&format!("/{}", sample.name))), "{subject}");
        page.press("Show images").await;
        wait_for_request(page, &images, &format!("/probe/{}", sample.name)).await;
        assert_eq!(page.run("return window.marked", vec![]).await, 0, "{subject} ran in the page");
        assert!(page.title().await.contains("Pennypost"), "{subject} changed the title");
        assert!(
            page.client.current_url().await.expect("the page has a URL").as_str().starts_with(&servers.url())
        );
    }
    assert_eq!(page.client.windows().await.expect("the open windows").len(), 1, "a message opened a window");
    // By http, as all attacks are, nothing is requested: not even images.
    assert_eq!(trap.requests(), [""; 0]);
    let others: Vec<_> = images.requests().into_iter().filter(|one| one.destination != "image").collect();
    assert_eq!(others, []);
}

#[tokio::test]
async fn images_are_shown_on_a_phone() {
    let images = image_server();
    let mail =
        html("Offers", &format!("<h1>Offers</h1><img src='{}' alt=one><p>The end.</p>", images.url("/one")));
    let fixture = crate::open_inbox_on(Screen::Phone, &[&mail]).await;
    let page = &fixture.page;
    page.open_row("Offers").await;
    page.wait_for_text("1 image is blocked").await;
    page.screenshot("images-blocked-phone").await;
    page.press("Show images").await;
    wait_for_request(page, &images, "/one").await;
    page.wait_for_message_text("The end.").await;
    page.screenshot("images-shown-phone").await;
}
