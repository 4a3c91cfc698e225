//! Mail in both directions over TLS with the real Postfix and the real Exim: addresses and headers in UTF-8, 8-bit bodies, delivery
//! reports. OpenDKIM signs and verifies mail of Postfix.

mod support;

use mail_core::message::parsed::ParsedMessage;

use std::thread;
use std::time::{Duration, Instant};

use support::TIMEOUT;
use support::dns::{DnsRecord, DnsServer};
use support::mail_server::{Authority, MailServer, OTHER, RECEIVER, common_port};
use support::other_server::{DkimKey, OtherServer};

/// first.example is this project, second.example the other server.
struct Hosts {
    ours: MailServer,
    other: OtherServer,
    _dns: DnsServer,
    /// Its root certificate is read again later.
    _authority: Authority,
}

impl Hosts {
    fn start(start: fn(&Authority, &DkimKey, u16) -> OtherServer) -> Self {
        let (authority, key, port) = (Authority::new(), DkimKey::generate(), common_port());
        let dns = DnsServer::start(&[
            DnsRecord::Mx("second.example", 10, "mx.second.example"),
            DnsRecord::A("mx.second.example", RECEIVER),
            DnsRecord::Txt("second.example", "v=spf1 ip4:127.0.0.1 -all"),
            DnsRecord::Txt("_dmarc.second.example", "v=DMARC1; p=reject"),
            DnsRecord::Txt(&key.record.0, &key.record.1),
            DnsRecord::Mx("old.example", 10, "mx.old.example"),
            DnsRecord::A("mx.old.example", OTHER),
        ]);
        let other = start(&authority, &key, port);
        let ours = MailServer::exchanger(&authority, &dns, port);
        Self { ours, other, _dns: dns, _authority: authority }
    }

    /// Submits a message of ag with parameters of MAIL and RCPT.
    fn submit(&self, mail: &str, recipient: &str, rcpt: &str, message: &str) {
        let mut smtp = self.ours.submission();
        for command in [format!("MAIL FROM:<ag@first.example>{mail}"), format!("RCPT TO:<{recipient}>{rcpt}")]
        {
            let reply = smtp.command(&command);
            assert!(reply.starts_with("250"), "{command}: {reply}");
        }
        let reply = smtp.deliver_after_mail(&[], message.as_bytes());
        assert!(reply.starts_with("250"), "{reply}");
    }

    /// The sentence of a report in the mailbox of ag that contains `text`.
    fn sentence(&self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let mailbox = String::from_utf8_lossy(&self.ours.dir.mailbox("ag")).into_owned();
            let sentences: Vec<_> = mailbox.split("\r\n.\r\n").flat_map(sentences).collect();
            if let Some(sentence) = sentences.iter().find(|sentence| sentence.contains(text)) {
                return sentence.clone();
            }
            assert!(
                begin.elapsed() < TIMEOUT,
                "no {text:?} in {sentences:?}: {mailbox} {} {}",
                self.other.log(),
                self.ours.queue()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn exchange_mail(&self) {
        // To the other server.
        let message = "From: ag@first.example\r\nSubject: größer\r\n\r\nRückfrage\r\n.dot\r\n";
        self.submit(" SMTPUTF8 BODY=8BITMIME", "jürgen@second.example", "", message);
        let received = self.other.wait_for("Rückfrage");
        assert!(
            received.contains("Subject: größer\n") && received.contains("\n\nRückfrage\n.dot\n"),
            "{received}"
        );
        let with = received.to_ascii_lowercase();
        assert!(with.contains("with utf8smtps") || with.contains("with utf8esmtps"), "{received}");
        // From the other server, which verifies the certificate.
        let mut client = self.other.client();
        assert!(
            client.command("MAIL FROM:<jürgen@second.example> SMTPUTF8 BODY=8BITMIME").starts_with("250")
        );
        let message = "From: jürgen@second.example\r\nSubject: näher\r\n\r\nAntwort für gb\r\n..\r\n";
        let reply = client.deliver_after_mail(&["gb@first.example"], message.as_bytes());
        assert!(reply.starts_with("250"), "{reply}");
        let mailbox = self.ours.wait_for("gb", "Antwort für gb");
        assert!(
            mailbox.contains("Subject: näher\r\n") && mailbox.contains("\r\nAntwort für gb\r\n...\r\n"),
            "{mailbox}"
        );
        assert!(mailbox.contains("by mx.first.example with UTF8SMTPS (TLS"), "{mailbox}");
        assert!(mailbox.contains("Return-Path: <jürgen@second.example>"), "{mailbox}");
        assert!(
            mailbox.contains("\tspf=pass smtp.mailfrom") && mailbox.contains("\tdmarc=pass"),
            "{mailbox}"
        );
    }

    fn exchange_reports(&self) {
        let message = "From: ag@first.example\r\nSubject: report\r\n\r\nbody\r\n";
        // The other server reports the delivery, and the failure of an alias that leads here.
        self.submit("", "gb@second.example", " NOTIFY=SUCCESS", message);
        assert_eq!(self.sentence("Delivered"), "Delivered to gb@second.example.");
        self.submit("", "broken@second.example", "", message);
        let failure = self.sentence("Not delivered");
        // This server refuses the forwarded message: no such user, or a sender of its own domain without a login.
        assert!(failure.starts_with("Not delivered to broken@second.example: "), "{failure}");
        // This one refuses the recipient; the report stays with the sender.
        let mut client = self.other.client();
        let reply = client.deliver("gb@second.example", &["nobody@first.example"], message.as_bytes());
        assert!(reply.starts_with("250"), "{reply}");
        let report = self.other.wait_for("Final-Recipient");
        let sentences = sentences(&report);
        assert!(
            matches!(&sentences[..], [one] if one.starts_with("Not delivered to nobody@first.example: ")),
            "{sentences:?} {report}"
        );
    }

    fn refuses_utf8(&self) {
        self.submit(
            " SMTPUTF8",
            "gb@old.example",
            "",
            "From: ag@first.example\r\nSubject: \u{fc}\r\n\r\nbody\r\n",
        );
        self.sentence(
            "Not delivered to gb@old.example: the mail server does not accept addresses that are not ASCII",
        );
    }
}

/// The sentences of a delivery report; none for another message.
fn sentences(message: &str) -> Vec<String> {
    let report = ParsedMessage::parse(message.as_bytes()).report;
    report.iter().flat_map(|report| &report.recipients).map(|recipient| recipient.sentence()).collect()
}

#[test]
fn postfix_exchanges_mail_and_reports() {
    let hosts = Hosts::start(OtherServer::postfix);
    hosts.other.trust_keys(&hosts.ours.dkim_keys());
    hosts.exchange_mail();
    let received = hosts.other.wait_for("Rückfrage");
    for algorithm in ["ed25519", "rsa"] {
        let passes =
            |line: &str| line.contains("dkim=pass") && line.contains(&format!("header.a={algorithm}-sha256"));
        assert!(received.lines().any(passes), "{algorithm}: {received}");
    }
    let mailbox = hosts.ours.wait_for("gb", "Antwort");
    assert!(mailbox.contains("\tdkim=pass header.d=second.example"), "{mailbox}");
    hosts.exchange_reports();
    // Without 8BITMIME and SMTPUTF8, the sender gets the reason.
    hosts.submit(" BODY=8BITMIME", "gb@old.example", "", "From: ag@first.example\r\n\r\n\u{fc}\r\n");
    hosts.sentence("Not delivered to gb@old.example: the message would need a conversion");
    hosts.refuses_utf8();
}

#[test]
fn exim_exchanges_mail_and_reports() {
    let hosts = Hosts::start(OtherServer::exim);
    hosts.exchange_mail();
    let mailbox = hosts.ours.wait_for("gb", "Antwort");
    assert!(mailbox.contains("\tdkim=pass header.d=second.example"), "{mailbox}");
    hosts.exchange_reports();
    hosts.refuses_utf8();
}
