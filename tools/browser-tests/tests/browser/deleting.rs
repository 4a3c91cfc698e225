//! Deleting, and taking it back.

use std::time::Duration;

use browser_tests::Stage;

use crate::mails::short;
use crate::{enter, inbox, is_well};

#[tokio::test]
async fn a_deletion_can_be_undone_until_it_is_done() {
    let stage = inbox(&[&short("first"), &short("second")]).await;
    let Stage { page, servers, .. } = &stage;
    let before = servers.mailbox("gb");
    page.hold_the_clock().await;
    page.open("second").await;
    page.press("Delete").await;
    page.lacks("row", "second").await;
    page.finds("row", "first").await;
    page.picture("deleted-with-undo").await;
    page.press("Undo").await;
    page.finds("row", "second").await;
    page.lacks("button", "Undo").await;
    assert_eq!(servers.mailbox("gb"), before);

    // By the time that the later deletion has reached the server, the undone one would have, too. Nothing goes while
    // somebody is at it.
    page.open("first").await;
    page.press("Delete").await;
    page.lacks("row", "first").await;
    page.point_at(&page.finds("button", "Undo").await).await;
    page.passes(Duration::from_secs(30)).await;
    page.press("Check mail").await;
    page.finds("button", "Check mail").await;
    page.finds("button", "Undo").await;
    assert_eq!(servers.mailbox("gb"), before);
    page.point_at_nothing().await;
    page.passes(Duration::from_secs(2)).await;
    page.until("a shorter mailbox", async || servers.mailbox("gb").len() < before.len()).await;
    let mailbox = String::from_utf8(servers.mailbox("gb")).expect("the mails are ASCII");
    assert!(mailbox.contains("Subject: second") && !mailbox.contains("first"), "{mailbox}");
    page.lacks("button", "Undo").await;
    page.finds("row", "second").await;
    page.picture("deleted-for-good").await;
    is_well(page).await;
}

#[tokio::test]
async fn a_page_that_is_left_before_the_deletion_is_done_keeps_the_message() {
    let stage = inbox(&[&short("first"), &short("second")]).await;
    let Stage { page, servers, .. } = &stage;
    let before = servers.mailbox("gb");
    page.hold_the_clock().await;
    page.open("second").await;
    page.press("Delete").await;
    page.finds("button", "Undo").await;
    page.reload().await;
    enter(page, "gb", "gondola").await;
    page.finds("row", "second").await;
    page.finds("row", "first").await;
    assert_eq!(servers.mailbox("gb"), before);
    is_well(page).await;
}

#[tokio::test]
async fn a_maildrop_that_is_in_use_is_tried_again() {
    let stage = inbox(&[&short("first")]).await;
    let Stage { page, servers, .. } = &stage;
    let other = servers.pop3("gb");
    servers.deliver("gb", &short("second"));
    page.press("Check mail").await;
    page.sees("another session has this maildrop open").await;
    page.finds("row", "first").await;
    page.picture("in-use").await;

    other.quit();
    page.finds("row", "second").await;
    page.misses("another session").await;
    is_well(page).await;
}
