//! The line to the servers: when it breaks, and what goes over it.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use browser_tests::{PATIENCE, Page, Port, Screen, Servers, Stage};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::mails::{PLAIN, short};
use crate::{enter, inbox, is_well};

#[tokio::test]
async fn a_lost_connection_comes_back_by_itself() {
    let mut stage = inbox(&[&short("first")]).await;
    stage.page.hold_the_clock().await;
    stage.servers.kill();
    stage.page.press("Check mail").await;
    stage.page.sees("There is no connection").await;
    stage.page.finds("row", "first").await;
    stage.page.picture("connection-lost").await;
    // Elsewhere it must be silent: here it shows that it can be heard.
    assert!(!stage.page.complaints().await.is_empty(), "the console tells of lost connections");

    stage.servers.restart();
    stage.servers.deliver("gb", &short("second"));
    // No attempt is longer after the last one.
    stage.page.passes(Duration::from_mins(1)).await;
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
    let Stage { page, servers, .. } = &stage;
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

    page.run(CLIPBOARD, vec![]).await;
    page.press("POP3").await;
    page.misses("C: MAIL FROM").await;
    page.press("Copy").await;
    page.until("the copy", async || page.run("return copied", vec![]).await.is_string()).await;
    let copy = page.run("return copied", vec![]).await;
    let copy = copy.as_str().expect("it is a text");
    for line in ["S: +OK POP3 server ready", "C: PASS ****", "C: QUIT"] {
        assert!(copy.contains(line), "{copy}");
    }
    assert!(!copy.contains("MAIL FROM") && !copy.contains("gondola"), "{copy}");
    // A browser has no clipboard for a page without TLS from elsewhere; everything goes on without.
    page.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })", vec![]).await;
    page.press("Copy").await;
    servers.deliver("gb", &short("afterwards"));
    page.press("Check mail").await;
    page.finds("row", "afterwards").await;
    is_well(page).await;
}

const CLIPBOARD: &str = "window.copied = null; Object.defineProperty(navigator, 'clipboard', \
    { value: { writeText: async (text) => { copied = text } }, configurable: true })";

/// Servers whose bridge finds something else where SMTP should be.
fn with_smtp_at(address: SocketAddr) -> Servers {
    Servers::start(&format!("[web.targets]\nsmtp = {{ address = '{address}' }}\n"))
}

async fn write_to_ag(page: &Page) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Patience").await;
    page.fill("Text", "It will get there.").await;
}

#[tokio::test]
async fn a_server_that_refuses_the_bridge_is_told_of_and_nothing_is_lost() {
    let nobody = Port::hold();
    let stage = Stage::open_on(Screen::Desktop, with_smtp_at(nobody.address())).await;
    let Stage { page, servers, .. } = &stage;
    servers.deliver("gb", PLAIN);
    // Whose address has no domain asks the SMTP server for it.
    page.sign_in("gb", "gondola").await;
    page.finds("alert", "There is no connection").await;
    page.picture("refused-upstream").await;

    enter(page, "gb@iit.edu", "gondola").await;
    page.finds("row", "Meeting").await;
    write_to_ag(page).await;
    page.press("Send").await;
    page.finds("alert", "There is no connection").await;
    page.finds("alert", "Nothing of the draft is lost").await;
    assert_eq!(page.value("Text").await, "It will get there.");
    page.picture("send-refused-upstream").await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let servers = with_smtp_at(silent.local_addr().expect("it is bound"));
    let stage = Stage::open_on(Screen::Desktop, servers).await;
    let Stage { page, .. } = &stage;
    page.hold_the_clock().await;
    enter(page, "gb@iit.edu", "gondola").await;
    write_to_ag(page).await;
    page.press("Send").await;
    page.sees("Sending…").await;
    page.choose("Transcript").await;
    page.press("SMTP").await;
    // Whoever is connected is waiting.
    let connected = timeout(PATIENCE, silent.accept()).await.expect("it does not hang");
    let _silence = connected.expect("the bridge connects");
    // RFC 5321 section 4.5.3.2.1
    page.passes(Duration::from_mins(4)).await;
    assert!(page.text().await.contains("Sending…"));
    page.passes(Duration::from_mins(2)).await;
    page.finds("alert", "Nothing of the draft is lost").await;
    page.lacks("button", "Sending…").await;
    assert_eq!(page.value("Text").await, "It will get there.");
    page.picture("silent-upstream").await;
    is_well(page).await;
}

#[tokio::test]
async fn a_slow_sending_shows_how_far_it_is() {
    let servers = Servers::start("[[faults]]\nprotocol = 'smtp'\ncommand = 'DATA'\ndelay = '10 min'\n");
    let stage = Stage::open_on(Screen::Desktop, servers).await;
    let Stage { page, servers, .. } = &stage;
    page.hold_the_clock().await;
    enter(page, "gb", "gondola").await;
    write_to_ag(page).await;
    page.choose("Transcript").await;
    page.press("Send").await;
    let bar = "const bar = document.querySelector('progress[aria-label=Sent]'); return bar && [bar.value, bar.max > 100]";
    page.until("a bar", async || page.run(bar, vec![]).await == serde_json::json!([0, true])).await;
    page.sees("0 B of").await;
    let send = page.finds("button", "Sending…").await;
    assert_eq!(send.attr("disabled").await.expect("it is there").as_deref(), Some("true"));
    page.picture("sending").await;
    // The answer before DATA's has come: that is what is waited for now.
    page.sees("S: 250 2.1.5").await;
    page.sees("C: DATA").await;
    // RFC 5321 section 4.5.3.2.4
    page.passes(Duration::from_mins(2)).await;
    page.finds("alert", "Nothing of the draft is lost").await;
    assert_eq!(page.value("Text").await, "It will get there.");
    assert_eq!(servers.mailbox("ag").len(), 0);
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
