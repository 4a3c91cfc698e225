//! Delivery reports as other mail systems write them, and those in the collection of real mails if it exists.

#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, reason = "a test binary has no public docs")]

mod sample_mails;

use mail_core::line::LineNormaliser;
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::report::DeliveryReport;

/// The fields of reports in the manner of a mail system, with the sentence and the text of the reply.
const MANNERS: &[(&str, &str, &str, &str)] = &[
    (
        "Postfix",
        "Reporting-MTA: dns; mx.example.org\nX-Postfix-Queue-ID: 4F2A\nX-Postfix-Sender: rfc822; ag@iit.edu\n\
         Arrival-Date: Sun, 22 Nov 2026 19:15:06 +0000 (UTC)\n\n\
         Final-Recipient: rfc822; gb@x.example\nOriginal-Recipient: rfc822;gb@x.example\nAction: failed\n\
         Status: 5.1.1\nRemote-MTA: dns; mx.x.example\n\
         Diagnostic-Code: smtp; 550 5.1.1 <gb@x.example>: Recipient address\n    rejected: unknown",
        "Not delivered to gb@x.example: no such user.",
        "550 5.1.1 <gb@x.example>: Recipient address rejected: unknown",
    ),
    (
        "Exim",
        "Reporting-MTA: dns; mx.example.org\n\nAction: failed\nFinal-Recipient: rfc822;gb@x.example\nStatus: 5.0.0\n\
         Remote-MTA: dns; mx.x.example\nDiagnostic-Code: smtp; 552 5.2.2 Mailbox full",
        "Not delivered to gb@x.example: the mailbox is full.",
        "552 5.2.2 Mailbox full",
    ),
    (
        "Exchange",
        "Reporting-MTA: dns;EX01.example.org\nReceived-From-MTA: dns;a.example\n\
         Arrival-Date: Sun, 22 Nov 2026 19:15:06 +0000\n\nFinal-Recipient: rfc822;gb@x.example\nAction: failed\n\
         Status: 5.7.1\nDiagnostic-Code: smtp;550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized\nX-Display-Name: G B",
        "Not delivered to gb@x.example: the mail server refuses the message by its rules.",
        "550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized",
    ),
    (
        "Gmail",
        "Reporting-MTA: dns; googlemail.com\nReceived-From-MTA: dns; ag@iit.edu\n\
         Arrival-Date: Sun, 22 Nov 2026 11:15:06 -0800 (PST)\n\nFinal-Recipient: rfc822; gb@x.example\n\
         Action: delayed\nStatus: 4.4.1\nRemote-MTA: dns; mx.x.example. (192.0.2.1, the server for the domain x.example.)\n\
         Will-Retry-Until: Wed, 25 Nov 2026 11:15:06 -0800 (PST)",
        "Not delivered to gb@x.example yet: the mail server does not answer.",
        "",
    ),
    (
        "Sendmail",
        "Reporting-MTA: dns; mx.example.org\nArrival-Date: Sun, 22 Nov 2026 19:15:06 GMT\n\n\
         Final-Recipient: RFC822; gb@x.example\nAction: failed\nStatus: 5.1.2\nRemote-MTA: DNS; x.example\n\
         Diagnostic-Code: SMTP; 550 Host unknown\nLast-Attempt-Date: Sun, 22 Nov 2026 19:15:06 GMT",
        "Not delivered to gb@x.example: the domain does not exist or has no mail server.",
        "550 Host unknown",
    ),
    (
        "RFC 6533",
        "Reporting-MTA: dns; mx.example.org\n\nFinal-Recipient: utf-8; jörg@exämple.org\nAction: failed\nStatus: 5.6.7",
        "Not delivered to jörg@exämple.org: the mail server does not accept addresses that are not ASCII.",
        "",
    ),
];

fn read(mail: &[u8]) -> Option<DeliveryReport> {
    let mut text = Vec::new();
    LineNormaliser::default().normalise(mail, &mut text);
    ParsedMessage::parse(&text).report
}

#[test]
fn reports_in_the_manner_of_mail_systems_are_read() {
    for (system, fields, sentence, diagnostic) in MANNERS {
        let mail = format!(
            "From: MAILER-DAEMON@example.org\nSubject: x\nMIME-Version: 1.0\n\
             Content-Type: multipart/report; report-type=delivery-status;\n boundary=\"b/1\"\n\n\
             --b/1\nContent-Type: text/plain\n\nnot delivered\n\
             --b/1\nContent-Type: message/delivery-status\n\n{fields}\n\n\
             --b/1\nContent-Type: text/rfc822-headers\n\nSubject: lost\n--b/1--\n"
        );
        let report = read(mail.as_bytes()).unwrap_or_else(|| panic!("{system}: no report"));
        let [recipient] = report.recipients.as_slice() else { panic!("{system}: {report:?}") };
        assert_eq!(recipient.sentence(), *sentence, "{system}");
        assert_eq!(recipient.diagnostic().unwrap_or_default(), *diagnostic, "{system}");
        assert!(report.reporting_mta.contains('.'), "{system}");
    }
}

/// Some of the mails were made anonymous in a way that broke their boundaries, or have an empty part.
#[test]
fn reports_of_the_collection_are_read() {
    let (mut unread, mut read_count, mut explained) = (Vec::new(), 0, 0);
    for (path, mail) in sample_mails::collected() {
        let is_report = memchr::memmem::find(&mail, b"Content-Type: message/delivery-status").is_some();
        match read(&mail) {
            None if is_report => unread.push(path),
            None => {}
            Some(report) => {
                read_count += 1;
                explained += usize::from(report.recipients.iter().any(|one| one.reason().is_some()));
                for one in &report.recipients {
                    let texts = [one.sentence(), one.diagnostic().unwrap_or_default().to_owned()];
                    assert!(!texts.iter().any(|text| text.contains(char::is_control)), "{path}: {texts:?}");
                }
            }
        }
    }
    assert!(unread.len() * 20 <= read_count, "{read_count} read, not {unread:#?}");
    assert!(explained * 3 >= read_count * 2, "{explained} of {read_count} have a reason");
}
