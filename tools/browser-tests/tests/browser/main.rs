//! End-to-end tests of the browser client in Chromium against real servers.

mod accessibility;
mod attachments;
mod cases;
mod composing;
mod connection;
mod deleting;
mod faults;
mod first_use;
mod hostile_html;
mod hostile_mail;
mod keyboard_touch;
mod large_text;
mod navigation;
mod printing;
mod reading;
mod received_mail;
mod sample_mails;
mod sign_in;

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

/// Signs in and waits for the first check of the maildrop.
async fn sign_in(page: &Page, account: &str, password: &str) {
    page.sign_in(account, password).await;
    page.wait_for("button", "Check mail").await;
}

/// Submits the draft and waits until it is sent.
async fn send(page: &Page) {
    page.press("Send").await;
    page.wait_for_gone("field", "Subject").await;
}

async fn assert_no_console_errors(page: &Page) {
    assert_eq!(page.console_errors().await, [""; 0]);
}
