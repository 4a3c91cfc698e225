//! Injected server faults (`[[faults]]`): no draft or message is lost, and the transcript shows the fault.

use std::time::Duration;

use browser_tests::{Fixture, Screen, Servers};

use crate::sample_mails::short;
use crate::{PREVENTS_CLOSING, disable_undo_send, open_inbox, reload, sign_in};

/// Signed in as gb, whose maildrop has these mails, on servers with one fault.
async fn with_fault(fault: &str, mails: &[&str]) -> Fixture {
    let servers = Servers::start(&format!("[[faults]]\n{fault}\n"));
    for mail in mails {
        servers.deliver("gb", mail);
    }
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    sign_in(&fixture.page, "gb", "gondola").await;
    disable_undo_send(&fixture.page).await;
    fixture
}

#[tokio::test]
async fn message_refusal_is_shown_and_in_the_transcript() {
    let fault = "protocol = 'smtp'\ncommand = 'MESSAGE'\nfor = 'ag'\nreply = '452 4.3.1 The disk is full'";
    let fixture = with_fault(fault, &[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.choose_menu_item("Show protocol log").await;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Too late").await;
    page.fill("Text", "A text that took an hour.").await;
    page.press("Send").await;
    page.wait_for("alert", "The disk is full").await;
    page.wait_for_text("S: 452 4.3.1 The disk is full").await;
    assert_eq!(page.value("Text").await, "A text that took an hour.");
    page.screenshot("fault-refused").await;
    assert_eq!(servers.pop3("ag").count(), 0);
}

#[tokio::test]
async fn disconnect_during_a_message_keeps_the_draft() {
    let fault = "protocol = 'smtp'\ncommand = 'DATA'\nfor = 'ag'\ndrop = true\nafter = '64 KiB'";
    let fixture = with_fault(fault, &[]).await;
    let Fixture { page, servers, .. } = &fixture;
    let file = servers.file("large.bin", &vec![b'x'; 1 << 20]);
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Cut off").await;
    page.attach_file(&file).await;
    page.wait_for_text("large.bin").await;
    page.press("Send").await;
    page.wait_for("alert", "Your draft is unchanged").await;
    page.wait_for_text("large.bin").await;
    assert_eq!(page.value("Subject").await, "Cut off");
    page.screenshot("fault-cut-off").await;
    assert_eq!(servers.pop3("ag").count(), 0);
}

/// The Message-ID fields of all messages that ag received.
fn message_ids(servers: &Servers) -> Vec<String> {
    let mailbox = String::from_utf8(servers.mailbox("ag")).expect("the page sends ASCII");
    mailbox.lines().filter(|line| line.starts_with("Message-ID:")).map(str::to_owned).collect()
}

async fn compose_to_ag(page: &browser_tests::Page) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Who knows").await;
    page.fill("Text", "Has it come?").await;
}

/// Reloads the page and opens the draft of [`compose_to_ag`].
async fn reopen_draft_to_ag(page: &browser_tests::Page) {
    reload(page).await;
    page.press("Drafts").await;
    page.open_row("Who knows").await;
}

#[tokio::test]
async fn lost_reply_keeps_the_draft_and_reports_unknown_delivery() {
    // With this seed the fault applies to the first message and not to the second.
    let fault =
        "protocol = 'smtp'\ncommand = 'MESSAGE'\nfor = 'ag'\ndrop = true\nprobability = 0.5\nseed = 3";
    let fixture = with_fault(fault, &[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.choose_menu_item("Show protocol log").await;
    compose_to_ag(page).await;
    page.press("Send").await;
    page.wait_for("alert", "it may have been delivered").await;
    page.wait_for_text("-- the connection was closed by the other side").await;
    page.screenshot("fault-unknown").await;
    assert_eq!(page.value("Text").await, "Has it come?");

    reopen_draft_to_ag(page).await;
    page.wait_for("alert", "it may have been delivered").await;
    page.press("Send").await;
    page.wait_for_gone("field", "Subject").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn tab_closed_before_the_message_is_sent_keeps_the_draft() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    disable_undo_send(page).await;
    page.run(DELAY_REPLY, vec![REPLY_TO_DATA.into()]).await;
    page.choose_menu_item("Show protocol log").await;
    compose_to_ag(page).await;
    page.press("Send").await;
    page.wait_for_text("C: DATA").await;
    assert_eq!(page.run(PREVENTS_CLOSING, vec![]).await, true, "the page does not ask before it is closed");
    reopen_draft_to_ag(page).await;
    page.wait_until("the draft", async || page.value("Text").await == "Has it come?").await;
    page.press("Send").await;
    page.wait_for_gone("field", "Subject").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn tab_closed_before_the_reply_keeps_the_draft_and_reports_unknown_delivery() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    disable_undo_send(page).await;
    page.run(DELAY_REPLY, vec![REPLY_TO_MESSAGE.into()]).await;
    page.choose_menu_item("Show protocol log").await;
    compose_to_ag(page).await;
    page.press("Send").await;
    page.wait_for_text("C: DATA").await;
    page.wait_for_text("C: [").await;
    page.wait_until("the delivered message", async || message_ids(servers).len() == 1).await;
    reopen_draft_to_ag(page).await;
    page.wait_for("alert", "it may have been delivered").await;
    page.screenshot("fault-closed").await;
    page.press("Send").await;
    page.wait_for_gone("field", "Subject").await;
    // Both copies have the same Message-ID.
    let ids = message_ids(servers);
    assert!(matches!(&ids[..], [one, other] if one == other), "{ids:?}");
}

/// Delays SMTP replies that contain a text until `release()` is called.
const DELAY_REPLY: &str = "\
    const [text] = arguments;
    const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
    const gate = new Promise((open) => { window.release = open });
    const isDelayed = ({ url }, { data }) => url.endsWith('/smtp') && new TextDecoder().decode(data).includes(text);
    Object.defineProperty(WebSocket.prototype, 'onmessage', { set(handle) {
        const handleLate = async (event) => { if (isDelayed(this, event)) await gate; handle(event) };
        set.call(this, handle && handleLate);
    } });";
/// The replies to DATA and to the end of the message.
const REPLY_TO_DATA: &str = "354 ";
const REPLY_TO_MESSAGE: &str = "Message accepted";

#[tokio::test]
async fn drafts_are_independent_while_one_is_being_sent() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    disable_undo_send(page).await;
    page.freeze_clock().await;
    page.run(DELAY_REPLY, vec![REPLY_TO_MESSAGE.into()]).await;
    page.press("Compose").await;
    page.fill("Subject", "The other").await;
    page.press("Save and close").await;
    page.press("Drafts").await;

    compose_to_ag(page).await;
    page.press("Send").await;
    page.wait_for("button", "Sending").await;
    // The row of the draft shows that it is being sent.
    page.press("Save and close").await;
    page.open_row("Who knows").await;
    page.wait_for("button", "Sending").await;
    assert!(page.find("alert", "it may have been delivered").await.is_none());

    page.open_row("The other").await;
    page.wait_until("the other draft", async || page.value("Subject").await == "The other").await;
    assert!(page.find("button", "Sending").await.is_none(), "the other draft is not being sent");
    page.fill("Text", "Its last words.").await;
    page.run("release()", vec![]).await;
    page.wait_for_text("Message sent.").await;
    assert_eq!(page.value("Text").await, "Its last words.");
    assert!(page.wait_for("button", "Send").await.is_enabled().await.expect("the button is in the page"));
    page.wait_for_gone("row", "Who knows").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn draft_is_saved_when_another_is_opened() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.press("Compose").await;
    page.fill("Subject", "The other").await;
    page.press("Save and close").await;
    page.press("Drafts").await;
    page.press("Compose").await;
    page.fill("Subject", "In haste").await;
    page.open_row("The other").await;
    page.wait_until("the other draft", async || page.value("Subject").await == "The other").await;
    page.open_row("In haste").await;
    page.wait_until("the first draft", async || page.value("Subject").await == "In haste").await;
}

#[tokio::test]
async fn message_accepted_after_sign_out_is_recorded_as_sent() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    disable_undo_send(page).await;
    page.run(DELAY_REPLY, vec![REPLY_TO_MESSAGE.into()]).await;
    page.choose_menu_item("Show protocol log").await;
    compose_to_ag(page).await;
    page.press("Send").await;
    page.wait_for_text("C: [").await;
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Username").await;
    assert!(!page.text().await.contains("ag@iit.edu"), "the recipient is visible after sign-out");
    assert_eq!(page.run(PREVENTS_CLOSING, vec![]).await, true, "the page does not ask before it is closed");
    page.run("release()", vec![]).await;
    page.wait_until("the message to be sent", async || page.run(PREVENTS_CLOSING, vec![]).await == false)
        .await;

    sign_in(page, "gb", "gondola").await;
    page.press("Sent").await;
    page.wait_for("row", "Who knows").await;
    page.press("Drafts").await;
    page.wait_for_text("No drafts").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn cancelled_send_reports_whether_delivery_is_known() {
    let early = "protocol = 'smtp'\ncommand = 'DATA'\nfor = 'ag'\ndelay = '10 min'";
    let late = early.replace("DATA", "MESSAGE");
    for (fault, transcript_line, outcome) in
        [(early, "C: DATA", "was not sent"), (&late, "C: [", "it may have been delivered")]
    {
        let fixture = with_fault(fault, &[]).await;
        let Fixture { page, .. } = &fixture;
        page.choose_menu_item("Show protocol log").await;
        compose_to_ag(page).await;
        page.press("Send").await;
        page.wait_for_text(transcript_line).await;
        page.press("Cancel").await;
        page.wait_for("alert", outcome).await;
        page.fill("Text", "I have thought better of it.").await;
        assert_eq!(page.value("Text").await, "I have thought better of it.");
    }
}

/// Makes time run a hundred times faster and the WebSocket never drain.
const STALL: &str = "\
    const [wait, now] = [setTimeout, performance.now.bind(performance)];
    window.setTimeout = (then, after) => wait(then, after / 100);
    performance.now = () => now() * 100;
    Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => 1e6 });";

#[tokio::test]
async fn stalled_connection_times_out() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    disable_undo_send(page).await;
    compose_to_ag(page).await;
    page.run(STALL, vec![]).await;
    page.press("Send").await;
    page.wait_for("alert", "No connection to the mail server").await;
    assert_eq!(page.value("Text").await, "Has it come?");
}

/// Disables saving of drafts after a pause in typing.
const DISABLE_AUTOSAVE: &str =
    "const wait = setTimeout; window.setTimeout = (then, after) => after === 700 ? 0 : wait(then, after)";

/// Delay before the first retry.
const RETRY_DELAY: Duration = Duration::from_secs(1);

#[tokio::test]
async fn repeated_login_refusal_without_a_code_signs_out_and_keeps_the_draft() {
    // With this seed the fault applies to the second, fourth and fifth login.
    let fault = "protocol = 'pop3'\ncommand = 'PASS'\nreply = '-ERR busy'\nprobability = 0.5\nseed = 408";
    let fixture = Fixture::open_on(Screen::Desktop, Servers::start(&format!("[[faults]]\n{fault}\n"))).await;
    let Fixture { page, .. } = &fixture;
    // The frozen clock prevents automatic checks, which would log in too.
    page.freeze_clock().await;
    sign_in(page, "gb", "gondola").await;
    page.run(DISABLE_AUTOSAVE, vec![]).await;
    page.press("Compose").await;
    page.fill("Subject", "Half a thought").await;
    // The page logs in again when it has subscribed to changes of the mailbox.
    page.wait_for_text("The server replied: busy").await;
    page.advance_clock(RETRY_DELAY).await;
    page.wait_for_text_gone("The server replied: busy").await;
    assert_eq!(page.value("Subject").await, "Half a thought");

    page.press("Check mail").await;
    page.wait_for_text("The server replied: busy").await;
    page.advance_clock(RETRY_DELAY).await;
    page.wait_for("field", "Username").await;
    page.wait_for_text("The server replied: busy").await;
    sign_in(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open_row("Half a thought").await;
    page.wait_until("the draft", async || page.value("Subject").await == "Half a thought").await;
}

#[tokio::test]
async fn interrupted_fetch_is_retried() {
    // With this seed the fault applies to the first RETR and not to all later ones.
    let fault =
        "protocol = 'pop3'\ncommand = 'RETR'\ndrop = true\nafter = '1 KiB'\nprobability = 0.5\nseed = 3";
    let long = format!("{}{}\nThe end.\n", short("Long"), "A line of a long message.\n".repeat(1000));
    let servers = Servers::start(&format!("[[faults]]\n{fault}\n"));
    servers.deliver("gb", &long);
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let Fixture { page, .. } = &fixture;
    // The frozen clock prevents fetching in the background.
    page.freeze_clock().await;
    sign_in(page, "gb", "gondola").await;
    page.open_row("Long").await;
    page.wait_for("button", "Try again").await;
    page.screenshot("fault-fetch").await;
    page.wait_until("the whole message", async || {
        if let Some(again) = page.find("button", "Try again").await {
            // The button may have disappeared.
            let _ = again.click().await;
        }
        page.text().await.contains("The end.")
    })
    .await;
}
