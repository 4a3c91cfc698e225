//! Messages of every kind.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::Stage;
use serde_json::json;

use crate::mails::{self, HTML, NON_LATIN, PLAIN, SQUARE, short};
use crate::{enter, inbox, is_well};

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
    // Of the picture that is left out its name stands there, and no mark of a broken one.
    let stand_in = "return [document.querySelector('.left-out').innerText, document.images.length]";
    assert_eq!(page.in_message(stand_in).await, Some(serde_json::json!(["from elsewhere", 1])));
    page.picture("html-message").await;
    is_well(page).await;

    page.close().await;
    let log = driver.network_log();
    assert!(log.contains("/ws/pop3"), "the log tells of requests");
    assert!(!log.contains("pictures.localhost") && !log.contains("example.localhost"));
}

#[tokio::test]
async fn the_frame_of_a_message_is_as_high_as_the_message_and_a_stranger_to_the_page() {
    let long = mails::html("Long", &"<p>One paragraph of many.</p>".repeat(100));
    let wide = mails::html("Wide", "<table width=3000 bgcolor='#ff0000'><tr><td height=50>x</table>");
    let high = mails::html("High", "<table height=9999999><tr><td>x</table>");
    let stage = inbox(&[&mails::html("Short", "<p>x</p>"), &long, &wide, &high]).await;
    let Stage { page, .. } = &stage;
    let heights = "return [innerHeight, document.documentElement.scrollHeight]";
    for (subject, range) in
        [("Short", 20..80), ("Wide", 60..120), ("Long", 2_000..6_000), ("High", 20_000..20_001)]
    {
        page.open(subject).await;
        page.until(&format!("a height of {range:?}"), async || {
            let found = page.in_message(heights).await.unwrap_or_default();
            let (Some(frame), Some(content)) = (found[0].as_i64(), found[1].as_i64()) else { return false };
            range.contains(&frame) && (content <= frame || subject == "High")
        })
        .await;
    }
    page.open("Long").await;
    page.sees_in_message("One paragraph").await;
    page.picture("long-html-message").await;
    let frames = "return [...document.querySelectorAll('iframe')].map((frame) => [frame.checkVisibility({ \
                  visibilityProperty: true }), frame.sandbox.value, frame.contentDocument !== null])";
    let expected = serde_json::json!([
        [true, "allow-popups allow-popups-to-escape-sandbox", false],
        [false, "allow-same-origin", true]
    ]);
    assert_eq!(page.run(frames, vec![]).await, expected);
    is_well(page).await;
}

#[tokio::test]
async fn a_message_that_the_cleaning_empties_says_so() {
    let alone = mails::html("Nothing", "<script>document.write('a secret')</script><form></form>");
    let both = "From: x@example.org\nTo: gb@iit.edu\nSubject: Both\nMIME-Version: 1.0\n\
                Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nThe plain face.\n\
                --b\nContent-Type: text/html\n\n<style>p{color:red}</style><img src='http://x.localhost/' width=1>\n--b--\n";
    let silent = "From: x@example.org\nTo: gb@iit.edu\nSubject: Silent\n\n\n";
    let stage = inbox(&[&alone, both, silent]).await;
    let Stage { page, .. } = &stage;
    page.open("Silent").await;
    page.sees("This message has no text.").await;
    page.open("Both").await;
    page.sees("Of the formatted text nothing is left").await;
    page.sees("The plain face.").await;
    page.sees("1 picture from elsewhere").await;
    page.open("Nothing").await;
    page.sees("Nothing is left of this message that may be shown").await;
    page.picture("emptied-message").await;
    assert!(page.find("frame", "").await.is_none(), "an empty frame is shown");
    assert!(!page.text().await.contains("a secret"));
    page.press("Show original").await;
    page.sees("document.write").await;
    is_well(page).await;
}

#[tokio::test]
async fn what_was_read_once_is_found_by_its_text() {
    let stage = inbox(&[PLAIN, NON_LATIN]).await;
    let Stage { page, .. } = &stage;
    page.fill("Search", "at FIVE").await;
    page.lacks("row", "Meeting").await;
    page.fill("Search", "").await;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.sees("cache: 1 of 2").await;
    page.reload().await;
    enter(page, "gb", "gondola").await;
    page.finds("row", "Meeting").await;
    page.fill("Search", "at FIVE").await;
    page.lacks("row", "Звіт").await;
    page.finds("row", "Meeting").await;
    is_well(page).await;
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
    let stage = Stage::open().await;
    let Stage { page, servers, .. } = &stage;
    page.hold_the_clock().await;
    page.run(NOTED, vec![]).await;
    enter(page, "gb", "gondola").await;
    page.picture("empty-inbox").await;
    servers.deliver("gb", PLAIN);
    page.press("Check mail").await;
    page.finds("row", "Meeting").await;
    page.until("the title", async || page.title().await == "(1) Pennypost").await;
    page.picture("new-mail").await;
    assert_eq!(page.run("return notes", vec![]).await, json!([]), "who looks at the page needs no news");

    // Nobody has to press anything.
    page.run("hide(true)", vec![]).await;
    servers.deliver("gb", &short("later"));
    page.passes(Duration::from_secs(61)).await;
    page.finds("row", "later").await;
    page.until("the title", async || page.title().await == "(2) Pennypost").await;
    let note = json!([["1 new message", "Ag Mitra: later"]]);
    page.until("the news", async || page.run("return notes", vec![]).await == note).await;

    // What was told is not told again, and who has said no is told nothing.
    page.passes(Duration::from_secs(61)).await;
    page.run("Notification.permission = 'denied'", vec![]).await;
    servers.deliver("gb", &short("last"));
    page.passes(Duration::from_secs(61)).await;
    page.finds("row", "last").await;
    page.until("the title", async || page.title().await == "(3) Pennypost").await;
    assert_eq!(page.run("return notes", vec![]).await, note);
    is_well(page).await;
}

/// Notes the notifications, and lets a test say whether the page is in sight.
const NOTED: &str = "window.notes = []; \
    window.Notification = class { \
        static permission = 'granted'; \
        constructor(title, { body }) { notes.push([title, body]) } \
    }; \
    window.hide = (hidden) => Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })";

#[tokio::test]
async fn the_list_shows_what_there_is_and_is_sorted_as_one_likes() {
    let mail = |from: &str, subject: &str, text: &str| {
        format!("From: {from} <x@example.org>\nTo: gb@iit.edu\nSubject: {subject}\n\n{text}\n")
    };
    let picture = mails::with_attachment("Banana", "square.png", "image/png", SQUARE);
    let (apple, cherry) =
        (mail("Zoe", "apple", "Short."), mail("Bob", "Cherry", &"A long line.\n".repeat(500)));
    let stage = inbox(&[&picture, &apple, &cherry]).await;
    let Stage { page, .. } = &stage;
    page.finds("row", "Cherry").await;
    page.until("all headers", async || page.run(ROWS, vec![]).await[2]["subject"] == "Banana").await;
    let rows = page.run(ROWS, vec![]).await;
    let column = |name: &str| [0, 1, 2].map(|at| rows[at][name].clone());
    assert_eq!(column("who"), ["Bob", "Zoe", "Ag Mitra"]);
    assert_eq!(column("clip"), [false, false, true]);
    assert_eq!(column("bold"), [true, true, true]);
    assert_eq!(rows[0]["size"], "7 KB");
    for row in rows.as_array().expect("rows") {
        let (size, title) =
            (row["size"].as_str().unwrap_or_default(), row["title"].as_str().unwrap_or_default());
        assert!(size.ends_with(" B") || size.ends_with(" KB"), "{row}");
        // The guide's form.
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
        page.pick("Sort", sort).await;
        page.until(sort, async || {
            let rows = page.run(ROWS, vec![]).await;
            [0, 1, 2].map(|at| rows[at]["subject"].clone()) == order
        })
        .await;
    }
    page.picture("sorted").await;

    page.open("apple").await;
    page.sees("Short.").await;
    page.until("its row in plain type", async || page.run(ROWS, vec![]).await[1]["bold"] == false).await;
    page.press("Unread").await;
    page.until("its row in bold", async || page.run(ROWS, vec![]).await[1]["bold"] == true).await;
    is_well(page).await;
}

/// The rows from the top down, as they are seen.
const ROWS: &str = "\
    const rows = [...document.querySelectorAll('.list li')]; \
    const text = (row, part) => row.querySelector(part).innerText.trim(); \
    rows.sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top); \
    return rows.map((row) => ({ who: text(row, 'b'), subject: text(row, '.sub'), size: text(row, '.size'), \
        clip: row.querySelector('.clip') !== null, title: row.querySelector('.when').title, \
        bold: getComputedStyle(row.querySelector('.sub')).fontWeight >= 600 }))";

#[tokio::test]
async fn what_was_starred_sent_and_read_is_there_without_the_servers() {
    let mut stage = inbox(&[PLAIN, &short("Unread")]).await;
    let page = &stage.page;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.press("Star Meeting").await;
    page.press("Reply").await;
    page.write("Text", "I shall be there.").await;
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    page.sees("cache: 1 of 2").await;

    page.reload().await;
    enter(page, "gb", "gondola").await;
    page.finds("row", "Unread").await;
    stage.servers.kill();
    page.press("Starred").await;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.lacks("row", "Unread").await;
    page.press("Sent from here").await;
    page.open("Re: Meeting").await;
    page.sees("I shall be there.").await;
    page.picture("without-servers").await;
    page.press("Inbox").await;
    page.open("Unread").await;
    page.finds("button", "Try again").await;
}
