//! Mail that is written while the server is away: it is sent once, when the connection returns.

use std::time::Duration;

use browser_tests::{Fixture, Page, Screen, Servers};

use crate::sample_mails::{PLAIN, short};
use crate::{assert_no_console_errors, open_inbox, open_without_background, reload, sign_in, stay_signed_in};

const IN_OUTBOX: &str = "Your message will be sent when the connection returns.";

async fn write_to_ag(page: &Page, subject: &str) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", subject).await;
    page.fill("Text", "It is about time.").await;
    page.press("Send").await;
    page.press("Send now").await;
}

/// The subjects that ag has received, in order.
fn received(servers: &Servers) -> Vec<String> {
    let mailbox = String::from_utf8(servers.mailbox("ag")).expect("the page sends ASCII");
    mailbox.lines().filter_map(|line| line.strip_prefix("Subject: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn message_written_offline_is_sent_once_when_the_connection_returns() {
    let mut fixture = open_without_background(&[]).await;
    fixture.servers.kill();
    let page = &fixture.page;
    write_to_ag(page, "From a train").await;
    page.wait_for_text(IN_OUTBOX).await;
    page.wait_for_gone("field", "Subject").await;
    page.wait_for_text("1 message waiting to be sent.").await;
    page.press("Drafts").await;
    page.wait_for("row", "Outbox").await;
    page.screenshot("outbox").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    // It is stored, so the page can be closed.
    assert_eq!(page.run(crate::PREVENTS_CLOSING, vec![]).await, false);

    fixture.servers.restart();
    page.advance_clock(Duration::from_mins(1)).await;
    page.wait_for_text("Message sent.").await;
    page.wait_for_text("No drafts.").await;
    assert_eq!(received(&fixture.servers), ["From a train"]);
    page.press("Sent").await;
    page.wait_for("row", "From a train").await;
    page.press("Check mail").await;
    reload(page).await;
    assert_eq!(received(&fixture.servers), ["From a train"]);
}

#[tokio::test]
async fn three_messages_survive_an_hour_without_the_server_and_a_restart_of_the_browser() {
    let servers = Servers::start("");
    let mut fixture = Fixture::open_on(Screen::Desktop, servers).await;
    stay_signed_in(&fixture.page, "gb", "gondola").await;
    fixture.page.wait_for_service_worker().await;
    fixture.servers.kill();
    for subject in ["First", "Second", "Third"] {
        write_to_ag(&fixture.page, subject).await;
        fixture.page.wait_for_gone("field", "Subject").await;
    }
    fixture.page.wait_for_text("3 messages waiting to be sent.").await;
    fixture
        .page
        .wait_until("the stored messages", async || {
            fixture.page.stored_data().await.matches("\"waiting\":true").count() == 3
        })
        .await;
    fixture.page.close().await;

    let page = Page::new(fixture.driver.open(Screen::Desktop).await);
    page.goto(&fixture.servers.url()).await;
    page.wait_for_text("3 messages waiting to be sent.").await;
    page.freeze_clock().await;
    for _ in 0..60 {
        page.advance_clock(Duration::from_mins(1)).await;
    }
    page.press("Drafts").await;
    page.wait_for("row", "Third").await;
    fixture.servers.restart();
    page.advance_clock(Duration::from_mins(1)).await;
    page.wait_for_text("No drafts.").await;
    assert_eq!(received(&fixture.servers), ["First", "Second", "Third"]);
}

#[tokio::test]
async fn outbox_is_sent_by_one_of_two_tabs() {
    let mut fixture = open_without_background(&[]).await;
    let first = fixture.page.client.window().await.expect("the current tab");
    let second = fixture.page.client.new_window(true).await.expect("a new tab").handle;
    fixture.page.client.switch_to_window(second.clone()).await.expect("the tab is open");
    fixture.page.goto(&fixture.servers.url()).await;
    fixture.page.freeze_clock().await;
    sign_in(&fixture.page, "gb", "gondola").await;
    fixture.servers.kill();
    let page = &fixture.page;
    write_to_ag(page, "From one tab").await;
    page.wait_for_text(IN_OUTBOX).await;
    for tab in [&first, &second] {
        page.client.switch_to_window(tab.clone()).await.expect("the tab is open");
        page.press("Drafts").await;
        page.wait_for("row", "From one tab").await;
        page.press("Check mail").await;
        page.wait_for("button", "Try now").await;
    }
    fixture.servers.restart();
    for tab in [&first, &second] {
        page.client.switch_to_window(tab.clone()).await.expect("the tab is open");
        page.advance_clock(Duration::from_mins(1)).await;
    }
    for tab in [&first, &second] {
        page.client.switch_to_window(tab.clone()).await.expect("the tab is open");
        page.wait_for_text("No drafts.").await;
        page.press("Check mail").await;
        page.wait_for_text("Synced").await;
    }
    assert_eq!(received(&fixture.servers), ["From one tab"]);
}

#[tokio::test]
async fn message_in_the_outbox_can_be_opened_and_is_not_sent_then() {
    let mut fixture = open_without_background(&[PLAIN]).await;
    fixture.servers.kill();
    let page = &fixture.page;
    write_to_ag(page, "Too early").await;
    page.wait_for_text(IN_OUTBOX).await;
    page.press("Drafts").await;
    page.open_row("Too early").await;
    page.wait_until("the draft", async || page.value("Text").await == "It is about time.").await;
    page.fill("Text", "It is too early.").await;
    page.press("Save and close").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("It is too early.")).await;
    fixture.servers.restart();
    page.advance_clock(Duration::from_mins(1)).await;
    page.wait_for_text_gone("Offline.").await;
    page.wait_for("row", "Too early").await;
    assert!(page.find("row", "Outbox").await.is_none());
    assert_eq!(received(&fixture.servers), [""; 0]);
}

/// Drops the replies to messages, as if the page had been closed before them.
const HOLD_REPLY: &str = "\
    const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
    const isHeld = ({ url }, { data }) => url.endsWith('/smtp') && new TextDecoder().decode(data).includes('accepted');
    Object.defineProperty(WebSocket.prototype, 'onmessage', { set(handle) {
        set.call(this, handle && ((event) => isHeld(this, event) || handle(event)));
    } });";

#[tokio::test]
async fn page_closed_while_the_outbox_is_sent_does_not_send_it_again() {
    let mut fixture = open_without_background(&[]).await;
    fixture.servers.kill();
    let page = &fixture.page;
    write_to_ag(page, "Who knows").await;
    page.wait_for_text(IN_OUTBOX).await;
    page.run(HOLD_REPLY, vec![]).await;
    fixture.servers.restart();
    page.advance_clock(Duration::from_mins(1)).await;
    page.wait_until("the delivered message", async || received(&fixture.servers).len() == 1).await;
    reload(page).await;
    page.wait_for_text("A message may not have been sent, because the page was closed.").await;
    page.press("Drafts").await;
    page.open_row("Who knows").await;
    page.wait_for("alert", "it may have been delivered").await;
    page.press("Check mail").await;
    assert_eq!(received(&fixture.servers), ["Who knows"]);
}

/// Makes all stored drafts a day younger: they were written before the clock was set back.
const MAKE_YOUNGER: &str = "\
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
            await wait(drafts.put({ ...draft, changed: draft.changed + 86400000 }, key));
        }
        database.close();
    })().then(() => done(null), (error) => done(String(error)));";

/// Makes time pass a hundred times faster.
const HURRY: &str =
    "const wait = setTimeout; window.setTimeout = (then, after, ...rest) => wait(then, after / 100, ...rest)";

#[tokio::test]
async fn held_message_is_sent_after_the_clock_was_set_back() {
    let fixture = open_inbox(&[]).await;
    let page = &fixture.page;
    page.freeze_clock().await;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Yesterday").await;
    page.fill("Text", "It is about time.").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.wait_until("the stored draft", async || page.stored_data().await.contains("\"queued\":true")).await;
    let failure = page.client.execute_async(MAKE_YOUNGER, vec![]).await.expect("the script runs");
    assert!(failure.is_null(), "{failure}");
    page.run_at_start(HURRY).await;
    page.reload().await;
    page.wait_until("the message", async || received(&fixture.servers) == ["Yesterday"]).await;
    assert_no_console_errors(page).await;
}

/// Lets no SMTP connection reach the server.
const BLOCK_SMTP: &str = "\
    const Connected = WebSocket; window.blocked = true; \
    window.WebSocket = class extends Connected { \
        constructor(url) { super(window.blocked && url.endsWith('/ws/smtp') ? url + '-nowhere' : url); } \
    }";

const UNBLOCK_AND_TRY: &str = "window.blocked = false; \
    Array.from(document.querySelectorAll('button')).find(button => button.innerText == 'Try now').click()";

#[tokio::test]
async fn outbox_is_shown_while_only_the_smtp_server_is_away() {
    let fixture = open_without_background(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.run(BLOCK_SMTP, vec![]).await;
    for subject in ["First", "Second"] {
        write_to_ag(page, subject).await;
        page.wait_for_gone("field", "Subject").await;
    }
    page.wait_for_text("2 messages waiting to be sent.").await;
    page.screenshot("outbox-only-smtp").await;
    // Mail still arrives.
    servers.deliver("gb", PLAIN);
    page.press("Check mail").await;
    page.wait_for("row", "Meeting").await;
    page.wait_for_text("2 messages waiting to be sent.").await;
    assert_eq!(received(servers), [""; 0]);
    // In one step, because a check that is still running would send the messages and remove the button.
    page.run(UNBLOCK_AND_TRY, vec![]).await;
    page.wait_for_text_gone("waiting to be sent.").await;
    page.wait_until("both messages", async || received(servers) == ["First", "Second"]).await;
}

#[tokio::test]
async fn message_that_was_refused_from_the_outbox_is_held_for_undo_when_it_is_sent_again() {
    let mut fixture = open_without_background(&[]).await;
    fixture.servers.kill();
    let page = &fixture.page;
    page.press("Compose").await;
    page.fill("To", "nobody@iit.edu").await;
    page.fill("Subject", "Second attempt").await;
    page.fill("Text", "It is about time.").await;
    page.press("Send").await;
    page.press("Send now").await;
    page.wait_for_text(IN_OUTBOX).await;
    fixture.servers.restart();
    page.advance_clock(Duration::from_mins(1)).await;
    page.wait_for("alert", "Your draft is unchanged.").await;
    page.press("Remove nobody@iit.edu").await;
    page.fill("To", "ag@iit.edu").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.wait_until("the stored draft", async || page.stored_data().await.contains("\"queued\":true")).await;
    assert!(page.stored_data().await.contains("\"waiting\":false"));
    // A check sends the outbox.
    for subject in ["One", "Two"] {
        fixture.servers.deliver("gb", &short(subject));
        page.press("Check mail").await;
        page.wait_for("row", subject).await;
    }
    assert!(page.find("button", "Undo").await.is_some());
    assert_eq!(received(&fixture.servers), [""; 0]);
    page.press("Send now").await;
    page.wait_until("the message", async || received(&fixture.servers) == ["Second attempt"]).await;
}
