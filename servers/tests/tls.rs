//! TLS with a verifying client: STARTTLS (RFC 3207), STLS (RFC 2595), implicit TLS (RFC 8314), certificate reload, and attacks on
//! the plain-text phase.

mod support;

use std::fs;

use mail_core::proxy::Header;
use support::tls::{TlsClient, write_key_pair};
use support::{LineStream, Pop3Client, ServerProcess, SmtpClient, TestDir};
use tokio_rustls::rustls::version;

const LISTEN: &str = "[smtp]\nlisten = ['127.0.0.1:0']\ntls_listen = ['127.0.0.1:0']\n\
                      proxy_listen = ['127.0.0.1:0']\n\
                      [pop3]\nlisten = ['127.0.0.1:0']\ntls_listen = ['127.0.0.1:0']\n\
                      [web]\nlisten = 'off'\n";

/// A server with a certificate, and clients that trust it.
struct Fixture {
    dir: TestDir,
    server: ServerProcess,
}

impl Fixture {
    fn new() -> Self {
        Self::start(TestDir::with_config(&format!("{LISTEN}[tls]\nself_signed = true\n")))
    }

    fn start(dir: TestDir) -> Self {
        let listeners = ["smtp", "smtps", "smtp-proxy", "pop3", "pop3s"];
        let server = ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &["serve"], &dir, &listeners);
        Self { dir, server }
    }

    fn client(&self) -> TlsClient {
        TlsClient::new(&self.dir.path("data/.tls/certificate.pem"))
    }

    fn starttls(&self, client: &TlsClient) -> SmtpClient {
        let mut smtp = self.server.smtp();
        assert!(smtp.command("EHLO before").contains("\n250-STARTTLS\n"));
        assert!(smtp.command("STARTTLS").starts_with("220 2.0.0 "));
        SmtpClient { stream: client.encrypt(smtp.stream, "iitkgp.edu") }
    }

    fn stls(&self, client: &TlsClient) -> Pop3Client {
        let mut pop3 = self.server.pop3();
        assert!(pop3.multiline("CAPA").1.contains(&b"STLS".to_vec()));
        assert!(pop3.command("STLS").starts_with("+OK"));
        Pop3Client { stream: client.encrypt(pop3.stream, "iitkgp.edu") }
    }
}

#[test]
fn starttls_and_stls_work_with_tls_1_2_and_1_3_and_are_traced() {
    let fixture = Fixture::new();
    let roots = fixture.dir.path("data/.tls/certificate.pem");
    for (version, name) in [(&version::TLS12, "(TLSv1.2/TLS_ECDHE_"), (&version::TLS13, "(TLSv1.3/TLS_AES_")]
    {
        let client = TlsClient::with_versions(&roots, &[version]);
        let mut smtp = fixture.starttls(&client);
        let hello = smtp.command("EHLO after");
        assert!(hello.contains("\n250-AUTH PLAIN LOGIN") && !hello.contains("STARTTLS"), "{hello}");
        assert!(smtp.command("STARTTLS").starts_with("503 5.5.1 "), "TLS is active already");
        assert!(smtp.command("AUTH PLAIN AGFnAHNlY3JldA==").starts_with("235 "));
        let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: secret\r\n\r\nbody\r\n");
        assert!(reply.starts_with("250 "), "{reply}");

        let mut pop3 = fixture.stls(&client);
        assert!(!pop3.multiline("CAPA").1.contains(&b"STLS".to_vec()));
        assert!(pop3.command("STLS").starts_with("-ERR"));
        pop3.login("gb", "other");
        let message = String::from_utf8(pop3.retrieve(1)).expect("text");
        assert!(message.contains("Received: from after "), "{message}");
        assert!(message.contains(&format!("with ESMTPSA {name}")), "{message}");
        assert!(pop3.command("DELE 1").starts_with("+OK"));
        assert!(pop3.command("QUIT").starts_with("+OK"));
        assert!(pop3.stream.read_to_end().is_empty(), "the server sends close_notify");
    }
}

#[test]
fn implicit_tls_works_with_each_name_of_the_certificate() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let message =
        [&b"Subject: large\r\n\r\n"[..], &b"0123456789abcdef0123456789abcdef\r\n".repeat(100_000)].concat();
    for name in ["iitkgp.edu", "localhost", "127.0.0.1", "::1"] {
        let mut smtp = SmtpClient::from_stream(
            client.encrypt(LineStream::connect(fixture.server.address("smtps")), name),
        );
        assert!(!smtp.command("EHLO iit.edu").contains("STARTTLS"));
        if name == "localhost" {
            assert!(smtp.deliver("ag@iit.edu", &["gb@iit.edu"], &message).starts_with("250 "));
        }
        assert!(smtp.command("QUIT").starts_with("221 "));
        let mut pop3 = Pop3Client::from_stream(
            client.encrypt(LineStream::connect(fixture.server.address("pop3s")), name),
        );
        assert!(!pop3.multiline("CAPA").1.contains(&b"STLS".to_vec()));
        assert!(pop3.command("QUIT").starts_with("+OK"));
    }
    let mut pop3 = Pop3Client::from_stream(
        client.encrypt(LineStream::connect(fixture.server.address("pop3s")), "localhost"),
    );
    pop3.login("gb", "other");
    let retrieved = pop3.retrieve(1);
    assert!(retrieved.ends_with(&message), "{} octets", retrieved.len());
    let trace = String::from_utf8_lossy(&retrieved[..400]).into_owned();
    assert!(trace.contains("with ESMTPS (TLSv1.3/"), "{trace}");

    let other = client.try_encrypt(LineStream::connect(fixture.server.address("pop3s")), "example.org");
    assert!(other.is_err(), "the client verifies the name");
}

#[test]
fn tls_1_1_is_refused() {
    let mut fixture = Fixture::new();
    // A ClientHello of TLS 1.1: version 3.2, 32 octets of random, no session, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, no
    // compression, and signature_algorithms with ECDSA and SHA-256.
    let mut hello = vec![0x16, 3, 1, 0, 55, 1, 0, 0, 51, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x09, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut stream = LineStream::connect(fixture.server.address("smtps"));
    stream.send(&hello);
    let alert = stream.read_to_end();
    // Fatal alert protocol_version (RFC 8446 section 6).
    assert_eq!(alert.get(..1).zip(alert.get(5..)), Some((&[0x15][..], &[2, 70][..])), "{alert:02x?}");
    fixture.server.wait_for_log("TLS handshake failed");
}

#[test]
fn plain_text_on_a_tls_listener_is_closed_and_logged() {
    let mut fixture = Fixture::new();
    for (address, line) in [("smtps", "EHLO iit.edu\r\n"), ("pop3s", "CAPA\r\n")] {
        let mut stream = LineStream::connect(fixture.server.address(address));
        stream.send(line.as_bytes());
        let reply = stream.read_to_end();
        assert!(reply.len() <= 7 && !reply.starts_with(b"2"), "an alert at most: {reply:02x?}");
        fixture.server.wait_for_log("TLS handshake failed");
    }
    fixture.client().encrypt(LineStream::connect(fixture.server.address("smtps")), "localhost");
}

#[test]
fn starttls_and_stls_reset_the_session() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let mut smtp = fixture.starttls(&client);
    let reply = smtp.command("MAIL FROM:<ag@iit.edu>");
    assert!(reply.starts_with("503 "), "EHLO is reset: {reply}");

    let mut pop3 = fixture.server.pop3();
    assert!(pop3.command("USER gb").starts_with("+OK"));
    assert!(pop3.command("STLS").starts_with("+OK"));
    let mut pop3 = Pop3Client { stream: client.encrypt(pop3.stream, "iitkgp.edu") };
    let reply = pop3.command("PASS other");
    assert!(reply.starts_with("-ERR"), "USER is reset: {reply}");
}

/// CVE-2011-0411: plain text after STARTTLS must not be executed as if it were encrypted.
#[test]
fn plain_text_injected_after_starttls_is_not_executed() {
    let fixture = Fixture::new();
    let client = fixture.client();
    let mut smtp = fixture.server.smtp();
    smtp.command("EHLO iit.edu");
    smtp.stream.send(
        b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<ag@iit.edu>\r\nRCPT TO:<gb@iit.edu>\r\nDATA\r\nevil\r\n.\r\n",
    );
    let replies = String::from_utf8(smtp.stream.read_to_end()).expect("text");
    assert!(replies.starts_with("421 4.7.0 ") && replies.lines().count() == 1, "{replies}");

    let mut pop3 = fixture.server.pop3();
    pop3.stream.send(b"STLS\r\nUSER gb\r\nPASS other\r\n");
    let replies = String::from_utf8(pop3.stream.read_to_end()).expect("text");
    let replies: Vec<_> = replies.lines().collect();
    assert!(
        matches!(replies[..], ["+OK begin TLS negotiation", "-ERR plaintext after STLS, goodbye"]),
        "{replies:?}"
    );

    // Plain text after the reply breaks the handshake.
    let mut smtp = fixture.server.smtp();
    smtp.command("EHLO iit.edu");
    assert!(smtp.command("STARTTLS").starts_with("220 "));
    smtp.stream.send(b"RSET\r\n");
    assert!(client.try_encrypt(smtp.stream, "iitkgp.edu").is_err());
    let mut pop3 = fixture.server.pop3();
    assert!(pop3.command("STLS").starts_with("+OK"));
    pop3.stream.send(b"USER gb\r\n");
    assert!(client.try_encrypt(pop3.stream, "iitkgp.edu").is_err());
    assert!(fixture.dir.mailbox("gb").is_empty());
}

#[test]
fn changed_certificate_is_used_for_new_connections_and_an_invalid_one_is_ignored() {
    let dir = TestDir::with_config(&format!("{LISTEN}[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n"));
    write_key_pair(&dir.path("cert.pem"), &dir.path("key.pem"));
    let before = TlsClient::new(&dir.path("cert.pem"));
    let mut fixture = Fixture::start(dir);
    let mut open = SmtpClient::from_stream(
        before.encrypt(LineStream::connect(fixture.server.address("smtps")), "iitkgp.edu"),
    );

    write_key_pair(&fixture.dir.path("cert.pem"), &fixture.dir.path("key.pem"));
    let after = TlsClient::new(&fixture.dir.path("cert.pem"));
    assert!(before.try_encrypt(LineStream::connect(fixture.server.address("smtps")), "iitkgp.edu").is_err());
    fixture.starttls(&after);
    fixture.stls(&after);
    assert!(open.command("NOOP").starts_with("250 "), "open connections continue");

    fs::write(fixture.dir.path("cert.pem"), "broken").expect("the file is written");
    fixture.starttls(&after);
    let line = fixture.server.wait_for_log("keeping the previous certificate");
    assert!(line.contains("ERROR") && line.contains("cert.pem"), "{line}");
}

#[test]
fn self_signed_certificate_survives_a_restart() {
    let fixture = Fixture::new();
    let pinned = fixture.client();
    fixture.server.kill();
    let fixture = Fixture::start(fixture.dir);
    fixture.starttls(&pinned);
}

#[test]
fn proxied_tls_connection_does_not_offer_starttls() {
    let fixture = Fixture::new();
    for (secure, trace) in [(true, "with ESMTPS id "), (false, "with ESMTP id ")] {
        let mut stream = LineStream::connect(fixture.server.address("smtp-proxy"));
        let (source, destination) = ("192.0.2.7:50000", "127.0.0.1:8080");
        let address = |text: &str| text.parse().expect("an address");
        let header = Header::Proxied { source: address(source), destination: address(destination), secure };
        stream.send(&header.encode());
        let mut smtp = SmtpClient::from_stream(stream);
        assert_eq!(smtp.command("EHLO iit.edu").contains("STARTTLS"), !secure);
        let subject = format!("Subject: {secure}\r\n\r\nbody\r\n");
        assert!(smtp.deliver("ag@iit.edu", &["gb@iit.edu"], subject.as_bytes()).starts_with("250 "));
        let mailbox = String::from_utf8(fixture.dir.mailbox("gb")).expect("text");
        assert!(mailbox.contains(trace), "{mailbox}");
    }
}

#[test]
fn handshake_in_progress_does_not_delay_shutdown() {
    let mut fixture = Fixture::new();
    // Neither does a connection without a PROXY header yet.
    let _proxy = LineStream::connect(fixture.server.address("smtp-proxy"));
    let mut smtp = fixture.server.smtp();
    smtp.command("EHLO iit.edu");
    assert!(smtp.command("STARTTLS").starts_with("220 "));
    let mut pop3s = LineStream::connect(fixture.server.address("pop3s"));
    pop3s.send(&[0x16]);
    fixture.server.signal_terminate();
    // The log reports sessions that used up the grace period.
    let line = fixture.server.wait_for_log("stopped");
    assert!(!line.contains("still open"), "{line}");
    assert_eq!(fixture.server.wait(), Some(0));
}
