//! Import of mail and contacts.

use browser_tests::{Fixture, Page};
use std::path::Path;

use crate::{assert_no_console_errors, open_inbox};

/// Chooses a file for the import in the settings.
async fn import(page: &Page, file: &Path) {
    page.choose_menu_item("Settings").await;
    page.wait_for("dialog", "Settings").await;
    page.attach_file(file).await;
    page.press("Cancel").await;
    page.wait_for_gone("dialog", "Settings").await;
}

#[tokio::test]
async fn messages_and_contacts_are_imported() {
    let fixture = open_inbox(&[]).await;
    let Fixture { page, servers, .. } = &fixture;
    let mbox = "From a@b Sun Nov 22 19:15:07 2026\nFrom: Zoe <z@example.org>\nSubject: Old bill\n\
        Date: Mon, 3 Feb 2020 10:00:00 +0000\n\n>From here.\n\nFrom a@b Sun Nov 22 19:15:08 2026\n\
        From: Yan <y@example.org>\nSubject: Old letter\n\nHello.\n";
    import(page, &servers.file("old.mbox", mbox.as_bytes())).await;
    page.wait_for("alert", "Imported 2 of 2 messages from old.mbox.").await;
    page.wait_for("row", "Old letter").await;
    page.open_row("Old bill").await;
    page.wait_for_reader_text("From here.").await;
    page.wait_for_text("dated 3 Feb 2020").await;

    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Xenia Long\nEMAIL:xenia@example.org\nEND:VCARD\n";
    import(page, &servers.file("people.vcf", card.as_bytes())).await;
    page.wait_for("alert", "Imported 1 contact from people.vcf.").await;
    page.press("Compose").await;
    page.fill("To", "xen").await;
    page.wait_for_text("xenia@example.org").await;
    page.press("Discard").await;
    page.press("Discard draft").await;

    import(page, &servers.file("picture.png", b"\x89PNG\r\n\x1a\n")).await;
    page.wait_for("alert", "picture.png contains no messages, contacts or labels.").await;
    assert_no_console_errors(page).await;
}
