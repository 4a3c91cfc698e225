//! TLS that the recipients' domain or the sender demands: DANE, MTA-STS, REQUIRETLS. Without it, no mail is sent.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use support::TestDir;
use support::dns::{DnsRecord, DnsServer};
use support::mail_host::MailHost;
use support::mail_server::{Authority, MailServer, OTHER, RECEIVER, common_port};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

const MESSAGE: &str = "From: ag@first.example\r\nSubject: x\r\n\r\nbody of the message\r\n";
const NAMES: [&str; 2] = ["mx.second.example", "mta-sts.second.example"];

/// The host of second.example at [`RECEIVER`], with the mail server and TLSA records of its own.
const MX: DnsRecord<'_> = DnsRecord::Mx("second.example", 10, "mx.second.example");
const RECEIVER_ADDRESS: DnsRecord<'_> = DnsRecord::A("mx.second.example", RECEIVER);
const POLICY_ADDRESS: DnsRecord<'_> = DnsRecord::A("mta-sts.second.example", RECEIVER);

/// A host without STARTTLS, as after an attack that removes it.
fn plain_host(port: u16) -> MailHost {
    MailHost::start(OTHER, port)
}

fn commands(host: &MailHost) -> Vec<String> {
    host.commands.lock().expect("no thread panics").clone()
}

fn tlsa_name(port: u16) -> String {
    format!("_{port}._tcp.mx.second.example")
}

#[test]
fn dane_verifies_the_key_of_the_receiving_host() {
    let (authority, port) = (Authority::new(), common_port());
    // DANE needs neither a name nor an authority.
    let receiver = MailServer::receiver(&authority, &["elsewhere.example"], port);
    let printed = receiver.record("_25._tcp.mx.second.example", "TLSA");
    let digest = printed.strip_prefix("3 1 1 ").expect("the form of the record");
    let name = tlsa_name(port);
    let dns = DnsServer::start_signed(&[MX, RECEIVER_ADDRESS, DnsRecord::Tlsa(&name, digest)], &[]);
    let mut sender = MailServer::sender(&dns, port, "mta_sts = false");
    sender.submit("gb@second.example", "", MESSAGE);
    let mailbox = receiver.wait_for("gb", "body of the message");
    assert!(mailbox.contains("with ESMTPS (TLS"), "{mailbox}");
    sender.server.wait_for_log("DANE is used");

    let wrong = "00".repeat(32);
    let dns = DnsServer::start_signed(&[MX, RECEIVER_ADDRESS, DnsRecord::Tlsa(&name, &wrong)], &[]);
    let sender = MailServer::sender(&dns, port, "mta_sts = false");
    // The sender may decide that TLS does not matter (RFC 8689 section 5).
    sender.submit(
        "gb@second.example",
        "",
        &format!("TLS-Required: No\r\n{MESSAGE}").replace("body of", "second"),
    );
    receiver.wait_for("gb", "second the message");
    sender.submit("gb@second.example", "", MESSAGE);
    let list = sender.wait_until_deferred("4.7.5 mx.second.example [127.0.0.22]: the TLS handshake failed");
    assert!(list.contains("NoTlsaRecordMatches") && list.contains("(demanded by DANE)"), "{list}");
}

#[test]
fn dane_sends_nothing_in_plain_text() {
    let port = common_port();
    let host = plain_host(port);
    let (name, digest) = (tlsa_name(port), "ab".repeat(32));
    let address = DnsRecord::A("mx.second.example", OTHER);
    let dns = DnsServer::start_signed(&[MX, address, DnsRecord::Tlsa(&name, &digest)], &[]);
    let sender = MailServer::sender(&dns, port, "");
    sender.submit("gb@second.example", "", MESSAGE);
    sender.wait_until_deferred("does not offer encryption");
    assert!(commands(&host).iter().all(|line| !line.starts_with("MAIL")), "{:?}", commands(&host));
    // Without DNSSEC validation, or in an unsigned zone, the records prove nothing.
    let records = [MX, address, DnsRecord::Tlsa(&name, &digest)];
    let unsigned = DnsServer::start(&records);
    let mut sender = MailServer::sender(&unsigned, port, "");
    sender.submit("gb@second.example", "", MESSAGE);
    assert_eq!(host.next().to, ["<gb@second.example>"]);
    sender.server.wait_for_log("do not pass on DNSSEC signatures");
}

#[test]
fn unsigned_zone_below_a_signed_one_gets_mail_without_dane() {
    let port = common_port();
    let host = plain_host(port);
    let (name, digest) = (tlsa_name(port), "ab".repeat(32));
    let records = [MX, DnsRecord::A("mx.second.example", OTHER), DnsRecord::Tlsa(&name, &digest)];
    let dns = DnsServer::start_signed(&[], &[("second.example", &records)]);
    let mut sender = MailServer::sender(&dns, port, "");
    sender.submit("gb@second.example", "", MESSAGE);
    assert_eq!(host.next().to, ["<gb@second.example>"]);
    sender.server.wait_for_log("DANE is used");
}

#[test]
fn records_without_the_signatures_of_their_zone_are_not_believed() {
    let port = common_port();
    let host = plain_host(port);
    // The root is signed and knows no such domain.
    let records = [MX, DnsRecord::A("mx.second.example", OTHER)];
    let dns = DnsServer::start_forged(&[("second.example", &records)]);
    let sender = MailServer::sender(&dns, port, "");
    sender.submit("gb@second.example", "", MESSAGE);
    sender.wait_until_deferred("4.4.3");
    assert!(commands(&host).is_empty());
}

/// A receiver with a policy, the id of which is the last field.
fn with_policy(authority: &Authority, port: u16) -> (MailServer, String, String) {
    let receiver = MailServer::receiver(authority, &NAMES, port);
    let record = receiver.record("_mta-sts.second.example", "TXT");
    let keys = format!("mta_sts_port = {}\nca = '{}'", receiver.web_port(), authority.file().display());
    (receiver, record, keys)
}

#[test]
fn mta_sts_demands_the_named_host_and_its_certificate() {
    let (authority, port) = (Authority::new(), common_port());
    let (receiver, record, keys) = with_policy(&authority, port);
    assert_eq!(
        receiver.record("_smtp._tls.second.example", "TXT"),
        "v=TLSRPTv1; rua=mailto:postmaster@second.example"
    );
    let txt = DnsRecord::Txt("_mta-sts.second.example", &record);
    let dns = DnsServer::start(&[MX, RECEIVER_ADDRESS, POLICY_ADDRESS, txt]);
    let sender = MailServer::sender(&dns, port, &keys);
    sender.submit("gb@second.example", "", MESSAGE);
    receiver.wait_for("gb", "body of the message");
    let stored = sender.dir.path("data/.mta-sts/second.example");
    let policy = fs::read_to_string(&stored).expect("the policy is stored");
    assert!(policy.contains("mode: enforce\nmx: mx.second.example\n"), "{policy}");

    // A host without STARTTLS takes the name, and the record of the policy is hidden.
    let host = plain_host(port);
    let dns = DnsServer::start(&[MX, DnsRecord::A("mx.second.example", OTHER), POLICY_ADDRESS]);
    let MailServer { dir, server, .. } = sender;
    drop(server);
    let sender = MailServer::sender_in(dir, &dns, port, &keys);
    sender.submit("gb@second.example", "", MESSAGE);
    sender.wait_until_deferred("(demanded by MTA-STS)");
    assert!(commands(&host).iter().all(|line| !line.starts_with("MAIL")), "{:?}", commands(&host));

    // The MX record leads to a host that the policy does not name.
    let other = DnsRecord::Mx("second.example", 10, "mx.evil.example");
    let dns = DnsServer::start(&[other, DnsRecord::A("mx.evil.example", OTHER), POLICY_ADDRESS, txt]);
    let sender = MailServer::sender(&dns, port, &keys);
    sender.submit("gb@second.example", "", MESSAGE);
    sender.wait_until_deferred("4.7.5 the MTA-STS policy of second.example does not name mx.evil.example");
}

#[test]
fn mta_sts_refuses_a_certificate_of_another_authority_or_name() {
    let (authority, stranger, port) = (Authority::new(), Authority::new(), common_port());
    let (policy_host, record, keys) = with_policy(&authority, common_port());
    let txt = DnsRecord::Txt("_mta-sts.second.example", &record);
    for (issuer, name) in [(&stranger, "mx.second.example"), (&authority, "mx.other.example")] {
        let receiver = MailServer::receiver(issuer, &[name], port);
        let dns = DnsServer::start(&[MX, RECEIVER_ADDRESS, POLICY_ADDRESS, txt]);
        let sender = MailServer::sender(&dns, port, &keys);
        sender.submit("gb@second.example", "", MESSAGE);
        let list = sender.wait_until_deferred("the TLS handshake failed: invalid peer certificate");
        assert!(list.contains("(demanded by MTA-STS)"), "{list}");
        receiver.server.kill();
    }
    drop(policy_host);
}

#[test]
fn unusable_tlsa_records_demand_tls_and_keep_the_policy() {
    let (authority, stranger, port) = (Authority::new(), Authority::new(), common_port());
    let (policy_host, record, keys) = with_policy(&authority, common_port());
    let (name, txt) = (tlsa_name(port), DnsRecord::Txt("_mta-sts.second.example", &record));
    let receiver = MailServer::receiver(&stranger, &["mx.second.example"], port);
    let records = [MX, RECEIVER_ADDRESS, POLICY_ADDRESS, DnsRecord::UnusableTlsa(&name), txt];
    let dns = DnsServer::start_signed(&records, &[]);
    let sender = MailServer::sender(&dns, port, &keys);
    sender.submit("gb@second.example", "", MESSAGE);
    let list = sender.wait_until_deferred("the TLS handshake failed: invalid peer certificate");
    assert!(list.contains("(demanded by MTA-STS)"), "{list}");
    drop(policy_host);

    // Without a policy, any certificate is accepted, and plain text is not.
    let dns = DnsServer::start_signed(&[MX, RECEIVER_ADDRESS, DnsRecord::UnusableTlsa(&name)], &[]);
    let sender = MailServer::sender(&dns, port, "");
    sender.submit("gb@second.example", "", MESSAGE);
    receiver.wait_for("gb", "body of the message");
    let host = plain_host(port);
    let address = DnsRecord::A("mx.second.example", OTHER);
    let dns = DnsServer::start_signed(&[MX, address, DnsRecord::UnusableTlsa(&name)], &[]);
    let sender = MailServer::sender(&dns, port, "");
    sender.submit("gb@second.example", "", MESSAGE);
    sender.wait_until_deferred("does not offer encryption");
    assert!(commands(&host).iter().all(|line| !line.starts_with("MAIL")), "{:?}", commands(&host));
}

#[test]
fn policy_of_an_unverified_host_is_ignored() {
    let (authority, port) = (Authority::new(), common_port());
    let receiver = MailServer::receiver(&authority, &NAMES, port);
    let record = receiver.record("_mta-sts.second.example", "TXT");
    let other = Authority::new();
    let keys = format!("mta_sts_port = {}\nca = '{}'", receiver.web_port(), other.file().display());
    let host = plain_host(port);
    let txt = DnsRecord::Txt("_mta-sts.second.example", &record);
    let dns = DnsServer::start(&[MX, DnsRecord::A("mx.second.example", OTHER), POLICY_ADDRESS, txt]);
    let mut sender = MailServer::sender(&dns, port, &keys);
    sender.submit("gb@second.example", "", MESSAGE);
    assert_eq!(host.next().to, ["<gb@second.example>"]);
    sender.server.wait_for_log("the MTA-STS policy cannot be read");
}

/// An HTTPS server on [`RECEIVER`] that answers a request for `mta-sts.DOMAIN` with the response of the domain. Returns its port.
fn https_server(authority: &Authority, responses: Vec<(String, String)>) -> u16 {
    let dir = TestDir::new();
    let names: Vec<_> = responses.iter().map(|(domain, _)| format!("mta-sts.{domain}")).collect();
    authority.issue(&names.iter().map(String::as_str).collect::<Vec<_>>(), &dir);
    let chain = CertificateDer::pem_file_iter(dir.path("certificate.pem")).expect("the file is readable");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(dir.path("key.pem")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key is that of the certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind((RECEIVER, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a valid configuration");
            let mut stream = BufReader::new(StreamOwned::new(connection, stream));
            let lines = stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head = lines.collect::<Vec<_>>().join("\n");
            let response = responses.iter().find(|(domain, _)| head.contains(&format!("mta-sts.{domain}")));
            let response = response.map_or("", |(_, response)| response);
            // The client closes the connection when it has read enough.
            let _ = stream.get_mut().write_all(response.as_bytes());
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
        }
    });
    port
}

#[test]
fn policy_host_that_misbehaves_has_no_policy() {
    let (authority, port) = (Authority::new(), common_port());
    let policy = "version: STSv1\nmode: enforce\nmx: elsewhere.example\nmax_age: 86400\n";
    let text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    let responses: Vec<_> = [
        format!("HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/\r\nContent-Type: text/plain\r\n\r\n{policy}"),
        format!("{}\r\n{policy}", text.replace("text/plain", "text/html")),
        format!("{text}\r\n{policy}x: {}\n", "x".repeat(100_000)),
        format!("{text}\r\n{}", policy.replace("STSv1", "STSv9")),
        format!("{text}{}\r\n{policy}", "X-Field: x\r\n".repeat(100_000)),
        String::new(),
    ]
    .into_iter()
    .enumerate()
    .map(|(number, response)| (format!("domain{number}.example"), response))
    .collect();
    let names: Vec<_> = responses
        .iter()
        .map(|(domain, _)| [domain.as_str(), "_mta-sts.", "mta-sts."].map(String::from))
        .collect();
    let names: Vec<_> =
        names.into_iter().map(|[domain, record, host]| (record + &domain, host + &domain, domain)).collect();
    let mut records = vec![DnsRecord::A("mx.second.example", OTHER)];
    for (record, host, domain) in &names {
        records.push(DnsRecord::Mx(domain, 10, "mx.second.example"));
        records.push(DnsRecord::Txt(record, "v=STSv1; id=1"));
        records.push(DnsRecord::A(host, RECEIVER));
    }
    let dns = DnsServer::start(&records);
    let host = plain_host(port);
    let web_port = https_server(&authority, responses);
    let keys = format!("mta_sts_port = {web_port}\nca = '{}'", authority.file().display());
    let mut sender = MailServer::sender(&dns, port, &keys);
    for (_, _, domain) in &names {
        sender.submit(&format!("gb@{domain}"), "", MESSAGE);
        assert_eq!(host.next().to, [format!("<gb@{domain}>")]);
        sender.server.wait_for_log("the MTA-STS policy cannot be read");
    }
    assert!(!sender.dir.path("data/.mta-sts").exists());
}

#[test]
fn requiretls_is_sent_over_verified_tls_or_returned() {
    let (authority, port) = (Authority::new(), common_port());
    let receiver = MailServer::receiver(&authority, &["mx.second.example"], port);
    let printed = receiver.record("_25._tcp.mx.second.example", "TLSA");
    let digest = printed.strip_prefix("3 1 1 ").expect("the form of the record");
    let name = tlsa_name(port);
    let dns = DnsServer::start_signed(&[MX, RECEIVER_ADDRESS, DnsRecord::Tlsa(&name, digest)], &[]);
    let sender = MailServer::sender(&dns, port, "");
    sender.submit("gb@second.example", " REQUIRETLS", MESSAGE);
    receiver.wait_for("gb", "body of the message");
    // A signed name of a host suffices with a certificate of an authority.
    let dns = DnsServer::start_signed(&[MX, RECEIVER_ADDRESS], &[]);
    let sender = MailServer::sender(&dns, port, &format!("ca = '{}'", authority.file().display()));
    sender.submit("gb@second.example", " REQUIRETLS", &MESSAGE.replace("body of", "second"));
    receiver.wait_for("gb", "second the message");
    // An unsigned one does not.
    let dns = DnsServer::start(&[MX, RECEIVER_ADDRESS]);
    let sender = MailServer::sender(&dns, port, &format!("ca = '{}'", authority.file().display()));
    sender.submit("gb@second.example", " REQUIRETLS", MESSAGE);
    let report = sender.wait_for("ag", "Status: 5.7.30");
    // The report has no content of the message.
    assert!(report.contains("Subject: x") && !report.contains("body of the message"), "{report}");
}

#[test]
fn requiretls_is_returned_if_the_next_host_does_not_promise_it() {
    let (authority, port) = (Authority::new(), common_port());
    let receiver = MailServer::receiver(&authority, &["mx.second.example"], port);
    let host = plain_host(port);
    let dns = DnsServer::start_signed(&[MX, DnsRecord::A("mx.second.example", OTHER)], &[]);
    let sender = MailServer::sender(&dns, port, &format!("ca = '{}'", authority.file().display()));
    sender.submit("gb@second.example", " REQUIRETLS", MESSAGE);
    let report = sender.wait_for("ag", "Status: 5.7.30");
    assert!(report.contains("(demanded by REQUIRETLS)"), "{report}");
    assert!(commands(&host).iter().all(|line| !line.starts_with("MAIL")), "{:?}", commands(&host));
    drop(receiver);
}
