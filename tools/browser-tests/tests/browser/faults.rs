//! Servers that fail on purpose (`[[faults]]`): no draft and no message is lost, and the transcript shows what happened.

use std::time::Duration;

use browser_tests::{Screen, Servers, Stage};

use crate::mails::short;
use crate::{enter, inbox};

/// Signed in as gb, on servers with one fault, who has these mails.
async fn with_fault(fault: &str, mails: &[&str]) -> Stage {
    let servers = Servers::start(&format!("[[faults]]\n{fault}\n"));
    for mail in mails {
        servers.deliver("gb", mail);
    }
    let stage = Stage::open_on(Screen::Desktop, servers).await;
    enter(&stage.page, "gb", "gondola").await;
    stage
}

#[tokio::test]
async fn a_refusal_of_the_message_is_shown_and_seen_in_the_transcript() {
    let fault = "protocol = 'smtp'\ncommand = 'MESSAGE'\nfor = 'ag'\nreply = '452 4.3.1 The disk is full'";
    let stage = with_fault(fault, &[]).await;
    let Stage { page, servers, .. } = &stage;
    page.choose("Transcript").await;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Too late").await;
    page.fill("Text", "A text that took an hour.").await;
    page.press("Send").await;
    page.finds("alert", "The disk is full").await;
    page.sees("S: 452 4.3.1 The disk is full").await;
    assert_eq!(page.value("Text").await, "A text that took an hour.");
    page.picture("fault-refused").await;
    assert_eq!(servers.pop3("ag").count(), 0);
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_of_a_message_keeps_the_draft() {
    let fault = "protocol = 'smtp'\ncommand = 'DATA'\nfor = 'ag'\ndrop = true\nafter = '64 KiB'";
    let stage = with_fault(fault, &[]).await;
    let Stage { page, servers, .. } = &stage;
    let file = servers.file("large.bin", &vec![b'x'; 1 << 20]);
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Cut off").await;
    page.attach(&file).await;
    page.sees("large.bin").await;
    page.press("Send").await;
    page.finds("alert", "Nothing of the draft is lost").await;
    page.sees("large.bin").await;
    assert_eq!(page.value("Subject").await, "Cut off");
    page.picture("fault-cut-off").await;
    assert_eq!(servers.pop3("ag").count(), 0);
}

/// The Message-ID fields of all that ag has got.
fn message_ids(servers: &Servers) -> Vec<String> {
    let mailbox = String::from_utf8(servers.mailbox("ag")).expect("the page sends ASCII");
    mailbox.lines().filter(|line| line.starts_with("Message-ID:")).map(str::to_owned).collect()
}

async fn write_to_ag(page: &browser_tests::Page) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Who knows").await;
    page.fill("Text", "Has it come?").await;
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_is_kept_and_nobody_claims_to_know() {
    // With this seed the first one is struck and the second is not.
    let fault =
        "protocol = 'smtp'\ncommand = 'MESSAGE'\nfor = 'ag'\ndrop = true\nprobability = 0.5\nseed = 3";
    let stage = with_fault(fault, &[]).await;
    let Stage { page, servers, .. } = &stage;
    page.choose("Transcript").await;
    write_to_ag(page).await;
    page.press("Send").await;
    page.finds("alert", "it may have been delivered").await;
    page.sees("-- the connection was closed by the other side").await;
    page.picture("fault-unknown").await;
    assert_eq!(page.value("Text").await, "Has it come?");

    page.reload().await;
    enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Who knows").await;
    page.finds("alert", "it may have been delivered").await;
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn a_tab_that_is_closed_before_the_message_has_left_keeps_the_draft() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.run(HELD_ANSWER, vec![GO_ON.into()]).await;
    page.choose("Transcript").await;
    write_to_ag(page).await;
    page.press("Send").await;
    page.sees("C: DATA").await;
    let asks = "const leave = new Event('beforeunload', { cancelable: true }); dispatchEvent(leave); return leave.defaultPrevented";
    assert_eq!(page.run(asks, vec![]).await, true, "nobody is asked");
    page.reload().await;

    enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Who knows").await;
    page.until("the draft", async || page.value("Text").await == "Has it come?").await;
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn a_tab_that_is_closed_before_the_answer_comes_keeps_the_draft_and_says_what_may_have_happened() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.run(HELD_ANSWER, vec![TAKEN.into()]).await;
    page.choose("Transcript").await;
    write_to_ag(page).await;
    page.press("Send").await;
    page.sees("C: DATA").await;
    page.sees("C: [").await;
    page.until("the message with the server", async || message_ids(servers).len() == 1).await;
    page.reload().await;

    enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Who knows").await;
    page.finds("alert", "it may have been delivered").await;
    page.picture("fault-closed").await;
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    // Whoever gets it twice can tell that it is the same.
    let ids = message_ids(servers);
    assert!(matches!(&ids[..], [one, other] if one == other), "{ids:?}");
}

/// The SMTP server's answers that hold this text are not heard until `release()` is called.
const HELD_ANSWER: &str = "\
    const [text] = arguments;
    const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
    const gate = new Promise((open) => { window.release = open });
    const isHeld = ({ url }, { data }) => url.endsWith('/smtp') && new TextDecoder().decode(data).includes(text);
    Object.defineProperty(WebSocket.prototype, 'onmessage', { set(hear) {
        const hearLate = async (event) => { if (isHeld(this, event)) await gate; hear(event) };
        set.call(this, hear && hearLate);
    } });";
/// The answer to DATA, and the one to a message.
const GO_ON: &str = "354 ";
const TAKEN: &str = "Message accepted";

#[tokio::test]
async fn while_a_message_is_sent_another_is_written_and_neither_hears_of_the_other() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.hold_the_clock().await;
    page.run(HELD_ANSWER, vec![TAKEN.into()]).await;
    page.press("Compose").await;
    page.fill("Subject", "The other").await;
    page.press("Keep and close").await;
    page.press("Drafts").await;

    write_to_ag(page).await;
    page.press("Send").await;
    page.finds("button", "Sending").await;
    // Its own row shows it as it is: on its way, with nothing to press twice.
    page.press("Keep and close").await;
    page.open("Who knows").await;
    page.finds("button", "Sending").await;
    assert!(page.find("alert", "it may have been delivered").await.is_none());

    page.open("The other").await;
    page.until("the other draft", async || page.value("Subject").await == "The other").await;
    assert!(page.find("button", "Sending").await.is_none(), "the other draft is not being sent");
    page.fill("Text", "Its last words.").await;
    page.run("release()", vec![]).await;
    page.sees("Sent. The server said").await;
    assert_eq!(page.value("Text").await, "Its last words.");
    assert!(page.finds("button", "Send").await.is_enabled().await.expect("a button is or is not"));
    page.lacks("row", "Who knows").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn what_was_typed_just_before_another_draft_is_opened_is_kept() {
    let stage = inbox(&[]).await;
    let Stage { page, .. } = &stage;
    page.press("Compose").await;
    page.fill("Subject", "The other").await;
    page.press("Keep and close").await;
    page.press("Drafts").await;
    page.press("Compose").await;
    page.fill("Subject", "In haste").await;
    page.open("The other").await;
    page.until("the other draft", async || page.value("Subject").await == "The other").await;
    page.open("In haste").await;
    page.until("the first draft", async || page.value("Subject").await == "In haste").await;
}

#[tokio::test]
async fn a_message_whose_sender_signs_out_meanwhile_is_known_to_be_sent() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.run(HELD_ANSWER, vec![TAKEN.into()]).await;
    page.choose("Transcript").await;
    write_to_ag(page).await;
    page.press("Send").await;
    page.sees("C: [").await;
    page.choose("Sign out").await;
    page.finds("field", "Username").await;
    assert!(!page.text().await.contains("ag@iit.edu"), "the next person reads whom the last one wrote to");
    let asks = "const leave = new Event('beforeunload', { cancelable: true }); dispatchEvent(leave); return leave.defaultPrevented";
    assert_eq!(page.run(asks, vec![]).await, true, "nobody is asked");
    page.run("release()", vec![]).await;
    page.until("an end of sending", async || page.run(asks, vec![]).await == false).await;

    enter(page, "gb", "gondola").await;
    page.press("Sent from here").await;
    page.finds("row", "Who knows").await;
    page.press("Drafts").await;
    page.sees("No drafts").await;
    assert_eq!(message_ids(servers).len(), 1);
}

#[tokio::test]
async fn sending_can_be_cancelled_and_nobody_claims_to_know_more_than_is_known() {
    let early = "protocol = 'smtp'\ncommand = 'DATA'\nfor = 'ag'\ndelay = '10 min'";
    let late = early.replace("DATA", "MESSAGE");
    for (fault, seen, why) in
        [(early, "C: DATA", "was not sent"), (&late, "C: [", "it may have been delivered")]
    {
        let stage = with_fault(fault, &[]).await;
        let Stage { page, .. } = &stage;
        page.choose("Transcript").await;
        write_to_ag(page).await;
        page.press("Send").await;
        page.sees(seen).await;
        page.press("Cancel").await;
        page.finds("alert", why).await;
        page.fill("Text", "I have thought better of it.").await;
        assert_eq!(page.value("Text").await, "I have thought better of it.");
    }
}

/// Time runs a hundred times as fast, and nothing that is sent leaves.
const STUCK: &str = "\
    const [wait, now] = [setTimeout, performance.now.bind(performance)];
    window.setTimeout = (then, after) => wait(then, after / 100);
    performance.now = () => now() * 100;
    Object.defineProperty(WebSocket.prototype, 'bufferedAmount', { get: () => 1e6 });";

#[tokio::test]
async fn a_line_that_takes_nothing_any_more_is_given_up() {
    let stage = inbox(&[]).await;
    let Stage { page, .. } = &stage;
    write_to_ag(page).await;
    page.run(STUCK, vec![]).await;
    page.press("Send").await;
    page.finds("alert", "There is no connection").await;
    assert_eq!(page.value("Text").await, "Has it come?");
}

/// No draft is kept because nothing has been typed for a while.
const NO_PAUSE: &str =
    "const wait = setTimeout; window.setTimeout = (then, after) => after === 700 ? 0 : wait(then, after)";

/// Before the first attempt that follows a failure.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_refusal_without_a_reason_sends_nobody_away_until_it_comes_twice_and_costs_no_word() {
    // With this seed the second login is struck, and the fourth and the fifth.
    let fault = "protocol = 'pop3'\ncommand = 'PASS'\nreply = '-ERR busy'\nprobability = 0.5\nseed = 408";
    let stage = Stage::open_on(Screen::Desktop, Servers::start(&format!("[[faults]]\n{fault}\n"))).await;
    let Stage { page, .. } = &stage;
    // No other look than those that are asked for here takes a login away.
    page.hold_the_clock().await;
    enter(page, "gb", "gondola").await;
    page.run(NO_PAUSE, vec![]).await;
    page.press("Compose").await;
    page.fill("Subject", "Half a thought").await;
    page.press("Check mail").await;
    page.sees("The server said: busy").await;
    page.passes(PAUSE).await;
    page.misses("The server said: busy").await;
    assert_eq!(page.value("Subject").await, "Half a thought");

    page.press("Check mail").await;
    page.sees("The server said: busy").await;
    page.passes(PAUSE).await;
    page.finds("field", "Username").await;
    page.sees("The server said: busy").await;
    enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Half a thought").await;
    page.until("the draft", async || page.value("Subject").await == "Half a thought").await;
}

#[tokio::test]
async fn a_message_whose_first_fetch_is_cut_off_is_fetched_again() {
    // With this seed the first RETR is cut off and some later one is not.
    let fault =
        "protocol = 'pop3'\ncommand = 'RETR'\ndrop = true\nafter = '1 KiB'\nprobability = 0.5\nseed = 3";
    let long = format!("{}{}\nThe end.\n", short("Long"), "A line of a long message.\n".repeat(1000));
    let stage = with_fault(fault, &[&long]).await;
    let Stage { page, .. } = &stage;
    page.open("Long").await;
    page.finds("button", "Try again").await;
    page.picture("fault-fetch").await;
    page.until("the whole message", async || {
        if let Some(again) = page.find("button", "Try again").await {
            // It may have gone by itself.
            let _ = again.click().await;
        }
        page.text().await.contains("The end.")
    })
    .await;
}
