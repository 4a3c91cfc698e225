//! Finds the end of a header and splits it into fields, without losing a byte.
//!
//! Implements the field syntax of RFC 5322 sections 2.2 and 2.2.3 (folding), and the obsolete white space between a
//! field name and its colon (section 4.5). Lines end with LF or CRLF. Field values are not decoded; see
//! [`parsed`](super::parsed).
//!
//! Malformed input is handled as follows:
//! - The header ends at the first empty line. A line of only white space is a continuation.
//! - If the first line is neither a field nor begins with `From ` (mbox), there is no header and all of it is body.
//! - Any other malformed line, with its continuation lines, is a [`Field`] without a name.

use memchr::memchr;

use crate::line::without_ending;

/// A header field or a malformed line, with its continuation lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// All bytes, line ends included.
    pub raw: &'a [u8],
    /// The field name; `None` for a malformed line.
    pub name: Option<&'a [u8]>,
    /// The text after the colon, still folded, without the last line end. For a malformed line, all of its text.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Compares the name, ignoring case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.is_some_and(|own| own.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// The fields of a header from [`split`], in order. Their `raw` bytes add up to the header.
#[must_use]
pub const fn fields(header: &[u8]) -> Fields<'_> {
    Fields { rest: header }
}

/// The first field with this name, ignoring case.
#[must_use]
pub fn first<'a>(header: &'a [u8], name: &str) -> Option<Field<'a>> {
    fields(header).find(|field| field.is(name))
}

/// Splits a message into header and body. The empty line between them belongs to neither.
#[must_use]
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut scanner = HeaderScanner::default();
    let bounds = scanner.push(message).unwrap_or_else(|| scanner.finish());
    (&message[..bounds.header_end], &message[bounds.body_start..])
}

/// The iterator returned by [`fields`].
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut end = line_end(self.rest, 0);
        while matches!(self.rest.get(end), Some(b' ' | b'\t')) {
            end = line_end(self.rest, end);
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        let content = without_ending(raw);
        let (name, value) = match name_and_colon(content) {
            Some((name, colon)) => (Some(&content[..name]), &content[colon + 1..]),
            None => (None, content),
        };
        Some(Field { raw, name, value })
    }
}

/// The end of the header and the start of the body, in octets from the start of the message.
///
/// Both are 0 if there is no header, and both are the length of the message if there is no empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderBounds {
    /// End of the header's last line, including its line end.
    pub header_end: usize,
    /// First octet after the empty line.
    pub body_start: usize,
}

/// Finds the end of the header of a message that arrives in chunks.
///
/// Call [`push`](Self::push) with each chunk until it returns bounds. If the message ends first, call
/// [`finish`](Self::finish).
#[derive(Debug, Clone, Default)]
pub struct HeaderScanner {
    state: State,
    /// Octets before the current chunk.
    seen: usize,
    /// Start of the current line in [`State::LineStart`] and [`State::LineStartCr`].
    line_start: usize,
}

/// The position in a line. The first line has its own states, because it decides whether there is a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a possible name of the first field: its length, and whether it may be `From `.
    FirstName { len: usize, mbox: bool },
    /// In white space after that name.
    FirstSpace,
    /// After a CR at the start of the message.
    FirstCr,
    /// At the start of another line.
    LineStart,
    /// After a CR at the start of another line.
    LineStartCr,
    /// In a line that is not empty.
    Line,
}

impl Default for State {
    fn default() -> Self {
        Self::FirstName { len: 0, mbox: true }
    }
}

impl HeaderScanner {
    /// Scans the next chunk. Returns the bounds when the end of the header is found.
    pub fn push(&mut self, chunk: &[u8]) -> Option<HeaderBounds> {
        let mut i = 0;
        while let Some(&byte) = chunk.get(i) {
            let offset = self.seen + i;
            match (self.state, byte) {
                (State::Line, _) => match memchr(b'\n', &chunk[i..]) {
                    Some(at) => {
                        i += at;
                        self.line_start = self.seen + i + 1;
                        self.state = State::LineStart;
                    }
                    None => break,
                },
                (State::LineStart | State::LineStartCr, b'\n') => {
                    return Some(HeaderBounds { header_end: self.line_start, body_start: offset + 1 });
                }
                (State::LineStart, b'\r') => self.state = State::LineStartCr,
                (State::LineStart | State::LineStartCr, _) => self.state = State::Line,
                (first, _) => match first_line(first, byte) {
                    FirstLine::Undecided(state) => self.state = state,
                    FirstLine::Header => self.state = State::Line,
                    FirstLine::Empty => return Some(HeaderBounds { header_end: 0, body_start: offset + 1 }),
                    FirstLine::Body => return Some(HeaderBounds { header_end: 0, body_start: 0 }),
                },
            }
            i += 1;
        }
        self.seen += chunk.len();
        None
    }

    /// The bounds for a message that ends here.
    #[must_use]
    pub const fn finish(&self) -> HeaderBounds {
        let header_end = match self.state {
            State::LineStart | State::LineStartCr | State::Line => self.seen,
            State::FirstName { .. } | State::FirstSpace | State::FirstCr => 0,
        };
        HeaderBounds { header_end, body_start: header_end }
    }
}

enum FirstLine {
    Undecided(State),
    Header,
    Empty,
    Body,
}

const fn first_line(state: State, byte: u8) -> FirstLine {
    match (state, byte) {
        (State::FirstName { len: 0, .. } | State::FirstCr, b'\n') => FirstLine::Empty,
        (State::FirstName { len: 0, .. }, b'\r') => FirstLine::Undecided(State::FirstCr),
        (State::FirstName { len: 1.., .. } | State::FirstSpace, b':') => FirstLine::Header,
        (State::FirstName { len: 4, mbox: true }, b' ') => FirstLine::Header,
        (State::FirstName { len: 1.., .. } | State::FirstSpace, b' ' | b'\t') => {
            FirstLine::Undecided(State::FirstSpace)
        }
        (State::FirstName { len, mbox }, _) if is_ftext(byte) => {
            let mbox = mbox && len < 4 && byte == b"From"[len];
            FirstLine::Undecided(State::FirstName { len: len + 1, mbox })
        }
        _ => FirstLine::Body,
    }
}

/// `ftext = %d33-57 / %d59-126` (RFC 5322 section 3.6.8).
const fn is_ftext(byte: u8) -> bool {
    matches!(byte, 33..=57 | 59..=126)
}

/// The length of the field name and the position of the colon.
fn name_and_colon(line: &[u8]) -> Option<(usize, usize)> {
    let name = line.iter().position(|byte| !is_ftext(*byte)).filter(|len| *len > 0)?;
    let colon = name + line[name..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    (line[colon] == b':').then_some((name, colon))
}

/// The end of the line that contains the octet at `from`, including its line end.
fn line_end(bytes: &[u8], from: usize) -> usize {
    memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn fields_preserve_every_byte() {
        let header = b"From: ag@iit.edu\r\nSubject : a\r\n\tb\r\n \r\nno field\r\n more\r\nX-Last:";
        let all: Vec<_> = fields(header).collect();
        let names: Vec<_> = all.iter().map(|field| field.name).collect();
        assert_eq!(names, [Some(&b"From"[..]), Some(b"Subject"), None, Some(b"X-Last")]);
        let values: Vec<_> = all.iter().map(|field| field.value).collect();
        assert_eq!(values, [&b" ag@iit.edu"[..], b" a\r\n\tb\r\n ", b"no field\r\n more", b""]);
        assert_eq!(all.iter().flat_map(|field| field.raw).copied().collect::<Vec<_>>(), header);
    }

    #[test]
    fn malformed_lines_have_no_name() {
        for line in [
            &b": x"[..],
            b" x: y",
            b"a b: c",
            b"\xc3\xa9: x",
            b"a",
            b"From ag@iit.edu Sun Nov 22",
            b"\x7f: x",
        ] {
            let field = fields(line).next().unwrap();
            assert_eq!((field.name, field.value), (None, line));
        }
    }

    #[test]
    fn first_ignores_case() {
        let header = b"RECEIVED: 1\r\nreceived : 2\r\nSubject: a\r\nReceived-SPF: no\r\nsubject: b\r\n";
        assert_eq!(first(header, "Subject").unwrap().value, b" a");
        assert_eq!(first(header, "Subjec"), None);
    }

    #[test]
    fn split_ends_the_header_at_the_first_empty_line() {
        for (message, header, body) in [
            ("A: 1\r\n\r\nbody\r\n\r\n", "A: 1\r\n", "body\r\n\r\n"),
            ("A: 1\n\nbody", "A: 1\n", "body"),
            ("A: 1\r\n \r\n\r\nbody", "A: 1\r\n \r\n", "body"),
            ("A: 1\r\n\r\r\n\r\nbody", "A: 1\r\n\r\r\n", "body"),
            ("A: 1\r\nB: 2", "A: 1\r\nB: 2", ""),
            ("A: 1\r\n", "A: 1\r\n", ""),
            ("A: 1\r\n\r", "A: 1\r\n\r", ""),
            ("A:\r\nno field\r\n\r\nbody", "A:\r\nno field\r\n", "body"),
            ("From ag@iit.edu Sun\nA: 1\n\nbody", "From ag@iit.edu Sun\nA: 1\n", "body"),
            ("From : ag@iit.edu\n\nbody", "From : ag@iit.edu\n", "body"),
            ("\r\nbody", "", "body"),
            ("\nA: 1", "", "A: 1"),
            ("hello\r\n\r\nA: 1", "", "hello\r\n\r\nA: 1"),
            ("from ag Sun\n\n", "", "from ag Sun\n\n"),
            (" A: 1\r\n\r\n", "", " A: 1\r\n\r\n"),
            (": 1\r\n\r\n", "", ": 1\r\n\r\n"),
            ("\rA: 1", "", "\rA: 1"),
            ("Name", "", "Name"),
            ("", "", ""),
        ] {
            assert_eq!(split(message.as_bytes()), (header.as_bytes(), body.as_bytes()), "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn scanner_is_independent_of_the_chunk_size(message in "(From|A|:| |é|\r|\n|\r\n){0,16}", size in 1_usize..5) {
            let message = message.as_bytes();
            let mut scanner = HeaderScanner::default();
            let found = message.chunks(size).find_map(|chunk| scanner.push(chunk));
            let bounds = found.unwrap_or_else(|| scanner.finish());
            let (header, body) = split(message);
            prop_assert_eq!((bounds.header_end, bounds.body_start), (header.len(), message.len() - body.len()));
        }

        #[test]
        fn fields_add_up_to_the_header_for_any_bytes(header in "[A: \t\r\né]{0,40}") {
            let joined: Vec<u8> = fields(header.as_bytes()).flat_map(|field| field.raw).copied().collect();
            prop_assert_eq!(joined, header.as_bytes());
        }
    }
}
