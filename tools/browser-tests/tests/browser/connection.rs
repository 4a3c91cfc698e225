//! Lost connections, timeouts, progress, TLS and the transcript.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use browser_tests::{Fixture, Page, ReservedPort, Screen, Servers, TIMEOUT};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::sample_mails::{PLAIN, short};
use crate::{assert_no_console_errors, disable_undo_send, open_inbox, send, sign_in};

#[tokio::test]
async fn lost_connection_is_restored_automatically() {
    let mut fixture = open_inbox(&[&short("first")]).await;
    fixture.page.freeze_clock().await;
    fixture.servers.kill();
    fixture.page.press("Check mail").await;
    fixture.page.wait_for_text("Offline.").await;
    fixture.page.wait_for("row", "first").await;
    fixture.page.screenshot("connection-lost").await;
    // Other tests assert an empty console; this one verifies that errors are visible there.
    assert!(!fixture.page.console_errors().await.is_empty(), "the console reports lost connections");

    fixture.servers.restart();
    fixture.servers.deliver("gb", &short("second"));
    // The longest delay between two attempts is one minute.
    fixture.page.advance_clock(Duration::from_mins(1)).await;
    fixture.page.wait_for("row", "second").await;
    fixture.page.wait_for_text_gone("Offline.").await;
    fixture.page.screenshot("connection-back").await;
}

/// Sends more frames without data than the bridge accepts, before the data.
const SEND_EMPTY_FRAMES: &str = "\
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        for (let count = 0; count < 10_010; count++) send.call(this, new Uint8Array());
        send.call(this, data);
    }";

#[tokio::test]
async fn reason_of_the_bridge_is_shown_if_it_closes_a_connection() {
    let fixture = open_inbox(&[&short("first")]).await;
    let page = &fixture.page;
    page.freeze_clock().await;
    page.run(SEND_EMPTY_FRAMES, vec![]).await;
    page.press("Check mail").await;
    // Close code 1008.
    page.wait_for_text("The connection was closed: too many frames without data.").await;
    page.wait_for("row", "first").await;
    page.screenshot("connection-closed").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn message_without_undo_waits_for_the_connection_and_is_sent_once() {
    let mut fixture = open_inbox(&[]).await;
    let page = &fixture.page;
    disable_undo_send(page).await;
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Patience").await;
    page.fill("Text", "It will get there.").await;
    fixture.servers.kill();
    page.press("Send").await;
    page.wait_for_text("Your message will be sent when the connection returns.").await;
    page.wait_for_gone("field", "Subject").await;
    page.screenshot("send-without-connection").await;

    fixture.servers.restart();
    page.press("Try now").await;
    page.wait_for_text("Message sent.").await;
    let mut pop3 = fixture.servers.pop3("ag");
    assert_eq!(pop3.count(), 1);
    assert!(String::from_utf8_lossy(&pop3.retrieve(1)).contains("It will get there."));
    pop3.quit();
}

#[tokio::test]
async fn transcript_shows_both_protocols_without_secrets() {
    let fixture = open_inbox(&[PLAIN]).await;
    let Fixture { page, servers, .. } = &fixture;
    page.choose_menu_item("Show protocol log").await;
    for line in ["S: +OK POP3 server ready", "C: USER gb", "C: PASS ****", "C: UIDL", "C: QUIT"] {
        page.wait_for_text(line).await;
    }
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Hello").await;
    send(page).await;
    for line in
        ["S: 220 <iitkgp.edu> Service ready", "C: MAIL FROM:<gb@iitkgp.edu>", "C: RCPT TO:<ag@iit.edu>"]
    {
        page.wait_for_text(line).await;
    }
    page.screenshot("transcript").await;
    assert!(!page.text().await.contains("gondola"));

    page.run(CLIPBOARD, vec![]).await;
    page.press("POP3").await;
    page.wait_for_text_gone("C: MAIL FROM").await;
    page.press("Copy").await;
    page.wait_until("the copy", async || page.run("return copied", vec![]).await.is_string()).await;
    let copy = page.run("return copied", vec![]).await;
    let copy = copy.as_str().expect("a text");
    for line in ["S: +OK POP3 server ready", "C: PASS ****", "C: QUIT"] {
        assert!(copy.contains(line), "{copy}");
    }
    assert!(!copy.contains("MAIL FROM") && !copy.contains("gondola"), "{copy}");
    // Browsers have no clipboard for remote pages without TLS; the page still works.
    page.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })", vec![]).await;
    page.press("Copy").await;
    servers.deliver("gb", &short("afterwards"));
    page.press("Check mail").await;
    page.wait_for("row", "afterwards").await;
    assert_no_console_errors(page).await;
}

const CLIPBOARD: &str = "window.copied = null; Object.defineProperty(navigator, 'clipboard', \
    { value: { writeText: async (text) => { copied = text } }, configurable: true })";

/// Servers whose bridge connects to another address for SMTP.
fn with_smtp_at(address: SocketAddr) -> Servers {
    Servers::start(&format!("[web.targets]\nsmtp = {{ address = '{address}' }}\n"))
}

async fn compose_to_ag(page: &Page) {
    page.press("Compose").await;
    page.fill("To", "ag@iit.edu").await;
    page.fill("Subject", "Patience").await;
    page.fill("Text", "It will get there.").await;
}

#[tokio::test]
async fn sign_in_works_while_smtp_is_down_and_messages_wait() {
    let refused = ReservedPort::new();
    let fixture = Fixture::open_on(Screen::Desktop, with_smtp_at(refused.address())).await;
    let Fixture { page, servers, .. } = &fixture;
    servers.deliver("gb", PLAIN);
    // Without SMTP, the domain of a bare name is unknown.
    sign_in(page, "gb", "gondola").await;
    disable_undo_send(page).await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    page.wait_until("the subject of a reply", async || page.value("Subject").await == "Re: Meeting").await;
    page.press("Send").await;
    page.wait_for_text("Your message will be sent when the connection returns.").await;
    page.screenshot("refused-upstream").await;
    page.choose_menu_item("Sign out").await;
    page.wait_for("field", "Password").await;

    sign_in(page, "gb@iit.edu", "gondola").await;
    page.wait_for("row", "Meeting").await;
    compose_to_ag(page).await;
    page.press("Send").await;
    page.wait_for_text("Your message will be sent when the connection returns.").await;
    page.press("Drafts").await;
    for subject in ["Patience", "Re: Meeting"] {
        page.wait_for("row", subject).await;
    }
    page.screenshot("send-refused-upstream").await;
}

#[tokio::test]
async fn silent_server_times_out() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let servers = with_smtp_at(silent.local_addr().expect("a bound socket"));
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let Fixture { page, .. } = &fixture;
    page.freeze_clock().await;
    sign_in(page, "gb@iit.edu", "gondola").await;
    disable_undo_send(page).await;
    compose_to_ag(page).await;
    page.press("Send").await;
    page.wait_for_text("Sending…").await;
    page.choose_menu_item("Show protocol log").await;
    page.press("SMTP").await;
    let connected = timeout(TIMEOUT, silent.accept()).await.expect("the bridge connects in time");
    let _silent_connection = connected.expect("the bridge connects");
    // RFC 5321 section 4.5.3.2.1
    page.advance_clock(Duration::from_mins(4)).await;
    assert!(page.text().await.contains("Sending…"));
    // Not longer: the notice disappears after some seconds.
    page.advance_clock(Duration::from_secs(61)).await;
    page.wait_for_text("Your message will be sent when the connection returns.").await;
    page.wait_for_gone("button", "Sending…").await;
    page.press("Drafts").await;
    page.wait_for("row", "Patience").await;
    page.screenshot("silent-upstream").await;
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn slow_send_shows_progress() {
    let servers = Servers::start("[[faults]]\nprotocol = 'smtp'\ncommand = 'DATA'\ndelay = '10 min'\n");
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let Fixture { page, servers, .. } = &fixture;
    page.freeze_clock().await;
    sign_in(page, "gb", "gondola").await;
    disable_undo_send(page).await;
    compose_to_ag(page).await;
    page.choose_menu_item("Show protocol log").await;
    page.press("Send").await;
    let bar = "const bar = document.querySelector('progress[aria-label=Sent]'); return bar && [bar.value, bar.max > 100]";
    page.wait_until("a progress bar", async || page.run(bar, vec![]).await == serde_json::json!([0, true]))
        .await;
    page.wait_for_text("0 B of").await;
    let send = page.wait_for("button", "Sending…").await;
    assert_eq!(send.attr("disabled").await.expect("the button is in the page").as_deref(), Some("true"));
    page.screenshot("sending").await;
    // The reply to RCPT has arrived; the page waits for the reply to DATA.
    page.wait_for_text("S: 250 2.1.5").await;
    page.wait_for_text("C: DATA").await;
    // RFC 5321 section 4.5.3.2.4
    page.advance_clock(Duration::from_mins(2)).await;
    page.wait_for("alert", "Your draft is unchanged").await;
    assert_eq!(page.value("Text").await, "It will get there.");
    assert_eq!(servers.mailbox("ag").len(), 0);
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn page_redirects_to_https_and_mail_is_sent_over_tls() {
    let servers = Servers::start("[tls]\nself_signed = true\n");
    servers.deliver("gb", PLAIN);
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let Fixture { page, servers, .. } = &fixture;
    // The fixture opens the http URL, which redirects.
    let url = page.client.current_url().await.expect("the page has a URL");
    assert_eq!((url.scheme(), url.port()), ("https", Some(servers.port())), "{url}");

    sign_in(page, "gb", "gondola").await;
    page.open_row("Meeting").await;
    page.wait_for_reader_text("See you at five.").await;
    page.press("Reply").await;
    send(page).await;
    let mailbox = String::from_utf8_lossy(&servers.mailbox("ag")).into_owned();
    assert!(mailbox.contains("with ESMTPSA id"), "{mailbox}");
    assert_no_console_errors(page).await;
}

#[tokio::test]
async fn refused_host_is_explained() {
    let fixture = Fixture::open().await;
    let Fixture { page, servers, .. } = &fixture;
    // Chromium resolves every name below localhost to the loopback address.
    page.goto(&format!("http://mail.localhost:{}/", servers.port())).await;
    page.sign_in("gb", "gondola").await;
    page.wait_for("alert", "The web server refuses the connection: unknown host `mail.localhost").await;
    page.wait_for("alert", "add it to `names` in [web]").await;
    page.screenshot("refused-host").await;
}

#[tokio::test]
async fn connection_limit_is_explained_and_retried() {
    let servers = Servers::start("[web.limits]\nconnections_per_address = 1\n");
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    let Fixture { page, servers, .. } = &fixture;
    servers.deliver("gb", PLAIN);
    page.run("window.other = new WebSocket(`ws://${location.host}/ws/pop3`)", vec![]).await;
    page.wait_until("another connection", async || page.run("return other.readyState", vec![]).await == 1)
        .await;
    page.sign_in("gb", "gondola").await;
    page.wait_for_text("The web server refuses the connection: too many connections; try again later.").await;
    page.screenshot("too-many-connections").await;
    page.run("other.close()", vec![]).await;
    page.wait_for("row", "Meeting").await;
}

#[tokio::test]
async fn reason_of_the_bridge_for_closing_a_connection_is_shown() {
    let refused = ReservedPort::new();
    let servers = Servers::start(&format!("[web.targets]\npop3 = {{ address = '{}' }}\n", refused.address()));
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    fixture.page.sign_in("gb", "gondola").await;
    fixture.page.wait_for("alert", "The connection was closed: the mail server cannot be reached.").await;
    fixture.page.screenshot("unreachable-server").await;

    let slow = "[[faults]]\nprotocol = 'pop3'\ncommand = 'UIDL'\ndelay = '10 min'\n";
    let servers = Servers::start(&format!("{slow}[web.limits]\nidle_seconds = 1\n"));
    let fixture = Fixture::open_on(Screen::Desktop, servers).await;
    fixture.page.sign_in("gb", "gondola").await;
    fixture.page.wait_for("alert", "The connection was closed: no data was sent for 1 seconds.").await;
}
