//! Every real mail of the shared collection goes through the header scan, the view, the answer and the composer
//! without harm.

#![cfg(not(target_arch = "wasm32"))]

use std::fs;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use mail_core::message::address::Address;
use mail_core::message::compose::{compose, forward, reply};
use mail_core::message::header;
use mail_core::message::id::MessageId;
use mail_core::message::text::printable;
use mail_core::message::view::{Summary, View};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the collection can be read").flatten() {
        let path = entry.path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_mail_is_read_answered_and_forwarded() {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/corpus"));
    if !corpus.is_dir() {
        eprintln!("no {}: the collected mails were not tried, only the unit tests' own", corpus.display());
        return;
    }
    let mut mails = Vec::new();
    for folder in ["mail-parser", "bounces", "eai"] {
        files(&corpus.join(folder), &mut mails);
    }
    assert!(mails.len() > 800, "{} mails", mails.len());
    for path in mails {
        let bytes = fs::read(&path).expect("the mail can be read");
        check(&bytes, &path);
    }
}

fn check(bytes: &[u8], path: &Path) {
    let (head, body) = header::split(bytes);
    let fields: Vec<u8> = header::fields(head).flat_map(|field| field.raw).copied().collect();
    assert_eq!(fields, head, "{}", path.display());
    assert!(bytes.ends_with(body));

    let view = View::parse(bytes);
    let summary = Summary::parse(head);
    assert_eq!(
        (&summary.from, &summary.subject, summary.date),
        (&view.from, &view.subject, view.date),
        "{}",
        path.display()
    );
    assert!(!printable(&view.readable()).contains('\x1b'));

    let me = Address::parse("me@iit.edu").expect("an address");
    let date = DateTime::parse_from_rfc3339("2026-11-22T19:15:06+00:00").expect("a date");
    let id = MessageId::parse("1@iit.edu").expect("an identifier");
    for draft in [reply(&view, &me, true), forward(&view, &me)] {
        let again = View::parse(&compose(&draft, &date, &id));
        let name = path.display();
        assert_eq!(again.subject, draft.subject.as_str(), "{name}");
        assert_eq!(again.references, draft.references, "{name}");
        let text = again.text.expect("a draft has a text").replace("\r\n", "\n");
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
