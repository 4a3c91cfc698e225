//! Reading a mailbox: [`Scanner`] finds the records in a file of any size, window by window, and looks at each byte
//! once. What the kinds mean stands on [the module above](super).

use std::ops::Range;

use memchr::memchr;

use super::head::{self, Head, Parsed};
use super::person::person_head;

/// Some editors begin a file with it; it is skipped as white space is.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One record, or a stretch that is none, from its first byte through its line with the single dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Octets of the file before it.
    pub offset: u64,
    /// Its octets in the file.
    pub length: u64,
    /// What it is.
    pub kind: Kind,
}

/// What stands in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A message.
    Message(Message),
    /// A removed message, marked with `#`.
    Removed,
    /// A stretch that cannot be read as a record.
    Broken(Flaw),
    /// A record that the end of the file cuts off. It is the last.
    Torn,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Octets as RETR counts them: each line end two, stuffed dots none (RFC 1939 section 11).
    pub octets: u64,
    head: Head,
    terminator_length: u8,
}

/// Who wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A server: its bytes go on the wire as they stand.
    Server,
    /// A person: it is served through [`person_head`] and [`LineEndMender`](super::LineEndMender).
    Person,
}

/// Why a stretch cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// From, To, Subject and Received don't begin it.
    #[error("it does not begin with the fields From, To, Subject and Received, in this order")]
    FourFields,
    /// The fourth field is no date.
    #[error("its Received field is not a date : hour : minute, like 2026-11-22 : 19 : 15")]
    Date,
    /// The head has no end.
    #[error("its header is longer than any header can be")]
    EndlessHead,
    /// There is a NUL in it.
    #[error("it holds a NUL, as after a crash that lost a part of it")]
    Nul,
}

impl Message {
    /// Who wrote the record.
    #[must_use]
    pub const fn author(&self) -> Author {
        self.head.author
    }

    /// The id of our trace field, where it has one that can be a unique-id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.head.id.as_deref()
    }

    /// Whether it was received with SMTPUTF8 (RFC 6856 section 3.2 asks).
    #[must_use]
    pub const fn is_utf8(&self) -> bool {
        self.head.utf8
    }

    /// Octets from the record's start to where its rest begins: behind a server's trace fields, or behind a person's
    /// header and its blank line.
    #[must_use]
    pub const fn rest(&self) -> u32 {
        self.head.length
    }
}

impl Record {
    /// The message, if it is one.
    #[must_use]
    pub const fn message(&self) -> Option<&Message> {
        match &self.kind {
            Kind::Message(message) => Some(message),
            Kind::Removed | Kind::Broken(_) | Kind::Torn => None,
        }
    }

    /// Where it ends in the file.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// Where its text ends in the file and its line with the single dot begins; of what is no message, where it ends.
    #[must_use]
    pub fn text_end(&self) -> u64 {
        self.end() - self.message().map_or(0, |message| u64::from(message.terminator_length))
    }

    /// The stretches of the file that RETR sends, in its order: the trace fields, the first three fields (less the
    /// added ones), the rest. Of a person's record the rest alone.
    #[must_use]
    pub fn stretches(&self) -> Vec<Range<u64>> {
        let Some(Message { head, .. }) = self.message() else { return Vec::new() };
        let mut stretches: Vec<Range<u64>> = Vec::with_capacity(3);
        let mut push = |stretch: Range<u64>| match stretches.last_mut() {
            _ if stretch.is_empty() => {}
            Some(last) if last.end == stretch.start => last.end = stretch.end,
            _ => stretches.push(stretch),
        };
        if head.author == Author::Server {
            for part in [&head.trace, &head.front[0], &head.front[1], &head.front[2]] {
                push(self.offset + u64::from(part.start)..self.offset + u64::from(part.end));
            }
        }
        push(self.offset + u64::from(head.length)..self.text_end());
        stretches
    }

    /// A message read again where an index has it: `head` is what the file holds from its start (through the line
    /// behind its head at least, or all of it), `tail` what it holds at its end. `None` when no message stands there,
    /// or `head` is too short to tell.
    #[must_use]
    pub fn read_again(offset: u64, length: u64, octets: u64, head: &[u8], tail: &[u8]) -> Option<Self> {
        let head_end = head.len() as u64;
        let Parsed::Head(parsed) = head::parse(head, head_end == length) else { return None };
        let terminators: &[&[u8]] = match parsed.author {
            Author::Server => &[b"\r\n.\r\n"],
            Author::Person => &[b"\n.\r\n", b"\n.\n", b"\n.\r", b"\n."],
        };
        let terminator = terminators.iter().find(|terminator| tail.ends_with(terminator))?;
        let line_end = terminator.iter().rposition(|byte| *byte == b'.').map(|dot| terminator.len() - dot)?;
        let message = Message { octets, head: parsed, terminator_length: line_end as u8 };
        let is_whole = length >= u64::from(message.rest()) + u64::from(message.terminator_length);
        is_whole.then_some(Self { offset, length, kind: Kind::Message(message) })
    }
}

/// All records of a mailbox that is in memory.
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
/// [`scan`](Self::scan) a window that begins at [`position`](Self::position), drop what it consumed, and so on. When
/// it consumed nothing and found nothing, it needs a longer window, at most [`HEAD_OCTETS_MAX`](super::HEAD_OCTETS_MAX)
/// and a few octets; at the end of the file it is done.
#[derive(Debug, Clone)]
pub struct Scanner {
    hostname: Box<str>,
    position: u64,
    open: Option<Open>,
}

impl Scanner {
    /// A scanner at the start of a mailbox. The host name goes into the trace field, and so into the octets, of a
    /// person's record.
    #[must_use]
    pub fn new(hostname: &str) -> Self {
        Self::behind(hostname, 0)
    }

    /// A scanner that begins behind the record that ends at `position`.
    #[must_use]
    pub fn behind(hostname: &str, position: u64) -> Self {
        Self { hostname: hostname.into(), position, open: None }
    }

    /// Octets consumed so far.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Scans the window as far as the end of the next record; `at_end` says that nothing follows the window. Answers
    /// how many octets are consumed, and the record that ends there.
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

/// The record that is being scanned, its head behind it.
#[derive(Debug, Clone)]
struct Open {
    offset: u64,
    start: Start,
    /// Octets of the head in transfer form.
    head_octets: u64,
    /// Octets of the text so far, every line end counted as two.
    text_octets: u64,
    /// Whether the start of the current line is consumed.
    in_line: bool,
    after_crlf: bool,
    has_nul: bool,
}

#[derive(Debug, Clone)]
enum Start {
    Head(Head),
    Removed,
    Broken(Flaw),
}

/// How a record ended: with a line with a single dot of so many octets, or at the end of the file.
#[derive(Debug, Clone, Copy)]
enum End {
    Terminator(u8),
    Torn,
}

impl Open {
    /// Opens the record that begins the window and tells the length of its head; `None` when the window has nothing,
    /// or too little of it.
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

    /// Goes on to the end of the record or of the window.
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
            let mended = u64::from(!self.after_crlf && !strict);
            self.text_octets += line.len() as u64 + mended - u64::from(is_dotted);
        };
        self.has_nul |= memchr(0, &window[..at]).is_some();
        (at, end)
    }

    /// What has no line end yet: a line whose start is kept until it is seen not to be the end, and then consumed but
    /// for a CR that may belong to its line end.
    fn partial_line(&mut self, line: &[u8], at_end: bool, strict: bool) -> (usize, Option<End>) {
        if at_end {
            let is_end = !self.in_line && !strict && matches!(line, b"." | b".\r");
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

    /// Whether a line begins here, with a dot. A server's lines begin behind CRLF only.
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
            // Wherever the hole is, it is what a crash left, and no person's mistake.
            (_, Start::Head(_) | Start::Broken(_)) if self.has_nul => Kind::Broken(Flaw::Nul),
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
        Author::Person => {
            let served = person_head(bytes, false, hostname);
            let stuffed = memchr::memmem::find_iter(&served, b"\r\n.").count();
            (served.len() - stuffed) as u64
        }
    }
}

#[cfg(test)]
mod tests;
