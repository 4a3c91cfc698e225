//! [`Scanner`] finds the records of a mailbox file of any size. It reads each byte once, through a window. The kinds of
//! records are described in [the parent module](super).

use std::ops::Range;

use memchr::memchr;

use super::handwritten::wire_head;
use super::head::{self, Author, Defect, Head, Parsed};

/// Written by some editors; ignored at the start of a file.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A record, or an invalid byte range, up to and including its line with a single dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset in the file.
    pub offset: u64,
    /// Length in the file.
    pub length: u64,
    /// The kind of record.
    pub kind: Kind,
}

/// The kind of a [`Record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message(Message),
    /// A removed message, marked with `#`.
    Removed,
    /// An invalid record.
    Broken(Defect),
    /// An incomplete record at the end of the file.
    Torn,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Size in octets as POP3 counts it: two per line end, stuffed dots not counted (RFC 1939 section 11).
    pub octets: u64,
    head: Head,
    terminator_length: u8,
}

impl Message {
    /// The author of the record.
    #[must_use]
    pub const fn author(&self) -> Author {
        self.head.author
    }

    /// The id of the server's trace field, if it is a valid unique-id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.head.id.as_deref()
    }

    /// Length of the head: up to the end of a server's trace fields, or of a handwritten header and its blank line.
    #[must_use]
    pub const fn head_length(&self) -> u32 {
        self.head.length
    }
}

impl Record {
    /// The message, if the record is one.
    #[must_use]
    pub const fn message(&self) -> Option<&Message> {
        match &self.kind {
            Kind::Message(message) => Some(message),
            Kind::Removed | Kind::Broken(_) | Kind::Torn => None,
        }
    }

    /// Offset of the end of the record.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// Offset of a message's line with the single dot; the end of any other record.
    #[must_use]
    pub fn text_end(&self) -> u64 {
        self.end() - self.message().map_or(0, |message| u64::from(message.terminator_length))
    }

    /// The byte ranges of the file that RETR sends, in order: the trace fields, the first three fields (without added
    /// ones), the rest. For a handwritten record, only the rest.
    #[must_use]
    pub fn wire_ranges(&self) -> Vec<Range<u64>> {
        let Some(Message { head, .. }) = self.message() else { return Vec::new() };
        let mut ranges: Vec<Range<u64>> = Vec::with_capacity(3);
        let mut push = |range: Range<u64>| match ranges.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => ranges.push(range),
        };
        if head.author == Author::Server {
            for part in [&head.trace, &head.front[0], &head.front[1], &head.front[2]] {
                push(self.offset + u64::from(part.start)..self.offset + u64::from(part.end));
            }
        }
        push(self.offset + u64::from(head.length)..self.text_end());
        ranges
    }

    /// Lengths of the trace fields and of the message's own From, To and Subject in a server's record.
    #[must_use]
    pub fn front_lengths(&self) -> Option<(usize, usize)> {
        let head = &self.message().filter(|message| message.author() == Author::Server)?.head;
        let length = |range: &Range<u32>| (range.end - range.start) as usize;
        Some((length(&head.trace), head.front.iter().map(length).sum()))
    }

    /// Parses a message at a position known from an index. `head` is the start of the record, up to at least one line
    /// after its head; `tail` is its end. `None` if there is no such message or `head` is too short.
    #[must_use]
    pub fn reparse(offset: u64, length: u64, octets: u64, head: &[u8], tail: &[u8]) -> Option<Self> {
        let head_end = head.len() as u64;
        let Parsed::Head(parsed) = head::parse(head, head_end == length) else { return None };
        let terminators: &[&[u8]] = match parsed.author {
            Author::Server => &[b"\r\n.\r\n", b"\r\n.\r"],
            Author::Human => &[b"\n.\r\n", b"\n.\n", b"\n.\r", b"\n."],
        };
        let terminator = terminators.iter().find(|terminator| tail.ends_with(terminator))?;
        let line_end = terminator.iter().rposition(|byte| *byte == b'.').map(|dot| terminator.len() - dot)?;
        let message = Message { octets, head: parsed, terminator_length: line_end as u8 };
        let is_whole = length >= u64::from(message.head_length()) + u64::from(message.terminator_length);
        is_whole.then_some(Self { offset, length, kind: Kind::Message(message) })
    }
}

/// All records of a mailbox in memory.
#[must_use]
pub fn records(mailbox: &[u8], hostname: &str) -> Vec<Record> {
    let (mut scanner, mut records, mut at) = (Scanner::new(hostname), Vec::new(), 0);
    loop {
        let (consumed, record) = scanner.scan(&mailbox[at..], true);
        at += consumed;
        let Some(record) = record else { return records };
        records.push(record);
    }
}

/// Finds the records of a mailbox.
///
/// Call [`scan`](Self::scan) with a window that begins at [`position`](Self::position), then drop the consumed bytes.
/// If nothing is consumed and no record is returned, extend the window (slightly more than
/// [`HEAD_OCTETS_MAX`](super::HEAD_OCTETS_MAX) is enough); at the end of the file, the scan is complete.
#[derive(Debug, Clone)]
pub struct Scanner {
    hostname: Box<str>,
    position: u64,
    open: Option<Open>,
}

impl Scanner {
    /// A scanner at the start of a mailbox. `hostname` is part of the trace field of handwritten records, so it affects
    /// their sizes.
    #[must_use]
    pub fn new(hostname: &str) -> Self {
        Self::resume(hostname, 0)
    }

    /// A scanner that starts at the end of a record.
    #[must_use]
    pub fn resume(hostname: &str, position: u64) -> Self {
        Self { hostname: hostname.into(), position, open: None }
    }

    /// Offset of the next unconsumed byte in the file.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Scans up to the end of the next record. `at_end` means that the file ends with the window. Returns the number of
    /// consumed octets and the record that ends there.
    pub fn scan(&mut self, window: &[u8], at_end: bool) -> (usize, Option<Record>) {
        let mut consumed = 0;
        if self.open.is_none() {
            let at_start = self.position == 0;
            if at_start && !at_end && window.len() < BYTE_ORDER_MARK.len() {
                return (0, None);
            }
            let rest = window.strip_prefix(BYTE_ORDER_MARK).filter(|_| at_start).unwrap_or(window);
            consumed = window.len() - rest.trim_ascii_start().len();
            let offset = self.position + consumed as u64;
            if let Some((open, length)) = Open::begin(&window[consumed..], at_end, offset, &self.hostname) {
                self.open = Some(open);
                consumed += length;
            }
        }
        let mut record = None;
        if let Some(open) = &mut self.open {
            let (length, end) = open.advance(&window[consumed..], at_end);
            consumed += length;
            record = end.map(|end| open.finish(end, self.position + consumed as u64));
        }
        if record.is_some() {
            self.open = None;
        }
        self.position += consumed as u64;
        (consumed, record)
    }
}

/// The record being scanned, after its head.
#[derive(Debug, Clone)]
struct Open {
    offset: u64,
    start: Start,
    /// Octets of the head as sent.
    head_octets: u64,
    /// Octets of the text so far, with two for each line end.
    text_octets: u64,
    /// Whether the start of the current line was consumed.
    in_line: bool,
    after_crlf: bool,
    has_nul: bool,
}

#[derive(Debug, Clone)]
enum Start {
    Head(Head),
    Removed,
    Broken(Defect),
}

/// The end of a record: a line with a single dot, with its length, or the end of the file.
#[derive(Debug, Clone, Copy)]
enum End {
    Terminator(u8),
    Torn,
}

impl Open {
    /// Starts the record at the beginning of the window and returns the length of its head. `None` if the window is too
    /// short.
    fn begin(window: &[u8], at_end: bool, offset: u64, hostname: &str) -> Option<(Self, usize)> {
        let (start, length, head_octets) = match window.first()? {
            b'#' => (Start::Removed, 0, 0),
            _ => match head::parse(window, at_end) {
                Parsed::Incomplete => return None,
                Parsed::Broken(flaw) => (Start::Broken(flaw), 0, 0),
                Parsed::Head(head) => {
                    let length = head.length as usize;
                    let octets = head_octets(&head, &window[..length], hostname);
                    (Start::Head(head), length, octets)
                }
            },
        };
        let has_nul = memchr(0, &window[..length]).is_some();
        let open =
            Self { offset, start, head_octets, text_octets: 0, in_line: false, after_crlf: true, has_nul };
        Some((open, length))
    }

    /// Scans to the end of the record or of the window.
    fn advance(&mut self, window: &[u8], at_end: bool) -> (usize, Option<End>) {
        let strict = self.is_strict();
        let mut at = 0;
        let end = loop {
            let Some(length) = memchr(b'\n', &window[at..]) else {
                let (length, end) = self.partial_line(&window[at..], at_end, strict);
                at += length;
                break end;
            };
            let line = &window[at..=at + length];
            at += line.len();
            let is_dotted = self.is_dotted(line, strict);
            if is_dotted && (line == b".\r\n" || line == b".\n" && !strict) {
                break Some(End::Terminator(line.len() as u8));
            }
            self.after_crlf = line.ends_with(b"\r\n");
            self.in_line = false;
            let added_cr = u64::from(!self.after_crlf && !strict);
            self.text_octets += line.len() as u64 + added_cr - u64::from(is_dotted);
        };
        self.has_nul |= memchr(0, &window[..at]).is_some();
        (at, end)
    }

    /// Handles a line without a line ending. Its start is consumed once it cannot be the terminator, except for a
    /// trailing CR, which may belong to the line ending.
    fn partial_line(&mut self, line: &[u8], at_end: bool, strict: bool) -> (usize, Option<End>) {
        if at_end {
            // Editors remove the line end at the end of a file. In a server's record a single dot is ambiguous: it is also
            // what a crash within a stuffed line leaves.
            let is_end = self.is_dotted(line, strict) && (line == b".\r" || !strict && line == b".");
            let end = if is_end { End::Terminator(line.len() as u8) } else { End::Torn };
            return (line.len(), Some(end));
        }
        if !self.in_line && line.len() < b".\r\n".len() {
            return (0, None);
        }
        let length = line.len() - usize::from(line.ends_with(b"\r"));
        self.text_octets += length as u64;
        if self.is_dotted(line, strict) {
            self.text_octets -= 1;
        }
        self.in_line = true;
        (length, None)
    }

    /// Whether a line with a leading dot begins here. In a server's record, a line begins only after CRLF.
    fn is_dotted(&self, line: &[u8], strict: bool) -> bool {
        !self.in_line && line.first() == Some(&b'.') && (self.after_crlf || !strict)
    }

    const fn is_strict(&self) -> bool {
        matches!(&self.start, Start::Head(Head { author: Author::Server, .. }))
    }

    fn finish(&self, end: End, position: u64) -> Record {
        let length = position - self.offset;
        let kind = match (end, &self.start) {
            (End::Torn, _) => Kind::Torn,
            (_, Start::Removed) => Kind::Removed,
            // A NUL is reported first, because it is the result of a crash and not of a typing error.
            (_, Start::Head(_) | Start::Broken(_)) if self.has_nul => Kind::Broken(Defect::Nul),
            (_, Start::Broken(flaw)) => Kind::Broken(*flaw),
            (End::Terminator(terminator_length), Start::Head(head)) => {
                let has_text = length > u64::from(head.length) + u64::from(terminator_length);
                let blank_line = if head.lacks_blank_line && has_text { 2 } else { 0 };
                let octets = self.head_octets + blank_line + self.text_octets;
                Kind::Message(Message { octets, head: head.clone(), terminator_length })
            }
        };
        Record { offset: self.offset, length, kind }
    }
}

fn head_octets(head: &Head, bytes: &[u8], hostname: &str) -> u64 {
    match head.author {
        Author::Server => [&head.trace, &head.front[0], &head.front[1], &head.front[2]]
            .iter()
            .map(|part| u64::from(part.end - part.start))
            .sum(),
        Author::Human => {
            let head = wire_head(bytes, false, hostname);
            let stuffed_dots = memchr::memmem::find_iter(&head, b"\r\n.").count();
            (head.len() - stuffed_dots) as u64
        }
    }
}

#[cfg(test)]
mod tests;
