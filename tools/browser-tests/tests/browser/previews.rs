//! Previews of attachments, and the details of the header.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::{Fixture, TIMEOUT};
use serde_json::json;

use crate::sample_mails::{SQUARE, html};
use crate::{assert_no_console_errors, open_inbox};

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:Lunch\r\nDTSTART;VALUE=DATE:20261123\r\n\
    LOCATION:Canteen\r\nORGANIZER;CN=Ag Mitra:mailto:ag@iit.edu\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// A mail with an image, a text, a message, and a calendar.
fn with_files() -> String {
    let inner = html("Inner", "<p>The <b>inner</b> message.<img src=http://pictures.localhost/x.png></p>");
    let file = |fields: &str, bytes: &[u8]| {
        format!(
            "--b\nContent-Type: {fields}\nContent-Transfer-Encoding: base64\n\n{}\n",
            BASE64_STANDARD.encode(bytes)
        )
    };
    format!(
        "From: Ag Mitra <ag@iit.edu>\nTo: gb@iit.edu\nSubject: Files\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nFour files. See www.iit.edu or write to ag@iit.edu.\n\
         --b\nContent-Type: image/png; name=square.png\nContent-Transfer-Encoding: base64\n\n{SQUARE}\n{}{}{}--b--\n",
        file("text/csv; name=\"table.csv\"", "name;é\n<b>1</b>;2\n".as_bytes()),
        file("application/octet-stream; name=\"inner.eml\"", inner.as_bytes()),
        file("text/calendar; name=\"invitation.ics\"", CALENDAR.as_bytes()),
    )
}

#[tokio::test]
async fn image_text_message_and_calendar_are_shown() {
    let fixture = open_inbox(&[&with_files()]).await;
    let Fixture { page, driver, .. } = &fixture;
    page.open_row("Files").await;
    page.wait_for_text("Four files.").await;
    for text in ["Lunch", "Nov 23, 2026", "Canteen", "Organizer: Ag Mitra"] {
        page.wait_for_text(text).await;
    }
    page.screenshot("attachments").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);

    page.press("Show table.csv").await;
    page.wait_for("dialog", "table.csv").await;
    page.wait_for_text("<b>1</b>;2").await;
    page.screenshot("preview-text").await;
    page.press("Close").await;
    page.press("Show square.png").await;
    let drawn = "return document.querySelector('dialog img')?.naturalWidth";
    page.wait_until("the image", async || page.run(drawn, vec![]).await == 48).await;
    // Escape closes the preview, not the message.
    page.type_keys(&fantoccini::key::Key::Escape.to_string()).await;
    page.wait_for_gone("dialog", "square.png").await;
    page.wait_for_text("Four files.").await;
    page.press("Show inner.eml").await;
    page.wait_for("heading", "Inner").await;
    page.wait_for_message_text("The inner message.").await;
    page.screenshot("preview-message").await;
    page.press("Close").await;

    // A browser asks the user before it saves the second file.
    page.press("Save all 4 files").await;
    let start = std::time::Instant::now();
    while driver.downloaded("square.png").is_none() && start.elapsed() < TIMEOUT {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(driver.downloaded("square.png"), BASE64_STANDARD.decode(SQUARE).ok());
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn addresses_in_the_text_are_links_and_open_a_draft() {
    let fixture = open_inbox(&[&with_files()]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Files").await;
    page.wait_for_text("Four files.").await;
    let links = "return [...document.querySelectorAll('.text a')].map((link) => link.href)";
    assert_eq!(page.run(links, vec![]).await, json!(["https://www.iit.edu/", "mailto:ag@iit.edu"]));
    page.wait_for("link", "ag@iit.edu").await.click().await.expect("the link can be clicked");
    page.wait_for("button", "Remove ag@iit.edu").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn header_has_details_and_a_way_out_of_a_list() {
    let mail = "From: List <list@example.org>\nReply-To: Other <other@example.org>\n\
        To: a1@iit.edu, a2@iit.edu, a3@iit.edu, a4@iit.edu, a5@iit.edu, gb@iit.edu\nSubject: Issue 7\n\
        Date: Sun, 22 Nov 2026 19:15:06 +0000\nList-Unsubscribe: <mailto:out@example.org?subject=leave>\n\nNews.\n";
    let fixture = open_inbox(&[mail]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Issue 7").await;
    page.wait_for_text("News.").await;
    page.wait_for_text("replies go to Other <other@example.org>").await;
    page.wait_for_text("dated Nov 22, 2026").await;
    let weights = "return ['.meta .from b', '.meta .from bdi'].map((one) => getComputedStyle(document.querySelector(one)).fontWeight)";
    assert_eq!(page.run(weights, vec![]).await, json!(["700", "400"]));
    assert!(!page.text().await.contains("a5@iit.edu"));
    page.press("and 2 more").await;
    page.wait_for_text("a5@iit.edu").await;
    page.wait_for_text("Arrived").await;
    page.screenshot("header-details").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Unsubscribe").await;
    page.wait_for("button", "Remove out@example.org").await;
    assert_eq!(page.value("Subject").await, "leave");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn message_is_forwarded_as_an_attachment_and_saved() {
    let fixture = open_inbox(&[crate::sample_mails::PLAIN]).await;
    let Fixture { page, servers, driver } = &fixture;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("More").await;
    page.press("Save message").await;
    let start = std::time::Instant::now();
    while driver.downloaded("Meeting.eml").is_none() && start.elapsed() < TIMEOUT {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(driver.downloaded("Meeting.eml").is_some_and(|file| file.ends_with(b"no one.\r\n")));
    page.press("More").await;
    page.press("Forward as attachment").await;
    page.wait_for("button", "Remove Meeting.eml").await;
    page.fill("To", "ag@iit.edu").await;
    crate::send(page).await;
    let message = servers.first_message("ag");
    assert!(
        message.contains("Content-Type: message/rfc822") && message.contains("Subject: Meeting\r\n"),
        "{message}"
    );
    assert_no_console_errors(page).await;
}
