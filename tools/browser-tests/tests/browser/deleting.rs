//! Deletion and undo.

use std::time::Duration;

use browser_tests::Fixture;

use crate::sample_mails::short;
use crate::{assert_no_console_errors, open_inbox};

#[tokio::test]
async fn deletion_can_be_undone_until_it_is_carried_out() {
    let fixture = open_inbox(&[&short("first"), &short("second")]).await;
    let Fixture { page, servers, .. } = &fixture;
    let before = servers.mailbox("gb");
    page.freeze_clock().await;
    page.open_row("second").await;
    page.press("Delete").await;
    page.wait_for_gone("row", "second").await;
    page.wait_for("row", "first").await;
    page.screenshot("deleted-with-undo").await;
    page.press("Undo").await;
    page.wait_for("row", "second").await;
    page.wait_for_gone("button", "Undo").await;
    assert_eq!(servers.mailbox("gb"), before);

    // The second deletion reaches the server after the time of the first one. Hovering over Undo stops the delay.
    page.open_row("first").await;
    page.press("Delete").await;
    page.wait_for_gone("row", "first").await;
    page.hover(&page.wait_for("button", "Undo").await).await;
    page.advance_clock(Duration::from_secs(30)).await;
    page.wait_for("button", "Undo").await;
    assert_eq!(servers.mailbox("gb"), before);
    page.unhover().await;
    page.advance_clock(Duration::from_secs(2)).await;
    page.wait_until("a shorter mailbox", async || servers.mailbox("gb").len() < before.len()).await;
    let mailbox = String::from_utf8(servers.mailbox("gb")).expect("the mails are ASCII");
    assert!(mailbox.contains("Subject: second") && !mailbox.contains("first"), "{mailbox}");
    page.wait_for_gone("button", "Undo").await;
    page.wait_for("row", "second").await;
    page.screenshot("deleted-for-good").await;
    assert_no_console_errors(page).await;
}

/// Waits until the mailbox of gb has exactly the mails with these subjects.
async fn wait_for_mailbox(fixture: &Fixture, subjects: &[&str]) {
    let Fixture { page, servers, .. } = fixture;
    page.wait_until(&format!("a mailbox with {subjects:?}"), async || {
        let mailbox = String::from_utf8(servers.mailbox("gb")).expect("the mails are ASCII");
        let lines = mailbox.lines().filter_map(|line| line.strip_prefix("Subject: "));
        lines.eq(subjects.iter().copied())
    })
    .await;
}

#[tokio::test]
async fn deletion_is_carried_out_at_the_next_action() {
    let subjects = ["one", "two", "three", "four"];
    let mails = subjects.map(short);
    let fixture = open_inbox(&mails.each_ref().map(String::as_str)).await;
    let page = &fixture.page;
    page.freeze_clock().await;
    let delete = async |subject: &str| {
        page.open_row(subject).await;
        page.press("Delete").await;
        page.wait_for_gone("row", subject).await;
        page.wait_for("button", "Undo").await;
    };
    delete("one").await;
    wait_for_mailbox(&fixture, &subjects).await;
    // Another deletion; Undo then restores only the second message.
    delete("two").await;
    wait_for_mailbox(&fixture, &["two", "three", "four"]).await;
    page.press("Undo").await;
    page.wait_for("row", "two").await;

    delete("two").await;
    page.press("Compose").await;
    wait_for_mailbox(&fixture, &["three", "four"]).await;
    page.press("Discard").await;

    delete("three").await;
    page.press("Sent").await;
    wait_for_mailbox(&fixture, &["four"]).await;
    page.press("Inbox").await;

    delete("four").await;
    page.press("Check mail").await;
    wait_for_mailbox(&fixture, &[]).await;
    page.wait_for_gone("button", "Undo").await;
    page.wait_until("no pending deletion", async || {
        page.run("return localStorage.length", vec![]).await == 0
    })
    .await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn deletion_is_carried_out_at_sign_out() {
    let fixture = open_inbox(&[&short("first"), &short("second")]).await;
    let Fixture { page, .. } = &fixture;
    page.freeze_clock().await;
    page.open_row("second").await;
    page.press("Delete").await;
    page.wait_for("button", "Undo").await;
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;
    wait_for_mailbox(&fixture, &["first"]).await;
    page.wait_until("no pending deletion", async || {
        page.run("return localStorage.length", vec![]).await == 0
    })
    .await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn deletion_of_a_closed_page_is_carried_out_when_it_is_opened_again() {
    let fixture = open_inbox(&[&short("first"), &short("second"), &short("third")]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.freeze_clock().await;
    page.open_row("third").await;
    page.press("Delete").await;
    page.press("Undo").await;
    page.wait_for("row", "third").await;
    page.open_row("second").await;
    page.press("Delete").await;
    page.wait_for("button", "Undo").await;
    // The page cannot reach the server while it is being closed.
    page.run("WebSocket.prototype.send = () => { throw new Error('closing') }", vec![]).await;
    servers.deliver("gb", &short("fourth"));
    wait_for_mailbox(&fixture, &["first", "second", "third", "fourth"]).await;
    page.reload().await;
    page.wait_for("row", "fourth").await;
    page.wait_for_gone("row", "second").await;
    wait_for_mailbox(&fixture, &["first", "third", "fourth"]).await;
    page.wait_for("row", "first").await;
    page.wait_until("no pending deletion", async || {
        page.run("return localStorage.length", vec![]).await == 0
    })
    .await;
}

#[tokio::test]
async fn deletion_can_be_undone_while_another_tab_signs_in() {
    let fixture = open_inbox(&[&short("first"), &short("second")]).await;
    let Fixture { page, servers, .. } = &fixture;
    let before = servers.mailbox("gb");
    page.freeze_clock().await;
    // The time for Undo is not over when the other tab has signed in.
    page.run("const now = Date.now; Date.now = () => now() + 600_000", vec![]).await;
    page.open_row("second").await;
    page.press("Delete").await;
    page.wait_for("button", "Undo").await;
    let first = page.client.window().await.expect("the current window");
    let second = page.client.new_window(true).await.expect("a new window").handle;
    page.client.switch_to_window(second).await.expect("the window is open");
    page.goto(&servers.url()).await;
    crate::sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "second").await;
    servers.deliver("gb", &short("third"));
    page.press("Check mail").await;
    page.wait_for("row", "third").await;

    page.client.switch_to_window(first).await.expect("the window is open");
    page.press("Undo").await;
    page.wait_for("row", "second").await;
    assert!(servers.mailbox("gb").starts_with(&before), "the message was deleted");
    assert_eq!(page.run("return localStorage.length", vec![]).await, 0);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn maildrop_in_use_is_retried() {
    let fixture = open_inbox(&[&short("first")]).await;
    let Fixture { page, servers, .. } = &fixture;
    let other = servers.pop3("gb");
    servers.deliver("gb", &short("second"));
    page.press("Check mail").await;
    page.wait_for_text("another session has this maildrop open").await;
    page.wait_for("row", "first").await;
    page.screenshot("in-use").await;

    other.quit();
    page.wait_for("row", "second").await;
    page.wait_for_text_gone("another session").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn notice_waits_until_undo_is_over() {
    let fixture = open_inbox(&[&short("first"), &short("second")]).await;
    let Fixture { page, .. } = &fixture;
    page.wait_for_text("2 of 2 available offline").await;
    page.freeze_clock().await;
    page.open_row("second").await;
    page.press("Delete").await;
    page.wait_for("button", "Undo").await;
    page.choose_menu_item("Settings").await;
    page.press("Export Inbox").await;
    page.press("Cancel").await;
    page.wait_for("button", "Undo").await;
    // Undo lasts for 7 seconds, a notice for 6.
    page.advance_clock(Duration::from_millis(6_500)).await;
    page.wait_for("button", "Undo").await;
    let exported = "Exported 2 messages to inbox.mbox.";
    assert!(!page.text().await.contains(exported));
    page.advance_clock(Duration::from_secs(1)).await;
    page.wait_for("alert", exported).await;
    page.screenshot("notice-after-undo").await;
    page.advance_clock(Duration::from_millis(6_500)).await;
    page.wait_for_gone("alert", exported).await;
    assert_no_console_errors(page).await;
}
