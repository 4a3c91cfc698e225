//! Archive, labels and Trash. The server has none of them.

use std::fs;

use browser_tests::{Driver, Fixture, Page, Screen};

use crate::sample_mails::short;
use crate::{assert_no_console_errors, open_inbox, open_inbox_on, reload, sign_in};

async fn title_is(page: &Page, title: &str) {
    page.wait_until(&format!("the title {title}"), async || page.title().await == title).await;
}

/// Adds a label to the message of the cursor.
async fn add_label(page: &Page, label: &str) {
    page.type_keys("l").await;
    page.wait_for("dialog", "Labels").await;
    page.fill("New label", label).await;
    page.press("Save").await;
    page.wait_for_gone("dialog", "Labels").await;
}

#[tokio::test]
async fn archived_message_leaves_the_inbox_and_comes_back() {
    let fixture = open_inbox(&[&short("one"), &short("two"), &short("three")]).await;
    let Fixture { page, servers, .. } = &fixture;
    let before = servers.mailbox("gb");
    page.wait_for("row", "three").await;
    title_is(page, "(3) Pennypost").await;
    page.type_keys("je").await;
    page.wait_for_text("Message archived.").await;
    page.wait_for_gone("row", "three").await;
    title_is(page, "(2) Pennypost").await;
    page.type_keys("z").await;
    page.wait_for("row", "three").await;
    page.wait_for_text_gone("Message archived.").await;

    page.open_row("three").await;
    page.wait_for_reader_text("This is three.").await;
    page.type_keys("e").await;
    page.wait_for_gone("row", "three").await;
    page.wait_until("the stored place", async || page.stored_data().await.contains("\"archived\":true"))
        .await;
    reload(page).await;
    page.wait_for("row", "two").await;
    assert!(page.find("row", "three").await.is_none());
    page.press("Archive").await;
    page.wait_for("row", "three").await;
    page.screenshot("archive").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.fill("Search", "this is").await;
    page.wait_for_text("3 found").await;
    assert!(page.wait_for("row", "three").await.text().await.is_ok_and(|row| row.contains("Archive")));
    page.fill("Search", "").await;

    page.open_row("three").await;
    page.press("Move to inbox").await;
    page.wait_for_text("Message moved to the inbox.").await;
    page.wait_for_text("No archived messages.").await;
    page.press("Inbox").await;
    page.wait_for("row", "three").await;
    assert_eq!(servers.mailbox("gb"), before);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn labels_are_folders_and_are_searched() {
    let fixture = open_inbox(&[&short("one"), &short("two"), &short("three")]).await;
    let page = &fixture.page;
    page.wait_for("row", "three").await;
    page.type_keys("j").await;
    add_label(page, "Bills").await;
    page.wait_for("button", "Bills").await;
    page.type_keys("xj").await;
    page.type_keys("xl").await;
    page.wait_for("dialog", "Labels").await;
    // One of the two messages has it.
    let mixed = "return document.querySelector('dialog input[type=checkbox]').indeterminate";
    assert_eq!(page.run(mixed, vec![]).await, true);
    page.screenshot("labels").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.wait_for("field", "Bills").await.click().await.expect("it can be checked");
    page.fill("New label", " Tax  2026 ").await;
    page.press("Save").await;
    page.press("Tax 2026").await;
    page.wait_for("row", "three").await;
    page.wait_for("row", "two").await;
    page.wait_until("the route", async || {
        page.client.current_url().await.is_ok_and(|url| url.fragment() == Some("label/Tax%202026"))
    })
    .await;
    page.fill("Search", "label:bills").await;
    page.wait_for_text("2 found").await;
    page.fill("Search", "").await;

    page.wait_until("the stored labels", async || page.stored_data().await.contains("\"Tax 2026\"")).await;
    reload(page).await;
    page.press("Bills").await;
    page.open_row("two").await;
    page.wait_for_reader_text("This is two.").await;
    page.wait_for_reader_text("Tax 2026").await;
    page.screenshot("label-folder").await;
    page.press("Label").await;
    page.wait_for("field", "Bills").await.click().await.expect("it can be unchecked");
    page.press("Save").await;
    page.wait_for_gone("row", "two").await;
    page.wait_for("row", "three").await;
    assert_no_console_errors(page).await;
}

/// Stores the last file that the page saves in `saved`.
const CAPTURE_FILES: &str = "\
    const create = URL.createObjectURL;
    URL.createObjectURL = (blob) => { window.saved = blob; return create.call(URL, blob); }";

#[tokio::test]
async fn labels_are_exported_and_imported_in_another_browser_and_not_deleted_without_asking() {
    let fixture = open_inbox(&[&short("one"), &short("two")]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_for("row", "two").await;
    page.type_keys("j").await;
    add_label(page, "Bills").await;
    page.type_keys("se").await;
    page.wait_for_gone("row", "two").await;
    // The offer to undo hides other notices.
    page.wait_for_gone("button", "Undo").await;
    page.run(CAPTURE_FILES, vec![]).await;
    page.choose_menu_item("Settings").await;
    page.press("Export labels and stars").await;
    page.wait_for_text("Exported the labels of 1 message to labels.json.").await;
    let text = "const [done] = arguments; saved.text().then(done)";
    let file = page.client.execute_async(text, vec![]).await.expect("the script runs");
    let file = file.as_str().expect("a text");
    assert!(file.contains("\"subject\": \"two\"") && file.contains("\"Bills\""), "{file}");
    page.press("Cancel").await;
    page.choose_menu_item("Sign out and delete").await;
    page.wait_for_text("Archive and the labels of 1 message exist in this browser only").await;
    page.press("Keep").await;

    let driver = Driver::start();
    let other = Page::new(driver.open(Screen::Desktop).await);
    other.goto(&servers.url()).await;
    sign_in(&other, "gb", "gondola").await;
    other.wait_for("row", "two").await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("labels.json");
    fs::write(&path, file).expect("the file is writable");
    other.choose_menu_item("Settings").await;
    other.attach_file(&path).await;
    other.wait_for_text("Imported the labels of 1 of 1 message from labels.json.").await;
    other.press("Cancel").await;
    other.wait_for_gone("row", "two").await;
    other.press("Bills").await;
    other.wait_for("row", "two").await;
    other.press("Starred").await;
    other.wait_for("row", "two").await;
    assert_no_console_errors(&other).await;
}

#[tokio::test]
async fn labels_of_one_tab_appear_in_the_other() {
    let fixture = open_inbox(&[&short("one"), &short("two")]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_for("row", "two").await;
    let first = page.client.window().await.expect("the current window");
    let second = page.client.new_window(true).await.expect("a new window").handle;
    page.client.switch_to_window(second.clone()).await.expect("the window is open");
    page.goto(&servers.url()).await;
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "two").await;
    page.client.switch_to_window(first).await.expect("the window is open");
    page.type_keys("j").await;
    add_label(page, "Bills").await;
    page.client.switch_to_window(second).await.expect("the window is open");
    page.press("Bills").await;
    page.wait_for("row", "two").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn deleted_message_is_in_trash_until_the_server_has_deleted_it() {
    let fixture = open_inbox(&[&short("one"), &short("two")]).await;
    let Fixture { page, servers, .. } = &fixture;
    let before = servers.mailbox("gb");
    page.open_row("two").await;
    page.wait_for_reader_text("This is two.").await;
    let other = servers.pop3("gb");
    page.press("Delete").await;
    page.wait_for_gone("row", "two").await;
    // The next action ends the time for Undo; the server refuses the deletion for now.
    page.press("Starred").await;
    page.wait_for_text("another session has this maildrop open").await;
    page.press("Trash").await;
    page.open_row("two").await;
    page.wait_for_reader_text("This is two.").await;
    page.screenshot("trash").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Restore").await;
    page.wait_for_text("Trash is empty.").await;
    page.press("Inbox").await;
    page.wait_for("row", "two").await;
    other.quit();
    page.wait_for_text_gone("another session").await;
    page.press("Check mail").await;
    page.wait_for("row", "two").await;
    assert_eq!(servers.mailbox("gb"), before);

    page.open_row("two").await;
    page.press("Delete").await;
    page.press("Starred").await;
    page.wait_until("a shorter mailbox", async || servers.mailbox("gb").len() < before.len()).await;
    page.press("Trash").await;
    page.wait_for_text("Trash is empty.").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn archive_and_labels_work_on_a_phone() {
    let fixture = open_inbox_on(Screen::Phone, &[&short("one"), &short("two")]).await;
    let page = &fixture.page;
    page.open_row("two").await;
    page.press("More").await;
    page.press("Label").await;
    page.fill("New label", "Bills").await;
    page.press("Save").await;
    page.wait_for_reader_text("Bills").await;
    page.press("More").await;
    page.press("Archive").await;
    page.wait_for_gone("row", "two").await;
    page.select_option("Folder", "Archive").await;
    page.wait_for("row", "two").await;
    page.screenshot("phone-archive").await;
    page.select_option("Folder", "Bills").await;
    page.wait_for("row", "two").await;
    assert_no_console_errors(page).await;
}
