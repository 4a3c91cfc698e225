//! End-to-end tests of the browser client in Chromium against real servers.

mod accessibility;
mod account;
mod accounts;
mod attachments;
mod cases;
mod catcher;
mod composing;
mod connection;
mod deleting;
mod faults;
mod filing;
mod first_use;
mod hostile_html;
mod hostile_mail;
mod import;
mod keyboard_touch;
mod large_text;
mod mail_layout;
mod message_list;
mod navigation;
mod offline;
mod outbox;
mod panes;
mod previews;
mod printing;
mod quotations;
mod reading;
mod received_mail;
mod remote_images;
mod rich_text;
mod sample_mails;
mod selection;
mod sending;
mod settings;
mod sign_in;
mod small_phone;
mod storage_failures;
mod tabs;

use browser_tests::{Fixture, Page, Screen, Servers};

/// Signed in as gb, whose maildrop has these mails, the newest last.
async fn open_inbox(mails: &[&str]) -> Fixture {
    open_inbox_on(Screen::Desktop, mails).await
}

async fn open_inbox_on(screen: Screen, mails: &[&str]) -> Fixture {
    let servers = Servers::start("");
    for mail in mails {
        servers.deliver("gb", mail);
    }
    let fixture = Fixture::open_on(screen, servers).await;
    sign_in(&fixture.page, "gb", "gondola").await;
    fixture
}

/// Signed in as gb, with a frozen clock, so that no message is fetched in the background.
async fn open_without_background(mails: &[&str]) -> Fixture {
    let servers = Servers::start("");
    for mail in mails {
        servers.deliver("gb", mail);
    }
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    fixture.page.freeze_clock().await;
    sign_in(&fixture.page, "gb", "gondola").await;
    fixture
}

/// Signs in and waits for the first check of the maildrop.
async fn sign_in(page: &Page, account: &str, password: &str) {
    page.sign_in(account, password).await;
    page.wait_for("button", "Check mail").await;
}

/// Signs in, and stays signed in on this device.
async fn stay_signed_in(page: &Page, account: &str, password: &str) {
    page.fill("Username", account).await;
    page.fill("Password", password).await;
    page.wait_for("field", "Stay signed in on this device").await.click().await.expect("it can be checked");
    page.press("Sign in").await;
    page.wait_for("button", "Check mail").await;
}

/// Reloads the page, which continues without a password, and waits for a check of the maildrop.
async fn reload(page: &Page) {
    page.reload().await;
    page.wait_for("button", "Check mail").await;
}

/// Submits the draft, ends the time for Undo, and waits until the message is sent.
async fn send(page: &Page) {
    page.press("Send").await;
    page.press("Send now").await;
    wait_until_sent(page).await;
}

/// Waits until the page has nothing to send.
async fn wait_until_sent(page: &Page) {
    page.wait_until("the message to be sent", async || page.run(PREVENTS_CLOSING, vec![]).await == false)
        .await;
}

/// Returns whether the page asks the user before it is closed, because a message is being sent.
const PREVENTS_CLOSING: &str = "const leave = new Event('beforeunload', { cancelable: true }); dispatchEvent(leave); return leave.defaultPrevented";

/// Turns Undo off in the settings: messages are sent at once, and the draft stays open meanwhile.
async fn disable_undo_send(page: &Page) {
    page.choose_menu_item("Settings").await;
    page.select_option("Undo send", "Off").await;
    page.press("Save").await;
    page.wait_for_gone("dialog", "Settings").await;
}

async fn assert_no_console_errors(page: &Page) {
    assert_eq!(page.console_errors().await, [""; 0]);
}
