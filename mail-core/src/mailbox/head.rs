//! Parser for the head of a record: the four fields and the rest of a server's trace fields or of a handwritten header.

use std::ops::Range;

use memchr::memmem;

use super::write::HEADER_SEARCH_OCTETS_MAX;
use crate::line::LineEndChecker;
use crate::message::date;
use crate::message::header::{self, Field};

/// Longest head of a record: [`HEADER_SEARCH_OCTETS_MAX`] and room for the fields that a writer adds.
pub const HEAD_OCTETS_MAX: usize = HEADER_SEARCH_OCTETS_MAX + (16 << 10);

/// The author of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A server. The record is sent unmodified.
    Server,
    /// A person with an editor. The record is converted by [`wire_head`](super::wire_head) and
    /// [`LfToCrlf`](super::LfToCrlf).
    Human,
}

/// The reason a record is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The record does not begin with From, To, Subject and Received.
    #[error("it does not begin with the fields From, To, Subject and Received, in this order")]
    FourFields,
    /// The fourth field is not a date.
    #[error("its Received field is not a date : hour : minute, like 2026-11-22 : 19 : 15")]
    Date,
    /// The head is longer than [`HEAD_OCTETS_MAX`].
    #[error("its header is too long")]
    EndlessHead,
    /// The record contains a NUL.
    #[error("it contains a NUL, probably because a crash lost part of it")]
    Nul,
}

/// The result of [`parse`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    Broken(Defect),
    Head(Head),
}

/// Byte ranges of a head, relative to the start of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) author: Author,
    /// From, To and Subject. Empty for a field that the server added, which is not sent.
    pub(super) front: [Range<u32>; 3],
    /// The server's trace fields; empty in a handwritten record.
    pub(super) trace: Range<u32>,
    /// End of the trace fields, or of a handwritten header and its blank line.
    pub(super) length: u32,
    pub(super) id: Option<Box<str>>,
    /// A handwritten header without a blank line at its end.
    pub(super) lacks_blank_line: bool,
}

/// Parses the head at the start of `window`. `at_end` means that the file ends with the window.
pub(super) fn parse(window: &[u8], at_end: bool) -> Parsed {
    let searched = &window[..window.len().min(HEAD_OCTETS_MAX)];
    match try_parse(searched, at_end && searched.len() == window.len()) {
        Ok(head) => Parsed::Head(head),
        Err(Stop::Broken(flaw)) => Parsed::Broken(flaw),
        Err(Stop::Incomplete) if searched.len() == HEAD_OCTETS_MAX => Parsed::Broken(Defect::EndlessHead),
        Err(Stop::Incomplete) => Parsed::Incomplete,
    }
}

enum Stop {
    Incomplete,
    Broken(Defect),
}

fn try_parse(window: &[u8], at_end: bool) -> Result<Head, Stop> {
    let mut front = [0..0, 0..0, 0..0];
    let mut at = 0;
    for (name, place) in ["From", "To", "Subject"].into_iter().zip(&mut front) {
        let field = field_at(window, at, at_end)?.filter(|field| field.is(name));
        let end = at + field.ok_or(Stop::Broken(Defect::FourFields))?.raw.len();
        *place = narrow(at..end);
        at = end;
    }
    let received = field_at(window, at, at_end)?.filter(|field| field.is("Received"));
    let received = received.ok_or(Stop::Broken(Defect::FourFields))?;
    at += received.raw.len();

    // An editor may have converted the line ends of a server's record. It keeps its unique-id.
    let mut id = None;
    let return_path = field_at(window, at, at_end)?.filter(|field| field.is("Return-Path"));
    if let Some(trace) = return_path.map(|field| server_trace(window, at..at + field.raw.len(), at_end)) {
        let trace = trace?;
        if ends_with_crlf(&window[..trace.end]) {
            return Ok(server_head(window, front, trace));
        }
        id = trace_id(trace_received(&window[trace])).0;
    }
    if received_date(&received).is_none() {
        return Err(Stop::Broken(Defect::Date));
    }
    let (length, lacks_blank_line) = handwritten_header_end(window, at, at_end)?;
    Ok(Head {
        author: Author::Human,
        front,
        trace: 0..0,
        length: narrow(length..length).start,
        id,
        lacks_blank_line,
    })
}

/// The date of a handwritten Received field.
pub(super) fn received_date(received: &Field<'_>) -> Option<chrono::DateTime<chrono::Utc>> {
    date::parse_short(std::str::from_utf8(received.value).ok()?.trim())
}

/// The range of Return-Path and, if Received follows, with or without Delivered-To before it, of these.
fn server_trace(window: &[u8], return_path: Range<usize>, at_end: bool) -> Result<Range<usize>, Stop> {
    let field_end = |at: usize, name: &str| {
        let field = field_at(window, at, at_end)?.filter(|field| field.is(name));
        Ok(field.map(|field| at + field.raw.len()))
    };
    let delivered_to = field_end(return_path.end, "Delivered-To")?;
    let received = field_end(delivered_to.unwrap_or(return_path.end), "Received")?;
    Ok(return_path.start..received.unwrap_or(return_path.end))
}

fn server_head(window: &[u8], mut front: [Range<u32>; 3], trace: Range<usize>) -> Head {
    let (id, after_id) = trace_id(trace_received(&window[trace.clone()]));
    let comment = after_id.strip_prefix(b" (added ").unwrap_or_default();
    let added = comment.split(|byte| *byte == b')').next().unwrap_or_default();
    for name in added.split(|byte| *byte == b' ') {
        match name {
            b"From" => front[0] = 0..0,
            b"To" => front[1] = 0..0,
            b"Subject" => front[2] = 0..0,
            _ => {}
        }
    }
    let trace = narrow(trace);
    Head { author: Author::Server, front, length: trace.end, trace, id, lacks_blank_line: false }
}

/// The value of the Received field in a server's trace fields.
fn trace_received(trace: &[u8]) -> &[u8] {
    header::fields(trace).find(|field| field.is("Received")).map_or(&b""[..], |field| field.value)
}

/// The id, if it is a valid unique-id, and the text after it.
fn trace_id(received: &[u8]) -> (Option<Box<str>>, &[u8]) {
    // Text from the client precedes the id and contains no space, so the last ` id ` is the server's.
    let after = memmem::rfind(received, b" id ").map_or(&b""[..], |at| &received[at + 4..]);
    let id = after.split(|byte| matches!(byte, b' ' | b';')).next().unwrap_or_default();
    let is_unique_id = (1..=70).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    let text = std::str::from_utf8(id).ok().filter(|_| is_unique_id).map(Box::from);
    (text, &after[id.len()..])
}

/// Start of the body of a handwritten record, and whether the blank line before it is missing.
fn handwritten_header_end(window: &[u8], mut at: usize, at_end: bool) -> Result<(usize, bool), Stop> {
    loop {
        let line = line_at(window, at, at_end)?;
        if matches!(line, b"\n" | b"\r\n") {
            return Ok((at + line.len(), false));
        }
        if !is_header_line(line) {
            return Ok((at, true));
        }
        at += line.len();
    }
}

/// Whether a line of a handwritten record is a field or continues one.
pub(super) fn is_header_line(line: &[u8]) -> bool {
    let text = line.strip_prefix(b".").unwrap_or(line);
    matches!(line.first(), Some(b' ' | b'\t'))
        || header::fields(text).next().is_some_and(|field| field.name.is_some())
}

/// The line at `at` with its line ending; empty at the end of the file.
fn line_at(window: &[u8], at: usize, at_end: bool) -> Result<&[u8], Stop> {
    match memchr::memchr(b'\n', &window[at..]) {
        Some(length) => Ok(&window[at..=at + length]),
        None if at_end => Ok(&window[at..]),
        None => Err(Stop::Incomplete),
    }
}

/// The complete field at `at`, or `None` at the end of the file. A field is complete when the next line is known.
fn field_at(window: &[u8], at: usize, at_end: bool) -> Result<Option<Field<'_>>, Stop> {
    let field = header::fields(&window[at..]).next();
    let end = at + field.map_or(0, |field| field.raw.len());
    if end == window.len() && !at_end { Err(Stop::Incomplete) } else { Ok(field) }
}

fn ends_with_crlf(head: &[u8]) -> bool {
    let mut line_ends = LineEndChecker::default();
    line_ends.check(head);
    head.ends_with(b"\r\n") && !line_ends.is_malformed()
}

fn narrow(range: Range<usize>) -> Range<u32> {
    let narrow = |at| u32::try_from(at).expect("a head is at most HEAD_OCTETS_MAX long");
    narrow(range.start)..narrow(range.end)
}
