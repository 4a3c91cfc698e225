//! Several accounts: each has its own data and servers, and stays signed in until the user signs out of it.

use browser_tests::{Fixture, Page, Screen, Servers};

use crate::sample_mails::{PLAIN, short};
use crate::{assert_no_console_errors, reload, sign_in, stay_signed_in};

/// Signed in as gb and, in addition, as ag, who is shown.
async fn open_two_accounts() -> Fixture {
    let servers = Servers::start("");
    servers.deliver("gb", PLAIN);
    servers.deliver("ag", &short("for ag").replace("Ag Mitra <ag@iit.edu>", "Gb <gb@iit.edu>"));
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let page = &fixture.page;
    stay_signed_in(page, "gb", "gondola").await;
    page.wait_for("row", "Meeting").await;
    page.choose_menu_item("Add account").await;
    page.wait_for("field", "Password").await;
    page.wait_for("button", "Continue as gb").await;
    assert!(!page.text().await.contains("Meeting"));
    page.screenshot("add-account").await;
    stay_signed_in(page, "ag", "aviator").await;
    page.wait_for("row", "for ag").await;
    fixture
}

#[tokio::test]
async fn user_switches_between_accounts_with_their_own_data() {
    let fixture = open_two_accounts().await;
    let Fixture { page, servers, .. } = &fixture;
    assert!(page.find("row", "Meeting").await.is_none());
    page.press("Compose").await;
    page.fill("Subject", "Draft of ag").await;
    page.wait_until("the saved draft", async || page.stored_data().await.contains("Draft of ag")).await;
    page.press("Menu").await;
    page.wait_for("button", "Switch to gb").await;
    page.screenshot("account-menu").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Switch to gb").await;
    page.wait_for("row", "Meeting").await;
    page.wait_for_text("gb@iitkgp.edu").await;
    page.press("Drafts").await;
    page.wait_for_text("No drafts.").await;
    reload(page).await;
    page.press("Inbox").await;
    page.wait_for("row", "Meeting").await;

    // Each tab shows its own account.
    let first = page.client.window().await.expect("the current tab");
    let second = page.client.new_window(true).await.expect("a new tab").handle;
    page.client.switch_to_window(second).await.expect("the tab is open");
    page.goto(&servers.url()).await;
    page.wait_for("row", "Meeting").await;
    page.choose_menu_item("Switch to ag").await;
    page.wait_for("row", "for ag").await;
    page.press("Drafts").await;
    page.wait_for("row", "Draft of ag").await;
    page.client.switch_to_window(first).await.expect("the tab is open");
    reload(page).await;
    page.wait_for("row", "Meeting").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn user_signs_out_of_one_account() {
    let fixture = open_two_accounts().await;
    let page = &fixture.page;
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;
    page.press("Continue as gb").await;
    page.wait_for("row", "Meeting").await;
    page.press("Menu").await;
    page.wait_for("button", "Add account").await;
    assert!(page.find("button", "Switch to ag").await.is_none(), "ag is still signed in");
    page.press("Sign out").await;
    page.wait_for("field", "Password").await;
    assert!(page.find("button", "Continue as").await.is_none());
    page.reload().await;
    page.wait_for("field", "Password").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn deletion_and_sending_go_on_after_a_switch() {
    let fixture = open_two_accounts().await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("for ag").await;
    page.wait_for_reader_text("This is for ag.").await;
    page.press("Reply").await;
    page.type_at_start("Text", "Yes.").await;
    page.press("Send").await;
    page.wait_for("button", "Undo").await;
    page.choose_menu_item("Switch to gb").await;
    page.wait_for("row", "Meeting").await;
    page.wait_until("the reply", async || {
        String::from_utf8_lossy(&servers.mailbox("gb")).contains("Re: for ag")
    })
    .await;
    page.choose_menu_item("Switch to ag").await;
    page.open_row("for ag").await;
    page.press("Delete").await;
    page.wait_for_gone("row", "for ag").await;
    page.choose_menu_item("Switch to gb").await;
    page.wait_for("row", "Meeting").await;
    page.wait_until("the deletion", async || servers.mailbox("ag").is_empty()).await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn account_may_have_its_own_servers() {
    // The same mail servers under another name.
    let other = Servers::start("");
    other.deliver("gb", &short("at work"));
    let targets = format!(
        "[web.targets]\nsmtp-work = {{ address = '{}' }}\npop3-work = {{ address = '{}' }}\n",
        other.smtp_address(),
        other.pop3_address()
    );
    let servers = Servers::start(&targets);
    servers.deliver("gb", &short("at home"));
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let page = &fixture.page;
    page.select_option("Server", "work").await;
    page.screenshot("sign-in-servers").await;
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "at work").await;
    page.choose_menu_item("Add account").await;
    page.wait_for("button", "Continue as gb (work)").await;
    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "at home").await;
    write_to_gb(page).await;
    page.wait_for("row", "Where to?").await;
    assert!(!String::from_utf8_lossy(&other.mailbox("gb")).contains("Where to?"));
    page.choose_menu_item("Switch to gb (work)").await;
    page.wait_for("row", "at work").await;
    reload(page).await;
    write_to_gb(page).await;
    page.wait_for("row", "Where to?").await;
    assert!(String::from_utf8_lossy(&other.mailbox("gb")).contains("Where to?"));
    assert_no_console_errors(page).await;
}

async fn write_to_gb(page: &Page) {
    page.press("Compose").await;
    page.fill("To", "gb@iit.edu").await;
    page.fill("Subject", "Where to?").await;
    crate::send(page).await;
}

#[tokio::test]
async fn failed_and_cancelled_sign_ins_keep_the_accounts() {
    let fixture = open_two_accounts().await;
    let Fixture { page, servers, .. } = &fixture;
    page.choose_menu_item("Add account").await;
    page.wait_for("button", "Continue as gb").await;
    page.sign_in("gb", "wrong").await;
    page.wait_for("alert", "password").await;
    page.wait_for("button", "Continue as gb").await;

    // While the maildrop is locked, the page tries again.
    let lock = servers.pop3("gb");
    page.sign_in("gb", "gondola").await;
    page.press("Cancel").await;
    page.wait_for("button", "Continue as gb").await;
    lock.quit();
    page.reload().await;
    page.wait_for("button", "Continue as ag").await;
    page.press("Continue as gb").await;
    page.wait_for("row", "Meeting").await;
}

/// Files are read when `window.read` is called.
const HOLD_FILES: &str = "\
    const { arrayBuffer } = Blob.prototype; \
    const held = new Promise((done) => window.read = done); \
    Blob.prototype.arrayBuffer = async function () { await held; return arrayBuffer.call(this); }";

#[tokio::test]
async fn files_that_are_read_during_a_switch_stay_with_their_account() {
    let fixture = open_two_accounts().await;
    let Fixture { page, servers, .. } = &fixture;
    page.run(HOLD_FILES, vec![]).await;
    page.press("Compose").await;
    page.fill("Subject", "With a file").await;
    page.attach_file(&servers.file("notes.txt", b"Notes")).await;
    page.wait_for("button", "Attaching").await;
    page.choose_menu_item("Settings").await;
    let card = "BEGIN:VCARD\nVERSION:3.0\nFN:Xenia Long\nEMAIL:xenia@example.org\nEND:VCARD\n";
    let field = page.wait_for("dialog", "Settings").await;
    let field = field.find(fantoccini::Locator::Css("input[type=file]")).await.expect("a file field");
    field.send_keys(&servers.file("people.vcf", card.as_bytes()).to_string_lossy()).await.expect("a file");
    page.press("Cancel").await;
    page.choose_menu_item("Switch to gb").await;
    page.wait_for("row", "Meeting").await;
    page.run("window.read()", vec![]).await;
    page.wait_for("alert", "Account ag: Imported 1 contact from people.vcf.").await;
    page.press("Compose").await;
    page.fill("To", "xen").await;
    page.wait_for_text("Draft saved").await;
    assert!(!page.text().await.contains("xenia@example.org"), "gb has the contact of ag");
    page.press("Discard").await;
    page.press("Discard draft").await;

    page.choose_menu_item("Switch to ag").await;
    page.wait_for("row", "for ag").await;
    page.press("Drafts").await;
    page.open_row("With a file").await;
    page.wait_for("button", "Remove notes.txt").await;
    page.fill("To", "xen").await;
    page.wait_for_text("xenia@example.org").await;
    assert_no_console_errors(page).await;
}
