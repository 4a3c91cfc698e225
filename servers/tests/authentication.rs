//! DKIM signatures of outgoing mail, verified by dkimpy; DNS records from `pennypost dns`; authentication of incoming mail.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use mail_core::sasl;
use mail_core::secret::Secret;
use support::dns::{DnsRecord, DnsServer, SILENT_DOMAIN};
use support::mail_host::MailHost;
use support::{ServerProcess, SmtpClient, TIMEOUT, TestDir, run_program};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Prints `True` or `False` for each signature of the message on standard input. The DNS is a JSON object in the first argument.
const VERIFY: &str = r#"
import json, sys
import dkim
records = json.loads(sys.argv[1])
def lookup(name, timeout=5):
    text = records.get(name.decode().rstrip('.'))
    return text and text.encode()
message = sys.stdin.buffer.read()
count = len([name for name, _ in dkim.rfc822_parse(message)[0] if name.lower() == b'dkim-signature'])
for index in range(count):
    try:
        print(dkim.DKIM(message).verify(index, dnsfunc=lookup))
    except dkim.DKIMException as error:
        print(False)
"#;

/// A host of iitkgp.edu and iit.edu whose mail for other hosts goes to `port` of the mail servers in the DNS.
struct Host {
    dir: TestDir,
    server: ServerProcess,
}

impl Host {
    fn start(dns: &DnsServer, port: u16) -> Self {
        Self::start_in(TestDir::new(), dns, port)
    }

    fn start_in(dir: TestDir, dns: &DnsServer, port: u16) -> Self {
        let config = format!(
            "hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n\
             [smtp]\nsubmission_listen = ['127.0.0.1:0']\n\
             [outbound]\nmode = 'direct'\nport = {port}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\n",
            dns.address
        );
        fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
        let server = serve(&dir);
        Self { dir, server }
    }

    /// Sends a message as ag.
    fn submit(&self, recipient: &str, message: &[u8]) {
        let mut smtp = SmtpClient::connect(self.server.address("submission"));
        smtp.command("EHLO client.example");
        let plain = sasl::encode(&Secret::new("\0ag\0secret".into())).expose().clone();
        let reply = smtp.command(&format!("AUTH PLAIN {plain}"));
        assert!(reply.starts_with("235"), "{reply}");
        let reply = smtp.deliver("ag@iitkgp.edu", &[recipient], message);
        assert!(reply.starts_with("250"), "{reply}");
    }

    /// Name and text of each TXT record that `pennypost dns` prints.
    fn txt_records(&self) -> BTreeMap<String, String> {
        let output = self.dir.pennypost(&["dns"], "");
        assert_eq!(output.code, Some(0), "{output:?}");
        txt_records(&output.stdout)
    }
}

fn txt_records(zone: &str) -> BTreeMap<String, String> {
    zone.lines()
        .filter_map(|line| {
            let (name, strings) = line.split_once(". 3600 IN TXT ")?;
            let text = strings.split('"').enumerate().filter(|(index, _)| index % 2 == 1);
            Some((name.to_owned(), text.map(|(_, string)| string).collect()))
        })
        .collect()
}

fn serve(dir: &TestDir) -> ServerProcess {
    let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
    ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, dir, &["smtp", "submission", "pop3"])
}

fn example_net() -> DnsServer {
    DnsServer::start(&[
        DnsRecord::Mx("example.net", 10, "mx.example.net"),
        DnsRecord::A("mx.example.net", LOCALHOST),
    ])
}

/// The results of the signatures of a message, by dkimpy.
fn verify(message: &str, records: &BTreeMap<String, String>) -> Vec<bool> {
    let packages = packages();
    assert!(
        packages.join("dkim").is_dir(),
        "dkimpy is missing in {}; `cargo xtask setup` installs it",
        packages.display()
    );
    let records = serde_json::to_string(records).expect("strings");
    let mut command = Command::new("python3");
    command.args(["-c", VERIFY, &records]).env("PYTHONPATH", &packages);
    let output = run_program(&mut command, message.as_bytes());
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout.lines().map(|line| line == "True").collect()
}

/// The packages from PyPI.
fn packages() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target directory").join("python")
}

#[test]
fn signatures_of_submitted_mail_verify_with_the_printed_records() {
    let mx = MailHost::start(LOCALHOST, 0);
    let dns = example_net();
    let host = Host::start(&dns, mx.address.port());
    let records = host.txt_records();
    let long = "x".repeat(990) + "\r\n";
    for body in ["body\r\n.dot\r\n", "", "\r\n\r\n", "Gr\u{fc}\u{df}e\r\n", &long.repeat(400)] {
        let header = "From: ag@iit.edu\r\nTo: x@example.net\r\nSubject: hello\r\n";
        host.submit("x@example.net", format!("{header}\r\n{body}").as_bytes());
        let message = mx.next().message;
        assert_eq!(message.matches("d=iit.edu;").count(), 2, "{message:.2000}");
        assert_eq!(verify(&message, &records), [true, true], "{message:.2000}");
        for (part, changed) in [("Subject: hello", "Subject: hallo"), ("To: x", "Cc: y\r\nTo: x")] {
            assert_eq!(verify(&message.replace(part, changed), &records), [false, false], "{part}");
        }
        assert_eq!(verify(&(message + "more\r\n"), &records), [false, false]);
    }
}

#[test]
fn dns_prints_the_records_of_each_domain() {
    let dir = TestDir::with_config("[outbound]\nmode = 'direct'\n");
    let output = dir.pennypost(&["dns"], "");
    let zone = &output.stdout;
    for line in [
        "iit.edu. 3600 IN MX 10 iitkgp.edu.",
        "iitkgp.edu. 3600 IN MX 10 iitkgp.edu.",
        "iit.edu. 3600 IN TXT \"v=spf1 mx -all\"",
        "iitkgp.edu. 3600 IN TXT \"v=spf1 a -all\"",
        "_dmarc.iit.edu. 3600 IN TXT \"v=DMARC1; p=quarantine\"",
    ] {
        assert!(zone.lines().any(|printed| printed == line), "{line}: {output:?}");
    }
    let keys: Vec<_> =
        txt_records(zone).into_keys().filter(|name| name.contains("._domainkey.iit.edu")).collect();
    assert!(keys.len() == 2 && keys[0].starts_with("ed25519-") && keys[1].starts_with("rsa-"), "{keys:?}");
    assert_eq!(dir.pennypost(&["dns"], "").stdout, *zone, "the keys stay");
    let local = TestDir::with_config("").pennypost(&["dns"], "");
    assert!(local.stdout.contains("IN MX") && !local.stdout.contains("IN TXT"), "{local:?}");
}

/// A host that receives mail for example.net and verifies it with the records of `dns`.
struct Receiver {
    dir: TestDir,
    server: ServerProcess,
}

impl Receiver {
    fn start(dns: SocketAddr, inbound: &str) -> Self {
        let dir = TestDir::new();
        let config = format!(
            "hostname = 'mx.example.net'\ndomains = ['example.net']\n[outbound]\nmode = 'direct'\nresolver = ['{dns}']\n\
             [smtp]\nsubmission_listen = ['127.0.0.1:0']\nown_header_from = false\n[inbound]\n{inbound}"
        );
        fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
        let server = serve(&dir);
        Self { dir, server }
    }

    /// Sends a message from another host to gb. Returns the reply.
    fn receive(&self, from: &str, message: &str) -> String {
        let mut smtp = self.server.smtp();
        smtp.command("EHLO elsewhere.example");
        smtp.deliver(from, &["gb@example.net"], message.as_bytes())
    }

    /// The mailbox of gb once it has a message.
    fn mailbox(&self) -> String {
        let start = Instant::now();
        loop {
            let mailbox = String::from_utf8(self.dir.mailbox("gb")).expect("text");
            if mailbox.ends_with("\r\n.\r\n") {
                return mailbox;
            }
            assert!(start.elapsed() < TIMEOUT, "no message arrives");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A bank whose policy rejects mail that is not from 192.0.2.1.
fn bank() -> DnsServer {
    DnsServer::start(&[
        DnsRecord::Txt("bank.example", "v=spf1 ip4:192.0.2.1 -all"),
        DnsRecord::Txt("_dmarc.bank.example", "v=DMARC1; p=reject"),
    ])
}

const SPOOFED: &str = "From: ag@bank.example\r\nTo: gb@example.net\r\nSubject: your account\r\n\
    AUTHENTICATION-RESULTS: (really) MX.example.net.;\r\n\tdmarc=pass header.from=bank.example\r\n\
    Authentication-Results: other.example; spf=none\r\nReceived: from a by b\r\n\r\n.body\r\n";

#[test]
fn signed_mail_between_two_hosts_passes_every_check() {
    // The keys exist before the DNS has their records.
    let sender = TestDir::with_config("[outbound]\nmode = 'direct'\n");
    let printed = txt_records(&sender.pennypost(&["dns"], "").stdout);
    let mut records = vec![
        DnsRecord::Mx("example.net", 10, "mx.example.net"),
        DnsRecord::Mx("iitkgp.edu", 10, "iitkgp.edu"),
        DnsRecord::Mx("iit.edu", 10, "iitkgp.edu"),
        DnsRecord::A("mx.example.net", LOCALHOST),
        DnsRecord::A("iitkgp.edu", LOCALHOST),
        DnsRecord::Ptr("1.0.0.127.in-addr.arpa", "iitkgp.edu"),
    ];
    records.extend(printed.iter().map(|(name, text)| DnsRecord::Txt(name, text)));
    let dns = DnsServer::start(&records);
    let receiver = Receiver::start(dns.address, "dmarc = 'reject'");
    let port = receiver.server.address("smtp").port();
    let host = Host::start_in(sender, &dns, port);
    let body = "Gr\u{fc}\u{df}e\r\n".repeat(100_000);
    host.submit("gb@example.net", format!("From: ag@iit.edu\r\nSubject: x\r\n\r\n{body}").as_bytes());
    let mailbox = receiver.mailbox();
    let (_, results) =
        mailbox.split_once("\r\nAuthentication-Results: mx.example.net;\r\n\t").expect("a field");
    let results = results.split_once("\r\nReceived: ").expect("the field of the sender's host follows").0;
    let lines: Vec<_> = results.split(";\r\n\t").collect();
    assert_eq!(
        lines[..3],
        [
            "iprev=pass policy.iprev=127.0.0.1",
            "spf=pass smtp.helo=iitkgp.edu",
            "spf=pass smtp.mailfrom=ag@iitkgp.edu"
        ],
        "{results}"
    );
    for (line, algorithm) in lines[3..5].iter().zip(["ed25519-sha256", "rsa-sha256"]) {
        assert!(line.starts_with("dkim=pass header.d=iit.edu header.s="), "{results}");
        assert!(line.contains(&format!(" header.a={algorithm} ")), "{results}");
    }
    assert_eq!(lines[5..], ["dmarc=pass header.from=iit.edu policy.dmarc=quarantine"], "{results}");
}

#[test]
fn spoofed_mail_is_reported_and_forged_results_are_removed() {
    let dns = bank();
    let receiver = Receiver::start(dns.address, "");
    let reply = receiver.receive("ag@bank.example", SPOOFED);
    assert!(reply.starts_with("250"), "{reply}");
    let mailbox = receiver.mailbox();
    let (trace, rest) = mailbox.split_once("Authentication-Results: mx.example.net;\r\n\t").expect("a field");
    assert!(
        trace.contains(
            "\r\nReturn-Path: <ag@bank.example>\r\nDelivered-To: gb@example.net\r\nReceived: from elsewhere.example"
        ),
        "{trace}"
    );
    let expected = "iprev=pass policy.iprev=127.0.0.1;\r\n\tspf=none smtp.helo=elsewhere.example;\r\n\t\
         spf=fail smtp.mailfrom=ag@bank.example;\r\n\tdkim=none;\r\n\t\
         dmarc=fail header.from=bank.example policy.dmarc=reject\r\n\
         Authentication-Results: other.example; spf=none\r\nReceived: from a by b\r\n\r\n..body\r\n.\r\n";
    assert_eq!(rest, expected);
    assert!(!mailbox.to_ascii_lowercase().contains("(really)"), "{mailbox}");
    let mut pop3 = receiver.server.log_in("gb", "other");
    let (_, octets) = pop3.stat();
    assert_eq!(pop3.retrieve(1).len(), octets, "LIST octets equal RETR octets");
}

#[test]
fn dmarc_policy_rejects_spoofed_mail_if_configured() {
    let dns = bank();
    let receiver = Receiver::start(dns.address, "dmarc = 'reject'");
    let reply = receiver.receive("x@elsewhere.example", SPOOFED);
    assert!(reply.starts_with("550 5.7.1 Rejected by the DMARC policy of bank.example"), "{reply}");
    assert!(receiver.dir.mailbox("gb").is_empty());
    let reply = receiver.receive("ag@bank.example", &SPOOFED.replace("ag@bank", "ag@elsewhere"));
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn several_authors_do_not_evade_the_policy() {
    let dns = bank();
    let rejecting = Receiver::start(dns.address, "dmarc = 'reject'");
    let own = "From: ag@elsewhere.example\r\n";
    for header in [
        format!("{own}From: ag@bank.example\r\n"),
        format!("From: ag@bank.example\r\n{own}"),
        "From: ag@elsewhere.example, ag@bank.example\r\n".to_owned(),
        "From: ag@bank.example <\r\n".to_owned() + own,
    ] {
        let message = format!("{header}Subject: x\r\n\r\nbody\r\n");
        let reply = rejecting.receive("x@elsewhere.example", &message);
        assert!(reply.starts_with("550 5.7.1 The message must have one From field"), "{header}: {reply}");
    }
    let reporting = Receiver::start(dns.address, "");
    let reply = reporting.receive("x@elsewhere.example", &format!("{own}{SPOOFED}"));
    assert!(reply.starts_with("250"), "{reply}");
    let mailbox = reporting.mailbox();
    assert!(mailbox.contains("dmarc=permerror\r\n"), "{mailbox}");
}

#[test]
fn silent_dns_of_another_domain_does_not_evade_the_policy() {
    let dns = bank();
    let receiver = Receiver::start(dns.address, "dmarc = 'reject'");
    let signature = |domain| {
        format!(
            "DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s=a; h=From; c=relaxed/relaxed;\r\n\tbh=AAAA; b=AAAA\r\n"
        )
    };
    let signatures = signature(SILENT_DOMAIN).repeat(4) + &signature("bank.example");
    let reply = receiver.receive(&format!("x@{SILENT_DOMAIN}"), &format!("{signatures}{SPOOFED}"));
    assert!(reply.starts_with("550 5.7.1 Rejected by the DMARC policy of bank.example"), "{reply}");
}

/// Seals the message on standard input as iit.edu. The arguments are the file of the key and its selector.
const SEAL: &str = r#"
import sys
import dkim
message = sys.stdin.buffer.read()
key = open(sys.argv[1], 'rb').read()
fields = dkim.arc_sign(message, sys.argv[2].encode(), b'iit.edu', key, b'forwarder.example')
sys.stdout.buffer.write(b''.join(fields) + message)
"#;

#[test]
fn chain_of_a_forwarder_is_verified() {
    let forwarder = TestDir::with_config("[outbound]\nmode = 'direct'\n");
    let printed = txt_records(&forwarder.pennypost(&["dns"], "").stdout);
    let records: Vec<_> = printed.iter().map(|(name, text)| DnsRecord::Txt(name, text)).collect();
    let dns = DnsServer::start(&records);
    let keys = fs::read_dir(forwarder.path("data/.dkim")).expect("the folder exists");
    let mut keys = keys.map(|entry| entry.expect("an entry").path());
    let key = keys.find(|path| path.to_string_lossy().contains("/rsa-")).expect("an RSA key");
    let selector = key.file_stem().expect("a selector");
    let mut command = Command::new("python3");
    command.args(["-c", SEAL]).arg(&key).arg(selector).env("PYTHONPATH", packages());
    let message =
        b"Authentication-Results: forwarder.example; spf=pass smtp.mailfrom=x@elsewhere.example\r\n\
        From: x@elsewhere.example\r\nSubject: forwarded\r\n\r\nbody\r\n";
    let sealed = run_program(&mut command, message);
    assert_eq!(sealed.code, Some(0), "{sealed:?}");
    for (sealed, result) in
        [(sealed.stdout.clone(), "pass"), (sealed.stdout.replace("body", "changed"), "fail")]
    {
        let receiver = Receiver::start(dns.address, "");
        let reply = receiver.receive("x@elsewhere.example", &sealed);
        assert!(reply.starts_with("250"), "{reply}");
        let mailbox = receiver.mailbox();
        assert!(mailbox.contains(&format!("arc={result} header.d=iit.edu")), "{mailbox}");
    }
}

#[test]
fn mail_of_users_is_not_verified_and_cannot_forge_results() {
    let dns = bank();
    let receiver = Receiver::start(dns.address, "dmarc = 'reject'");
    let mut smtp = SmtpClient::connect(receiver.server.address("submission"));
    smtp.command("EHLO client.example");
    let plain = sasl::encode(&Secret::new("\0ag\0secret".into())).expose().clone();
    smtp.command(&format!("AUTH PLAIN {plain}"));
    let reply = smtp.deliver("ag@example.net", &["gb@example.net"], SPOOFED.as_bytes());
    assert!(reply.starts_with("250"), "{reply}");
    let mailbox = receiver.mailbox();
    assert!(!mailbox.contains("mx.example.net;") && mailbox.contains("Results: other.example;"), "{mailbox}");
}

#[test]
fn dns_that_does_not_answer_delays_mail_and_rejects_none() {
    let silent = UdpSocket::bind((LOCALHOST, 0)).expect("a free port");
    let receiver = Receiver::start(silent.local_addr().expect("bound"), "dmarc = 'reject'");
    let start = Instant::now();
    let signature = "DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=a; h=From; c=relaxed/relaxed;\r\n\t\
        bh=AAAA; b=AAAA\r\n";
    let reply = receiver.receive("ag@bank.example", &format!("{signature}{SPOOFED}"));
    assert!(reply.starts_with("250"), "{reply}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    let mailbox = receiver.mailbox();
    for result in
        ["spf=temperror smtp.helo", "spf=temperror smtp.mailfrom", "dmarc=temperror header.from=bank.example"]
    {
        assert!(mailbox.contains(result), "{result}: {mailbox}");
    }
}

#[test]
fn hostile_signatures_and_authors_take_little_time() {
    let dns = bank();
    let receiver = Receiver::start(dns.address, "");
    let names = "From:".repeat(5_000) + "From";
    let folded = names.replace("From:From:From:From:From:From:From:From:", "From:\r\n ");
    let signature = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; d=bank.example; s=a; c=relaxed/relaxed;\r\n h={folded};\r\n bh=AAAA; b=AAAA\r\n"
    );
    let fields = "X: y\r\n".repeat(50_000);
    let authors = "From: a@bank.example, b@bank.example\r\n".repeat(2_000);
    let start = Instant::now();
    for header in [signature.repeat(100), signature + &fields, authors] {
        let reply = receiver.receive("x@elsewhere.example", &format!("{header}Subject: x\r\n\r\nbody\r\n"));
        assert!(reply.starts_with("250"), "{reply}");
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}
