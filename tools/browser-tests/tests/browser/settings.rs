//! Name, signature, and the completion of recipients.

use browser_tests::Page;
use fantoccini::key::Key;

use crate::sample_mails::PLAIN;
use crate::{assert_no_console_errors, open_inbox, reload, send};

async fn set_name_and_signature(page: &Page) {
    page.choose_menu_item("Settings").await;
    page.fill("Your name", "Gb Köhler").await;
    page.fill("Signature", "Gb\nRoom 7").await;
    page.screenshot("settings").await;
    page.press("Save").await;
    page.wait_for_gone("dialog", "Settings").await;
}

#[tokio::test]
async fn sent_mail_has_the_name_and_the_signature() {
    let fixture = open_inbox(&[PLAIN]).await;
    let page = &fixture.page;
    set_name_and_signature(page).await;
    page.wait_until("the stored settings", async || page.stored_data().await.contains("Room 7")).await;
    reload(page).await;
    page.press("Compose").await;
    page.wait_for_text("Gb Köhler <gb@iitkgp.edu>").await;
    page.wait_until("the signature", async || page.value("Text").await == "\n\n-- \nGb\nRoom 7\n").await;
    // An unchanged message is no draft.
    page.press("Save and close").await;
    page.press("Drafts").await;
    page.wait_for_text("No drafts.").await;
    page.press("Inbox").await;

    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    page.type_at_start("Text", "Yes.").await;
    let text = page.value("Text").await;
    let (own, quoted) = text.split_once("\n\n-- \nGb\nRoom 7\n").unwrap_or_else(|| panic!("{text}"));
    assert!(own == "Yes." && quoted.contains("> See you at five."), "{text}");
    send(page).await;
    let message = fixture.servers.first_message("ag");
    // RFC 2047; the address that the message was sent to.
    assert!(message.contains("From: =?utf-8?") && message.contains(" <gb@iit.edu>\r\n"), "{message}");
    assert!(message.contains("\r\nYes.\r\n\r\n--=20\r\nGb\r\nRoom 7\r\n"), "{message}");
    page.press("Sent").await;
    page.open_row("Re: Meeting").await;
    page.wait_for_reader_text("Gb Köhler <gb@iit.edu>").await;
    assert_no_console_errors(page).await;
}

/// Stores the files that the page saves in `saved`.
const CAPTURE_FILES: &str = "\
    window.saved = [];
    const create = URL.createObjectURL;
    URL.createObjectURL = (blob) => { saved.push(blob); return create.call(URL, blob); }";

const LAST_FILE: &str = "const [done] = arguments; Promise.resolve(saved.at(-1)?.text() ?? '').then(done)";

#[tokio::test]
async fn mail_of_the_browser_is_exported_as_mbox_files() {
    let fixture = open_inbox(&[PLAIN]).await;
    let page = &fixture.page;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "A copy").await;
    page.fill("Text", "From here to there.").await;
    send(page).await;
    page.press("Compose").await;
    page.fill("Subject", "A draft").await;
    page.press("Save and close").await;
    page.run(CAPTURE_FILES, vec![]).await;
    page.choose_menu_item("Settings").await;
    page.screenshot("export").await;
    for (button, start, parts) in [
        ("Export Sent", "From gb@iitkgp.edu ", ["Subject: A copy\n", "\n>From here to there.\n"]),
        ("Export Drafts", "From gb@iitkgp.edu ", ["Subject: A draft\n", "From: <gb@iitkgp.edu>\n"]),
        ("Export Inbox", "From ag@iit.edu ", ["Subject: Meeting\n", "\nSee you at five.\n"]),
    ] {
        page.press(button).await;
        page.wait_until(&format!("the file of \"{button}\""), async || {
            let file = page.client.execute_async(LAST_FILE, vec![]).await.expect("the script runs");
            let file = file.as_str().unwrap_or_default();
            file.starts_with(start)
                && file.matches("\nFrom ").count() == 0
                && parts.iter().all(|part| file.contains(part))
        })
        .await;
    }
    page.wait_for_text("Exported 1 message to inbox.mbox.").await;
    assert_no_console_errors(page).await;
}

/// Texts of the suggestions, the active one with a star.
const SUGGESTIONS: &str = "\
    return [...document.querySelectorAll('[role=option]')] \
        .map((one) => (one.ariaSelected === 'true' ? '*' : '') + one.innerText.replaceAll('\\n', ' '))";

#[tokio::test]
async fn recipients_are_completed_from_people_read_and_written_to() {
    let fixture = open_inbox(&[PLAIN]).await;
    let page = &fixture.page;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Compose").await;
    page.fill("To", "ag@iitkgp.edu").await;
    page.fill("Subject", "Hello").await;
    send(page).await;
    page.wait_until("the stored people", async || page.stored_data().await.contains("Ag Mitra")).await;
    reload(page).await;

    page.press("Compose").await;
    let suggestions = async |expected: serde_json::Value| {
        page.wait_until(&format!("the suggestions {expected}"), async || {
            page.run(SUGGESTIONS, vec![]).await == expected
        })
        .await;
    };
    page.fill("To", "mit").await;
    suggestions(serde_json::json!(["*Ag Mitra ag@iit.edu"])).await;
    page.screenshot("suggestions").await;
    page.type_keys(&Key::Escape.to_string()).await;
    suggestions(serde_json::json!([])).await;
    page.wait_for("field", "Subject").await;
    page.fill("To", "ag").await;
    // The person to whom the user has written comes first.
    suggestions(serde_json::json!(["*ag@iitkgp.edu", "Ag Mitra ag@iit.edu"])).await;
    page.type_keys(&Key::Down.to_string()).await;
    suggestions(serde_json::json!(["ag@iitkgp.edu", "*Ag Mitra ag@iit.edu"])).await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.type_keys(&Key::Enter.to_string()).await;
    page.wait_for("button", "Remove ag@iit.edu").await;
    page.type_keys("a").await;
    suggestions(serde_json::json!(["*ag@iitkgp.edu"])).await;
    page.wait_for_some("the suggestion", async || page.find("row", "ag@iitkgp.edu").await)
        .await
        .click()
        .await
        .expect("it can be clicked");
    page.wait_for("button", "Remove ag@iitkgp.edu").await;
    // A complete address is kept as it was typed.
    page.type_keys("ag@iit.ed").await;
    page.type_keys(&Key::Enter.to_string()).await;
    page.wait_for("button", "Remove ag@iit.ed").await;
    assert_no_console_errors(page).await;
}
