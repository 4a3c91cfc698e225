//! IndexedDB that is forbidden, full or evicted: the page works, loses nothing silently, and says what it cannot store.

use std::time::Duration;

use browser_tests::{Fixture, Page};

use crate::sample_mails::PLAIN;
use crate::{open_inbox, open_without_background, send, sign_in};

const CANNOT_STORE: &str = "The browser could not save the draft.";

const FORBID: &str = "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError') }; \
    IDBFactory.prototype.databases = async () => { throw new DOMException('no', 'SecurityError') }";

const FILL: &str =
    "IDBObjectStore.prototype.put = () => { throw new DOMException('full', 'QuotaExceededError') }";

async fn write_to_ag(page: &Page) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "No room").await;
    page.fill("Text", "It is about time.").await;
}

#[tokio::test]
async fn page_works_without_indexed_db() {
    let fixture = Fixture::open().await;
    let Fixture { page, servers, .. } = &fixture;
    servers.deliver("gb", PLAIN);
    page.run_at_start(FORBID).await;
    page.reload().await;
    sign_in(page, "gb", "gondola").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    write_to_ag(page).await;
    page.wait_for("alert", CANNOT_STORE).await;
    page.screenshot("storage-forbidden").await;
    send(page).await;
    page.wait_for("alert", "This browser could not store a copy.").await;
    assert_eq!(servers.pop3("ag").count(), 1);
}

#[tokio::test]
async fn full_storage_is_reported_and_mail_is_sent() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_for_text("1 of 1 available offline").await;
    // Chromium applies a new quota only after some time.
    page.run(FILL, vec![]).await;
    write_to_ag(page).await;
    let file = servers.file("large.bin", &vec![b'x'; 1 << 20]);
    page.attach_file(&file).await;
    page.wait_for("button", "Remove large.bin").await;
    page.wait_for("alert", CANNOT_STORE).await;
    page.screenshot("storage-full").await;
    send(page).await;
    page.wait_for("alert", "This browser could not store a copy.").await;
    assert_eq!(servers.pop3("ag").count(), 1);
    // Data stored before is still there.
    page.press("Inbox").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
}

#[tokio::test]
async fn evicted_storage_is_reported_and_filled_again() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_for_text("1 of 1 available offline").await;
    page.wait_for_service_worker().await;
    page.evict_storage().await;
    write_to_ag(page).await;
    page.wait_for("alert", CANNOT_STORE).await;
    send(page).await;
    assert_eq!(servers.pop3("ag").count(), 1);

    page.reload().await;
    sign_in(page, "gb", "gondola").await;
    page.wait_for_text("1 of 1 available offline").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
}

const FAIL: &str =
    "IDBDatabase.prototype.transaction = () => { throw new DOMException('no answer', 'UnknownError') }";

#[tokio::test]
async fn outbox_is_not_sent_without_an_answer_of_the_storage() {
    let mut fixture = open_without_background(&[]).await;
    fixture.servers.kill();
    let page = &fixture.page;
    write_to_ag(page).await;
    page.press("Send").await;
    page.press("Send now").await;
    page.wait_for_text("1 message waiting to be sent.").await;
    page.wait_until("the stored message", async || page.stored_data().await.contains("\"waiting\":true"))
        .await;
    page.run(FAIL, vec![]).await;
    fixture.servers.restart();
    page.advance_clock(Duration::from_mins(1)).await;
    page.wait_for("alert", "Not sent: the browser's storage does not answer").await;
    page.screenshot("storage-no-claim").await;
    assert_eq!(fixture.servers.pop3("ag").count(), 0);
    page.wait_for_text("1 message waiting to be sent.").await;

    // The user sends it.
    page.press("Drafts").await;
    page.open_row("No room").await;
    page.wait_until("the draft", async || page.value("Subject").await == "No room").await;
    send(page).await;
    assert_eq!(fixture.servers.pop3("ag").count(), 1);
}

#[tokio::test]
async fn held_message_is_not_sent_without_an_answer_of_the_storage() {
    let fixture = open_without_background(&[]).await;
    let page = &fixture.page;
    write_to_ag(page).await;
    page.press("Send").await;
    page.wait_for("button", "Send now").await;
    page.wait_until("the stored draft", async || page.stored_data().await.contains("\"queued\":true")).await;
    page.run(FAIL, vec![]).await;
    page.press("Send now").await;
    page.wait_for("alert", "Not sent: the browser's storage does not answer").await;
    assert_eq!(fixture.servers.pop3("ag").count(), 0);
    page.press("Drafts").await;
    page.wait_for("row", "No room").await;
}
