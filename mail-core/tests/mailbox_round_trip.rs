//! Stores all sample mails in one mailbox file and reads them back.

#![cfg(not(target_arch = "wasm32"))]

mod sample_mails;

use chrono::DateTime;
use mail_core::dot::DotEncoder;
use mail_core::line::{LineEndChecker, LineNormaliser};
use mail_core::mailbox::scan::records;
use mail_core::mailbox::{RecordWriter, Trace};
use mail_core::message::address::{Address, ReversePath};
use mail_core::message::header;

const HOSTNAME: &str = "iitkgp.edu";

/// The sample mails with CRLF line ends, except those that SMTP refuses.
fn valid_mails() -> Vec<Vec<u8>> {
    let built_in = sample_mails::BUILT_IN.iter().map(|(_, mail)| mail.to_vec());
    let crlf = built_in.chain(sample_mails::collected().into_iter().map(|(_, mail)| mail)).map(|mail| {
        let mut text = Vec::new();
        LineNormaliser::default().normalise(&mail, &mut text);
        text
    });
    crlf.filter(|mail| {
        let mut line_ends = LineEndChecker::default();
        line_ends.check(mail);
        !line_ends.is_malformed()
    })
    .collect()
}

fn append_record(mail: &[u8], id: &str, mailbox: &mut Vec<u8>) {
    let recipient = Address::parse("gb@iit.edu").expect("an address");
    let trace = Trace {
        reverse_path: ReversePath::Null,
        hello: "iit.edu".into(),
        peer: None,
        by: HOSTNAME.into(),
        with: "ESMTP",
        tls: None,
        id: id.into(),
        time: DateTime::UNIX_EPOCH,
        authentication_results: None,
        delivered_to: false,
    };
    let (mut intake, mut rest) = (RecordWriter::default(), Vec::new());
    mail.chunks(1_000).for_each(|chunk| intake.write(chunk, &mut rest));
    mailbox.extend(intake.finish(&mut rest).record_head(&trace, &recipient));
    mailbox.append(&mut rest);
}

/// The mail as RETR returns it: From, To and Subject first, then the other fields and the body.
fn retr_text(mail: &[u8]) -> Vec<u8> {
    let (fields, body) = header::split(mail);
    let front = ["From", "To", "Subject"].map(|name| header::first(fields, name).map(|field| field.raw));
    let is_front = |raw: &[u8]| front.iter().flatten().any(|field| std::ptr::eq(*field, raw));
    let mut text = front.iter().flatten().copied().collect::<Vec<_>>().concat();
    let others = header::fields(fields).map(|field| field.raw).filter(|raw| !is_front(raw));
    others.for_each(|raw| text.extend_from_slice(raw));
    if fields.len() < mail.len() {
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(body);
    if !text.is_empty() && !text.ends_with(b"\r\n") {
        text.extend_from_slice(b"\r\n");
    }
    text
}

#[test]
fn stored_mail_is_returned_unchanged() {
    let mails = valid_mails();
    assert!(mails.len() >= sample_mails::BUILT_IN.len(), "{} mails", mails.len());
    let mut mailbox = Vec::new();
    mails
        .iter()
        .enumerate()
        .for_each(|(number, mail)| append_record(mail, &number.to_string(), &mut mailbox));

    let records = records(&mailbox, HOSTNAME);
    assert_eq!(records.len(), mails.len());
    for (number, (record, mail)) in records.iter().zip(&mails).enumerate() {
        let message = record.message().expect("the record is a message");
        assert_eq!(message.id(), Some(&*number.to_string()));
        let stretches = record.wire_ranges().into_iter();
        let served: Vec<u8> =
            stretches.flat_map(|part| &mailbox[part.start as usize..part.end as usize]).copied().collect();
        let text = retr_text(mail);
        let mut stuffed = Vec::new();
        DotEncoder::default().encode(&text, &mut stuffed);
        assert!(served.starts_with(b"Return-Path: <>\r\nReceived: from iit.edu by "), "mail {number}");
        assert!(served.ends_with(&stuffed), "mail {number}");
        let trace = &served[..served.len() - stuffed.len()];
        assert_eq!(header::fields(trace).count(), 2, "mail {number}");
        assert_eq!(message.octets, (trace.len() + text.len()) as u64, "mail {number}");
    }
}
