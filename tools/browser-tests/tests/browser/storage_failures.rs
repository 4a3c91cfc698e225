//! IndexedDB that is forbidden, full or evicted: the page works, loses nothing silently, and says what it cannot store.

use browser_tests::{Fixture, Page};

use crate::sample_mails::PLAIN;
use crate::{open_inbox, send, sign_in};

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
