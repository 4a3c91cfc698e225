//! The views of the pictures in README.md. After a change of the page, copy them from target/screenshots to pictures/.

use browser_tests::{Page, Screen};

use crate::{assert_no_console_errors, open_inbox_on};

fn mail(from: &str, subject: &str, id: &str, header: &str, text: &str) -> String {
    format!(
        "From: {from}\nTo: Gita Bose <gb@iit.edu>\nSubject: {subject}\nMessage-ID: <{id}@iit.edu>\n{header}\n{text}\n"
    )
}

fn mails() -> Vec<String> {
    let html = "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n";
    let reply = "In-Reply-To: <1@iit.edu>\nReferences: <1@iit.edu>\n";
    let html_reply = format!("In-Reply-To: <2@iit.edu>\nReferences: <1@iit.edu> <2@iit.edu>\n{html}");
    [
        (
            "Library <library@example.org>",
            "Your books are due on Friday",
            "5",
            "",
            "Two books are due on Friday.",
        ),
        (
            "Zoe Long <zoe@example.org>",
            "Photos of the weekend",
            "6",
            html,
            "<p>The best ones, without the rain.</p>",
        ),
        (
            "Ag Mitra <ag@iit.edu>",
            "Lunch on Thursday",
            "1",
            "",
            "Shall we have lunch on Thursday? I know a place by the river.",
        ),
        ("Zoe Long <zoe@example.org>", "Re: Lunch on Thursday", "2", reply, "Yes, at one. I bring the maps."),
        (
            "Power company <billing@example.org>",
            "Invoice 2026-1130",
            "7",
            "",
            "Your invoice of November is attached to your account.",
        ),
        (
            "Ag Mitra <ag@iit.edu>",
            "Re: Lunch on Thursday",
            "3",
            &html_reply,
            "<p>Good, one o\u{2019}clock then.</p><ul><li>Zoe: maps</li><li>Gita: the <b>blue folder</b></li>\
             <li>I: nothing but hunger</li></ul><p>See you there!<br>Ag</p>",
        ),
    ]
    .map(|(from, subject, id, header, text)| mail(from, subject, id, header, text))
    .into()
}

/// Opens the inbox with all snippets.
async fn open(screen: Screen) -> browser_tests::Fixture {
    let mails = mails();
    let fixture = open_inbox_on(screen, &mails.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let snippets =
        "return [...document.querySelectorAll('.row .snippet')].filter((one) => one.innerText.trim()).length";
    let page = &fixture.page;
    page.wait_until("all snippets", async || page.run(snippets, vec![]).await == mails.len()).await;
    fixture
}

async fn assert_complete(page: &Page) {
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn picture_of_a_conversation_is_complete() {
    let fixture = open(Screen::Desktop).await;
    let page = &fixture.page;
    page.open_row("Good, one o\u{2019}clock").await;
    page.wait_for_message_text("the blue folder").await;
    page.wait_for_reader_text("Yes, at one. I bring the maps.").await;
    page.unhover().await;
    page.screenshot("conversation-picture").await;
    assert_complete(page).await;
}

#[tokio::test]
async fn picture_of_a_phone_is_complete() {
    let fixture = open(Screen::Phone).await;
    let page = &fixture.page;
    page.screenshot("phone-picture").await;
    assert_complete(page).await;
}
