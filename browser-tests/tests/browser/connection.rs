//! The line to the servers: when it breaks, and what goes over it.

use browser_tests::{Screen, Servers, Stage};

use crate::mails::{PLAIN, short};
use crate::{enter, inbox, is_well};

#[tokio::test]
async fn a_lost_connection_comes_back_by_itself() {
    let mut stage = inbox(&[&short("first")]).await;
    stage.servers.kill();
    stage.page.press("Check mail").await;
    stage.page.sees("There is no connection").await;
    stage.page.finds("row", "first").await;
    stage.page.picture("connection-lost").await;
    // Elsewhere it must be silent: here it shows that it can be heard.
    assert!(!stage.page.complaints().await.is_empty(), "the console tells of lost connections");

    stage.servers.restart();
    stage.servers.deliver("gb", &short("second"));
    stage.page.finds("row", "second").await;
    stage.page.misses("There is no connection").await;
    stage.page.picture("connection-back").await;
}

#[tokio::test]
async fn a_draft_outlives_the_connection_and_is_sent_once() {
    let mut stage = inbox(&[]).await;
    let page = &stage.page;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Patience").await;
    page.fill("Text", "It will get there.").await;
    stage.servers.kill();
    page.press("Send").await;
    page.sees("There is no connection").await;
    page.picture("send-without-connection").await;
    assert_eq!(page.value("Text").await, "It will get there.");

    stage.servers.restart();
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    let mut pop3 = stage.servers.pop3("ag");
    assert_eq!(pop3.count(), 1);
    assert!(String::from_utf8_lossy(&pop3.retrieve(1)).contains("It will get there."));
    pop3.quit();
}

#[tokio::test]
async fn the_transcript_shows_both_dialogues_without_secrets() {
    let stage = inbox(&[PLAIN]).await;
    let Stage { page, .. } = &stage;
    page.choose("Transcript").await;
    for line in ["S: +OK POP3 server ready", "C: USER gb", "C: PASS ****", "C: UIDL", "C: QUIT"] {
        page.sees(line).await;
    }
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Hello").await;
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    for line in
        ["S: 220 <iitkgp.edu> Service ready", "C: MAIL FROM:<gb@iitkgp.edu>", "C: RCPT TO:<ag@iit.edu>"]
    {
        page.sees(line).await;
    }
    page.picture("transcript").await;
    assert!(!page.text().await.contains("gondola"));
    is_well(page).await;
}

#[tokio::test]
async fn with_a_certificate_everything_goes_over_tls() {
    let servers = Servers::start("[tls]\nself_signed = true\n");
    servers.deliver("gb", PLAIN);
    let stage = Stage::open_on(Screen::Desktop, servers).await;
    let Stage { page, servers, .. } = &stage;
    // The address is that of the page without TLS, which sends on.
    let url = page.client.current_url().await.expect("it shows something");
    assert_eq!((url.scheme(), url.port()), ("https", Some(servers.port())), "{url}");

    enter(page, "gb", "gondola").await;
    page.open("Meeting").await;
    page.sees("See you at five.").await;
    page.press("Reply").await;
    page.press("Send").await;
    page.lacks("field", "Subject").await;
    let answer = String::from_utf8_lossy(&servers.mailbox("ag")).into_owned();
    assert!(answer.contains("with ESMTPSA id"), "{answer}");
    is_well(page).await;
}
