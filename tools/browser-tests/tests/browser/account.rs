//! The account: own addresses, the password, events of the mailbox, reports of failed deliveries.

use std::time::{Duration, Instant};

use browser_tests::{Fixture, ReservedPort, Screen, Servers};

use crate::sample_mails::PLAIN;
use crate::{assert_no_console_errors, open_inbox, reload, send, sign_in};

#[tokio::test]
async fn new_mail_appears_within_ten_seconds() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.wait_for("row", "Meeting").await;
    let start = Instant::now();
    servers.deliver("gb", "From: ag@iit.edu\nTo: gb@iit.edu\nSubject: News\n\nHello.\n");
    page.wait_for("row", "News").await;
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn message_is_sent_from_the_chosen_address() {
    let fixture = open_with_alias().await;
    let Fixture { page, servers, .. } = &fixture;
    page.press("Compose").await;
    page.wait_for("field", "From").await;
    page.wait_for_text("gb@iitkgp.edu").await;
    page.select_option("From", "sales@iit.edu").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Offer").await;
    page.screenshot("from").await;
    send(page).await;
    let message = servers.first_message("ag");
    assert!(message.contains("From: <sales@iit.edu>\r\n"), "{message}");
    assert!(message.contains("Return-Path: <sales@iit.edu>\r\n"), "{message}");
    // The choice is kept.
    reload(page).await;
    page.press("Compose").await;
    page.wait_until("the chosen address", async || page.run(FROM, vec![]).await == "sales@iit.edu").await;
    assert_no_console_errors(page).await;
}

/// The text of the selected From.
const FROM: &str = "return document.getElementById('compose-from')?.selectedOptions[0]?.text";

/// Signed in as gb, who has two addresses.
async fn open_with_alias() -> Fixture {
    let servers = Servers::start("");
    let _ = servers.file("data/Aliases.txt", b"sales@iit.edu: gb\n");
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    sign_in(&fixture.page, "gb", "gondola").await;
    fixture
}

#[tokio::test]
async fn draft_keeps_its_chosen_address() {
    let fixture = open_with_alias().await;
    let Fixture { page, servers, .. } = &fixture;
    page.press("Compose").await;
    page.wait_for("field", "From").await;
    page.select_option("From", "sales@iit.edu").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Offer").await;
    page.press("Save and close").await;
    // Another draft, from another address.
    page.press("Compose").await;
    page.wait_until("the address of new messages", async || page.run(FROM, vec![]).await == "sales@iit.edu")
        .await;
    page.select_option("From", "gb@iitkgp.edu").await;
    page.fill("Subject", "Private").await;
    page.press("Save and close").await;
    page.wait_until("the stored draft", async || page.stored_data().await.contains("Private")).await;
    reload(page).await;
    page.press("Drafts").await;
    page.open_row("Private").await;
    page.wait_until("its address", async || page.run(FROM, vec![]).await == "gb@iitkgp.edu").await;
    page.open_row("Offer").await;
    page.wait_until("its address", async || page.run(FROM, vec![]).await == "sales@iit.edu").await;
    send(page).await;
    let message = servers.first_message("ag");
    assert!(message.contains("From: <sales@iit.edu>\r\n"), "{message}");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn reply_comes_from_the_address_that_the_message_was_sent_to() {
    let fixture = open_with_alias().await;
    let Fixture { page, servers, .. } = &fixture;
    for (to, subject) in [("sales@iit.edu", "To an alias"), ("gb@iitkgp.edu", "To the account")] {
        let message =
            format!("From: ag@iit.edu\nTo: <{to}>, <hc@example.org>\nSubject: {subject}\n\nHello.\n");
        servers.smtp().deliver("ag@iit.edu", to, &message);
        page.open_row(subject).await;
        page.wait_for_reader_text("Hello.").await;
        page.press("Reply all").await;
        page.wait_until("From", async || page.run(FROM, vec![]).await == to).await;
        assert!(
            page.find("button", &format!("Remove {to}")).await.is_none(),
            "the own address is a recipient"
        );
        page.press("Discard").await;
        page.press("Inbox").await;
    }
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn password_is_changed_and_stays_known_to_the_page() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.choose_menu_item("Settings").await;
    page.run("document.querySelector('details.password').open = true", vec![]).await;
    page.fill("Current password", "gondola").await;
    page.fill("New password", "a new one").await;
    page.press("Change password").await;
    page.wait_for("alert", "The two new passwords differ.").await;
    page.fill("Repeat the new password", "a new one").await;
    page.screenshot("password").await;
    page.press("Change password").await;
    page.wait_for_text("Password changed.").await;
    page.press("Cancel").await;
    servers.deliver("gb", "From: ag@iit.edu\nTo: gb@iit.edu\nSubject: Afterwards\n\nHello.\n");
    page.press("Check mail").await;
    page.wait_for("row", "Afterwards").await;
    reload(page).await;
    servers.deliver("gb", "From: ag@iit.edu\nTo: gb@iit.edu\nSubject: After a reload\n\nHello.\n");
    page.wait_for("row", "After a reload").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn sent_message_in_the_queue_names_the_next_attempt_until_it_has_left() {
    // No server listens there.
    let smarthost = ReservedPort::new();
    let servers = Servers::start(&format!(
        "[outbound]\nmode = 'smarthost'\nsmarthost = {{ address = '{}', tls = 'off' }}\n",
        smarthost.address()
    ));
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let Fixture { page, servers, .. } = &fixture;
    sign_in(page, "gb", "gondola").await;
    page.press("Compose").await;
    page.fill("To", "x@example.net").await;
    page.fill("Subject", "The plans").await;
    page.fill("Text", "They are ready.").await;
    send(page).await;
    page.press("Sent").await;
    page.wait_for("row", "Not sent yet").await;
    page.open_row("The plans").await;
    page.wait_for_reader_text("Waiting to be sent to x@example.net: next attempt at ").await;
    page.wait_for_reader_text("cannot be reached").await;
    page.screenshot("queued").await;
    assert_eq!(page.accessibility_violations().await, [""; 0]);
    let queue = servers.pennypost(&["queue", "list"]);
    let _ = servers.pennypost(&["queue", "drop", queue.split(' ').next().expect("an id")]);
    page.wait_for_reader_text_gone("Waiting to be sent").await;
    page.wait_for_gone("row", "Not sent yet").await;
    assert_no_console_errors(page).await;
}

const REPORT: &str = "From: MAILER-DAEMON@iitkgp.edu\nTo: gb@iit.edu\nSubject: Not delivered\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=r\n\n\
    --r\n\nNot delivered.\n--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; iitkgp.edu\n\n\
    Final-Recipient: rfc822; ag@iit.edu\nAction: failed\nStatus: 5.2.2\n\n--r\nContent-Type: message/rfc822\n\n\
    From: gb@iit.edu\nTo: ag@iit.edu, hc@iit.edu\nSubject: Plans\n\nThe plans are ready.\n--r--\n";

#[tokio::test]
async fn returned_message_is_sent_again_to_the_failed_recipient() {
    let fixture = open_inbox(&[REPORT]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.open_row("Not delivered").await;
    page.press("Send again").await;
    page.wait_until("the text", async || page.value("Text").await.trim() == "The plans are ready.").await;
    assert_eq!(page.value("Subject").await, "Plans");
    send(page).await;
    let message = servers.first_message("ag");
    assert!(message.contains("\r\nTo: <ag@iit.edu>\r\n"), "{message}");
    assert!(message.contains("The plans are ready.") && !message.contains("hc@iit.edu"), "{message}");
    assert_no_console_errors(page).await;
}
