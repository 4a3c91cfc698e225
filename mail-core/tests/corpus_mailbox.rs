//! Every mail, our own and real ones, goes into one mailbox and comes out of it as it went in.

#![cfg(not(target_arch = "wasm32"))]

#[allow(dead_code, reason = "each test file takes what it needs of it")]
mod mails;

use chrono::DateTime;
use mail_core::dot::DotEncoder;
use mail_core::line::{LineEnds, LineNormaliser};
use mail_core::mailbox::scan::records;
use mail_core::mailbox::{Intake, Trace};
use mail_core::message::address::{Address, ReversePath};
use mail_core::message::header;

const HOSTNAME: &str = "iitkgp.edu";

/// The mails with CRLF line ends, less those that SMTP refuses.
fn all() -> Vec<Vec<u8>> {
    let own = mails::OWN.iter().map(|(_, mail)| mail.to_vec());
    let crlf = own.chain(mails::collected().into_iter().map(|(_, mail)| mail)).map(|mail| {
        let mut text = Vec::new();
        LineNormaliser::default().normalise(&mail, &mut text);
        text
    });
    crlf.filter(|mail| {
        let mut line_ends = LineEnds::default();
        line_ends.check(mail);
        !line_ends.are_broken()
    })
    .collect()
}

fn put(mail: &[u8], id: &str, mailbox: &mut Vec<u8>) {
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
    };
    let (mut intake, mut rest) = (Intake::default(), Vec::new());
    mail.chunks(1_000).for_each(|chunk| intake.write(chunk, &mut rest));
    mailbox.extend(intake.finish(&mut rest).record_head(&trace, &recipient));
    mailbox.append(&mut rest);
}

/// The fields in the order in which RETR has them, and all that follows the header.
fn in_retr_order(mail: &[u8]) -> Vec<u8> {
    let (fields, body) = header::split(mail);
    let front = ["From", "To", "Subject"].map(|name| header::first(fields, name).map(|field| field.raw));
    let is_front = |raw: &[u8]| front.iter().flatten().any(|own| std::ptr::eq(*own, raw));
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
fn every_mail_comes_out_as_it_went_in() {
    let mails = all();
    assert!(mails.len() >= mails::OWN.len(), "{} mails", mails.len());
    let mut mailbox = Vec::new();
    mails.iter().enumerate().for_each(|(number, mail)| put(mail, &number.to_string(), &mut mailbox));

    let records = records(&mailbox, HOSTNAME);
    assert_eq!(records.len(), mails.len());
    for (number, (record, mail)) in records.iter().zip(&mails).enumerate() {
        let message = record.message().expect("it is a message");
        assert_eq!(message.id(), Some(&*number.to_string()));
        let stretches = record.stretches().into_iter();
        let served: Vec<u8> =
            stretches.flat_map(|part| &mailbox[part.start as usize..part.end as usize]).copied().collect();
        let text = in_retr_order(mail);
        let mut stuffed = Vec::new();
        DotEncoder::default().encode(&text, &mut stuffed);
        assert!(served.starts_with(b"Return-Path: <>\r\nReceived: from iit.edu by "), "mail {number}");
        assert!(served.ends_with(&stuffed), "mail {number}");
        let trace = &served[..served.len() - stuffed.len()];
        assert_eq!(header::fields(trace).count(), 2, "mail {number}");
        assert_eq!(message.octets, (trace.len() + text.len()) as u64, "mail {number}");
    }
}
