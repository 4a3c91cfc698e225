//! Creation of records. [`RecordWriter`] separates the header of an incoming message from the rest;
//! [`Header::record_head`] formats the head of each recipient's record.
//!
//! RFC 5321 section 4.4 (trace fields), RFC 3848 and RFC 6531 section 4.3 (the keyword after `with`). From, To and
//! Subject move to the front. A missing blank line before the body and a missing line end at the end are added. The
//! rest of the message is unchanged.

use bytes::BufMut;
use chrono::{DateTime, Utc};

use super::trace::{Trace, atom};
use crate::dot::DotEncoder;
use crate::message::address::{Address, ReversePath};
use crate::message::date;
use crate::message::header::{self, HeaderScanner};

/// Maximum part of a header that is searched for From, To and Subject. Fields after it stay in place. Real headers are
/// about a hundred times shorter.
pub const HEADER_SEARCH_OCTETS_MAX: usize = 1 << 20;

/// Splits an incoming message into its header and the rest, which is dot-stuffed by default.
#[derive(Debug, Clone, Default)]
pub struct RecordWriter {
    end: HeaderScanner,
    header: Vec<u8>,
    in_rest: bool,
    encoder: RestEncoder,
}

/// The form of the part after the header.
#[derive(Debug, Clone)]
enum RestEncoder {
    /// Ends with the line with a single dot.
    DotStuffed(DotEncoder),
    /// Unchanged; ends with a line end. `last` are its last two octets.
    Plain { last: [u8; 2] },
}

impl Default for RestEncoder {
    fn default() -> Self {
        Self::DotStuffed(DotEncoder::default())
    }
}

impl RestEncoder {
    fn encode(&mut self, text: &[u8], out: &mut impl BufMut) {
        match self {
            Self::DotStuffed(encoder) => encoder.encode(text, out),
            Self::Plain { last } => {
                out.put_slice(text);
                *last = match text {
                    [.., first, second] => [*first, *second],
                    [only] => [last[1], *only],
                    [] => *last,
                };
            }
        }
    }

    fn finish(self, out: &mut impl BufMut) {
        match self {
            Self::DotStuffed(encoder) => encoder.finish(out),
            Self::Plain { last } if last != *b"\r\n" => out.put_slice(b"\r\n"),
            Self::Plain { .. } => {}
        }
    }
}

impl RecordWriter {
    /// A writer whose rest is as sent: without dot-stuffing and without the line with the single dot.
    #[must_use]
    pub fn without_dot_stuffing() -> Self {
        Self { encoder: RestEncoder::Plain { last: *b"\r\n" }, ..Self::default() }
    }

    /// Processes the next chunk, which has CRLF line ends and no dot-stuffing. Appends the part after the header to
    /// `rest`.
    pub fn write(&mut self, chunk: &[u8], rest: &mut impl BufMut) {
        if self.in_rest {
            return self.encoder.encode(chunk, rest);
        }
        // Split exactly at the limit, so that the record does not depend on the chunk sizes.
        let room = HEADER_SEARCH_OCTETS_MAX - self.header.len();
        let (searched, beyond) = chunk.split_at(chunk.len().min(room));
        self.header.extend_from_slice(searched);
        if let Some(bounds) = self.end.push(searched) {
            self.begin_body(bounds, rest);
        } else if beyond.is_empty() {
            return;
        } else {
            self.give_up_search(rest);
        }
        self.encoder.encode(beyond, rest);
    }

    /// Ends the message: appends buffered text and, if it is dot-stuffed, the line with the single dot to `rest`.
    pub fn finish(mut self, rest: &mut impl BufMut) -> Header {
        let bounds = self.end.finish();
        if !self.in_rest && bounds.header_end < self.header.len() {
            self.begin_body(bounds, rest);
        }
        self.encoder.finish(rest);
        Header(self.header)
    }

    /// Octets buffered for the header.
    #[must_use]
    pub fn header_length(&self) -> usize {
        self.header.len()
    }

    fn begin_body(&mut self, bounds: header::HeaderBounds, rest: &mut impl BufMut) {
        let body = self.header.split_off(bounds.body_start);
        self.header.truncate(bounds.header_end);
        self.encoder.encode(b"\r\n", rest);
        self.encoder.encode(&body, rest);
        self.in_rest = true;
    }

    /// Treats the field that crosses the limit, and everything after it, as part of the rest.
    fn give_up_search(&mut self, rest: &mut impl BufMut) {
        if self.end.finish().header_end == 0 {
            return self.begin_body(header::HeaderBounds { header_end: 0, body_start: 0 }, rest);
        }
        let last = header::fields(&self.header).last().map_or(0, |field| field.raw.len());
        let unsearched = self.header.split_off(self.header.len() - last);
        self.encoder.encode(&unsearched, rest);
        self.in_rest = true;
    }
}

/// The searched part of a message's header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header(Vec<u8>);

/// The head of a message as POP3 sends it, without dot-stuffing. It is the same for all recipients; [`Trace::delivery_fields`] of each
/// precede it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WireHead {
    /// The trace fields, the message's own From, To and Subject, Authentication-Results, and the message's other fields.
    pub octets: Vec<u8>,
    /// Length of the trace fields Return-Path and Received, or of Received.
    pub trace_length: usize,
    /// Length of From, To and Subject.
    pub front_length: usize,
}

/// From, To and Subject of a header.
struct FrontFields<'a>([Option<header::Field<'a>>; 3]);

const FRONT_NAMES: [&str; 3] = ["From", "To", "Subject"];

impl<'a> FrontFields<'a> {
    fn find(header: &'a [u8]) -> Self {
        Self(FRONT_NAMES.map(|name| header::first(header, name)))
    }

    fn contains(&self, raw: &[u8]) -> bool {
        self.0.iter().flatten().any(|field| std::ptr::eq(field.raw, raw))
    }

    /// Names of the missing fields.
    fn missing(&self) -> Vec<&'static str> {
        let named = FRONT_NAMES.into_iter().zip(&self.0);
        named.filter(|(_, field)| field.is_none()).map(|(name, _)| name).collect()
    }

    /// Formats the three fields. Missing ones are added.
    fn write(&self, trace: &Trace, recipient: &Address, out: &mut Vec<u8>) {
        for (name, field) in FRONT_NAMES.into_iter().zip(&self.0) {
            if let Some(field) = field {
                put_line(field.raw, out);
                continue;
            }
            let value = match name {
                "From" => match &trace.reverse_path {
                    ReversePath::Null => format!(" <MAILER-DAEMON@{}>", atom(&trace.by, 255)),
                    path @ ReversePath::Address(_) => format!(" {path}"),
                },
                "To" => format!(" <{recipient}>"),
                _ => String::new(),
            };
            out.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
    }
}

impl Header {
    /// The fields, each with its line end.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Formats the head of one recipient's record. The output of [`RecordWriter`] follows it.
    ///
    /// The first From, To and Subject are copied unchanged. Missing ones are added and listed in the trace field, so
    /// that they are not sent over POP3.
    #[must_use]
    pub fn record_head(&self, trace: &Trace, recipient: &Address) -> Vec<u8> {
        let front = FrontFields::find(&self.0);
        let mut out = Vec::with_capacity(self.0.len() + 512);
        front.write(trace, recipient, &mut out);
        put_short_date(&trace.time, &mut out);
        trace.write(recipient, &front.missing(), &mut out);
        let mut encoder = DotEncoder::default();
        for field in header::fields(&self.0).filter(|field| !front.contains(field.raw)) {
            encoder.encode(field.raw, &mut out);
        }
        if !encoder.at_line_start() {
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// Formats the head as POP3 sends it. The output of a [`RecordWriter`] without dot-stuffing follows it.
    #[must_use]
    pub fn wire_head(&self, trace: &Trace) -> WireHead {
        let front = FrontFields::find(&self.0);
        let mut octets = Vec::with_capacity(self.0.len() + 512);
        trace.write_shared(&front.missing(), &mut octets);
        let trace_length = octets.len();
        front.0.iter().flatten().for_each(|field| put_line(field.raw, &mut octets));
        let front_length = octets.len() - trace_length;
        trace.write_results(&mut octets);
        for field in header::fields(&self.0).filter(|field| !front.contains(field.raw)) {
            octets.extend_from_slice(field.raw);
        }
        if !octets.ends_with(b"\r\n") {
            octets.extend_from_slice(b"\r\n");
        }
        WireHead { octets, trace_length, front_length }
    }

    /// From, To and Subject of one recipient's record, if any of them is missing in the message.
    #[must_use]
    pub fn completed_front(&self, trace: &Trace, recipient: &Address) -> Option<Vec<u8>> {
        let front = FrontFields::find(&self.0);
        if front.missing().is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(256);
        front.write(trace, recipient, &mut out);
        Some(out)
    }
}

/// Converts a message in wire form to its record, in chunks.
#[derive(Debug)]
pub struct WireRecord {
    encoder: DotEncoder,
}

impl WireRecord {
    /// Appends the first four fields, and the message up to the end of its From, To and Subject. `head` is the start of the
    /// message, up to there, with delivery fields, which `trace_length` includes. `front` replaces From, To and Subject.
    #[must_use]
    pub fn begin(
        head: &[u8],
        trace_length: usize,
        front: Option<&[u8]>,
        received: &DateTime<Utc>,
        out: &mut Vec<u8>,
    ) -> Self {
        let (trace, own) = head.split_at(trace_length.min(head.len()));
        out.extend_from_slice(front.unwrap_or(own));
        put_short_date(received, out);
        out.extend_from_slice(trace);
        Self { encoder: DotEncoder::default() }
    }

    /// Appends the next part of the message.
    pub fn write(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.encoder.encode(text, out);
    }

    /// Appends the line with the single dot.
    pub fn finish(self, out: &mut Vec<u8>) {
        self.encoder.finish(out);
    }
}

/// The fourth field of a record.
fn put_short_date(time: &DateTime<Utc>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("Received: {}\r\n", date::short(time)).as_bytes());
}

fn put_line(raw: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(raw);
    if !raw.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(in crate::mailbox) fn trace() -> Trace {
        Trace {
            reverse_path: ReversePath::Address(Address::parse("ag@iit.edu").unwrap()),
            hello: "iit.edu".into(),
            peer: Some([127, 0, 0, 1].into()),
            by: "iitkgp.edu".into(),
            with: "SMTP",
            tls: None,
            id: "01JD8W".into(),
            time: DateTime::from_timestamp(1_795_374_907, 0).unwrap(),
            authentication_results: None,
            delivered_to: false,
        }
    }

    pub(in crate::mailbox) fn record(message: &[u8], trace: &Trace) -> String {
        record_in_steps(message, message.len(), trace)
    }

    pub(in crate::mailbox) fn record_in_steps(message: &[u8], step: usize, trace: &Trace) -> String {
        let (mut writer, mut rest) = (RecordWriter::default(), Vec::new());
        message.chunks(step.max(1)).for_each(|chunk| writer.write(chunk, &mut rest));
        let header = writer.finish(&mut rest);
        let mut record = header.record_head(trace, &Address::parse("gb@iit.edu").unwrap());
        record.extend_from_slice(&rest);
        String::from_utf8(record).expect("test messages are UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::records;
    use super::testing::{record_in_steps as record, trace};
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const TRACE: &str = "Received: 2026-11-22 : 19 : 15\r\nReturn-Path: <ag@iit.edu>\r\n\
        Received: from iit.edu ([127.0.0.1]) by iitkgp.edu with SMTP id 01JD8W; Sun, 22 Nov 2026 19:15:07 +0000\r\n";

    fn with_comment(comment: &str) -> String {
        TRACE.replace("01JD8W;", &format!("01JD8W {comment};"))
    }

    #[test]
    fn record_has_the_format_of_the_guide() {
        let message = b"Date: Sun, 22 Nov 2026 19:15:06 +0000\r\nFrom: <ag@iit.edu>\r\nSUBJECT : Mee\r\n ting\r\n\
            To: <gb@iit.edu>\r\n.odd\r\nTo: second\r\n\r\nSee you at five.\r\n.this line began with one dot\r\n";
        let expected = format!(
            "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSUBJECT : Mee\r\n ting\r\n{TRACE}\
             Date: Sun, 22 Nov 2026 19:15:06 +0000\r\n..odd\r\nTo: second\r\n\r\n\
             See you at five.\r\n..this line began with one dot\r\n.\r\n"
        );
        for step in 1..message.len() {
            assert_eq!(record(message, step, &trace()), expected, "in steps of {step}");
        }
    }

    #[test]
    fn record_head_adds_and_lists_missing_fields() {
        let all = with_comment("(added From To Subject)");
        let head = format!("From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject:\r\n{all}");
        for (message, rest) in [
            ("", ""),
            ("no header\r\n", "\r\nno header\r\n"),
            (".", "\r\n..\r\n"),
            ("\r\nbody", "\r\nbody\r\n"),
            ("X: y", "X: y\r\n"),
            ("From ag Sun\r\nX: y\r\n\r\n", "From ag Sun\r\nX: y\r\n\r\n"),
            ("word", "\r\nword\r\n"),
        ] {
            for step in 1..=message.len().max(1) {
                assert_eq!(record(message.as_bytes(), step, &trace()), format!("{head}{rest}.\r\n"));
            }
        }
        let results = "Authentication-Results: iitkgp.edu; spf=pass\r\n";
        let authenticated = Trace { authentication_results: Some(results.into()), ..trace() };
        let written = record(b"From: a\r\nTo: b\r\nSubject: c\r\nX: y\r\n\r\n", 1, &authenticated);
        assert_eq!(written, format!("From: a\r\nTo: b\r\nSubject: c\r\n{TRACE}{results}X: y\r\n\r\n.\r\n"));
        let delivered = Trace { delivered_to: true, ..trace() };
        let written =
            record(b"From: a\r\nTo: b\r\nSubject: c\r\nDelivered-To: x@iit.edu\r\n\r\n", 1, &delivered);
        let trace_fields =
            TRACE.replacen("\r\nReceived: from", "\r\nDelivered-To: gb@iit.edu\r\nReceived: from", 1);
        let message = "From: a\r\nTo: b\r\nSubject: c\r\n";
        assert_eq!(written, format!("{message}{trace_fields}Delivered-To: x@iit.edu\r\n\r\n.\r\n"));
        let bounce = Trace { reverse_path: ReversePath::Null, ..trace() };
        assert!(record(b"To: a\r\nSubject: b\r\n", 1, &bounce).starts_with(
            "From: <MAILER-DAEMON@iitkgp.edu>\r\nTo: a\r\nSubject: b\r\nReceived: 2026-11-22 : 19 : 15\r\nReturn-Path: <>\r\n"
        ));
    }

    proptest! {
        /// A store of messages in wire form can write the record that a store of records has.
        #[test]
        fn wire_form_becomes_the_same_record(
            message in "((From|To|Subject|X|\\.y): [a-z.]{0,3}\r\n){0,5}(\r\n)?([.a]{0,3}\r\n){0,3}",
            step in 1_usize..20,
            authentication_results in proptest::option::of(Just("Authentication-Results: a; spf=pass\r\n".to_owned())),
            delivered_to: bool,
        ) {
            let trace = Trace { authentication_results, delivered_to, ..trace() };
            let recipient = Address::parse("gb@iit.edu").unwrap();
            let (mut writer, mut wire_rest) = (RecordWriter::without_dot_stuffing(), Vec::new());
            message.as_bytes().chunks(step).for_each(|chunk| writer.write(chunk, &mut wire_rest));
            let header = writer.finish(&mut wire_rest);
            let head = header.wire_head(&trace);
            let front = header.completed_front(&trace, &recipient);
            let delivery_fields = trace.delivery_fields(&recipient).unwrap_or_default();
            let wire = [&delivery_fields[..], &head.octets, &wire_rest].concat();
            let trace_length = delivery_fields.len() + head.trace_length;

            let mut built = Vec::new();
            let own = trace_length + head.front_length;
            let mut writer =
                WireRecord::begin(&wire[..own], trace_length, front.as_deref(), &trace.time, &mut built);
            wire[own..].chunks(step).for_each(|chunk| writer.write(chunk, &mut built));
            writer.finish(&mut built);
            let expected = record(message.as_bytes(), step, &trace);
            prop_assert_eq!(String::from_utf8(built).unwrap(), &*expected);

            let found = records(expected.as_bytes(), "iitkgp.edu");
            prop_assert_eq!(found[0].message().unwrap().octets, wire.len() as u64);
            prop_assert_eq!(found[0].message().unwrap().id(), Some(&*trace.id));
        }
    }

    #[test]
    fn header_beyond_the_search_limit_is_copied_unchanged() {
        let filler = format!("X: {}\r\n", "x".repeat(997)).repeat(HEADER_SEARCH_OCTETS_MAX / 1_000);
        let message = format!("Subject: first\r\n{filler}{filler}From: late\r\n\r\nbody\r\n");
        let head = with_comment("(added From To)");
        let expected = format!(
            "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: first\r\n{head}{filler}{filler}From: late\r\n\r\nbody\r\n.\r\n"
        );
        assert_eq!(record(message.as_bytes(), 60_000, &trace()), expected);
        let line = "x".repeat(HEADER_SEARCH_OCTETS_MAX + 10);
        assert!(record(line.as_bytes(), 60_000, &trace()).ends_with(&format!("\r\n\r\n{line}\r\n.\r\n")));
    }

    #[test]
    fn field_across_the_search_limit_gives_a_readable_record() {
        let crossing = "x".repeat(HEADER_SEARCH_OCTETS_MAX + 60_000);
        let longest = "x".repeat(HEADER_SEARCH_OCTETS_MAX - "Subject: \r\n\r\n".len());
        for subject in [crossing, longest] {
            let message = format!("Subject: {subject}\r\nX: y\r\n\r\nbody\r\n");
            let written = record(message.as_bytes(), 64 << 10, &trace());
            assert!(written == record(message.as_bytes(), message.len(), &trace()));
            assert!(written.contains(&format!("\r\nSubject: {subject}\r\n")));
            let records = records(written.as_bytes(), "iitkgp.edu");
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].message().and_then(|message| message.id()), Some("01JD8W"));
        }
    }

    proptest! {
        #[test]
        fn record_is_independent_of_the_chunk_size(message in "(From|To|X|Subject|:| |\\.|a|\r\n){0,24}", step in 1_usize..8) {
            prop_assert_eq!(record(message.as_bytes(), step, &trace()), record(message.as_bytes(), 1_000, &trace()));
        }
    }
}
