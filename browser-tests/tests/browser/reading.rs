//! Messages of every kind.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::Stage;

use crate::mails::{self, HTML, NON_LATIN, PLAIN, SQUARE};
use crate::{inbox, is_well};

#[tokio::test]
async fn a_plain_message_is_shown_as_it_was_written() {
    let stage = inbox(&[PLAIN]).await;
    let Stage { page, .. } = &stage;
    page.open("Meeting").await;
    page.finds("heading", "Meeting").await;
    page.sees("See you at five.\n.this line begins with a dot\nBring <b>nothing</b> & no one.").await;
    page.sees("ag@iit.edu").await;
    page.picture("plain-message").await;

    page.press("Show original").await;
    page.sees("Received: from").await;
    page.sees("Subject: Meeting").await;
    page.picture("original").await;
    is_well(page).await;
}

#[tokio::test]
async fn an_html_message_is_shown_without_what_it_would_fetch() {
    let stage = inbox(&[HTML]).await;
    let Stage { page, driver, .. } = &stage;
    page.open("Ten things").await;
    page.sees_in_message("you did not ask for").await;
    page.sees("1 picture from elsewhere").await;
    let own = "const own = document.querySelector('img[alt=\"a square\"]'); return own.complete && own.naturalWidth";
    page.until("its own picture", async || page.in_message(own).await == Some(48.into())).await;
    let link = page
        .in_message("const { href, target, rel } = document.querySelector('a'); return [href, target, rel]")
        .await;
    assert_eq!(link, Some(serde_json::json!(["http://example.localhost/", "_blank", "noopener noreferrer"])));
    page.picture("html-message").await;
    is_well(page).await;

    page.close().await;
    let log = driver.network_log();
    assert!(log.contains("/ws/pop3"), "the log tells of requests");
    assert!(!log.contains("pictures.localhost") && !log.contains("example.localhost"));
}

#[tokio::test]
async fn an_attachment_is_saved_byte_for_byte() {
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let wrapped = BASE64_STANDARD
        .encode(&content)
        .as_bytes()
        .chunks(76)
        .fold(String::new(), |lines, line| lines + str::from_utf8(line).expect("base64 is ASCII") + "\n");
    let binary = mails::with_attachment("Numbers", "numbers.bin", "application/octet-stream", &wrapped);
    let picture = mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    let stage = inbox(&[&picture, &binary]).await;
    let Stage { page, driver, .. } = &stage;

    page.open("Numbers").await;
    page.sees("numbers.bin").await;
    page.sees("100 KB").await;
    page.press("Save numbers.bin").await;
    page.until("the saved file", async || driver.downloaded("numbers.bin").as_ref() == Some(&content)).await;
    page.picture("attachment").await;

    page.open("A picture").await;
    page.sees("square.png").await;
    let width = "return [...document.images].some((image) => image.complete && image.naturalWidth === 48)";
    page.until("the picture itself", async || page.run(width, vec![]).await == true).await;
    page.picture("attached-picture").await;
    is_well(page).await;
}

#[tokio::test]
async fn a_message_in_another_script_is_decoded() {
    let stage = inbox(&[NON_LATIN]).await;
    let Stage { page, .. } = &stage;
    page.finds("row", "Поштова скринька").await;
    page.open("Звіт за листопад").await;
    page.finds("heading", "Звіт за листопад").await;
    page.sees("Привіт, світе!").await;
    page.picture("non-latin-message").await;

    page.fill("Search", "скринька").await;
    page.finds("row", "Звіт").await;
    page.fill("Search", "nothing like it").await;
    page.lacks("row", "Звіт").await;
    page.picture("nothing-found").await;
    is_well(page).await;
}

#[tokio::test]
async fn mail_that_comes_later_is_there_after_a_check() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.picture("empty-inbox").await;
    servers.deliver("gb", PLAIN);
    page.press("Check mail").await;
    page.finds("row", "Meeting").await;
    page.picture("new-mail").await;
    is_well(page).await;
}
