//! Two tabs with the same account.

use browser_tests::Fixture;
use fantoccini::wd::WindowHandle;

use crate::sample_mails::short;
use crate::{assert_no_console_errors, open_without_background, sign_in};

/// Opens a second tab and signs in. The clocks of both are frozen, so that neither checks for mail. Returns the first and the
/// second tab.
async fn open_second_tab(fixture: &Fixture) -> [WindowHandle; 2] {
    let Fixture { page, servers, .. } = fixture;
    let first = page.client.window().await.expect("the current tab");
    let second = page.client.new_window(true).await.expect("a new tab").handle;
    page.client.switch_to_window(second.clone()).await.expect("the tab is open");
    page.goto(&servers.url()).await;
    page.freeze_clock().await;
    sign_in(page, "gb", "gondola").await;
    [first, second]
}

async fn switch_to(fixture: &Fixture, tab: &WindowHandle) {
    fixture.page.client.switch_to_window(tab.clone()).await.expect("the tab is open");
}

#[tokio::test]
async fn marks_and_deletions_appear_in_other_tabs() {
    let fixture = open_without_background(&[&short("first"), &short("second")]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_until("two unread messages", async || page.title().await == "(2) Pennypost").await;
    let [first, second] = open_second_tab(&fixture).await;
    page.open_row("first").await;
    page.wait_until("one unread message", async || page.title().await == "(1) Pennypost").await;
    page.type_keys("s").await;
    page.wait_for("button", "Starred 1").await;
    switch_to(&fixture, &first).await;
    page.wait_until("one unread message", async || page.title().await == "(1) Pennypost").await;
    page.wait_for("button", "Starred 1").await;

    switch_to(&fixture, &second).await;
    page.press("Delete").await;
    page.wait_for_gone("row", "first").await;
    // The next action ends the time for Undo.
    page.press("Sent").await;
    page.wait_until("the deletion", async || {
        !String::from_utf8_lossy(&servers.mailbox("gb")).contains("first")
    })
    .await;
    switch_to(&fixture, &first).await;
    page.wait_for_gone("row", "first").await;
    page.wait_for("row", "second").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn draft_in_two_tabs_is_reported_and_kept_in_sync() {
    let open_elsewhere = "This draft is open in another tab.";
    let fixture = open_without_background(&[]).await;
    let page = &fixture.page;
    let [first, second] = open_second_tab(&fixture).await;
    page.press("Compose").await;
    page.fill("Subject", "Shared").await;
    page.press("Save and close").await;

    switch_to(&fixture, &first).await;
    page.press("Drafts").await;
    page.open_row("Shared").await;
    page.wait_until("the draft", async || page.value("Subject").await == "Shared").await;
    assert!(!page.text().await.contains(open_elsewhere));
    switch_to(&fixture, &second).await;
    page.press("Drafts").await;
    page.open_row("Shared").await;
    page.wait_for_text(open_elsewhere).await;
    page.screenshot("draft-in-two-tabs").await;
    page.fill("Subject", "Changed").await;
    page.press("Save and close").await;
    page.wait_for("row", "Changed").await;

    switch_to(&fixture, &first).await;
    page.wait_until("the change", async || page.value("Subject").await == "Changed").await;
    page.wait_for_text_gone(open_elsewhere).await;
    page.press("Save and close").await;
    page.wait_for("row", "Changed").await;

    // This tab closes an unchanged draft that another tab sends.
    page.open_row("Changed").await;
    page.wait_for("field", "Subject").await;
    switch_to(&fixture, &second).await;
    page.open_row("Changed").await;
    page.wait_for_text(open_elsewhere).await;
    page.fill("To", "ag@iit.edu").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    // A tab in the background sends the message that it holds back.
    switch_to(&fixture, &first).await;
    page.wait_for_gone("field", "Subject").await;
    page.wait_for_text("No drafts.").await;
    switch_to(&fixture, &second).await;
    page.wait_for_text("No drafts.").await;
    assert_eq!(fixture.servers.pop3("ag").count(), 1);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn settings_that_are_changed_in_two_tabs_are_merged() {
    let fixture = open_without_background(&[]).await;
    let page = &fixture.page;
    let [first, second] = open_second_tab(&fixture).await;
    page.choose_menu_item("Settings").await;
    page.wait_for("dialog", "Settings").await;
    switch_to(&fixture, &first).await;
    page.choose_menu_item("Settings").await;
    page.fill("Your name", "Gb Roy").await;
    page.press("Save").await;
    page.wait_until("the stored name", async || page.stored_data().await.contains("Gb Roy")).await;
    switch_to(&fixture, &second).await;
    page.fill("Signature", "Kharagpur").await;
    page.press("Save").await;
    page.wait_until("the stored signature", async || page.stored_data().await.contains("Kharagpur")).await;
    assert!(page.stored_data().await.contains("Gb Roy"), "the name was overwritten");
    // Both tabs use both.
    for tab in [&first, &second] {
        switch_to(&fixture, tab).await;
        page.press("Compose").await;
        page.wait_until("the name", async || page.text().await.contains("Gb Roy")).await;
        page.wait_until("the signature", async || page.value("Text").await.contains("Kharagpur")).await;
        page.press("Discard").await;
    }
    assert_no_console_errors(page).await;
}
