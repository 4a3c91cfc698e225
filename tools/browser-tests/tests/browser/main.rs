//! The browser client, end to end: what a person does, in a real Chromium, against the real servers.

mod accessibility;
mod composing;
mod connection;
mod deleting;
mod faults;
mod hands;
mod hostile;
mod mails;
mod reading;
mod samples;
mod sign_in;
mod walk;

use browser_tests::{Page, Screen, Servers, Stage};

/// Signed in as gb, who has these mails, the last one newest.
async fn inbox(mails: &[&str]) -> Stage {
    inbox_on(Screen::Desktop, mails).await
}

async fn inbox_on(screen: Screen, mails: &[&str]) -> Stage {
    let servers = Servers::start("");
    for mail in mails {
        servers.deliver("gb", mail);
    }
    let stage = Stage::open_on(screen, servers).await;
    enter(&stage.page, "gb", "gondola").await;
    stage
}

/// Signs in and waits until the maildrop has been looked at.
async fn enter(page: &Page, account: &str, password: &str) {
    page.sign_in(account, password).await;
    page.finds("button", "Check mail").await;
}

/// Nothing has failed inside the page.
async fn is_well(page: &Page) {
    assert_eq!(page.complaints().await, [""; 0]);
}
