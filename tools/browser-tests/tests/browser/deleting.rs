//! Deletion and undo.

use std::time::Duration;

use browser_tests::Fixture;

use crate::sample_mails::short;
use crate::{assert_no_console_errors, open_inbox, sign_in};

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
    page.press("Check mail").await;
    page.wait_for("button", "Check mail").await;
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

#[tokio::test]
async fn reload_before_a_deletion_is_carried_out_keeps_the_message() {
    let fixture = open_inbox(&[&short("first"), &short("second")]).await;
    let Fixture { page, servers, .. } = &fixture;
    let before = servers.mailbox("gb");
    page.freeze_clock().await;
    page.open_row("second").await;
    page.press("Delete").await;
    page.wait_for("button", "Undo").await;
    page.reload().await;
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "second").await;
    page.wait_for("row", "first").await;
    assert_eq!(servers.mailbox("gb"), before);
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
