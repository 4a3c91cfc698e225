//! The URL names what is open; Back and Forward follow it.

use browser_tests::{Fixture, Page};

use crate::sample_mails::short;
use crate::{assert_no_console_errors, open_inbox, send};

async fn fragment(page: &Page) -> String {
    page.run("return location.hash", vec![]).await.as_str().unwrap_or_default().to_owned()
}

async fn wait_for_url(page: &Page, expected: &str) {
    page.wait_until(&format!("the URL {expected}"), async || fragment(page).await == expected).await;
}

#[tokio::test]
async fn url_names_the_open_message_and_forward_reopens_it() {
    let fixture = open_inbox(&[&short("first"), &short("second")]).await;
    let Fixture { page, .. } = &fixture;
    wait_for_url(page, "#inbox").await;
    page.open_row("first").await;
    page.wait_for_reader_text("This is first.").await;
    let message = fragment(page).await;
    assert!(message.starts_with("#inbox/") && message.len() > "#inbox/".len(), "{message}");

    page.back().await;
    page.wait_for_reader_text_gone("This is first.").await;
    wait_for_url(page, "#inbox").await;
    page.run("history.forward()", vec![]).await;
    page.wait_for_reader_text("This is first.").await;
    wait_for_url(page, &message).await;

    // The next message takes its entry; Back leads to the list.
    page.open_row("second").await;
    page.wait_for_reader_text("This is second.").await;
    page.back().await;
    page.wait_for_reader_text_gone("This is second.").await;
    wait_for_url(page, "#inbox").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn folders_have_urls_and_back_returns_to_the_previous_folder() {
    let fixture = open_inbox(&[&short("first")]).await;
    let Fixture { page, .. } = &fixture;
    wait_for_url(page, "#inbox").await;
    page.press("Sent").await;
    wait_for_url(page, "#sent").await;
    page.wait_for_text("No sent messages.").await;
    page.press("Drafts").await;
    wait_for_url(page, "#drafts").await;
    page.back().await;
    page.wait_for_text("No sent messages.").await;
    wait_for_url(page, "#sent").await;
    page.back().await;
    page.wait_for("row", "first").await;
    page.run("history.forward()", vec![]).await;
    page.wait_for_text("No sent messages.").await;
    wait_for_url(page, "#sent").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn message_in_the_url_opens_after_a_reload_and_is_cleared_at_sign_out() {
    let fixture = open_inbox(&[&short("first"), &short("second")]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("first").await;
    page.wait_for_reader_text("This is first.").await;
    let message = fragment(page).await;
    crate::reload(page).await;
    page.wait_for_reader_text("This is first.").await;
    wait_for_url(page, &message).await;

    // A link from elsewhere: Back leads to the folder.
    page.goto("about:blank").await;
    page.goto(&format!("{}/{message}", servers.url().trim_end_matches('/'))).await;
    page.wait_for_reader_text("This is first.").await;
    page.back().await;
    page.wait_for_reader_text_gone("This is first.").await;
    wait_for_url(page, "#inbox").await;

    page.open_row("first").await;
    page.wait_for_reader_text("This is first.").await;
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;
    wait_for_url(page, "").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn draft_in_the_url_is_reopened() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.press("Compose").await;
    page.fill("Subject", "Half a thought").await;
    let draft = fragment(page).await;
    assert!(draft.starts_with("#drafts/"), "{draft}");
    page.back().await;
    page.wait_for_gone("field", "Subject").await;
    wait_for_url(page, "#inbox").await;
    page.run("history.forward()", vec![]).await;
    page.wait_until("the draft", async || page.value("Subject").await == "Half a thought").await;
    wait_for_url(page, &draft).await;
    crate::reload(page).await;
    page.wait_until("the draft", async || page.value("Subject").await == "Half a thought").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn sent_copy_is_deleted_after_a_confirmation_that_names_it() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.freeze_clock().await;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "A copy").await;
    page.fill("Text", "Kept in this browser.").await;
    send(page).await;
    page.press("Sent").await;
    page.open_row("A copy").await;
    page.wait_for_text("Kept in this browser.").await;
    page.press("Delete").await;
    page.wait_for("dialog", "Delete the sent copy “A copy”?").await;
    page.screenshot("delete-copy").await;
    page.press("Keep").await;
    page.wait_for_gone("dialog", "").await;
    page.wait_for("row", "A copy").await;
    page.press("Delete").await;
    page.press("Delete copy").await;
    page.wait_for_gone("row", "A copy").await;
    page.wait_until("the deletion of the copy", async || {
        !page.stored_data().await.contains("Kept in this browser.")
    })
    .await;
    crate::reload(page).await;
    page.press("Sent").await;
    page.wait_for_text("No sent messages.").await;
    assert_no_console_errors(page).await;
}
