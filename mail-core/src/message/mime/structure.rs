//! The parts of a message (RFC 2046 section 5.1), found in one pass.
//!
//! A delimiter is `--boundary` or `--boundary--` at the start of a line, followed by nothing but white space. It may
//! belong to any open multipart: the innermost match counts and closes everything inside. The end of the message closes
//! everything. Text before the first and after the last delimiter is ignored.

use memchr::memmem;

use super::Part;
use super::field::{header_end, line_end};
use super::limits::{DEPTH_MAX, PARTS_MAX};

/// A multipart whose closing delimiter has not been read.
struct Open {
    /// Its index in the list of parts.
    part: usize,
    boundary: Vec<u8>,
}

struct Delimiter {
    /// The end of the body before it, without the line end that belongs to the delimiter.
    body_end: usize,
    /// The octet after its line.
    next: usize,
    /// Its multipart in the list of open ones.
    level: usize,
    is_closing: bool,
}

/// Reads all parts in the order of the message; the first one is the message itself.
pub(super) fn parts(message: &[u8]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let finder = memmem::Finder::new("\n--");
    let mut start = 0;
    loop {
        let index = parts.len();
        let (header, body) = header_end(message, start, |line| matching(line, &open).is_some());
        let parent = open.last().map(|multipart| multipart.part);
        let is_digest = parent.is_some_and(|parent| parts[parent].is_type("multipart", "digest"));
        let mut part = Part::new(&message[start..header], &message[body..], parent, is_digest);
        let boundary = part.boundary().filter(|_| open.len() < DEPTH_MAX);
        part.is_multipart = boundary.is_some();
        parts.push(part);
        open.extend(boundary.map(|boundary| Open { part: index, boundary }));
        // The innermost part that has no end yet.
        let mut unfinished = Some((index, body));
        let mut from = body;
        start = loop {
            let found = delimiter(message, from, &open, &finder).filter(|_| parts.len() < PARTS_MAX);
            let Some(found) = found else {
                if let Some((index, _)) = unfinished {
                    parts[index].is_multipart = false;
                }
                return parts;
            };
            if let Some((index, body)) = unfinished.take() {
                // A multipart without a delimiter has no parts and becomes a text.
                parts[index].is_multipart &= !found.is_closing && found.level + 1 == open.len();
                parts[index].body = &message[body..found.body_end.max(body)];
            }
            open.truncate(found.level + usize::from(!found.is_closing));
            from = found.next;
            if !found.is_closing {
                break found.next;
            }
        };
    }
}

/// The first delimiter at or after `from`, which is the start of a line.
fn delimiter(message: &[u8], from: usize, open: &[Open], finder: &memmem::Finder<'_>) -> Option<Delimiter> {
    if open.is_empty() {
        return None;
    }
    let mut at = from;
    let mut is_line_start = true;
    loop {
        if !is_line_start || !message[at..].starts_with(b"--") {
            at += finder.find(&message[at..])? + 1;
        }
        is_line_start = false;
        let next = line_end(message, at);
        if let Some((level, is_closing)) = matching(&message[at..next], open) {
            let before = &message[from..at];
            let before = before.strip_suffix(b"\n").unwrap_or(before);
            let before = before.strip_suffix(b"\r").unwrap_or(before);
            return Some(Delimiter { body_end: from + before.len(), next, level, is_closing });
        }
    }
}

/// The innermost multipart that a line delimits, and whether it closes it.
fn matching(line: &[u8], open: &[Open]) -> Option<(usize, bool)> {
    let line = line.strip_prefix(b"--")?.trim_ascii_end();
    open.iter().enumerate().rev().find_map(|(level, multipart)| {
        match line.strip_prefix(multipart.boundary.as_slice())? {
            b"" => Some((level, false)),
            b"--" => Some((level, true)),
            _ => None,
        }
    })
}
