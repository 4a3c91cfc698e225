//! Actions on several messages.

use std::time::Duration;

use browser_tests::{Fixture, Page, Screen};
use fantoccini::key::Key;

use crate::sample_mails::short;
use crate::{assert_no_console_errors, open_inbox, open_inbox_on, open_without_background};

const SUBJECTS: [&str; 5] = ["one", "two", "three", "four", "five"];

/// Subjects of the mails in the mailbox file of gb.
fn subjects(fixture: &Fixture) -> Vec<String> {
    let mailbox = String::from_utf8(fixture.servers.mailbox("gb")).expect("the mails are ASCII");
    mailbox.lines().filter_map(|line| line.strip_prefix("Subject: ")).map(str::to_owned).collect()
}

/// Number of POP3 sessions with a deletion in the protocol log, which is open.
async fn sessions_with_deletions(page: &Page) -> usize {
    page.text().await.split("C: PASS ****").filter(|session| session.contains("C: DELE ")).count()
}

#[tokio::test]
async fn selected_messages_are_marked_and_deleted_together() {
    let mails = SUBJECTS.map(short);
    let fixture = open_without_background(&mails.each_ref().map(String::as_str)).await;
    let page = &fixture.page;
    page.choose_menu_item("Show protocol log").await;
    let row = page.wait_for("row", "five").await;
    assert!(page.find("button", "Select five").await.is_none(), "the checkbox appears on hover");
    page.hover(&row).await;
    page.press("Select five").await;
    page.wait_for_text("1 selected").await;
    page.shift_click("button", "Select three").await;
    page.wait_for_text("3 selected").await;
    page.screenshot("selection").await;

    page.press("Mark selected as read").await;
    page.wait_until("the unread count", async || page.title().await == "(2) Pennypost").await;
    page.press("Mark selected as unread").await;
    page.wait_until("the unread count", async || page.title().await == "(5) Pennypost").await;
    page.press("Star selected").await;
    page.wait_for("button", "Starred 3").await;

    page.press("Delete selected").await;
    page.wait_for_text("3 messages deleted.").await;
    page.wait_for_gone("row", "four").await;
    page.press("Undo").await;
    page.wait_for("row", "three").await;
    page.wait_for("row", "five").await;
    assert_eq!(subjects(&fixture), SUBJECTS);

    page.hover(&page.wait_for("row", "two").await).await;
    page.press("Select two").await;
    page.shift_click("row", "five").await;
    page.press("Delete selected").await;
    page.wait_for_text("4 messages deleted.").await;
    page.unhover().await;
    page.advance_clock(Duration::from_secs(10)).await;
    page.wait_until("the deletion", async || subjects(&fixture) == ["one"]).await;
    page.wait_for_text("C: DELE 5").await;
    assert_eq!(sessions_with_deletions(page).await, 1);
    page.wait_for("row", "one").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn selection_works_with_the_keyboard() {
    let mails = SUBJECTS.map(short);
    let fixture = open_without_background(&mails.each_ref().map(String::as_str)).await;
    let page = &fixture.page;
    page.wait_for("row", "five").await;
    page.type_keys("jx").await;
    page.wait_for_text("1 selected").await;
    page.wait_until("the focus on the row", async || page.focused_name().await.contains("five")).await;
    let row = page.client.active_element().await.expect("a focused row");
    row.send_keys(&format!("{}{}{}{}", Key::Shift, Key::Down, Key::Down, Key::Null)).await.expect("keys");
    page.wait_for_text("3 selected").await;
    page.type_keys("I").await;
    page.wait_until("the unread count", async || page.title().await == "(2) Pennypost").await;
    page.type_keys(&Key::Escape.to_string()).await;
    page.wait_for_text_gone("selected").await;

    let row = page.client.active_element().await.expect("a focused row");
    row.send_keys(&format!("{}a{}", Key::Control, Key::Null)).await.expect("keys");
    page.wait_for_text("5 selected").await;
    page.type_keys("#").await;
    page.wait_for_text("5 messages deleted.").await;
    page.wait_for_text("Your inbox is empty.").await;
    page.type_keys("z").await;
    page.wait_for("row", "one").await;
    assert_eq!(subjects(&fixture), SUBJECTS);
    assert_no_console_errors(page).await;
}

/// Visible buttons and fields of the list that are narrower or lower than 44 pixels.
const SMALL_TARGETS: &str = "\
    return [...document.querySelectorAll('.list button, .list select')] \
        .filter((one) => one.checkVisibility()) \
        .map((one) => [one.ariaLabel ?? one.innerText, one.getBoundingClientRect()]) \
        .filter(([, { width, height }]) => width < 44 || height < 44) \
        .map(([name, { width, height }]) => `${name}: ${width} x ${height}`)";

#[tokio::test]
async fn selection_works_on_a_phone() {
    let fixture = open_inbox_on(Screen::Phone, &[&short("first"), &short("second")]).await;
    let Fixture { page, .. } = &fixture;
    page.freeze_clock().await;
    page.wait_for("row", "second").await;
    assert_eq!(page.run(SMALL_TARGETS, vec![]).await, serde_json::json!([]));
    page.press("Select second").await;
    page.wait_for_text("1 selected").await;
    page.press("Select all 2").await;
    page.wait_for_text("2 selected").await;
    assert_eq!(page.run(SMALL_TARGETS, vec![]).await, serde_json::json!([]));
    page.screenshot("phone-selection").await;
    page.press("Clear selection").await;
    page.wait_for_text_gone("selected").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn several_drafts_are_deleted_after_one_confirmation() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    for subject in ["Alpha", "Beta"] {
        page.press("Compose").await;
        page.fill("Subject", subject).await;
        page.press("Save and close").await;
    }
    page.press("Drafts").await;
    page.hover(&page.wait_for("row", "Alpha").await).await;
    page.press("Select Alpha").await;
    page.press("Select all 2").await;
    assert!(page.find("button", "Star selected").await.is_none());
    page.press("Delete selected").await;
    page.wait_for("dialog", "Delete 2 drafts?").await;
    page.press("Keep").await;
    page.wait_for("row", "Beta").await;
    page.press("Delete selected").await;
    page.wait_for("dialog", "Delete 2 drafts?").await;
    page.press("Delete").await;
    page.wait_for_text("No drafts.").await;
    page.wait_until("the deletion", async || !page.stored_data().await.contains("Beta")).await;
    assert_no_console_errors(page).await;
}
