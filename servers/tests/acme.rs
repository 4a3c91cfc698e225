//! Certificates from an ACME directory: first issue, restart, renewal, and failures.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::dns::{DnsRecord, DnsServer};
use support::pebble::{HOST, Pebble, PebbleSetup, free_port};
use support::tls::TlsClient;
use support::{ServerProcess, SmtpClient, TIMEOUT, TestDir, field};

/// Seconds for which a certificate is valid.
const YEAR: u64 = 365 * 86_400;

const ISSUED: &str = "has issued a certificate for iitkgp.edu, mail.iit.edu";

/// The protocol of challenges (RFC 8737).
const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// A configuration with a directory, and the DNS server of both.
struct Fixture {
    dir: TestDir,
    dns: DnsServer,
    web_port: u16,
}

impl Fixture {
    fn new(directory: &PebbleSetup) -> Self {
        let localhost = Ipv4Addr::LOCALHOST;
        let dns = DnsServer::start(&[
            DnsRecord::A(HOST, localhost),
            DnsRecord::A("iitkgp.edu", localhost),
            DnsRecord::A("mail.iit.edu", localhost),
        ]);
        let config = format!(
            "[web]\nnames = ['mail.iit.edu']\n[outbound]\nmode = 'direct'\nresolver = ['{}']\n\
             [tls]\nacme = {{ contact = 'mailto:ag@iitkgp.edu', directory = '{}', ca = '{}' }}\n",
            dns.address,
            directory.url(),
            directory.ca().display()
        );
        Self { dir: TestDir::with_config(&config), dns, web_port: free_port() }
    }

    fn serve(&self) -> ServerProcess {
        let web = format!("127.0.0.1:{}", self.web_port);
        ServerProcess::start(
            env!("CARGO_BIN_EXE_pennypost"),
            &["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", &web],
            &self.dir,
            &["smtp", "pop3", "web"],
        )
    }

    fn start_directory(&self, directory: PebbleSetup, validity_seconds: u64) -> Pebble {
        directory.start(self.dns.address, self.web_port, validity_seconds)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path(&format!("data/.tls/acme/{name}"))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).expect("the file exists")
    }

    /// Output of `pennypost check`, which finds no defect.
    fn check(&self) -> String {
        let output = self.dir.pennypost(&["check"], "");
        assert_eq!(output.code, Some(0), "{output:?}");
        output.stdout
    }

    fn web(&self) -> TcpStream {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.web_port)).expect("the server listens");
        socket.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        socket
    }

    /// Requires a certificate that `roots` verify for both names over HTTPS and SMTP.
    fn assert_serves_certificate_of(&self, server: &ServerProcess, roots: &Path) {
        let client = TlsClient::new(roots);
        for name in ["iitkgp.edu", "mail.iit.edu"] {
            let mut stream = client.stream(self.web(), name);
            write!(stream, "GET /livez HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n").expect("sent");
            let mut response = String::new();
            stream.read_to_string(&mut response).expect("a response");
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
            starttls(server, &client, name);
        }
    }

    /// Requires the self-signed certificate.
    fn assert_serves_self_signed(&self, server: &ServerProcess) {
        starttls(server, &TlsClient::new(&self.dir.path("data/.tls/certificate.pem")), "iitkgp.edu");
    }
}

fn starttls(server: &ServerProcess, client: &TlsClient, name: &str) {
    let mut smtp = server.smtp();
    assert!(smtp.command("EHLO before").contains("\n250-STARTTLS\n"));
    assert!(smtp.command("STARTTLS").starts_with("220 2.0.0 "));
    let mut smtp = SmtpClient { stream: client.encrypt(smtp.stream, name) };
    assert!(smtp.command("EHLO after").starts_with("250"));
}

#[test]
fn first_certificate_is_issued_served_and_kept_after_a_restart() {
    let directory = PebbleSetup::new();
    let fixture = Fixture::new(&directory);
    let url = directory.url();
    let mut pebble = fixture.start_directory(directory, YEAR);
    let report = fixture.check();
    assert!(report.contains(&format!("certificate.pem: not issued by {url} yet")), "{report}");

    let mut server = fixture.serve();
    server.wait_for_log(ISSUED);
    let issuer = pebble.issuer();
    fixture.assert_serves_certificate_of(&server, &issuer);
    for name in ["account.json", "certificate.pem", "key.pem"] {
        let mode = fs::metadata(fixture.file(name)).expect("the file exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let report = fixture.check();
    assert!(!report.contains("certificate"), "{report}");

    let stored = fixture.read("certificate.pem");
    server.kill();
    // The directory is away, so that the stored certificate is the only one.
    pebble.stop();
    let server = fixture.serve();
    fixture.assert_serves_certificate_of(&server, &issuer);
    assert_eq!(fixture.read("certificate.pem"), stored);
}

#[test]
fn certificate_is_renewed_with_the_same_key_and_account() {
    let directory = PebbleSetup::new();
    let fixture = Fixture::new(&directory);
    let pebble = fixture.start_directory(directory, 24);
    let mut server = fixture.serve();
    server.wait_for_log(ISSUED);
    let [first, key, account] = ["certificate.pem", "key.pem", "account.json"].map(|name| fixture.read(name));
    let reloaded = server.wait_for_log("certificate reloaded");
    server.wait_for_log(ISSUED);
    assert_eq!(field(&reloaded, "fingerprint").matches(':').count(), 31, "{reloaded}");
    assert_ne!(fixture.read("certificate.pem"), first);
    assert_eq!([fixture.read("key.pem"), fixture.read("account.json")], [key, account]);
    fixture.assert_serves_certificate_of(&server, &pebble.issuer());
}

#[test]
fn account_that_the_directory_has_lost_is_created_again() {
    let directory = PebbleSetup::new();
    let fixture = Fixture::new(&directory);
    let mut pebble = fixture.start_directory(directory, 24);
    let mut server = fixture.serve();
    server.wait_for_log(ISSUED);
    let account = fixture.read("account.json");
    pebble.restart();
    server.wait_for_log("does not know the stored account");
    server.wait_for_log(ISSUED);
    assert_ne!(fixture.read("account.json"), account);
    fixture.assert_serves_certificate_of(&server, &pebble.issuer());
}

#[test]
fn server_starts_without_the_directory_and_gets_a_certificate_when_it_appears() {
    let directory = PebbleSetup::new();
    let fixture = Fixture::new(&directory);
    let mut server = fixture.serve();
    let line = server.wait_for_log("no certificate from");
    for part in
        ["cannot connect to acme.example", "check the network", "stays in use", "next attempt in 5 seconds"]
    {
        assert!(line.contains(part), "{line}");
    }
    fixture.assert_serves_self_signed(&server);
    let pebble = fixture.start_directory(directory, YEAR);
    server.wait_for_log(ISSUED);
    fixture.assert_serves_certificate_of(&server, &pebble.issuer());
}

#[test]
fn failed_challenge_is_reported_with_the_reason_and_keeps_the_self_signed_certificate() {
    let directory = PebbleSetup::new();
    let fixture = Fixture::new(&directory);
    // The names lead to another server, which has no challenge.
    let other_directory = PebbleSetup::new();
    let other = Fixture::new(&other_directory);
    let _other_server = other.serve();
    let pebble = directory.start(fixture.dns.address, other.web_port, YEAR);
    let mut server = fixture.serve();
    let line = server.wait_for_log("no certificate from");
    for part in ["could not verify ", "forward TCP port 443 of ", "stays in use", "next attempt in 5 minutes"] {
        assert!(line.contains(part), "{line}\n{}", pebble.log());
    }
    fixture.assert_serves_self_signed(&server);
    assert!(!fixture.file("certificate.pem").exists());

    // Without a challenge, the protocol is refused, and other clients are served.
    let client = TlsClient::new(&fixture.dir.path("data/.tls/certificate.pem"));
    let mut challenge = client.offering(CHALLENGE_PROTOCOL).stream(fixture.web(), "iitkgp.edu");
    let refused = challenge.conn.complete_io(&mut challenge.sock);
    assert!(refused.is_err(), "{refused:?}");
    let mut other_client = client.offering(b"http/1.1").stream(fixture.web(), "iitkgp.edu");
    other_client.conn.complete_io(&mut other_client.sock).expect("the handshake succeeds");
}

#[test]
fn programs_without_the_page_request_no_certificate() {
    let fixture = Fixture::new(&PebbleSetup::new());
    for server in [fixture.dir.smtp_server(), fixture.dir.pop3_server()] {
        let log = server.early_log.join("\n");
        assert!(log.contains("requests no certificate from https://acme.example:"), "{log}");
    }
}
