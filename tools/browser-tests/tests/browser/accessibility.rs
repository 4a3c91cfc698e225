//! axe-core finds no serious violation in any view.

use browser_tests::{Driver, Fixture, Page, Screen, Servers, TrapServer};
use fantoccini::key::Key;

use crate::sample_mails::{self, HTML, PLAIN, SQUARE};
use crate::{disable_undo_send, sign_in};

async fn check(page: &Page, name: &str) {
    assert_eq!(page.accessibility_violations().await, [""; 0], "on the page {name}");
}

async fn check_all(screen: Screen) {
    let fault = "protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'ag'\nreply = '452 4.3.1 The disk is full'";
    let servers = Servers::start(&format!("[[faults]]\n{fault}\n"));
    let attached = sample_mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    for mail in [PLAIN, HTML, &attached] {
        servers.deliver("gb", mail);
    }
    let mut fixture = Fixture::open_on(screen, servers).await;
    let page = &fixture.page;
    page.wait_for("field", "Username").await;
    // A check may take longer than the Undo delay.
    page.freeze_clock().await;
    check(page, "sign-in").await;
    page.sign_in("gb", "wrong").await;
    page.wait_for("alert", "wrong username or password").await;
    check(page, "sign-in, refused").await;

    sign_in(page, "gb", "gondola").await;
    page.wait_for("row", "Meeting").await;
    check(page, "list").await;
    page.choose_menu_item("Show protocol log").await;
    page.wait_for_text("C: PASS ****").await;
    check(page, "transcript").await;
    page.press("Close").await;
    reading(page, screen).await;
    other_views(page, screen).await;
    composing(page, screen).await;

    fixture.servers.kill();
    page.press("Check mail").await;
    page.wait_for_text("Offline.").await;
    check(page, "connection error").await;
}

async fn reading(page: &Page, screen: Screen) {
    page.open_row("Ten things").await;
    page.wait_for_message_text("you did not ask for").await;
    check(page, "message").await;
    if screen == Screen::Dark {
        assert_eq!(page.run("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]).await, true);
        page.screenshot("dark").await;
    }
    close(page).await;
    page.open_row("A picture").await;
    page.wait_for_text("square.png").await;
    check(page, "attachments").await;
    if screen == Screen::Phone {
        page.press("More").await;
    }
    page.press("Show source").await;
    page.wait_for_text("Content-Transfer-Encoding").await;
    check(page, "original").await;
    page.press("Delete").await;
    page.wait_for("button", "Undo").await;
    check(page, "toast").await;
    page.press("Undo").await;
    page.wait_for_gone("button", "Undo").await;
    page.type_keys("x").await;
    page.wait_for("button", "Delete selected").await;
    check(page, "selection").await;
    close(page).await;
    page.wait_for_gone("button", "Delete selected").await;
}

async fn other_views(page: &Page, screen: Screen) {
    page.choose_menu_item("Keyboard").await;
    page.wait_for("dialog", "Keyboard").await;
    check(page, "help").await;
    page.press("Close").await;
    page.choose_menu_item("Settings").await;
    page.wait_for("dialog", "Settings").await;
    check(page, "settings").await;
    page.press("Cancel").await;
    page.press("Menu").await;
    page.wait_for("button", "Sign out").await;
    check(page, "menu").await;
    close(page).await;
    page.fill("Search", "no such words").await;
    page.wait_for_text("No messages match.").await;
    check(page, "nothing found").await;
    page.fill("Search", "").await;
    open_folder(page, screen, "Starred").await;
    page.wait_for_text("No starred messages.").await;
    check(page, "empty folder").await;
}

async fn composing(page: &Page, screen: Screen) {
    disable_undo_send(page).await;
    page.press("Compose").await;
    page.fill("To", "nobody at all").await;
    page.press("Send").await;
    page.wait_for_text("Fix the highlighted fields").await;
    check(page, "compose").await;
    page.press("Remove nobody at all").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Too late").await;
    page.press("Send").await;
    page.wait_for("alert", "The disk is full").await;
    check(page, "failed send").await;
    close(page).await;
    open_folder(page, screen, "Drafts").await;
    page.wait_for("row", "Too late").await;
    check(page, "drafts").await;
}

/// Closes the open view with Escape.
async fn close(page: &Page) {
    page.type_keys(&Key::Escape.to_string()).await;
}

/// Opens a folder. On a phone the folders are in a drawer.
async fn open_folder(page: &Page, screen: Screen, name: &str) {
    if screen == Screen::Phone {
        page.press("Folders").await;
        page.wait_for("dialog", "Folders").await;
        check(page, "folders").await;
    }
    page.press(name).await;
}

#[tokio::test]
async fn desktop_pages_have_no_violations() {
    check_all(Screen::Desktop).await;
}

#[tokio::test]
async fn dark_pages_have_no_violations() {
    check_all(Screen::Dark).await;
}

#[tokio::test]
async fn phone_pages_have_no_violations() {
    check_all(Screen::Phone).await;
}

/// Verifies that the check detects a violation.
#[tokio::test]
async fn axe_reports_an_unlabelled_field() {
    let (trap, driver) = (TrapServer::start(), Driver::start());
    let page = Page::new(driver.open(Screen::Desktop).await);
    trap.serve("/", "<!doctype html><html lang=en><title>x</title><main><h1>x</h1><input></main>".to_owned());
    page.goto(&trap.url("/")).await;
    let violations = page.accessibility_violations().await;
    assert!(matches!(&violations[..], [one] if one.starts_with("label: ")), "{violations:?}");
}
