//! Parses all sample mails, composes a reply and a forward of each, and parses those again.

#![cfg(not(target_arch = "wasm32"))]

mod sample_mails;

use chrono::DateTime;
use mail_core::message::address::Address;
use mail_core::message::answer::{forward, reply};
use mail_core::message::compose::compose;
use mail_core::message::header;
use mail_core::message::id::MessageId;
use mail_core::message::parsed::{ParsedMessage, Summary};
use mail_core::message::printable::printable;

#[test]
fn parsed_mail_can_be_replied_to_and_forwarded() {
    for (name, mail) in sample_mails::BUILT_IN {
        check(mail, name);
    }
    for (name, mail) in sample_mails::collected() {
        check(&mail, &name);
    }
}

fn check(bytes: &[u8], name: &str) {
    let (head, body) = header::split(bytes);
    let fields: Vec<u8> = header::fields(head).flat_map(|field| field.raw).copied().collect();
    assert_eq!(fields, head, "{name}");
    assert!(bytes.ends_with(body));

    let view = ParsedMessage::parse(bytes);
    let summary = Summary::parse(head);
    assert_eq!(
        (&summary.from, &summary.subject, summary.date),
        (&view.from, &view.subject, view.date),
        "{name}"
    );
    assert!(!printable(view.plain_text()).contains('\x1b'));

    let me = Address::parse("me@iit.edu").expect("an address");
    let date = DateTime::parse_from_rfc3339("2026-11-22T19:15:06+00:00").expect("a date");
    let id = MessageId::parse("1@iit.edu").expect("an identifier");
    for draft in [reply(&view, view.plain_text(), &me, true), forward(&view, view.plain_text(), &me)] {
        let again = ParsedMessage::parse(&compose(&draft, &date, &id));
        assert_eq!(again.subject, draft.subject.as_str(), "{name}");
        assert_eq!(again.references, draft.references, "{name}");
        let text = again.text.expect("a text part").replace("\r\n", "\n");
        assert_eq!(
            text.trim_end(),
            draft.body.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}").trim_end(),
            "{name}"
        );
        assert!(
            again.attachments.iter().map(|a| &a.bytes).eq(draft.attachments.iter().map(|a| &a.bytes)),
            "{name}"
        );
    }
}
