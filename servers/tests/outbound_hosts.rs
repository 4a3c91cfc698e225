//! Two hosts that exchange mail over TLS, and a smarthost with a password.

mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use mail_core::sasl;
use mail_core::secret::Secret;
use support::dns::{DnsRecord, DnsServer};
use support::mail_host::MailHost;
use support::{ServerProcess, SmtpClient, TIMEOUT, TestDir, run_program, send_signal};

const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 21);
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 22);
const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 25);

/// A mail host for one domain, with the accounts ag and gb.
struct MailServer {
    dir: TestDir,
    server: ServerProcess,
    domain: &'static str,
}

/// A port that is free on both addresses.
fn common_port() -> u16 {
    loop {
        let first = TcpListener::bind((FIRST, 0)).expect("a free port");
        let port = first.local_addr().expect("bound").port();
        if TcpListener::bind((SECOND, port)).is_ok() {
            return port;
        }
    }
}

impl MailServer {
    fn start(domain: &'static str, address: Ipv4Addr, port: u16, outbound: &str) -> Self {
        let dir = TestDir::new();
        let config = format!(
            "hostname = 'mx.{domain}'\ndomains = ['{domain}']\n{outbound}\n\
             [smtp]\nlisten = ['{address}:{port}']\nsubmission_listen = ['127.0.0.1:0']\n\
             [pop3]\nlisten = ['127.0.0.1:0']\n[tls]\nself_signed = true\n[limits]\nmessage_size = '40MiB'\n"
        );
        fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
        let server = serve(&dir);
        Self { dir, server, domain }
    }

    fn submit(&self, recipient: &str, mail_parameters: &str, message: &[u8]) {
        let mut smtp = connect(&self.server);
        smtp.command("EHLO client.example");
        let plain = sasl::encode(&Secret::new("\0ag\0secret".into())).expose().clone();
        assert!(smtp.command(&format!("AUTH PLAIN {plain}")).starts_with("235"));
        let reply = smtp.command(&format!("MAIL FROM:<ag@{}>{mail_parameters}", self.domain));
        assert!(reply.starts_with("250"), "{reply}");
        let reply = smtp.deliver_after_mail(&[recipient], message);
        assert!(reply.starts_with("250"), "{reply}");
    }

    fn queue(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
        command.args(["queue", "list", "--config"]).arg(self.dir.path("pennypost.toml"));
        run_program(&mut command, b"").stdout
    }

    /// The mailbox of gb once it contains `text`.
    fn wait_for(&self, text: &str) -> Vec<u8> {
        let start = Instant::now();
        loop {
            let mailbox = self.dir.mailbox("gb");
            if memchr::memmem::find(&mailbox, text.as_bytes()).is_some() && mailbox.ends_with(b"\r\n.\r\n") {
                return mailbox;
            }
            assert!(start.elapsed() < TIMEOUT, "no {text:?} in a mailbox of {} octets", mailbox.len());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn serve(dir: &TestDir) -> ServerProcess {
    let arguments = ["serve", "--web", "off"];
    ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, dir, &["smtp", "submission", "pop3"])
}

fn connect(server: &ServerProcess) -> SmtpClient {
    let mut smtp = SmtpClient { stream: support::LineStream::connect(server.address("submission")) };
    assert!(smtp.reply().starts_with("220"));
    smtp
}

fn two_hosts() -> (DnsServer, MailServer, MailServer) {
    hosts(common_port())
}

/// Hosts of first.example and second.example on a port. third.example is at [`THIRD`].
fn hosts(port: u16) -> (DnsServer, MailServer, MailServer) {
    let dns = DnsServer::start(&[
        DnsRecord::Mx("first.example", 10, "mx.first.example"),
        DnsRecord::Mx("second.example", 10, "mx.second.example"),
        DnsRecord::A("mx.first.example", FIRST),
        DnsRecord::A("mx.second.example", SECOND),
        DnsRecord::A("third.example", THIRD),
    ]);
    let outbound = format!(
        "[outbound]\nmode = 'direct'\nport = {port}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\nretry_seconds = [1]\n",
        dns.address
    );
    let first = MailServer::start("first.example", FIRST, port, &outbound);
    let second = MailServer::start("second.example", SECOND, port, &outbound);
    (dns, first, second)
}

#[test]
fn two_hosts_exchange_mail_over_tls() {
    let (_dns, first, second) = two_hosts();
    first.submit("gb@second.example", "", b"From: ag@first.example\r\nSubject: ask\r\n\r\nquestion\r\n");
    let mailbox = String::from_utf8(second.wait_for("question")).expect("ASCII");
    assert!(mailbox.contains("by mx.second.example with ESMTPS (TLS"), "{mailbox}");
    assert!(mailbox.contains("Return-Path: <ag@first.example>"), "{mailbox}");
    // The other direction, with a UTF-8 header and an 8-bit body.
    let message = "From: ag@second.example\r\nSubject: größer\r\n\r\nRückfrage\r\n";
    second.submit("gb@first.example", " BODY=8BITMIME SMTPUTF8", message.as_bytes());
    let mailbox = String::from_utf8(first.wait_for("Rückfrage")).expect("UTF-8");
    assert!(mailbox.contains("Subject: größer") && mailbox.contains("with UTF8SMTPS"), "{mailbox}");
}

#[test]
fn large_message_arrives_octet_for_octet() {
    let (_dns, first, second) = two_hosts();
    let line = format!("{}\r\n", "0123456789abcdef".repeat(4));
    let body = line.repeat((20 << 20) / line.len());
    let message = format!("From: ag@first.example\r\nSubject: large\r\n\r\n.start\r\n{body}last line\r\n");
    first.submit("gb@second.example", "", message.as_bytes());
    let mailbox = second.wait_for("last line");
    let start = memchr::memmem::find(&mailbox, b"\r\n\r\n..start\r\n").expect("a dot-stuffed body");
    assert_eq!(&mailbox[start + 13..mailbox.len() - "last line\r\n.\r\n".len()], body.as_bytes());
}

#[test]
fn unknown_recipient_comes_back_as_a_report() {
    let (_dns, first, second) = two_hosts();
    first.submit("nobody@second.example", "", b"From: ag@first.example\r\nSubject: lost\r\n\r\nbody\r\n");
    let start = Instant::now();
    let report = loop {
        let mailbox = String::from_utf8_lossy(&first.dir.mailbox("ag")).into_owned();
        if mailbox.contains("Status: 5.1.1") {
            break mailbox;
        }
        assert!(start.elapsed() < TIMEOUT, "{mailbox}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(report.contains("Remote-MTA: dns; mx.second.example"), "{report}");
    drop(second);
}

#[test]
fn mail_arrives_after_the_other_host_was_away_and_this_one_was_killed() {
    let (_dns, first, second) = two_hosts();
    let MailServer { dir, server, domain } = second;
    server.kill();
    for number in 0..20 {
        let message = format!("From: ag@first.example\r\nSubject: {number}\r\n\r\nbody {number}.\r\n");
        first.submit("gb@second.example", "", message.as_bytes());
    }
    let MailServer { dir: first_dir, server, .. } = first;
    server.kill();
    let _first = serve(&first_dir);
    let second = MailServer { server: serve(&dir), dir, domain };
    for number in 0..20 {
        second.wait_for(&format!("body {number}."));
    }
    let mailbox = String::from_utf8_lossy(&second.dir.mailbox("gb")).into_owned();
    assert_eq!(mailbox.matches("\r\nbody ").count(), 20, "{mailbox}");
}

#[test]
fn smarthost_receives_mail_after_sign_in_over_verified_tls() {
    let port = common_port();
    let relay = MailServer::start("relay.example", SECOND, port, "");
    let submission = relay.server.address("submission");
    let outbound = |roots: &str| {
        format!(
            "[outbound]\nmode = 'smarthost'\nretry_seconds = [3600]\n\
             smarthost = {{ address = 'localhost:{}', user = 'ag', password_file = 'relay.txt', ca = '{roots}' }}\n",
            submission.port()
        )
    };
    let certificate = relay.dir.path("data/.tls/certificate.pem");
    let start = |roots: &str| {
        let dir = TestDir::with_config(&format!(
            "{}[smtp]\nlisten = ['127.0.0.1:0']\nsubmission_listen = ['127.0.0.1:0']\n[pop3]\nlisten = ['127.0.0.1:0']\n",
            outbound(roots)
        ));
        fs::write(dir.path("relay.txt"), "secret\n").expect("the file is written");
        let server = serve(&dir);
        MailServer { dir, server, domain: "iitkgp.edu" }
    };
    // The relay's certificate names localhost. It accepts ag's mail from relay.example only, so the reverse-path is refused:
    // that shows that the session was encrypted, verified and signed in.
    let mut sender = start(&certificate.display().to_string());
    sender.submit("gb@relay.example", "", b"From: ag@iitkgp.edu\r\nSubject: x\r\n\r\nbody\r\n");
    let line = sender.server.wait_for_log("undeliverable");
    assert!(line.contains("Sender address does not belong"), "{line}");
    // Another root does not verify it.
    let other = TestDir::new();
    let roots = other.path("roots.pem");
    support::tls::write_key_pair(&roots, &other.path("key.pem"));
    let mut sender = start(&roots.display().to_string());
    sender.submit("gb@relay.example", "", b"From: ag@iitkgp.edu\r\nSubject: x\r\n\r\nbody\r\n");
    let line = sender.server.wait_for_log("deferred");
    assert!(line.contains("TLS handshake failed"), "{line}");
    send_signal(sender.server.pid(), "-TERM");
    assert_eq!(sender.server.wait(), Some(0));
}

#[test]
fn alias_loop_across_two_hosts_ends_with_one_report() {
    let port = common_port();
    let third = MailHost::start(THIRD, port);
    let (_dns, first, second) = hosts(port);
    fs::write(first.dir.path("data/Aliases.txt"), "loop: loop@second.example\n")
        .expect("the file is written");
    fs::write(second.dir.path("data/Aliases.txt"), "loop: loop@first.example\n")
        .expect("the file is written");
    let mut smtp = SmtpClient { stream: support::LineStream::connect(first.server.address("smtp")) };
    assert!(smtp.reply().starts_with("220"));
    smtp.command("EHLO mx.third.example");
    // Twenty hops remain.
    let message = format!("{}Subject: loop\r\n\r\nbody\r\n", "Received: from a by b\r\n".repeat(80));
    let reply = smtp.deliver("ag@third.example", &["loop@first.example"], message.as_bytes());
    assert!(reply.starts_with("250"), "{reply}");
    // The report takes the way of the rewritten senders.
    let report = third.next();
    assert_eq!((report.from.as_str(), &report.to[..]), ("<>", &["<ag@third.example>".to_owned()][..]));
    assert!(report.message.contains("Status: 5.4.6"), "{report:?}");
    for host in [&first, &second] {
        let start = Instant::now();
        while !host.queue().contains("the queue is empty") {
            assert!(start.elapsed() < TIMEOUT, "{}", host.queue());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert_eq!(third.received.try_iter().count(), 0);
}
