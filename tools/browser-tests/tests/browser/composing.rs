//! Composing, replying and forwarding.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use browser_tests::Fixture;
use fantoccini::key::Key;

use crate::sample_mails::{self, NON_LATIN, PLAIN, SQUARE};
use crate::{assert_no_console_errors, open_inbox, send};

#[tokio::test]
async fn attachment_arrives_unchanged() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    let content: Vec<u8> = (0..=255_u8).rev().cycle().take(300_001).collect();
    let file = servers.file("Фото 1.bin", &content);

    page.press("Compose").await;
    page.fill("To", "ag@iit.edu, ").await;
    page.fill("Subject", "A photo — фото").await;
    page.fill("Text", "Hello,\n.a dot\n\nGb").await;
    page.attach_file(&file).await;
    page.wait_for_text("Фото 1.bin").await;
    page.screenshot("compose").await;
    send(page).await;
    page.screenshot("sent").await;

    let mut pop3 = servers.pop3("ag");
    assert_eq!(pop3.count(), 1);
    let message = String::from_utf8(pop3.retrieve(1)).expect("the page sends ASCII");
    pop3.quit();
    assert!(
        message.contains("From: gb@iitkgp.edu") || message.contains("From: <gb@iitkgp.edu>"),
        "{message:.1000}"
    );
    assert!(message.contains("To: ag@iit.edu") || message.contains("To: <ag@iit.edu>"), "{message:.1000}");
    // The base64 text of the file is wrapped into lines.
    let joined = message.replace("\r\n", "");
    assert!(joined.contains(&BASE64_STANDARD.encode(&content)), "the attachment has changed");
    let mailbox = String::from_utf8(servers.mailbox("ag")).expect("the page sends ASCII").replace("\r\n", "");
    assert!(mailbox.contains(&BASE64_STANDARD.encode(&content)), "the attachment has changed");

    page.press("Sent").await;
    page.open_row("A photo — фото").await;
    page.wait_for_text("Фото 1.bin").await;
    page.screenshot("sent-from-here").await;
    assert_no_console_errors(page).await;
}

/// Dispatches a drop event with one file and a paste event with another.
const DROP_AND_PASTE: &str = "\
    const [element] = arguments;
    const holding = (name) => {
        const data = new DataTransfer();
        data.items.add(new File([`This is ${name}.`], name, { type: 'text/plain' }));
        return data;
    };
    const options = { bubbles: true, cancelable: true };
    element.dispatchEvent(new DragEvent('drop', { ...options, dataTransfer: holding('dropped.txt') }));
    element.dispatchEvent(new ClipboardEvent('paste', { ...options, clipboardData: holding('pasted.txt') }));";

#[tokio::test]
async fn dropped_and_pasted_files_are_attached() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Two files").await;
    let text = page.wait_for("field", "Text").await;
    page.run(DROP_AND_PASTE, vec![serde_json::to_value(&text).expect("an element reference")]).await;
    page.wait_for_text("dropped.txt").await;
    page.wait_for_text("pasted.txt").await;
    page.press("Remove pasted.txt").await;
    page.wait_for_text_gone("pasted.txt").await;
    send(page).await;

    let message = servers.first_message("ag");
    assert!(message.contains("dropped.txt") && !message.contains("pasted.txt"), "{message}");
    assert_no_console_errors(page).await;
}

/// Pastes text together with a picture, and drops a file outside the draft. Returns the events that the page prevented.
const PASTE_TEXT_AND_DROP_OUTSIDE: &str = "\
    const [text, list] = arguments;
    const data = new DataTransfer();
    data.items.add(new File(['x'], 'picture.png', { type: 'image/png' }));
    const options = { bubbles: true, cancelable: true };
    const drop = new DragEvent('drop', { ...options, dataTransfer: data });
    list.dispatchEvent(drop);
    data.setData('text/plain', 'a table');
    const paste = new ClipboardEvent('paste', { ...options, clipboardData: data });
    text.dispatchEvent(paste);
    return [paste.defaultPrevented, drop.defaultPrevented];";

#[tokio::test]
async fn pasted_text_with_a_picture_stays_text_and_a_stray_drop_is_ignored() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, .. } = &fixture;
    page.press("Compose").await;
    let elements = [page.wait_for("field", "Text").await, page.wait_for("row", "Meeting").await];
    let elements = elements.map(|element| serde_json::to_value(&element).expect("an element reference"));
    let prevented = page.run(PASTE_TEXT_AND_DROP_OUTSIDE, elements.into()).await;
    assert_eq!(prevented, serde_json::json!([true, true]));
    assert_eq!(page.value("Text").await, "a table");
    assert!(page.find("button", "Remove picture.png").await.is_none());
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn reply_all_excludes_the_own_address() {
    // The page uses the domain iitkgp.edu for gb; the mail was sent to iit.edu.
    let mail = "From: ag@iit.edu\nTo: gb@iit.edu, postmaster@iit.edu\nCc: ag+lists@iit.edu\nSubject: All\n\nHello, all.\n";
    let fixture = open_inbox(&[mail]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("All").await;
    page.wait_for_text("Hello, all.").await;
    page.press("Reply all").await;
    page.wait_until("the subject of the reply", async || page.value("Subject").await == "Re: All").await;
    for address in ["ag@iit.edu", "postmaster@iit.edu", "ag+lists@iit.edu"] {
        page.wait_for("button", &format!("Remove {address}")).await;
    }
    assert!(page.find("button", "Remove gb@").await.is_none(), "the reply includes the own address");
    page.screenshot("reply-all").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn reply_quotes_the_text_and_addresses_the_sender() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    page.wait_until("the subject of the reply", async || page.value("Subject").await == "Re: Meeting").await;
    page.wait_for_text("ag@iit.edu").await;
    let body = page.value("Text").await;
    assert!(body.contains("> See you at five.\n> .this line begins with a dot"), "{body}");
    page.screenshot("reply").await;
    page.type_at_start("Text", "I will be there.\n").await;
    send(page).await;

    let message = servers.first_message("ag");
    assert!(message.contains("Subject: Re: Meeting\r\n"), "{message}");
    assert!(message.contains("I will be there."), "{message}");
    assert!(message.contains("> See you at five."), "{message}");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn forward_includes_text_and_attachments() {
    let mail = sample_mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    let fixture = open_inbox(&[&mail]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("A picture").await;
    page.wait_for_text("It is attached.").await;
    page.press("Forward").await;
    page.wait_until("the subject of a forwarded message", async || {
        page.value("Subject").await == "Fwd: A picture"
    })
    .await;
    page.fill("To", "ag@iit.edu").await;
    page.wait_for_text("square.png").await;
    page.screenshot("forward").await;
    send(page).await;

    let message = servers.first_message("ag");
    assert!(message.contains("It is attached."), "{message}");
    assert!(message.replace("\r\n", "").contains(SQUARE), "{message}");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn invalid_fields_are_marked_and_nothing_is_sent() {
    let fixture = open_inbox(&[NON_LATIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.press("Compose").await;
    page.fill("Subject", "No recipient").await;
    page.press("Send").await;
    page.wait_for_text("Fix the highlighted fields").await;
    page.screenshot("compose-no-recipient").await;

    page.fill("To", "nobody at all").await;
    page.fill("Subject", &"x".repeat(101)).await;
    page.press("Send").await;
    page.wait_for_text("Fix the highlighted fields").await;
    page.screenshot("compose-incorrect").await;
    let invalid = page.run("return document.querySelectorAll('[aria-invalid=true]').length", vec![]).await;
    assert!(invalid.as_u64() >= Some(2), "{invalid} fields are marked");
    let text = page.text().await;
    for sentence in ["Add a full address, such as name@example.org.", "Subject is 1 character too long."] {
        assert_eq!(text.matches(sentence).count(), 1, "{sentence}: {text}");
    }
    assert_eq!(servers.pop3("ag").count(), 0);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn double_click_sends_once() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Once").await;
    let button = page.wait_for("button", "Send").await;
    let button = serde_json::to_value(&button).expect("an element reference");
    page.run("arguments[0].click(); arguments[0].click()", vec![button]).await;
    page.wait_for_gone("field", "Subject").await;
    page.press("Send now").await;
    crate::wait_until_sent(page).await;
    page.press("Sent").await;
    page.wait_for("row", "Once").await;
    assert_eq!(servers.pop3("ag").count(), 1);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn unsaved_draft_survives_reload() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "The last words").await;
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("The last words").await;
    page.wait_until("the draft", async || page.value("Subject").await == "The last words").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn unsaved_draft_survives_reload_when_indexeddb_fails() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.run("IDBObjectStore.prototype.put = () => { throw new DOMException('too late') }", vec![]).await;
    page.press("Compose").await;
    page.fill("Text", "Typed in the last moment.").await;
    crate::reload(page).await;
    // The draft has been moved to the database.
    assert_eq!(page.run("return localStorage.length", vec![]).await, 0);
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("(no subject)").await;
    page.wait_until("the draft", async || page.value("Text").await == "Typed in the last moment.").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn refusal_shows_the_server_reply_and_keeps_the_draft() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.press("Compose").await;
    page.fill("To", "stranger@example.org").await;
    page.fill("Subject", "Far away").await;
    page.fill("Text", "A text that took an hour.").await;
    send(page).await;
    // The draft is opened again.
    page.wait_for_text("550").await;
    page.screenshot("compose-refused").await;
    assert_eq!(page.value("Subject").await, "Far away");
    assert_eq!(page.value("Text").await, "A text that took an hour.");

    // The draft survives a reload.
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("Far away").await;
    page.wait_until("the draft's text", async || page.value("Text").await == "A text that took an hour.")
        .await;
    page.screenshot("draft").await;
    assert_eq!(servers.pop3("ag").count(), 0);
    assert_no_console_errors(page).await;
}

/// Delays reading of files until `release()` is called.
const SLOW_FILES: &str = "\
    const read = Blob.prototype.arrayBuffer;
    const gate = new Promise((open) => { window.release = open });
    Blob.prototype.arrayBuffer = async function () { await gate; return read.call(this) };";

#[tokio::test]
async fn pending_file_is_attached_to_its_own_draft_only() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.run(SLOW_FILES, vec![]).await;
    let [mine, other] = ["mine.txt", "other.txt"].map(|name| servers.file(name, name.as_bytes()));

    // A draft with only a pending file.
    page.press("Compose").await;
    page.attach_file(&other).await;
    page.wait_for("button", "Attaching").await;
    page.press("Save and close").await;

    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Mine").await;
    page.attach_file(&mine).await;
    let button = page.wait_for("button", "Attaching").await;
    assert!(
        !button.is_enabled().await.expect("the button is in the page"),
        "the draft can be sent without its file"
    );
    page.run("release()", vec![]).await;
    page.wait_for("button", "Remove mine.txt").await;
    assert!(page.find("button", "Remove other.txt").await.is_none());
    send(page).await;
    let message = servers.first_message("ag");
    assert!(message.contains("mine.txt") && !message.contains("other.txt"), "{message}");

    page.press("Drafts").await;
    page.open_row("(no subject)").await;
    page.wait_for("button", "Remove other.txt").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn list_shortcuts_are_disabled_while_composing() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    page.type_at_start("Text", "I will.\n").await;
    page.run("document.activeElement.blur()", vec![]).await;
    page.type_keys("#rafcsju").await;
    page.type_keys(&Key::Escape.to_string()).await;
    page.wait_for_gone("field", "Subject").await;
    page.wait_for_reader_text("See you at five.").await;
    assert!(!page.text().await.contains("Message deleted"), "the message was deleted");
    page.press("Drafts").await;
    page.wait_for("row", "Re: Meeting").await;
    assert_eq!(page.find_all("row", "Re: Meeting").await.len(), 1);

    page.open_row("Re: Meeting").await;
    page.wait_until("the draft", async || page.value("Subject").await == "Re: Meeting").await;
    page.run("document.activeElement.blur()", vec![]).await;
    page.type_keys("#").await;
    page.type_keys(&Key::Escape.to_string()).await;
    page.wait_for("row", "Re: Meeting").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn transcript_copy_reports_success_or_failure() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.freeze_clock().await;
    let copies = "Object.defineProperty(navigator, 'clipboard', { configurable: true, \
                  value: { writeText: async (text) => { window.copied = text } } })";
    page.run(copies, vec![]).await;
    page.choose_menu_item("Show protocol log").await;
    page.press("Copy").await;
    page.wait_for("alert", "Copied").await;
    let copied = page.run("return copied", vec![]).await;
    assert!(copied.as_str().is_some_and(|text| text.contains("C: USER gb\nS: +OK")), "{copied}");

    for clipboard in ["undefined", "{ writeText: async () => { throw new DOMException('no') } }"] {
        let changed = format!(
            "Object.defineProperty(navigator, 'clipboard', {{ configurable: true, value: {clipboard} }})"
        );
        page.run(&changed, vec![]).await;
        page.press("Copy").await;
        page.wait_for("alert", "does not allow copying here").await;
        page.press("Close").await;
        page.choose_menu_item("Show protocol log").await;
    }
    // The page still works.
    fixture.servers.deliver("gb", PLAIN);
    page.press("Check mail").await;
    page.wait_for("row", "Meeting").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn untouched_reply_is_not_saved_and_opening_a_row_closes_it() {
    let mail = sample_mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    let fixture = open_inbox(&[&mail, PLAIN]).await;
    let Fixture { page, .. } = &fixture;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    page.wait_for("field", "Subject").await;
    // A wide screen shows the list next to the draft.
    page.open_row("A picture").await;
    page.wait_for_text("It is attached.").await;
    page.wait_for_gone("field", "Subject").await;

    page.press("Forward").await;
    page.wait_for_text("square.png").await;
    page.press("Save and close").await;
    page.press("Drafts").await;
    page.wait_for_text("No drafts").await;

    // A draft that is closed by a reload has its attachment, even if the last edit could not be stored.
    page.press("Inbox").await;
    page.open_row("A picture").await;
    page.wait_for_text("It is attached.").await;
    page.press("Forward").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("Fwd: A picture")).await;
    page.run("IDBObjectStore.prototype.put = () => { throw new DOMException('too late') }", vec![]).await;
    page.fill("Subject", "Look at this").await;
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("Look at this").await;
    page.wait_for("button", "Remove square.png").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn discarded_draft_can_be_restored() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, .. } = &fixture;
    page.freeze_clock().await;
    page.press("Compose").await;
    page.fill("Subject", "Thrown away").await;
    page.press("Discard").await;
    page.wait_for("dialog", "Discard the draft “Thrown away”?").await;
    page.screenshot("discard").await;
    page.press("Keep").await;
    page.wait_for_gone("dialog", "").await;
    assert_eq!(page.value("Subject").await, "Thrown away");
    page.press("Discard").await;
    page.press("Discard draft").await;
    page.wait_for_gone("field", "Subject").await;
    page.press("Undo").await;
    page.press("Drafts").await;
    page.wait_for("row", "Thrown away").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("Thrown away")).await;
    crate::reload(page).await;
    page.press("Drafts").await;
    page.open_row("Thrown away").await;
    page.press("Discard").await;
    page.press("Discard draft").await;
    page.wait_for_text("No drafts").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn draft_sent_in_another_window_cannot_be_opened() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Once only").await;
    page.press("Save and close").await;
    let first = page.client.window().await.expect("the current window");
    let second = page.client.new_window(true).await.expect("a new window").handle;
    page.client.switch_to_window(second).await.expect("the window is open");
    page.goto(&servers.url()).await;
    // The first window is not told.
    page.run("BroadcastChannel.prototype.postMessage = () => {}", vec![]).await;
    crate::sign_in(page, "gb", "gondola").await;
    page.press("Drafts").await;
    page.open_row("Once only").await;
    send(page).await;

    page.client.switch_to_window(first).await.expect("the window is open");
    page.press("Drafts").await;
    page.open_row("Once only").await;
    page.wait_for("alert", "sent or discarded in another window").await;
    page.wait_for_gone("row", "Once only").await;
    assert_no_console_errors(page).await;
}
