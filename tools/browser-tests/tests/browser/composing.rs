//! Writing, answering and passing on.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::{Page, Stage};
use fantoccini::key::Key;

use crate::mails::{self, NON_LATIN, PLAIN, SQUARE};
use crate::{inbox, is_well};

/// Sends what is written and waits until the server has it.
async fn send(page: &Page) {
    page.press("Send").await;
    page.lacks("field", "Subject").await;
}

#[tokio::test]
async fn an_attachment_arrives_byte_for_byte() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    let content: Vec<u8> = (0..=255_u8).rev().cycle().take(300_001).collect();
    let file = servers.file("Фото 1.bin", &content);

    page.press("Compose").await;
    page.fill("To", "ag@iit.edu, ").await;
    page.fill("Subject", "A photo — фото").await;
    page.fill("Text", "Hello,\n.a dot\n\nGb").await;
    page.attach(&file).await;
    page.sees("Фото 1.bin").await;
    page.picture("compose").await;
    send(page).await;
    page.picture("sent").await;

    let mut pop3 = servers.pop3("ag");
    assert_eq!(pop3.count(), 1);
    let message = String::from_utf8(pop3.retrieve(1)).expect("the page sends ASCII");
    pop3.quit();
    assert!(
        message.contains("From: gb@iitkgp.edu") || message.contains("From: <gb@iitkgp.edu>"),
        "{message:.1000}"
    );
    assert!(message.contains("To: ag@iit.edu") || message.contains("To: <ag@iit.edu>"), "{message:.1000}");
    // What is left of the message without its line ends holds the file in base64, wherever its part stands.
    let joined = message.replace("\r\n", "");
    assert!(joined.contains(&BASE64_STANDARD.encode(&content)), "the attachment has changed");
    let mailbox = String::from_utf8(servers.mailbox("ag")).expect("the page sends ASCII").replace("\r\n", "");
    assert!(mailbox.contains(&BASE64_STANDARD.encode(&content)), "the attachment has changed");

    page.press("Sent from here").await;
    page.open("A photo — фото").await;
    page.sees("Фото 1.bin").await;
    page.picture("sent-from-here").await;
    is_well(page).await;
}

/// Drops a file on an element, and pastes another into it, as the browser would tell of it.
const DROP_AND_PASTE: &str = "\
    const [element] = arguments;
    const holding = (name) => {
        const data = new DataTransfer();
        data.items.add(new File([`This is ${name}.`], name, { type: 'text/plain' }));
        return data;
    };
    const about = { bubbles: true, cancelable: true };
    element.dispatchEvent(new DragEvent('drop', { ...about, dataTransfer: holding('dropped.txt') }));
    element.dispatchEvent(new ClipboardEvent('paste', { ...about, clipboardData: holding('pasted.txt') }));";

#[tokio::test]
async fn files_are_attached_by_dropping_and_pasting_too() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Two files").await;
    let text = page.finds("field", "Text").await;
    page.run(DROP_AND_PASTE, vec![serde_json::to_value(&text).expect("an element is a name")]).await;
    page.sees("dropped.txt").await;
    page.sees("pasted.txt").await;
    page.press("Remove pasted.txt").await;
    page.misses("pasted.txt").await;
    send(page).await;

    let mut pop3 = servers.pop3("ag");
    let message = String::from_utf8(pop3.retrieve(1)).expect("the page sends ASCII");
    pop3.quit();
    assert!(message.contains("dropped.txt") && !message.contains("pasted.txt"), "{message}");
    is_well(page).await;
}

/// Pastes a text that comes with a picture of itself, and drops a file beside the draft; says what of it the page took
/// from the browser.
const TEXT_AND_STRAY: &str = "\
    const [text, list] = arguments;
    const data = new DataTransfer();
    data.items.add(new File(['x'], 'picture.png', { type: 'image/png' }));
    const about = { bubbles: true, cancelable: true };
    const stray = new DragEvent('drop', { ...about, dataTransfer: data });
    list.dispatchEvent(stray);
    data.setData('text/plain', 'a table');
    const paste = new ClipboardEvent('paste', { ...about, clipboardData: data });
    text.dispatchEvent(paste);
    return [paste.defaultPrevented, stray.defaultPrevented];";

#[tokio::test]
async fn a_text_with_a_picture_is_pasted_as_text_and_a_file_beside_the_draft_leaves_the_page_alone() {
    let stage = inbox(&[PLAIN]).await;
    let Stage { page, .. } = &stage;
    page.press("Compose").await;
    let elements = [page.finds("field", "Text").await, page.finds("row", "Meeting").await];
    let elements = elements.map(|element| serde_json::to_value(&element).expect("an element is a name"));
    let taken = page.run(TEXT_AND_STRAY, elements.into()).await;
    assert_eq!(taken, serde_json::json!([false, true]));
    assert!(page.find("button", "Remove picture.png").await.is_none());
    is_well(page).await;
}

#[tokio::test]
async fn an_answer_to_all_goes_to_all_but_oneself() {
    // The page knows gb by the server's own name; the mail came by the other one.
    let mail = "From: ag@iit.edu\nTo: gb@iit.edu, postmaster@iit.edu\nCc: ag+lists@iit.edu\nSubject: All\n\nHello, all.\n";
    let stage = inbox(&[mail]).await;
    let Stage { page, .. } = &stage;
    page.open("All").await;
    page.sees("Hello, all.").await;
    page.press("Reply all").await;
    page.until("the subject of an answer", async || page.value("Subject").await == "Re: All").await;
    for address in ["ag@iit.edu", "postmaster@iit.edu", "ag+lists@iit.edu"] {
        page.finds("button", &format!("Remove {address}")).await;
    }
    assert!(page.find("button", "Remove gb@").await.is_none(), "the answer would come back");
    page.picture("reply-all").await;
    is_well(page).await;
}

#[tokio::test]
async fn an_answer_quotes_and_goes_to_whom_it_should() {
    let stage = inbox(&[PLAIN]).await;
    let Stage { page, servers, .. } = &stage;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.press("Reply").await;
    page.until("the subject of an answer", async || page.value("Subject").await == "Re: Meeting").await;
    page.sees("ag@iit.edu").await;
    let body = page.value("Text").await;
    assert!(body.contains("> See you at five.\n> .this line begins with a dot"), "{body}");
    page.picture("reply").await;
    page.write("Text", "I will be there.\n").await;
    send(page).await;

    let mut pop3 = servers.pop3("ag");
    let message = String::from_utf8(pop3.retrieve(1)).expect("the page sends ASCII");
    pop3.quit();
    assert!(message.contains("Subject: Re: Meeting\r\n"), "{message}");
    assert!(message.contains("I will be there."), "{message}");
    assert!(message.contains("> See you at five."), "{message}");
    is_well(page).await;
}

#[tokio::test]
async fn a_forwarded_message_keeps_its_text_and_its_attachment() {
    let mail = mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    let stage = inbox(&[&mail]).await;
    let Stage { page, servers, .. } = &stage;
    page.open("A picture").await;
    page.sees("It is attached.").await;
    page.press("Forward").await;
    page.until("the subject of a forwarded message", async || {
        page.value("Subject").await == "Fwd: A picture"
    })
    .await;
    page.fill("To", "ag@iit.edu").await;
    page.sees("square.png").await;
    page.picture("forward").await;
    send(page).await;

    let mut pop3 = servers.pop3("ag");
    let message = String::from_utf8(pop3.retrieve(1)).expect("the page sends ASCII");
    pop3.quit();
    assert!(message.contains("It is attached."), "{message}");
    assert!(message.replace("\r\n", "").contains(SQUARE), "{message}");
    is_well(page).await;
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_field_and_nothing_is_sent() {
    let stage = inbox(&[NON_LATIN]).await;
    let Stage { page, servers, .. } = &stage;
    page.press("Compose").await;
    page.fill("Subject", "No recipient").await;
    page.press("Send").await;
    page.sees("Incorrect format").await;
    page.picture("compose-no-recipient").await;

    page.fill("To", "nobody at all").await;
    page.fill("Subject", &"x".repeat(101)).await;
    page.press("Send").await;
    page.sees("Incorrect format").await;
    page.picture("compose-incorrect").await;
    let wrong = page.run("return document.querySelectorAll('[aria-invalid=true]').length", vec![]).await;
    assert!(wrong.as_u64() >= Some(2), "both fields are marked: {wrong}");
    let text = page.text().await;
    for sentence in ["An address is written X@Y", "It has 101 characters"] {
        assert_eq!(text.matches(sentence).count(), 1, "{sentence}: {text}");
    }
    assert_eq!(servers.pop3("ag").count(), 0);
    is_well(page).await;
}

#[tokio::test]
async fn two_presses_send_one_message() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Once").await;
    let button = page.finds("button", "Send").await;
    let button = serde_json::to_value(&button).expect("an element is a name");
    page.run("arguments[0].click(); arguments[0].click()", vec![button]).await;
    page.lacks("field", "Subject").await;
    page.press("Sent from here").await;
    page.finds("row", "Once").await;
    assert_eq!(servers.pop3("ag").count(), 1);
    is_well(page).await;
}

#[tokio::test]
async fn what_was_just_typed_outlives_the_page() {
    let stage = inbox(&[]).await;
    let Stage { page, .. } = &stage;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "The last words").await;
    page.reload().await;
    crate::enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("The last words").await;
    page.until("the draft", async || page.value("Subject").await == "The last words").await;
    is_well(page).await;
}

#[tokio::test]
async fn a_database_that_answers_too_late_costs_no_word() {
    let stage = inbox(&[]).await;
    let Stage { page, .. } = &stage;
    page.run("IDBObjectStore.prototype.put = () => { throw new DOMException('too late') }", vec![]).await;
    page.press("Compose").await;
    page.fill("Text", "Typed in the last moment.").await;
    page.reload().await;
    crate::enter(page, "gb", "gondola").await;
    // From now on the database has it.
    assert_eq!(page.run("return localStorage.length", vec![]).await, 0);
    page.reload().await;
    crate::enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("(no subject)").await;
    page.until("the draft", async || page.value("Text").await == "Typed in the last moment.").await;
    is_well(page).await;
}

#[tokio::test]
async fn a_refusal_is_shown_in_the_servers_words_and_the_draft_stays() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.press("Compose").await;
    page.fill("To", "stranger@example.org").await;
    page.fill("Subject", "Far away").await;
    page.fill("Text", "A text that took an hour.").await;
    page.press("Send").await;
    page.sees("550").await;
    page.picture("compose-refused").await;
    assert_eq!(page.value("Subject").await, "Far away");
    assert_eq!(page.value("Text").await, "A text that took an hour.");

    // The draft survives the page, too.
    page.reload().await;
    crate::enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Far away").await;
    page.until("the draft's text", async || page.value("Text").await == "A text that took an hour.").await;
    page.picture("draft").await;
    assert_eq!(servers.pop3("ag").count(), 0);
    is_well(page).await;
}

/// Files are read when `release()` is called, and not before.
const SLOW_FILES: &str = "\
    const read = Blob.prototype.arrayBuffer;
    const gate = new Promise((open) => { window.release = open });
    Blob.prototype.arrayBuffer = async function () { await gate; return read.call(this) };";

#[tokio::test]
async fn a_file_that_is_still_being_read_goes_with_its_own_mail_and_with_no_other() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.run(SLOW_FILES, vec![]).await;
    let [mine, other] = ["mine.txt", "other.txt"].map(|name| servers.file(name, name.as_bytes()));

    // Closed before anything stands in it but a file that has not come.
    page.press("Compose").await;
    page.attach(&other).await;
    page.finds("button", "Attaching").await;
    page.press("Keep and close").await;

    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Mine").await;
    page.attach(&mine).await;
    let button = page.finds("button", "Attaching").await;
    assert!(!button.is_enabled().await.expect("a button is or is not"), "it would go without its file");
    page.run("release()", vec![]).await;
    page.finds("button", "Remove mine.txt").await;
    assert!(page.find("button", "Remove other.txt").await.is_none());
    send(page).await;
    let mut pop3 = servers.pop3("ag");
    let message = String::from_utf8(pop3.retrieve(1)).expect("the page sends ASCII");
    pop3.quit();
    assert!(message.contains("mine.txt") && !message.contains("other.txt"), "{message}");

    page.press("Drafts").await;
    page.open("(no subject)").await;
    page.finds("button", "Remove other.txt").await;
    is_well(page).await;
}

#[tokio::test]
async fn the_keys_of_the_list_do_nothing_while_a_mail_is_written() {
    let stage = inbox(&[PLAIN]).await;
    let Stage { page, .. } = &stage;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.press("Reply").await;
    page.write("Text", "I will.\n").await;
    page.run("document.activeElement.blur()", vec![]).await;
    page.keys("#rafcsju").await;
    page.keys(&Key::Escape.to_string()).await;
    page.lacks("field", "Subject").await;
    page.sees("See you at five.").await;
    assert!(!page.text().await.contains("Message deleted"), "the answered message is deleted");
    page.press("Drafts").await;
    page.finds("row", "Re: Meeting").await;
    assert_eq!(page.find_all("row", "Re: Meeting").await.len(), 1);

    page.open("Re: Meeting").await;
    page.until("the draft", async || page.value("Subject").await == "Re: Meeting").await;
    page.run("document.activeElement.blur()", vec![]).await;
    page.keys("#").await;
    page.keys(&Key::Escape.to_string()).await;
    page.finds("row", "Re: Meeting").await;
    is_well(page).await;
}

#[tokio::test]
async fn the_transcript_is_copied_or_the_page_says_that_it_is_not() {
    let stage = inbox(&[]).await;
    let Stage { page, .. } = &stage;
    page.hold_the_clock().await;
    let copies = "Object.defineProperty(navigator, 'clipboard', { configurable: true, \
                  value: { writeText: async (text) => { window.copied = text } } })";
    page.run(copies, vec![]).await;
    page.choose("Transcript").await;
    page.press("Copy").await;
    page.finds("alert", "Copied").await;
    let copied = page.run("return copied", vec![]).await;
    assert!(copied.as_str().is_some_and(|text| text.contains("C: USER gb\nS: +OK")), "{copied}");

    for clipboard in ["undefined", "{ writeText: async () => { throw new DOMException('no') } }"] {
        let changed = format!(
            "Object.defineProperty(navigator, 'clipboard', {{ configurable: true, value: {clipboard} }})"
        );
        page.run(&changed, vec![]).await;
        page.press("Copy").await;
        page.finds("alert", "does not allow it here").await;
        page.press("Close").await;
        page.choose("Transcript").await;
    }
    // The page lives on.
    stage.servers.deliver("gb", PLAIN);
    page.press("Check mail").await;
    page.finds("row", "Meeting").await;
    is_well(page).await;
}

#[tokio::test]
async fn an_answer_that_nobody_has_touched_is_no_draft_and_a_row_closes_what_is_written() {
    let mail = mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    let stage = inbox(&[&mail, PLAIN]).await;
    let Stage { page, .. } = &stage;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.press("Reply").await;
    page.finds("field", "Subject").await;
    // On a wide screen the list stands beside it.
    page.open("A picture").await;
    page.sees("It is attached.").await;
    page.lacks("field", "Subject").await;

    page.press("Forward").await;
    page.sees("square.png").await;
    page.press("Keep and close").await;
    page.press("Drafts").await;
    page.sees("No drafts").await;

    // One whose page goes away has its file, though nobody had the time to keep what was typed.
    page.press("Inbox").await;
    page.open("A picture").await;
    page.sees("It is attached.").await;
    page.press("Forward").await;
    page.until("a kept draft", async || page.kept().await.contains("Fwd: A picture")).await;
    page.run("IDBObjectStore.prototype.put = () => { throw new DOMException('too late') }", vec![]).await;
    page.fill("Subject", "Look at this").await;
    page.reload().await;
    crate::enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Look at this").await;
    page.finds("button", "Remove square.png").await;
    is_well(page).await;
}

#[tokio::test]
async fn a_discarded_draft_can_be_had_back() {
    let stage = inbox(&[]).await;
    let Stage { page, .. } = &stage;
    page.hold_the_clock().await;
    page.press("Compose").await;
    page.fill("Subject", "Thrown away").await;
    page.press("Discard").await;
    page.lacks("field", "Subject").await;
    page.press("Undo").await;
    page.press("Drafts").await;
    page.finds("row", "Thrown away").await;
    page.until("a kept draft", async || page.kept().await.contains("Thrown away")).await;
    page.reload().await;
    crate::enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Thrown away").await;
    page.press("Discard").await;
    page.sees("No drafts").await;
    is_well(page).await;
}

#[tokio::test]
async fn a_draft_that_another_window_has_sent_is_not_opened() {
    let stage = inbox(&[]).await;
    let Stage { page, servers, .. } = &stage;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Once only").await;
    page.press("Keep and close").await;
    let first = page.client.window().await.expect("the browser has a window");
    let second = page.client.new_window(true).await.expect("it has room for another").handle;
    page.client.switch_to_window(second).await.expect("it is there");
    page.go(&servers.url()).await;
    crate::enter(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open("Once only").await;
    send(page).await;

    page.client.switch_to_window(first).await.expect("it is there");
    page.press("Drafts").await;
    page.open("Once only").await;
    page.finds("alert", "sent or discarded in another window").await;
    page.lacks("row", "Once only").await;
    is_well(page).await;
}
