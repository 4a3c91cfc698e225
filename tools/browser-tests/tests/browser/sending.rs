//! Undo after Send, reminders, and stored drafts.

use std::time::Duration;

use browser_tests::{Page, Servers};
use fantoccini::key::Key;

use crate::{assert_no_console_errors, open_inbox, open_without_background, send, wait_until_sent};

async fn compose_to_ag(page: &Page, subject: &str) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", subject).await;
    page.fill("Text", "It is about time.").await;
}

fn delivered(servers: &Servers) -> usize {
    String::from_utf8_lossy(&servers.mailbox("ag")).matches("It is about time.").count()
}

#[tokio::test]
async fn sent_message_can_be_undone_for_ten_seconds() {
    let fixture = open_without_background(&[]).await;
    let (page, servers) = (&fixture.page, &fixture.servers);
    compose_to_ag(page, "Later").await;
    // Ctrl+Enter in any field
    page.press_until_focused(&Key::Tab.to_string(), "Text").await;
    page.type_with(Key::Control, Key::Enter.into()).await;
    page.wait_for_gone("field", "Subject").await;
    page.wait_for_text("Sending to ag@iit.edu.").await;
    page.screenshot("undo-send").await;
    page.advance_clock(Duration::from_secs(9)).await;
    page.press("Undo").await;
    page.wait_until("the draft", async || page.value("Text").await == "It is about time.").await;
    page.advance_clock(Duration::from_secs(30)).await;
    assert_eq!(delivered(servers), 0);

    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.advance_clock(Duration::from_secs(11)).await;
    page.wait_for_text("Message sent.").await;
    assert_eq!(delivered(servers), 1);
    page.press("Sent").await;
    page.wait_for("row", "Later").await;
    page.press("Drafts").await;
    page.wait_for_text("No drafts.").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn held_message_is_sent_when_the_page_goes_to_the_background() {
    let fixture = open_without_background(&[]).await;
    let (page, servers) = (&fixture.page, &fixture.servers);
    compose_to_ag(page, "Elsewhere").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    let hide = "Object.defineProperty(document, 'hidden', { value: true, configurable: true }); \
                document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))";
    page.run(hide, vec![]).await;
    page.wait_for_text("Message sent.").await;
    assert_eq!(delivered(servers), 1);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn held_message_is_sent_at_sign_out() {
    let fixture = open_without_background(&[]).await;
    let (page, servers) = (&fixture.page, &fixture.servers);
    compose_to_ag(page, "Goodbye").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;
    wait_until_sent(page).await;
    assert_eq!(delivered(servers), 1);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn held_message_is_not_sent_when_its_draft_is_opened_or_discarded() {
    let fixture = open_without_background(&[]).await;
    let (page, servers) = (&fixture.page, &fixture.servers);
    compose_to_ag(page, "Opened").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.press("Drafts").await;
    page.open_row("Opened").await;
    page.wait_until("the draft", async || page.value("Text").await == "It is about time.").await;
    page.wait_for_gone("button", "Send now").await;
    page.fill("Text", "It is too early.").await;
    page.press("Save and close").await;
    page.unhover().await;
    page.advance_clock(Duration::from_secs(30)).await;
    page.wait_until("the stored draft", async || {
        let stored = page.stored_data().await;
        stored.contains("It is too early.") && !stored.contains("\"queued\":true")
    })
    .await;

    page.press("Inbox").await;
    compose_to_ag(page, "Discarded").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.press("Drafts").await;
    page.hover(&page.wait_for("row", "Discarded").await).await;
    page.press("Select Discarded").await;
    page.press("Delete selected").await;
    // The question does not stop the time.
    page.advance_clock(Duration::from_secs(30)).await;
    page.press("Discard draft").await;
    page.wait_for_gone("row", "Discarded").await;
    crate::reload(page).await;
    page.press("Drafts").await;
    page.wait_for("row", "Opened").await;
    assert!(page.find("row", "Discarded").await.is_none(), "the draft is still there");
    assert_eq!(servers.mailbox("ag"), b"");
    assert_no_console_errors(page).await;
}

/// Makes all stored drafts two minutes older.
const AGE_DRAFTS: &str = "\
    const [done] = arguments;
    const wait = (request) => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    (async () => {
        const database = await wait(indexedDB.open('pennypost/gb'));
        const drafts = database.transaction('drafts', 'readwrite').objectStore('drafts');
        for (const key of await wait(drafts.getAllKeys())) {
            const draft = await wait(drafts.get(key));
            await wait(drafts.put({ ...draft, changed: draft.changed - 120000 }, key));
        }
        database.close();
    })().then(() => done(null), (error) => done(String(error)));";

#[tokio::test]
async fn held_message_of_a_closed_page_is_sent_when_it_is_opened_again() {
    let fixture = open_without_background(&[]).await;
    let (page, servers) = (&fixture.page, &fixture.servers);
    compose_to_ag(page, "After all").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.wait_until("the stored draft", async || page.stored_data().await.contains("\"queued\":true")).await;
    let failure = page.client.execute_async(AGE_DRAFTS, vec![]).await.expect("the script runs");
    assert!(failure.is_null(), "{failure}");
    page.reload().await;
    page.wait_for_text("Message sent.").await;
    assert_eq!(delivered(servers), 1);
    page.press("Drafts").await;
    page.wait_for_text("No drafts.").await;
    assert_no_console_errors(page).await;
}

/// Queues all stored drafts, removes their recipients, and makes them two minutes older.
const QUEUE_WITHOUT_RECIPIENTS: &str = "{ ...draft, changed: draft.changed - 120000, queued: true, to: [] }";

#[tokio::test]
async fn queued_draft_without_recipients_is_not_sent_and_can_be_corrected() {
    let fixture = open_inbox(&[]).await;
    let (page, servers) = (&fixture.page, &fixture.servers);
    compose_to_ag(page, "To nobody").await;
    page.press("Save and close").await;
    page.wait_until("the stored draft", async || page.stored_data().await.contains("To nobody")).await;
    let script =
        AGE_DRAFTS.replace("{ ...draft, changed: draft.changed - 120000 }", QUEUE_WITHOUT_RECIPIENTS);
    let failure = page.client.execute_async(&script, vec![]).await.expect("the script runs");
    assert!(failure.is_null(), "{failure}");
    for _ in 0..2 {
        crate::reload(page).await;
        page.press("Drafts").await;
        page.wait_for("row", "To nobody").await;
    }
    page.open_row("To nobody").await;
    page.fill("To", "ag@iit.edu").await;
    send(page).await;
    assert_eq!(delivered(servers), 1);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn author_is_reminded_of_a_missing_subject_and_attachment() {
    let fixture = open_inbox(&[]).await;
    let (page, servers) = (&fixture.page, &fixture.servers);
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Text", "It is about time. The plan is attached.").await;
    page.press("Send").await;
    page.wait_for("dialog", "Send without a subject?").await;
    page.screenshot("reminder").await;
    page.press("Keep editing").await;
    page.fill("Subject", "Plan").await;
    page.press("Send").await;
    page.wait_for("dialog", "Send without an attachment?").await;
    page.press("Keep editing").await;
    page.attach_file(&servers.file("plan.txt", b"1. Rest")).await;
    page.wait_for("button", "Remove plan.txt").await;
    send(page).await;
    assert_eq!(delivered(servers), 1);

    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Text", "It is about time.").await;
    page.press("Send").await;
    page.press("Send anyway").await;
    page.press("Send now").await;
    wait_until_sent(page).await;
    assert_eq!(delivered(servers), 2);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn compose_pane_shows_when_the_draft_was_saved() {
    let fixture = open_inbox(&[]).await;
    let page = &fixture.page;
    page.press("Compose").await;
    page.fill("Subject", "Half a thought").await;
    let saved = "const saved = document.querySelector('.saved').innerText; \
                 return /^Draft saved \\d+:\\d\\d/.test(saved)";
    page.wait_until("the time", async || page.run(saved, vec![]).await == true).await;
    page.screenshot("draft-saved").await;
    assert_no_console_errors(page).await;
}
