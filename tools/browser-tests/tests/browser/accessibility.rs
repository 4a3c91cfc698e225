//! axe-core finds nothing serious on any page.

use browser_tests::{Driver, Lure, Page, Screen, Servers, Stage};
use fantoccini::key::Key;

use crate::enter;
use crate::mails::{self, HTML, PLAIN, SQUARE};

async fn check(page: &Page, name: &str) {
    assert_eq!(page.violations().await, [""; 0], "on the page {name}");
}

async fn check_all(screen: Screen) {
    let fault = "protocol = 'smtp'\ncommand = 'RCPT'\nfor = 'ag'\nreply = '452 4.3.1 The disk is full'";
    let servers = Servers::start(&format!("[[faults]]\n{fault}\n"));
    let attached = mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    for mail in [PLAIN, HTML, &attached] {
        servers.deliver("gb", mail);
    }
    let mut stage = Stage::open_on(screen, servers).await;
    let page = &stage.page;
    page.finds("field", "Username").await;
    // A check may take longer than Undo is offered.
    page.hold_the_clock().await;
    check(page, "sign-in").await;
    page.sign_in("gb", "wrong").await;
    page.finds("alert", "wrong username or password").await;
    check(page, "sign-in, refused").await;

    enter(page, "gb", "gondola").await;
    page.finds("row", "Meeting").await;
    check(page, "list").await;
    page.choose("Transcript").await;
    page.sees("C: PASS ****").await;
    check(page, "transcript").await;
    page.press("Close").await;
    reading(page, screen).await;
    around(page, screen).await;
    composing(page, screen).await;

    stage.servers.kill();
    page.press("Check mail").await;
    page.sees("There is no connection").await;
    check(page, "trouble").await;
}

async fn reading(page: &Page, screen: Screen) {
    page.open("Ten things").await;
    page.sees_in_message("you did not ask for").await;
    check(page, "message").await;
    if screen == Screen::Dark {
        assert_eq!(page.run("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]).await, true);
        page.picture("dark").await;
    }
    close(page).await;
    page.open("A picture").await;
    page.sees("square.png").await;
    check(page, "attachments").await;
    if screen == Screen::Phone {
        page.press("More").await;
    }
    page.press("Show original").await;
    page.sees("Content-Transfer-Encoding").await;
    check(page, "original").await;
    page.press("Delete").await;
    page.finds("button", "Undo").await;
    check(page, "toast").await;
    page.press("Undo").await;
}

async fn around(page: &Page, screen: Screen) {
    page.choose("Keyboard").await;
    page.finds("dialog", "Keyboard").await;
    check(page, "help").await;
    page.press("Close").await;
    page.press("Menu").await;
    page.finds("button", "Sign out").await;
    check(page, "menu").await;
    close(page).await;
    page.fill("Search", "no such words").await;
    page.sees("Nothing here holds these words.").await;
    check(page, "nothing found").await;
    page.fill("Search", "").await;
    enter_folder(page, screen, "Starred").await;
    page.sees("Nothing starred.").await;
    check(page, "empty folder").await;
}

async fn composing(page: &Page, screen: Screen) {
    page.press("Compose").await;
    page.fill("To", "nobody at all").await;
    page.press("Send").await;
    page.sees("Incorrect format").await;
    check(page, "compose").await;
    page.press("Remove nobody at all").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Too late").await;
    page.press("Send").await;
    page.finds("alert", "The disk is full").await;
    check(page, "failed send").await;
    close(page).await;
    enter_folder(page, screen, "Drafts").await;
    page.finds("row", "Too late").await;
    check(page, "drafts").await;
}

/// Closes what is open, as a person with a keyboard would.
async fn close(page: &Page) {
    page.keys(&Key::Escape.to_string()).await;
}

/// On a phone the folders are a choice.
async fn enter_folder(page: &Page, screen: Screen, name: &str) {
    if screen == Screen::Phone {
        page.pick("Folder", name).await;
    } else {
        page.press(name).await;
    }
}

#[tokio::test]
async fn on_a_desktop() {
    check_all(Screen::Desktop).await;
}

#[tokio::test]
async fn in_the_dark() {
    check_all(Screen::Dark).await;
}

#[tokio::test]
async fn on_a_phone() {
    check_all(Screen::Phone).await;
}

/// A page with a fault shows that faults are found.
#[tokio::test]
async fn a_fault_is_found() {
    let (lure, driver) = (Lure::start(), Driver::start());
    let page = Page::new(driver.open(Screen::Desktop).await);
    lure.serve("/", "<!doctype html><html lang=en><title>x</title><main><h1>x</h1><input></main>".to_owned());
    page.go(&lure.url("/")).await;
    let violations = page.violations().await;
    assert!(matches!(&violations[..], [one] if one.starts_with("label: ")), "{violations:?}");
}
