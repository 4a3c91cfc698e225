//! Reading, searching, listing and caching of messages.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::Fixture;
use serde_json::json;

use crate::sample_mails::{self, HTML, NON_LATIN, PLAIN, SQUARE, short};
use crate::{assert_no_console_errors, open_inbox, open_without_background, send, sign_in};

#[tokio::test]
async fn plain_message_is_shown_unchanged() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Meeting").await;
    page.wait_for("heading", "Meeting").await;
    page.wait_for_reader_text(
        "See you at five.\n.this line begins with a dot\nBring <b>nothing</b> & no one.",
    )
    .await;
    page.wait_for_text("ag@iit.edu").await;
    page.screenshot("plain-message").await;

    page.press("Show source").await;
    page.wait_for_text("Received: from").await;
    page.wait_for_text("Subject: Meeting").await;
    page.screenshot("original").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn html_message_is_shown_without_remote_content() {
    let fixture = open_inbox(&[HTML]).await;
    let Fixture { page, driver, .. } = &fixture;
    page.open_row("Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    page.wait_for_text("1 image is blocked to protect your privacy.").await;
    let own = "const own = document.querySelector('img[alt=\"a square\"]'); return own.complete && own.naturalWidth";
    page.wait_until("the embedded picture", async || page.run_in_message(own).await == Some(48.into())).await;
    let link = page
        .run_in_message(
            "const { href, target, rel } = document.querySelector('a'); return [href, target, rel]",
        )
        .await;
    assert_eq!(link, Some(serde_json::json!(["http://example.localhost/", "_blank", "noopener noreferrer"])));
    // A blocked picture is replaced by its alternative text.
    let stand_in = "return [document.querySelector('.blocked-image').innerText, document.images.length]";
    assert_eq!(page.run_in_message(stand_in).await, Some(serde_json::json!(["from elsewhere", 1])));
    page.screenshot("html-message").await;
    assert_no_console_errors(page).await;

    page.close().await;
    let log = driver.network_log();
    assert!(log.contains("/ws/pop3"), "the log contains requests");
    assert!(!log.contains("pictures.localhost") && !log.contains("example.localhost"));
}

#[tokio::test]
async fn message_frame_fits_its_content_and_is_sandboxed() {
    let long = sample_mails::html("Long", &"<p>One paragraph of many.</p>".repeat(100));
    let wide = sample_mails::html("Wide", "<table width=3000 bgcolor='#ff0000'><tr><td height=50>x</table>");
    let high = sample_mails::html("High", "<table height=9999999><tr><td>x</table>");
    let fixture = open_inbox(&[&sample_mails::html("Short", "<p>x</p>"), &long, &wide, &high]).await;
    let Fixture { page, .. } = &fixture;
    let heights = "return [innerHeight, document.documentElement.scrollHeight]";
    for (subject, range) in
        [("Short", 20..80), ("Wide", 60..120), ("Long", 2_000..6_000), ("High", 20_000..20_001)]
    {
        page.open_row(subject).await;
        page.wait_until(&format!("a height of {range:?}"), async || {
            let found = page.run_in_message(heights).await.unwrap_or_default();
            let (Some(frame), Some(content)) = (found[0].as_i64(), found[1].as_i64()) else { return false };
            range.contains(&frame) && (content <= frame || subject == "High")
        })
        .await;
    }
    page.open_row("Long").await;
    page.wait_for_message_text("One paragraph").await;
    page.screenshot("long-html-message").await;
    let frames = "return [...document.querySelectorAll('iframe')].map((frame) => [frame.checkVisibility({ \
                  visibilityProperty: true }), frame.sandbox.value, frame.contentDocument !== null])";
    let expected = serde_json::json!([
        [true, "allow-popups allow-popups-to-escape-sandbox", false],
        [false, "allow-same-origin", true]
    ]);
    assert_eq!(page.run(frames, vec![]).await, expected);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn message_emptied_by_sanitizing_is_reported() {
    let alone = sample_mails::html("Nothing", "<script>document.write('a secret')</script><form></form>");
    let both = "From: x@example.org\nTo: gb@iit.edu\nSubject: Both\nMIME-Version: 1.0\n\
                Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nThe plain face.\n\
                --b\nContent-Type: text/html\n\n<style>p{color:red}</style><img src='http://x.localhost/' width=1>\n--b--\n";
    let silent = "From: x@example.org\nTo: gb@iit.edu\nSubject: Silent\n\n\n";
    let fixture = open_inbox(&[&alone, both, silent]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Silent").await;
    page.wait_for_text("This message has no text.").await;
    page.open_row("Both").await;
    page.wait_for_text("The formatted version has no safe content.").await;
    page.wait_for_text("The plain face.").await;
    page.wait_for_text("1 image is blocked to protect your privacy.").await;
    page.open_row("Nothing").await;
    page.wait_for_text("This message has no safe content.").await;
    page.screenshot("emptied-message").await;
    assert!(page.find("frame", "").await.is_none(), "an empty frame is visible");
    assert!(!page.text().await.contains("a secret"));
    page.press("Show source").await;
    page.wait_for_text("document.write").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn search_finds_the_text_of_cached_messages() {
    let fixture = open_without_background(&[PLAIN, NON_LATIN]).await;
    let Fixture { page, .. } = &fixture;
    page.fill("Search", "at FIVE").await;
    page.wait_for_gone("row", "Meeting").await;
    page.fill("Search", "").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.wait_for_text("1 of 2 available offline").await;
    page.fill("Search", "at FIVE").await;
    page.wait_for_text("Searched 1 of 2 messages").await;
    crate::reload(page).await;
    page.wait_for("row", "Meeting").await;
    page.fill("Search", "at FIVE").await;
    page.wait_for_gone("row", "Звіт").await;
    page.wait_for("row", "Meeting").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn attachment_is_downloaded_unchanged() {
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let wrapped = BASE64_STANDARD
        .encode(&content)
        .as_bytes()
        .chunks(76)
        .fold(String::new(), |lines, line| lines + str::from_utf8(line).expect("base64 is ASCII") + "\n");
    let binary =
        sample_mails::with_attachment("Numbers", "numbers.bin", "application/octet-stream", &wrapped);
    let picture = sample_mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    let fixture = open_inbox(&[&picture, &binary]).await;
    let Fixture { page, driver, .. } = &fixture;

    page.open_row("Numbers").await;
    page.wait_for_text("numbers.bin").await;
    page.wait_for_text("100 KB").await;
    page.press("Save numbers.bin").await;
    page.wait_until("the downloaded file", async || {
        driver.downloaded("numbers.bin").as_ref() == Some(&content)
    })
    .await;
    page.screenshot("attachment").await;

    page.open_row("A picture").await;
    page.wait_for_text("square.png").await;
    let width = "return [...document.images].some((image) => image.complete && image.naturalWidth === 48)";
    page.wait_until("the picture", async || page.run(width, vec![]).await == true).await;
    page.screenshot("attached-picture").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn non_latin_message_is_decoded() {
    let fixture = open_inbox(&[NON_LATIN]).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "Поштова скринька").await;
    page.open_row("Звіт за листопад").await;
    page.wait_for("heading", "Звіт за листопад").await;
    page.wait_for_text("Привіт, світе!").await;
    page.screenshot("non-latin-message").await;

    page.fill("Search", "скринька").await;
    page.wait_for("row", "Звіт").await;
    page.fill("Search", "nothing like it").await;
    page.wait_for_gone("row", "Звіт").await;
    page.screenshot("nothing-found").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn new_mail_is_listed_and_notified() {
    let fixture = Fixture::open().await;
    let Fixture { page, servers, .. } = &fixture;
    page.freeze_clock().await;
    page.run(RECORD_NOTIFICATIONS, vec![]).await;
    sign_in(page, "gb", "gondola").await;
    page.screenshot("empty-inbox").await;
    servers.deliver("gb", PLAIN);
    page.press("Check mail").await;
    page.wait_for("row", "Meeting").await;
    page.wait_until("the title", async || page.title().await == "(1) Pennypost").await;
    page.screenshot("new-mail").await;
    assert_eq!(page.run("return notes", vec![]).await, json!([]), "a visible page shows no notification");

    // The page checks for mail automatically.
    page.run("hide(true)", vec![]).await;
    servers.deliver("gb", &short("later"));
    page.advance_clock(Duration::from_secs(61)).await;
    page.wait_for("row", "later").await;
    page.wait_until("the title", async || page.title().await == "(2) Pennypost").await;
    let note = json!([["1 new message", "Ag Mitra: later"]]);
    page.wait_until("the notification", async || page.run("return notes", vec![]).await == note).await;

    // A message is notified once, and only with permission.
    page.advance_clock(Duration::from_secs(61)).await;
    page.run("Notification.permission = 'denied'", vec![]).await;
    servers.deliver("gb", &short("last"));
    page.advance_clock(Duration::from_secs(61)).await;
    page.wait_for("row", "last").await;
    page.wait_until("the title", async || page.title().await == "(3) Pennypost").await;
    assert_eq!(page.run("return notes", vec![]).await, note);
    assert_no_console_errors(page).await;
}

/// Records notifications in `notes`; `hide(hidden)` sets the visibility of the page.
pub(crate) const RECORD_NOTIFICATIONS: &str = "window.notes = []; \
    window.Notification = class { \
        static permission = 'granted'; \
        static requestPermission() { this.permission = 'granted'; return Promise.resolve('granted'); } \
        constructor(title, { body }) { notes.push([title, body]) } \
    }; \
    window.hide = (hidden) => Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })";

#[tokio::test]
async fn list_shows_all_columns_and_can_be_sorted() {
    let mail = |from: &str, subject: &str, text: &str| {
        format!("From: {from} <x@example.org>\nTo: gb@iit.edu\nSubject: {subject}\n\n{text}\n")
    };
    let picture = sample_mails::with_attachment("Banana", "square.png", "image/png", SQUARE);
    let (apple, cherry) =
        (mail("Zoe", "apple", "Short."), mail("Bob", "Cherry", &"A long line.\n".repeat(500)));
    let fixture = open_inbox(&[&picture, &apple, &cherry]).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "Cherry").await;
    page.wait_until("all headers", async || page.run(ROWS, vec![]).await[2]["subject"] == "Banana").await;
    let rows = page.run(ROWS, vec![]).await;
    let column = |name: &str| [0, 1, 2].map(|at| rows[at][name].clone());
    assert_eq!(column("who"), ["Bob", "Zoe", "Ag Mitra"]);
    assert_eq!(column("clip"), [false, false, true]);
    assert_eq!(column("bold"), [true, true, true]);
    for row in rows.as_array().expect("rows") {
        let title = row["title"].as_str().unwrap_or_default();
        assert!(row["size"].is_null(), "{row}");
        // The date format of the guide.
        let [day, hour, minute] = title.split(" : ").collect::<Vec<_>>()[..] else { panic!("{row}") };
        assert!(day.len() == 10 && hour.len() == 2 && minute.len() == 6 && minute.ends_with(" UTC"), "{row}");
    }

    for (sort, order) in [
        ("Oldest first", ["Banana", "apple", "Cherry"]),
        ("By sender", ["Banana", "Cherry", "apple"]),
        ("By subject", ["apple", "Banana", "Cherry"]),
        ("Largest first", ["Cherry", "Banana", "apple"]),
        ("Newest first", ["Cherry", "apple", "Banana"]),
    ] {
        page.select_option("Sort", sort).await;
        page.wait_until(sort, async || {
            let rows = page.run(ROWS, vec![]).await;
            [0, 1, 2].map(|at| rows[at]["subject"].clone()) == order
        })
        .await;
    }
    page.select_option("Sort", "Largest first").await;
    page.wait_until("the sizes", async || page.run(ROWS, vec![]).await[0]["size"] == "7 KB").await;
    page.screenshot("sorted").await;
    page.select_option("Sort", "Newest first").await;

    page.open_row("apple").await;
    page.wait_for_text("Short.").await;
    page.wait_until("the row in normal weight", async || page.run(ROWS, vec![]).await[1]["bold"] == false)
        .await;
    page.press("Unread").await;
    page.wait_until("the row in bold", async || page.run(ROWS, vec![]).await[1]["bold"] == true).await;
    assert_no_console_errors(page).await;
}

/// Returns the visible rows from top to bottom.
const ROWS: &str = "\
    const rows = [...document.querySelectorAll('.list li.row')]; \
    const text = (row, part) => row.querySelector(part)?.innerText.trim(); \
    rows.sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top); \
    return rows.map((row) => ({ who: text(row, 'b'), subject: text(row, '.subject'), size: text(row, '.size'), \
        clip: row.querySelector('.attachment-icon') !== null, title: row.querySelector('.date').title, \
        bold: getComputedStyle(row.querySelector('b')).fontWeight >= 600 }))";

#[tokio::test]
async fn cached_starred_and_sent_messages_are_readable_offline() {
    let mut fixture = open_without_background(&[PLAIN, &short("Unread")]).await;
    let page = &fixture.page;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Star Meeting").await;
    page.press("Reply").await;
    page.type_at_start("Text", "I shall be there.").await;
    send(page).await;
    page.wait_for_text("1 of 2 available offline").await;

    page.reload().await;
    page.freeze_clock().await;
    page.wait_for("button", "Check mail").await;
    page.wait_for("row", "Unread").await;
    fixture.servers.kill();
    page.press("Starred").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.wait_for_gone("row", "Unread").await;
    page.press("Sent").await;
    page.open_row("Re: Meeting").await;
    page.wait_for_text("I shall be there.").await;
    page.screenshot("without-servers").await;
    page.press("Inbox").await;
    page.open_row("Unread").await;
    page.wait_for("button", "Try again").await;
}

#[tokio::test]
async fn conversation_lists_the_other_messages_in_order() {
    let mail = |from: &str, subject: &str, ids: &str, text: &str| {
        format!("From: {from}\nTo: gb@iit.edu\nSubject: {subject}\n{ids}\n\n{text}\n")
    };
    let first = mail("Ag Mitra <ag@iit.edu>", "Plan", "Message-ID: <1@iit.edu>", "At four?");
    let other = mail("Zoe <z@iit.edu>", "Plan", "Message-ID: <8@iit.edu>", "Another plan.");
    let third = mail(
        "Ag Mitra <ag@iit.edu>",
        "Re: Plan",
        "Message-ID: <3@iit.edu>\nIn-Reply-To: <2@iit.edu>\nReferences: <1@iit.edu> <2@iit.edu>",
        "Five is fine.",
    );
    let fixture = open_inbox(&[&first, &other, &third]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Re: Plan").await;
    page.wait_for_reader_text("Five is fine.").await;
    page.press("Reply").await;
    page.type_at_start("Text", "Good.").await;
    send(page).await;
    page.wait_for_reader_text("Five is fine.").await;
    let entries = "return [...document.querySelectorAll('.conversation b')].map((one) => one.innerText)";
    let expected = json!(["Ag Mitra", "To ag@iit.edu"]);
    page.wait_until("the conversation", async || page.run(entries, vec![]).await == expected).await;
    page.screenshot("conversation").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    let entry = async |name: &str| {
        let click = "[...document.querySelectorAll('.conversation button')] \
                     .find((one) => one.innerText.includes(arguments[0])).click()";
        page.run(click, vec![json!(name)]).await;
    };
    entry("To ag@iit.edu").await;
    page.wait_for_reader_text("Good.").await;
    entry("Ag Mitra").await;
    page.wait_for_reader_text("At four?").await;
    page.wait_for("heading", "Plan").await;
    page.press("Show source").await;
    page.press("Headers").await;
    page.wait_for_reader_text("Message-ID").await;
    page.wait_for_reader_text_gone("At four?").await;

    page.choose_menu_item("Settings").await;
    page.wait_for("field", "Show conversations").await.click().await.expect("it can be cleared");
    page.press("Save").await;
    page.open_row("Re: Plan").await;
    page.wait_for_reader_text("Five is fine.").await;
    assert_eq!(page.run(entries, vec![]).await, json!([]));
    assert_no_console_errors(page).await;
}
