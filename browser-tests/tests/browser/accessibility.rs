//! axe-core finds nothing serious on any page.

use browser_tests::{Driver, Lure, Page, Screen, Servers, Stage};

use crate::enter;
use crate::mails::{self, HTML, PLAIN, SQUARE};

async fn check(page: &Page, name: &str) {
    assert_eq!(page.violations().await, [""; 0], "on the page {name}");
}

async fn check_all(screen: Screen) {
    let servers = Servers::start("");
    let attached = mails::with_attachment("A picture", "square.png", "image/png", SQUARE);
    for mail in [PLAIN, HTML, &attached] {
        servers.deliver("gb", mail);
    }
    let stage = Stage::open_on(screen, servers).await;
    let Stage { page, .. } = &stage;
    page.finds("field", "Username").await;
    check(page, "sign-in").await;
    page.sign_in("gb", "wrong").await;
    page.finds("alert", "wrong username or password").await;
    check(page, "sign-in, refused").await;

    enter(page, "gb", "gondola").await;
    page.finds("row", "Meeting").await;
    check(page, "list").await;
    page.open("Ten things").await;
    page.sees_in_message("you did not ask for").await;
    check(page, "message").await;
    if screen == Screen::Dark {
        assert_eq!(page.run("return matchMedia('(prefers-color-scheme: dark)').matches", vec![]).await, true);
        page.picture("dark").await;
    }
    if screen == Screen::Phone {
        page.press("Back to the list").await;
    }
    page.choose("Transcript").await;
    page.sees("C: PASS ****").await;
    check(page, "transcript").await;
    page.press("Close").await;
    page.press("Compose").await;
    page.fill("To", "nobody at all").await;
    page.press("Send").await;
    page.sees("Incorrect format").await;
    check(page, "compose").await;
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
