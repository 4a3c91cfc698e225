//! The head of a record: its four fields, and what follows them up to where its text can be taken line by line.

use std::ops::Range;

use memchr::memmem;

use super::HEAD_OCTETS_MAX;
use super::scan::{Author, Flaw};
use crate::line::LineEnds;
use crate::message::date;
use crate::message::header::{self, Field};

/// What [`parse`] found at the start of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// The window ends before the head does.
    Incomplete,
    Broken(Flaw),
    Head(Head),
}

/// Bounds within a record, from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) author: Author,
    /// From, To and Subject; empty where one was added for the file.
    pub(super) front: [Range<u32>; 3],
    /// Our trace fields; empty in a person's record.
    pub(super) trace: Range<u32>,
    /// Where the rest begins: behind the trace fields, or behind a person's header and its blank line.
    pub(super) length: u32,
    pub(super) id: Option<Box<str>>,
    pub(super) utf8: bool,
    /// A person's header that no blank line ends.
    pub(super) lacks_blank_line: bool,
}

/// Reads the head of the record that begins the window; `at_end` says that nothing follows the window.
pub(super) fn parse(window: &[u8], at_end: bool) -> Parsed {
    let searched = &window[..window.len().min(HEAD_OCTETS_MAX)];
    match try_parse(searched, at_end && searched.len() == window.len()) {
        Ok(head) => Parsed::Head(head),
        Err(Stop::Broken(flaw)) => Parsed::Broken(flaw),
        Err(Stop::Incomplete) if searched.len() == HEAD_OCTETS_MAX => Parsed::Broken(Flaw::EndlessHead),
        Err(Stop::Incomplete) => Parsed::Incomplete,
    }
}

enum Stop {
    Incomplete,
    Broken(Flaw),
}

fn try_parse(window: &[u8], at_end: bool) -> Result<Head, Stop> {
    let mut front = [0..0, 0..0, 0..0];
    let mut at = 0;
    for (name, place) in ["From", "To", "Subject"].into_iter().zip(&mut front) {
        let field = field_at(window, at, at_end)?.filter(|field| field.is(name));
        let end = at + field.ok_or(Stop::Broken(Flaw::FourFields))?.raw.len();
        *place = narrow(at..end);
        at = end;
    }
    let received = field_at(window, at, at_end)?.filter(|field| field.is("Received"));
    let received = received.ok_or(Stop::Broken(Flaw::FourFields))?;
    at += received.raw.len();

    let return_path = field_at(window, at, at_end)?.filter(|field| field.is("Return-Path"));
    if let Some(trace) = return_path.map(|field| server_trace(window, at..at + field.raw.len(), at_end)) {
        let trace = trace?;
        if ends_with_crlf(&window[..trace.end]) {
            return Ok(server_head(window, front, trace));
        }
    }
    if person_date(&received).is_none() {
        return Err(Stop::Broken(Flaw::Date));
    }
    let (length, lacks_blank_line) = person_header_end(window, at, at_end)?;
    Ok(Head {
        author: Author::Person,
        front,
        trace: 0..0,
        length: narrow(length..length).start,
        id: None,
        utf8: false,
        lacks_blank_line,
    })
}

/// The date of a person's fourth field.
pub(super) fn person_date(received: &Field<'_>) -> Option<chrono::DateTime<chrono::Utc>> {
    date::parse_short(std::str::from_utf8(received.value).ok()?.trim())
}

/// Return-Path, and the Received field where it follows.
fn server_trace(window: &[u8], return_path: Range<usize>, at_end: bool) -> Result<Range<usize>, Stop> {
    let received = field_at(window, return_path.end, at_end)?.filter(|field| field.is("Received"));
    Ok(return_path.start..return_path.end + received.map_or(0, |field| field.raw.len()))
}

fn server_head(window: &[u8], mut front: [Range<u32>; 3], trace: Range<usize>) -> Head {
    let received = header::fields(&window[trace.clone()]).nth(1).map_or(&b""[..], |field| field.value);
    // What a client said stands before the id and holds no space, so the last ` id ` is ours.
    let behind_id = memmem::rfind(received, b" id ").map_or(&b""[..], |at| &received[at + 4..]);
    let id = behind_id.split(|byte| matches!(byte, b' ' | b';')).next().unwrap_or_default();
    let comment = behind_id[id.len()..].strip_prefix(b" (added ").unwrap_or_default();
    let added = comment.split(|byte| *byte == b')').next().unwrap_or_default();
    for name in added.split(|byte| *byte == b' ') {
        match name {
            b"From" => front[0] = 0..0,
            b"To" => front[1] = 0..0,
            b"Subject" => front[2] = 0..0,
            _ => {}
        }
    }
    let is_unique_id = (1..=70).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic);
    let trace = narrow(trace);
    Head {
        author: Author::Server,
        front,
        length: trace.end,
        trace,
        id: std::str::from_utf8(id).ok().filter(|_| is_unique_id).map(Box::from),
        utf8: memmem::find(received, b" with UTF8").is_some(),
        lacks_blank_line: false,
    }
}

/// Where a person's text begins, and whether the blank line before it is missing.
fn person_header_end(window: &[u8], mut at: usize, at_end: bool) -> Result<(usize, bool), Stop> {
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

/// Whether a line of a person's record is a field or continues one.
pub(super) fn is_header_line(line: &[u8]) -> bool {
    let text = line.strip_prefix(b".").unwrap_or(line);
    matches!(line.first(), Some(b' ' | b'\t'))
        || header::fields(text).next().is_some_and(|field| field.name.is_some())
}

/// The line at `at` with its line end; empty at the end of the file.
fn line_at(window: &[u8], at: usize, at_end: bool) -> Result<&[u8], Stop> {
    match memchr::memchr(b'\n', &window[at..]) {
        Some(length) => Ok(&window[at..=at + length]),
        None if at_end => Ok(&window[at..]),
        None => Err(Stop::Incomplete),
    }
}

/// The field at `at`, complete: the next line is seen not to continue it. `None` at the end of the file.
fn field_at(window: &[u8], at: usize, at_end: bool) -> Result<Option<Field<'_>>, Stop> {
    let field = header::fields(&window[at..]).next();
    let end = at + field.map_or(0, |field| field.raw.len());
    if end == window.len() && !at_end { Err(Stop::Incomplete) } else { Ok(field) }
}

fn ends_with_crlf(head: &[u8]) -> bool {
    let mut line_ends = LineEnds::default();
    line_ends.check(head);
    head.ends_with(b"\r\n") && !line_ends.are_broken()
}

fn narrow(range: Range<usize>) -> Range<u32> {
    let narrow = |at| u32::try_from(at).expect("a head is at most HEAD_OCTETS_MAX long");
    narrow(range.start)..narrow(range.end)
}
