//! The message list: groups, snippets, keyboard navigation, scrolling, search.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use browser_tests::{Fixture, Page};
use fantoccini::key::Key;
use serde_json::{Value, json};

use crate::sample_mails::{self, SQUARE, short};
use crate::{assert_no_console_errors, open_without_background, send, sign_in};

/// Signs in as gb with a mailbox file, whose records have these subjects and dates.
async fn open_mailbox(mails: &[(String, String)]) -> Fixture {
    let fixture = Fixture::open().await;
    let records = mails.iter().fold(String::new(), |mut records, (subject, date)| {
        write!(
            records,
            "From: Ag Mitra <ag@iit.edu>\r\nTo: gb@iit.edu\r\nSubject: {subject}\r\n\
             Received: {date} : 12 : 00\r\n\r\nThis is {subject}.\r\n.\r\n"
        )
        .expect("writing to a string succeeds");
        records
    });
    fs::write(fixture.servers.mailbox_path("gb"), records).expect("the file is writable");
    sign_in(&fixture.page, "gb", "gondola").await;
    fixture
}

/// The local dates of today, yesterday and the day before.
async fn dates(page: &Page) -> [String; 3] {
    let script = "return [0, 1, 2].map((days) => { \
        const day = new Date(); \
        day.setDate(day.getDate() - days); \
        return `${day.getFullYear()}-${String(day.getMonth() + 1).padStart(2, 0)}-${String(day.getDate()).padStart(2, 0)}` })";
    let dates = page.run(script, vec![]).await;
    [0, 1, 2].map(|at| dates[at].as_str().expect("a date").to_owned())
}

/// The headings and subjects of the list from top to bottom.
const LIST: &str = "\
    return [...document.querySelectorAll('.group h3, .row .subject')] \
        .sort((one, other) => one.getBoundingClientRect().top - other.getBoundingClientRect().top) \
        .map((one) => one.innerText)";

#[tokio::test]
async fn messages_are_grouped_by_day() {
    let blank = Fixture::open().await;
    let [today, yesterday, earlier] = dates(&blank.page).await;
    let mails = [("old", &earlier), ("less old", &earlier), ("recent", &yesterday), ("new", &today)];
    let mails = mails.map(|(subject, date)| (subject.to_owned(), date.clone()));
    let fixture = open_mailbox(&mails).await;
    let Fixture { page, .. } = &fixture;
    let wait_for_list = async |expected: Value| {
        page.wait_until(&format!("the list {expected}"), async || page.run(LIST, vec![]).await == expected)
            .await;
    };
    wait_for_list(json!(["Today", "new", "Yesterday", "recent", "Earlier", "less old", "old"])).await;
    page.screenshot("grouped").await;
    page.select_option("Sort", "Oldest first").await;
    wait_for_list(json!(["Earlier", "old", "less old", "Yesterday", "recent", "Today", "new"])).await;
    page.select_option("Sort", "By subject").await;
    wait_for_list(json!(["less old", "new", "old", "recent"])).await;
    assert_no_console_errors(page).await;
}

/// Name of the focused row, and the number of rows that Tab reaches.
const FOCUS: &str = "return [document.activeElement.querySelector('.subject')?.innerText, \
    document.querySelectorAll('.row .open[tabindex=\"0\"]').length]";

#[tokio::test]
async fn arrow_keys_home_and_end_move_through_the_list() {
    let mails: Vec<_> =
        (0..100).map(|number| (format!("number-{number:03}"), "2026-01-02".to_owned())).collect();
    let fixture = open_mailbox(&mails).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for("row", "number-099").await;
    let focus = async |key: Key, subject: &str| {
        page.type_keys(&key.to_string()).await;
        let expected = json!([subject, 1]);
        page.wait_until(&format!("the focus on {subject}"), async || {
            page.run(FOCUS, vec![]).await == expected
        })
        .await;
    };
    page.type_keys("j").await;
    focus(Key::Down, "number-098").await;
    focus(Key::End, "number-000").await;
    page.screenshot("list-end").await;
    focus(Key::Up, "number-001").await;
    focus(Key::Home, "number-099").await;
    // The list is one stop of the Tab key, with the checkbox and the star of its row.
    page.press_until_focused(&Key::Tab.to_string(), "Star number-099").await;
    page.type_keys(&Key::Tab.to_string()).await;
    let in_list = "return document.activeElement.closest('.row') !== null";
    assert_eq!(page.run(in_list, vec![]).await, false);
    assert_no_console_errors(page).await;
}

/// Subject and position of the first row below the top of the list.
const FIRST_ROW: &str = "\
    const top = document.querySelector('.rows').getBoundingClientRect().top; \
    const rows = [...document.querySelectorAll('.row')].map((row) => [row, row.getBoundingClientRect().top - top]); \
    const [row, at] = rows.filter(([, at]) => at >= 0).sort(([, one], [, other]) => one - other)[0]; \
    return [row.querySelector('.subject').innerText, Math.round(at)]";

#[tokio::test]
async fn scroll_position_stays_when_mail_arrives() {
    let mails: Vec<_> =
        (0..60).map(|number| (format!("number-{number:03}"), "2026-01-02".to_owned())).collect();
    let fixture = open_mailbox(&mails).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_for("row", "number-059").await;
    page.run("document.querySelector('.rows').scrollTop = 1234", vec![]).await;
    page.wait_for("row", "number-044").await;
    let before = page.run(FIRST_ROW, vec![]).await;
    assert_ne!(before[0], "number-059");
    servers.deliver("gb", &short("later"));
    page.press("Check mail").await;
    page.wait_for_text("61 messages").await;
    page.wait_until("the same row at the same place", async || page.run(FIRST_ROW, vec![]).await == before)
        .await;
    // At the top, the new message is visible.
    page.run("document.querySelector('.rows').scrollTop = 0", vec![]).await;
    page.wait_for("row", "later").await;
    servers.deliver("gb", &short("latest"));
    page.press("Check mail").await;
    page.wait_until("the new message in the first row", async || {
        page.run(FIRST_ROW, vec![]).await[0] == "latest"
    })
    .await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn row_shows_the_first_words_of_a_stored_message() {
    let mail =
        "From: Ag Mitra <ag@iit.edu>\nTo: gb@iit.edu\nSubject: Lunch\n\n> At noon?\n\nYes,  at\nnoon.\n";
    let fixture = open_without_background(&[mail]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Lunch").await;
    page.wait_for_reader_text("At noon?").await;
    page.wait_for("row", "Yes, at noon.").await;
    crate::reload(page).await;
    page.wait_for("row", "Yes, at noon.").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn search_covers_all_folders_with_operators_and_without_accents() {
    let picture = sample_mails::with_attachment("Plan", "square.png", "image/png", SQUARE);
    let summer = "From: Zoë <zoe@example.org>\nTo: gb@iit.edu\nSubject: L'Été\nMIME-Version: 1.0\n\
                  Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nStraßenfest!\n";
    let fixture = open_without_background(&[&picture, summer, &short("plan B")]).await;
    let Fixture { page, .. } = &fixture;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Plan C").await;
    send(page).await;
    page.press("Compose").await;
    page.fill("Subject", "Plan D").await;
    page.press("Save and close").await;
    page.open_row("L'Été").await;
    page.wait_for_reader_text("Straßenfest!").await;

    let results = async |query: &str, expected: &[&str]| {
        page.fill("Search", query).await;
        page.wait_until(&format!("{expected:?} for {query}"), async || {
            let mut found: Vec<String> =
                serde_json::from_value(page.run(LIST, vec![]).await).expect("a list of texts");
            found.retain(|text| !["Today", "Yesterday", "Earlier"].contains(&text.as_str()));
            found.sort();
            found == expected
        })
        .await;
    };
    results("plan", &["Plan", "Plan C", "Plan D", "plan B"]).await;
    page.wait_for_text("4 found").await;
    page.screenshot("search-results").await;
    results("ETE", &["L'Été"]).await;
    results("strassenfest", &["L'Été"]).await;
    results("from:zoe", &["L'Été"]).await;
    results("to:ag@iit.edu", &["Plan C"]).await;
    results("has:attachment", &["Plan"]).await;
    results("is:unread plan", &["Plan", "plan B"]).await;
    results("subject:\"plan b\"", &["plan B"]).await;
    results("before:2020-01-01", &[]).await;
    page.wait_for_text("No messages match.").await;
    results("after:2020-01-01 plan c", &["Plan C"]).await;
    page.open_row("Plan C").await;
    page.wait_for("heading", "Plan C").await;
    page.fill("Search", "plan").await;
    page.open_row("Plan D").await;
    page.wait_until("the draft", async || page.value("Subject").await == "Plan D").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn missing_texts_are_fetched_in_the_background_and_searched() {
    let fixture = open_without_background(&[&short("first"), &short("second"), &short("third")]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.choose_menu_item("Show protocol log").await;
    page.fill("Search", "\"this is\"").await;
    page.wait_for_text("Searched 0 of 3 messages").await;
    page.wait_for_text("No messages match.").await;
    let logins = async || page.text().await.matches("C: PASS ****").count();
    page.wait_until("the check after the subscription to changes", async || logins().await == 2).await;
    page.advance_clock(Duration::from_secs(4)).await;
    page.wait_for_text("Searched 3 messages").await;
    page.wait_for("row", "This is first.").await;
    page.wait_for_text("3 of 3 available offline").await;
    page.screenshot("search-coverage").await;
    // The newest first, in one session.
    let log = page.text().await;
    let position = |line: &str| log.find(line).unwrap_or_else(|| panic!("{line} is not in {log}"));
    assert!(position("C: RETR 3") < position("C: RETR 2") && position("C: RETR 2") < position("C: RETR 1"));
    assert_eq!(log.matches("C: PASS ****").count(), 3, "{log}");
    page.wait_until("the unread count", async || page.title().await == "(3) Pennypost").await;

    // Nothing is fetched if the user does not want it.
    page.press("Close").await;
    page.choose_menu_item("Settings").await;
    page.select_option("Download messages", "Off").await;
    page.press("Save").await;
    page.fill("Search", "").await;
    servers.deliver("gb", &short("fourth"));
    page.press("Check mail").await;
    page.wait_for("row", "fourth").await;
    page.advance_clock(Duration::from_secs(30)).await;
    page.wait_for("button", "Check mail").await;
    page.wait_for_text("3 of 4 available offline").await;
    page.open_row("fourth").await;
    page.wait_for_reader_text("This is fourth.").await;
    page.wait_for_text("4 of 4 available offline").await;
    assert_no_console_errors(page).await;
}
