use std::fmt::Write as _;

use proptest::prelude::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::mailbox::LfToCrlf;
use crate::mailbox::write::testing::{record, trace};

const HOST: &str = "iitkgp.edu";

/// Scans with a window that grows by `step` octets whenever the scanner needs more.
fn scan_in_windows(mailbox: &[u8], step: usize) -> Vec<Record> {
    let (mut scanner, mut records) = (Scanner::new(HOST), Vec::new());
    let (mut from, mut to) = (0, 0);
    loop {
        let (consumed, record) = scanner.scan(&mailbox[from..to], to == mailbox.len());
        from += consumed;
        assert_eq!(scanner.position(), from as u64);
        match record {
            Some(record) => records.push(record),
            None if to == mailbox.len() => return records,
            None => to = mailbox.len().min(to + step),
        }
    }
}

/// The text that RETR sends, without the final dot.
fn wire_text(mailbox: &[u8], record: &Record) -> String {
    let message = record.message().expect("the record is a message");
    let mut out = Vec::new();
    if message.author() == Author::Human {
        let start = record.offset as usize;
        let head = &mailbox[start..start + message.head_length() as usize];
        out = wire_head(head, start as u64 + u64::from(message.head_length()) < record.text_end(), HOST);
    }
    let mut converter = LfToCrlf::default();
    for range in record.wire_ranges() {
        let bytes = &mailbox[range.start as usize..range.end as usize];
        match message.author() {
            Author::Server => out.extend_from_slice(bytes),
            Author::Human => converter.convert(bytes, &mut out),
        }
    }
    String::from_utf8(out).expect("test messages are UTF-8")
}

/// Octets of a dot-stuffed text as RFC 1939 section 11 counts them.
fn octets(text: &str) -> u64 {
    (text.len() - text.split("\r\n").filter(|line| line.starts_with('.')).count()) as u64
}

fn only(mailbox: &str) -> Record {
    let mut records = records(mailbox.as_bytes(), HOST);
    assert_eq!(records.len(), 1, "{mailbox:?}: {records:?}");
    records.remove(0)
}

const TRACE: &str = "Received: by iitkgp.edu; Sun, 22 Nov 2026 19:15:00 +0000\r\n";
const FOUR: &str = "From: <ag@iit.edu>\nTo: <gb@iit.edu>\nSubject: Hi\nReceived: 2026-11-22 : 19 : 15\n";

#[test]
fn server_record_is_sent_with_its_trace_first_and_without_added_fields() {
    let message = "Date: now\r\nFrom: <ag@iit.edu>\r\n\r\n.dot\r\nx\n.\ny\r\n";
    let mailbox = record(message.as_bytes(), &trace());
    let record = only(&mailbox);
    assert_eq!((record.offset, record.length), (0, mailbox.len() as u64));
    let message = record.message().unwrap();
    assert_eq!((message.author(), message.id()), (Author::Server, Some("01JD8W")));
    let text = wire_text(mailbox.as_bytes(), &record);
    assert_eq!(
        text,
        "Return-Path: <ag@iit.edu>\r\nReceived: from iit.edu ([127.0.0.1]) by iitkgp.edu with SMTP id 01JD8W \
         (added To Subject); Sun, 22 Nov 2026 19:15:07 +0000\r\n\
         From: <ag@iit.edu>\r\nDate: now\r\n\r\n..dot\r\nx\n.\ny\r\n"
    );
    assert_eq!(message.octets, octets(&text));
}

#[test]
fn handwritten_record_is_read_leniently() {
    for (text, rest) in [
        (".\n", ""),
        (".", ""),
        ("\n.", "\r\n"),
        ("\nbody\n.\n", "\r\nbody\r\n"),
        ("body\n..x\n.y\n.\r", "\r\nbody\r\n..x\r\n.y\r\n"),
        ("X: y\n\tz\n.k: v\nbody: b b\n(see)\n.\r\n", "X: y\r\n\tz\r\n.k: v\r\nbody: b b\r\n\r\n(see)\r\n"),
        ("X: y\n.\n", "X: y\r\n"),
    ] {
        for four in [FOUR.to_owned(), FOUR.replace('\n', "\r\n")] {
            let mailbox = format!("{four}{text}");
            let record = only(&mailbox);
            assert_eq!(record.length, mailbox.len() as u64);
            let text = wire_text(mailbox.as_bytes(), &record);
            let front = "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: Hi\r\n";
            assert_eq!(text, format!("{TRACE}{front}{rest}"), "{mailbox:?}");
            assert_eq!(record.message().unwrap().octets, octets(&text), "{mailbox:?}");
            assert_eq!(
                (record.message().unwrap().author(), record.message().unwrap().id()),
                (Author::Human, None)
            );
        }
    }
}

#[test]
fn server_record_with_converted_line_ends_is_read_as_handwritten_and_keeps_its_id() {
    let mailbox = record(b"From: a\r\n\r\nbody\r\n", &trace()).replace("\r\n", "\n").repeat(2);
    let records = records(mailbox.as_bytes(), HOST);
    assert_eq!(records.len(), 2);
    for record in &records {
        let message = record.message().unwrap();
        assert_eq!((message.author(), message.id()), (Author::Human, Some("01JD8W")));
        assert_eq!(message.octets, octets(&wire_text(mailbox.as_bytes(), record)));
    }
}

#[test]
fn byte_order_mark_is_skipped_at_the_start_of_the_file() {
    let record = "From: a@b\r\nTo: c@d\r\nSubject: x\r\nReceived: 2026-11-22 : 19 : 15\r\nx\r\n.\r\n";
    let mailbox = format!("\u{feff}{record}\u{feff}{record}");
    let found = records(mailbox.as_bytes(), HOST);
    assert_eq!((found[0].offset, found[0].message().is_some()), (3, true));
    assert_eq!(found[1].kind, Kind::Broken(Defect::FourFields));
    assert_eq!(scan_in_windows(mailbox.as_bytes(), 1), found);
}

#[test]
fn invalid_records_are_skipped() {
    let good = record(b"From: a\r\n\r\nbody\r\n", &trace());
    let removed = format!("#{}", &good[1..]);
    let blank = format!("#{}\r\n.\r\n", " ".repeat(50));
    for (invalid, kind) in [
        ("garbage\n.\n".to_owned(), Kind::Broken(Defect::FourFields)),
        (".\r\n".to_owned(), Kind::Broken(Defect::FourFields)),
        ("To: a\nFrom: b\nSubject: c\nReceived: d\n\n.\n".to_owned(), Kind::Broken(Defect::FourFields)),
        (FOUR.replace("2026-11-22", "today") + ".\n", Kind::Broken(Defect::Date)),
        (good.replace("body", "\0\0\0\0"), Kind::Broken(Defect::Nul)),
        (good.replace("From", "\0\0\0\0"), Kind::Broken(Defect::Nul)),
        (removed, Kind::Removed),
        (blank, Kind::Removed),
    ] {
        let mailbox = format!("{good}{invalid}\n \r\n{good}");
        let records = records(mailbox.as_bytes(), HOST);
        assert_eq!(records.len(), 3, "{invalid:?}");
        assert_eq!(records[1], Record { offset: good.len() as u64, length: invalid.len() as u64, kind });
        assert!(records[0].message().is_some() && records[2].message().is_some());
        assert_eq!(records[2].end(), mailbox.len() as u64);
    }
}

#[test]
fn server_record_without_its_last_line_feed_is_complete() {
    let message = b"From: a\r\n\r\nbody\r\n";
    let whole = record(message, &trace());
    let good = only(&whole);
    let mailbox = whole.strip_suffix('\n').unwrap();
    let found = only(mailbox);
    assert_eq!(found.length, mailbox.len() as u64);
    assert_eq!(found.message().unwrap().octets, good.message().unwrap().octets);
    assert_eq!(wire_text(mailbox.as_bytes(), &found), wire_text(whole.as_bytes(), &good));
    assert_eq!(scan_in_windows(mailbox.as_bytes(), 1), std::slice::from_ref(&found));
    let octets = found.message().unwrap().octets;
    let bytes = mailbox.as_bytes();
    let tail = &bytes[bytes.len() - 5..];
    assert_eq!(Record::reparse(0, found.length, octets, bytes, tail), Some(found));
}

#[test]
fn truncated_record_at_any_other_length_is_torn() {
    let good = record(b"From: a\r\n\r\n.body\r\n", &trace());
    // A single dot is also the start of a stuffed line.
    for length in (1..good.len()).filter(|length| !good[..*length].trim_end_matches('\r').ends_with("\r\n."))
    {
        let mailbox = format!("{good}{}", &good[..length]);
        let records = records(mailbox.as_bytes(), HOST);
        assert_eq!(records.len(), 2, "{length}");
        assert_eq!(records[1].kind, Kind::Torn, "{length}");
        assert_eq!((records[1].offset, records[1].length), (good.len() as u64, length as u64));
    }
}

#[test]
fn head_over_the_limit_is_broken() {
    let mailbox = format!("From: {}", "x\r\n y".repeat(super::super::HEAD_OCTETS_MAX / 4));
    let torn = records(mailbox.as_bytes(), HOST);
    assert_eq!((torn.len(), &torn[0].kind), (1, &Kind::Torn));
    let ended = mailbox + "\r\n.\r\n";
    assert_eq!(only(&ended).kind, Kind::Broken(Defect::EndlessHead));
    assert_eq!(scan_in_windows(ended.as_bytes(), 1 << 18), records(ended.as_bytes(), HOST));
}

#[test]
fn reparse_recognises_a_record_at_its_position_only() {
    let server = record(b"From: a\r\n\r\nbody\r\n", &trace());
    for mailbox in [server.clone(), format!("{FOUR}X: y\nbody\n."), format!("{FOUR}.\n")] {
        let found = only(&mailbox);
        let bytes = mailbox.as_bytes();
        let octets = found.message().unwrap().octets;
        let reparse = |head, tail| Record::reparse(0, bytes.len() as u64, octets, head, tail);
        assert_eq!(reparse(bytes, bytes).as_ref(), Some(&found));
        assert_eq!(reparse(bytes, &bytes[bytes.len().saturating_sub(5)..]).as_ref(), Some(&found));
        assert_eq!(reparse(&bytes[1..], bytes), None);
        assert_eq!(reparse(bytes, &bytes[..bytes.len() - 1]).filter(|record| *record == found), None);
        assert_eq!(reparse(&bytes[..bytes.len() / 2], bytes), None);
    }
}

#[test]
fn scan_resumes_after_any_record() {
    let mailbox = format!("{0}\n {FOUR}x\n.\n{0}", record(b"From: a\r\n\r\nbody\r\n", &trace()));
    let all = records(mailbox.as_bytes(), HOST);
    assert_eq!(all.len(), 3);
    for (index, record) in all.iter().enumerate() {
        let mut scanner = Scanner::resume(HOST, record.end());
        let (consumed, next) = scanner.scan(&mailbox.as_bytes()[record.end() as usize..], true);
        assert_eq!(next.as_ref(), all.get(index + 1));
        assert_eq!(scanner.position(), record.end() + consumed as u64);
    }
}

/// A record and the author that the scan reports.
fn any_record() -> impl Strategy<Value = (String, Option<Author>)> {
    let text = "(From: a|X: b|To:| c|\\.|d|\r\n|\r\n\r\n){0,12}";
    let server = text.prop_map(|text| (record(text.as_bytes(), &trace()), Some(Author::Server)));
    let person =
        "(b|\\.b|\n|X: y\n){0,8}".prop_map(|text| (format!("{FOUR}{text}\n.\n"), Some(Author::Human)));
    let removed = text.prop_map(|text| (format!("#{}", &record(text.as_bytes(), &trace())[1..]), None));
    let broken = "[a-z]{1,9}".prop_map(|text| (format!("{text}\r\n.\r\n"), None));
    prop_oneof![4 => server, 2 => person, 1 => removed, 1 => broken]
}

proptest! {
    #[test]
    fn scan_finds_all_concatenated_records(parts in prop::collection::vec(any_record(), 0..6), step in 1_usize..200) {
        let mailbox: String = parts.iter().map(|(text, _)| text.as_str()).collect();
        let records = records(mailbox.as_bytes(), HOST);
        prop_assert_eq!(records.len(), parts.len());
        let mut at = 0;
        for (record, (text, author)) in records.iter().zip(&parts) {
            prop_assert_eq!((record.offset, record.length), (at, text.len() as u64));
            prop_assert_eq!(record.message().map(Message::author), *author);
            if let Some(message) = record.message() {
                prop_assert_eq!(message.octets, octets(&wire_text(mailbox.as_bytes(), record)));
            }
            at = record.end();
        }
        prop_assert_eq!(scan_in_windows(mailbox.as_bytes(), step), records);
    }

    #[test]
    fn record_preserves_the_lines_of_a_message(message in "(From: a\r\n|To: b|Subject:|X: c| |\\.|d|\r\n|\r\n\r\n){0,16}") {
        let mailbox = record(message.as_bytes(), &trace());
        let text = wire_text(mailbox.as_bytes(), &only(&mailbox));
        // After the two trace fields, the lines of the message follow, except that three fields have moved.
        let mut lines: Vec<_> = text.split_inclusive("\r\n").skip(2).collect();
        let (header, _) = crate::message::header::split(message.as_bytes());
        let mut expected = String::new();
        if header.is_empty() && !message.is_empty() && !message.starts_with("\r\n") {
            expected.push_str("\r\n");
        }
        expected.push_str(&message);
        if !expected.ends_with("\r\n") && !message.is_empty() {
            expected.push_str("\r\n");
        }
        let mut stuffed = String::new();
        for line in expected.split_inclusive("\r\n") {
            write!(stuffed, "{}{line}", if line.starts_with('.') { "." } else { "" }).expect("writing to a String cannot fail");
        }
        let mut sent: Vec<_> = stuffed.split_inclusive("\r\n").collect();
        lines.sort_unstable();
        sent.sort_unstable();
        prop_assert_eq!(lines, sent);
        if let Some(at) = stuffed.find("\r\n\r\n") {
            prop_assert!(text.ends_with(&stuffed[at..]));
        }
    }

    #[test]
    fn scan_covers_all_bytes_for_any_window_size(
        parts in prop::collection::vec(prop_oneof![
            Just("From: a\n"), Just("To: b\r\n"), Just("Subject:\r\n"), Just("Received: 2026-11-22 : 19 : 15\r\n"),
            Just("Return-Path: <>\r\n"), Just("Received: x id y (added To); z\r\n"), Just(" "), Just("."), Just("\r"),
            Just("\n"), Just("#"), Just("\0"), Just("a"), Just("\r\n.\r\n"), Just("X: y\n")
        ], 0..24),
        step in 1_usize..40,
    ) {
        let mailbox = parts.concat();
        let records = records(mailbox.as_bytes(), HOST);
        let covered: u64 = records.iter().map(|record| record.length).sum();
        let blank = mailbox.bytes().filter(u8::is_ascii_whitespace).count() as u64;
        prop_assert!(covered <= mailbox.len() as u64 && covered + blank >= mailbox.len() as u64);
        for record in &records {
            if let Some(message) = record.message() {
                prop_assert!(message.octets == octets(&wire_text(mailbox.as_bytes(), record)));
            }
        }
        prop_assert_eq!(scan_in_windows(mailbox.as_bytes(), step), records);
    }
}
