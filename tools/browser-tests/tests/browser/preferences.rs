//! Theme, identities and notifications.

use std::time::Duration;

use browser_tests::{Fixture, Page};
use serde_json::json;

use crate::account::{FROM, open_with_alias};
use crate::reading::RECORD_NOTIFICATIONS;
use crate::sample_mails::{PLAIN, short};
use crate::tabs::{open_second_tab, switch_to};
use crate::{assert_no_console_errors, open_without_background, reload, send};

const UNCOLOURED: &str = "From: ag@iit.edu\nTo: gb@iit.edu\nSubject: No colours\nContent-Type: text/html\n\n<p>Black or white.</p>\n";

const BACKGROUND: &str = "return getComputedStyle(document.body).backgroundColor";
const LIGHT: &str = "rgb(246, 247, 249)";
const DARK: &str = "rgb(27, 32, 39)";

async fn choose_theme(page: &Page, theme: &str) {
    page.choose_menu_item("Settings").await;
    page.select_option("Theme", theme).await;
    page.press("Save").await;
    page.wait_for_gone("dialog", "Settings").await;
}

async fn wait_for_background(page: &Page, colour: &str) {
    let what = format!("the background {colour}");
    page.wait_until(&what, async || page.run(BACKGROUND, vec![]).await == colour).await;
}

#[tokio::test]
async fn theme_applies_to_all_tabs_and_to_the_next_start() {
    let fixture = open_without_background(&[UNCOLOURED]).await;
    let page = &fixture.page;
    wait_for_background(page, LIGHT).await;
    page.open_row("No colours").await;
    page.wait_for_message_text("Black or white.").await;
    let [first, second] = open_second_tab(&fixture).await;
    choose_theme(page, "Dark").await;
    wait_for_background(page, DARK).await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.screenshot("theme-dark").await;

    switch_to(&fixture, &first).await;
    wait_for_background(page, DARK).await;
    let frame = "return getComputedStyle(document.documentElement).backgroundColor";
    page.wait_until("a dark message", async || {
        page.run_in_message(frame).await == Some(json!("rgb(20, 24, 30)"))
    })
    .await;
    page.screenshot("theme-dark-message").await;
    let bar = "return [...document.querySelectorAll('meta[name=theme-color]')] \
        .filter((one) => matchMedia(one.media).matches).map((one) => one.content)";
    assert_eq!(page.run(bar, vec![]).await, json!(["#14181e"]));

    // index.html has the theme before the page has started.
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;
    page.reload().await;
    assert_eq!(page.run(BACKGROUND, vec![]).await, DARK);
    page.wait_for("field", "Password").await;
    assert_eq!(page.run(BACKGROUND, vec![]).await, DARK);

    switch_to(&fixture, &second).await;
    choose_theme(page, "System").await;
    wait_for_background(page, LIGHT).await;
    assert_eq!(page.run("return localStorage.getItem('pennypost-theme')", vec![]).await, json!(null));
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn address_with_an_identity_has_its_own_name_and_signature() {
    let fixture = open_with_alias().await;
    let Fixture { page, servers, .. } = &fixture;
    page.choose_menu_item("Settings").await;
    page.fill("Your name", "Gb").await;
    page.fill("Signature", "Gb\nRoom 7").await;
    let own = page.wait_for("field", "Own name and signature for sales@iit.edu").await;
    own.click().await.expect("it can be checked");
    page.fill("Name for sales@iit.edu", "The shop").await;
    page.fill("Signature for sales@iit.edu", "Open 9 to 5").await;
    page.screenshot("identities").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    page.press("Save").await;
    page.wait_for_gone("dialog", "Settings").await;
    page.wait_until("the stored settings", async || page.stored_data().await.contains("Open 9 to 5")).await;
    reload(page).await;

    page.press("Compose").await;
    page.wait_until("the signature", async || page.value("Text").await == "\n\n-- \nGb\nRoom 7\n").await;
    page.type_at_start("Text", "Hello.").await;
    page.wait_for("field", "From").await;
    page.select_option("From", "The shop <sales@iit.edu>").await;
    let signed = "Hello.\n\n-- \nOpen 9 to 5\n";
    page.wait_until("the other signature", async || page.value("Text").await == signed).await;
    page.select_option("From", "Gb <gb@iitkgp.edu>").await;
    let signed = "Hello.\n\n-- \nGb\nRoom 7\n";
    page.wait_until("the first signature", async || page.value("Text").await == signed).await;
    page.select_option("From", "The shop <sales@iit.edu>").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Offer").await;
    send(page).await;
    let message = servers.first_message("ag");
    assert!(message.contains("From: \"The shop\" <sales@iit.edu>\r\n"), "{message}");
    assert!(message.contains("Open 9 to 5") && !message.contains("Room 7"), "{message}");

    page.choose_menu_item("Settings").await;
    page.wait_until("the name", async || page.value("Name for sales@iit.edu").await == "The shop").await;
    let own = page.wait_for("field", "Own name and signature for sales@iit.edu").await;
    own.click().await.expect("it can be cleared");
    page.wait_for_gone("field", "Name for sales@iit.edu").await;
    page.press("Save").await;
    page.press("Compose").await;
    page.wait_until("the name", async || page.run(FROM, vec![]).await == "Gb <sales@iit.edu>").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn notifications_are_turned_off_and_on() {
    let fixture = open_without_background(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.run(RECORD_NOTIFICATIONS, vec![]).await;
    let toggle = async || {
        page.choose_menu_item("Settings").await;
        page.wait_for("field", "Notify me").await.click().await.expect("it can be clicked");
        page.press("Save").await;
        page.wait_for_gone("dialog", "Settings").await;
    };
    let receive = async |subject: &str| {
        page.run("hide(true)", vec![]).await;
        servers.deliver("gb", &short(subject));
        page.advance_clock(Duration::from_secs(61)).await;
        page.wait_for("row", subject).await;
        // The end of the check
        page.wait_for("button", "Check mail").await;
        page.run("hide(false)", vec![]).await;
    };
    toggle().await;
    receive("unannounced").await;
    assert_eq!(page.run("return notes", vec![]).await, json!([]));

    // The browser asks the user.
    page.run("Notification.permission = 'default'", vec![]).await;
    toggle().await;
    assert_eq!(page.run("return Notification.permission", vec![]).await, "granted");
    receive("announced").await;
    let notes = json!([["1 new message", "Ag Mitra: announced"]]);
    page.wait_until("the notification", async || page.run("return notes", vec![]).await == notes).await;

    page.run("Notification.permission = 'denied'", vec![]).await;
    page.choose_menu_item("Settings").await;
    page.wait_for_text("This browser blocks notifications of this page.").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    assert_no_console_errors(page).await;
}
