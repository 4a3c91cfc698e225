//! The protocol log: the dialogue with the servers, line by line. Secrets appear as `****`; message bodies and long
//! listings are folded into one line with their size.
//!
//! A [`TranscriptRecorder`] parses one connection only as far as necessary to recognise bodies and secrets. Its memory
//! is bounded whatever the server sends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use mail_core::line::without_ending;
use mail_core::message::printable::printable_line;
use mail_core::pop3::Command;

/// Older lines are dropped.
const LINES_MAX: usize = 2_000;
/// Lines of a listing that are recorded before the rest is folded.
const LISTED_MAX: usize = 12;
/// Recorded characters of a line.
const CHARS_MAX: usize = 512;
/// Octets of an unfinished line that are buffered. The rest of the line is only counted.
const PARTIAL_OCTETS_MAX: usize = 4 * 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Pop3,
    Smtp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
    /// An event of the connection itself.
    Note,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counts all lines ever recorded; stable when older lines are dropped.
    pub(crate) number: u64,
    pub(crate) protocol: Protocol,
    pub(crate) side: Side,
    pub(crate) text: String,
}

impl Line {
    /// The line with its `C:` or `S:` prefix.
    pub(crate) fn prefixed(&self) -> String {
        let prefix = match self.side {
            Side::Client => "C: ",
            Side::Server => "S: ",
            Side::Note => "-- ",
        };
        format!("{prefix}{}", self.text)
    }
}

/// The last lines of all connections since the page was loaded or the last sign-out.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    lines: VecDeque<Rc<Line>>,
    count: u64,
}

impl Transcript {
    pub(crate) fn lines(&self) -> impl DoubleEndedIterator<Item = &Rc<Line>> {
        self.lines.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        // A change that the page notices.
        self.count += 1;
    }

    /// Number of lines ever recorded, and of changes.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    fn push(&mut self, protocol: Protocol, side: Side, text: &str) {
        let text = printable_line(text).chars().take(CHARS_MAX).collect();
        self.lines.push_back(Rc::new(Line { number: self.count, protocol, side, text }));
        self.count += 1;
        if self.lines.len() > LINES_MAX {
            self.lines.pop_front();
        }
    }
}

/// The response that the server's next lines belong to.
#[derive(Debug, Default)]
enum Response {
    #[default]
    StatusLine,
    Listing {
        folded: usize,
        shown: usize,
    },
    Message {
        octets: usize,
    },
}

/// Records one connection.
#[derive(Debug)]
pub(crate) struct TranscriptRecorder {
    transcript: Rc<RefCell<Transcript>>,
    protocol: Protocol,
    sent: PartialLine,
    received: PartialLine,
    /// The kind of each outstanding POP3 response, in order.
    expected: VecDeque<Response>,
    response: Response,
    /// The client's next line answers a challenge.
    secret: bool,
    /// Octets of the message that SMTP is sending, so far.
    body: Option<usize>,
}

impl TranscriptRecorder {
    pub(crate) fn new(transcript: &Rc<RefCell<Transcript>>, protocol: Protocol) -> Self {
        Self {
            transcript: transcript.clone(),
            protocol,
            sent: PartialLine::default(),
            received: PartialLine::default(),
            expected: VecDeque::new(),
            response: Response::StatusLine,
            secret: false,
            body: None,
        }
    }

    pub(crate) fn note(&self, text: &str) {
        self.push(Side::Note, text);
    }

    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let mut partial = std::mem::take(&mut self.sent);
        partial.for_each_line(bytes, |line| self.client_line(line));
        self.sent = partial;
    }

    pub(crate) fn received(&mut self, bytes: &[u8]) {
        let mut partial = std::mem::take(&mut self.received);
        partial.for_each_line(bytes, |line| self.server_line(line));
        self.received = partial;
    }

    fn client_line(&mut self, line: RecordedLine<'_>) {
        if let Some(octets) = &mut self.body {
            if line.text != b"." {
                *octets += line.unstuffed_octets();
                return;
            }
            let octets = *octets;
            self.body = None;
            self.push(Side::Client, &format!("[{octets} octets of the message]"));
            return self.push(Side::Client, ".");
        }
        if std::mem::take(&mut self.secret) {
            return self.push(Side::Client, "****");
        }
        match self.protocol {
            Protocol::Smtp => self.push(Side::Client, &without_initial_response(line.text)),
            Protocol::Pop3 => match Command::parse(line.text) {
                Ok(command) => {
                    self.expected.push_back(response_to(&command));
                    self.push(Side::Client, &command.to_string());
                }
                // An unknown command might contain a secret.
                Err(_) => self.push(Side::Client, "****"),
            },
        }
    }

    fn server_line(&mut self, line: RecordedLine<'_>) {
        let text = String::from_utf8_lossy(line.text);
        match (self.protocol, &mut self.response) {
            (Protocol::Smtp, _) => {
                self.secret = text.starts_with("334");
                if text.starts_with("354") {
                    self.body = Some(0);
                }
                self.push(Side::Server, &text);
            }
            (Protocol::Pop3, Response::StatusLine) => {
                self.secret = text.starts_with("+ ") || text == "+";
                if text.starts_with("+OK") {
                    self.response = self.expected.pop_front().unwrap_or_default();
                } else if !self.secret {
                    self.expected.pop_front();
                }
                self.push(Side::Server, &text);
            }
            (Protocol::Pop3, _) if text == "." => self.end_response(),
            (Protocol::Pop3, Response::Message { octets }) => *octets += line.unstuffed_octets(),
            (Protocol::Pop3, Response::Listing { folded, .. }) if *folded > 0 => *folded += 1,
            (Protocol::Pop3, Response::Listing { folded, shown }) if *shown == LISTED_MAX => *folded += 1,
            (Protocol::Pop3, Response::Listing { shown, .. }) => {
                *shown += 1;
                self.push(Side::Server, &text);
            }
        }
    }

    fn end_response(&mut self) {
        match std::mem::take(&mut self.response) {
            Response::Message { octets } => {
                self.push(Side::Server, &format!("[{octets} octets of the message]"));
            }
            Response::Listing { folded: 0, .. } | Response::StatusLine => {}
            Response::Listing { folded, .. } => self.push(Side::Server, &format!("[{folded} more lines]")),
        }
        self.push(Side::Server, ".");
    }

    fn push(&self, side: Side, text: &str) {
        self.transcript.borrow_mut().push(self.protocol, side, text);
    }
}

fn response_to(command: &Command) -> Response {
    match command {
        Command::Capa | Command::List(None) | Command::Uidl(None) => {
            Response::Listing { folded: 0, shown: 0 }
        }
        Command::Retr(_) | Command::Top { .. } => Response::Message { octets: 0 },
        _ => Response::StatusLine,
    }
}

/// Replaces an initial response (RFC 4954 section 4): `AUTH PLAIN ****`.
fn without_initial_response(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some(auth), Some(mechanism), Some(_)) if auth.eq_ignore_ascii_case("AUTH") => {
            format!("{auth} {mechanism} ****")
        }
        _ => text.into_owned(),
    }
}

/// A complete line without its line end.
#[derive(Clone, Copy)]
struct RecordedLine<'a> {
    text: &'a [u8],
    /// Octets beyond `text` that were counted and dropped.
    dropped: usize,
}

impl RecordedLine<'_> {
    /// Octets with CRLF and without dot-stuffing (RFC 1939 section 3, RFC 5321 section 4.5.2).
    fn unstuffed_octets(&self) -> usize {
        self.text.len() + self.dropped + 2 - usize::from(self.text.starts_with(b"."))
    }
}

/// The start of an incomplete line.
#[derive(Debug, Default)]
struct PartialLine {
    text: Vec<u8>,
    dropped: usize,
}

impl PartialLine {
    fn for_each_line(&mut self, bytes: &[u8], mut record: impl FnMut(RecordedLine<'_>)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let ends = piece.last() == Some(&b'\n');
            if ends && self.text.is_empty() {
                record(RecordedLine { text: without_ending(piece), dropped: 0 });
                continue;
            }
            let room = PARTIAL_OCTETS_MAX.saturating_sub(self.text.len());
            let (stored, dropped) = piece.split_at(piece.len().min(room));
            self.text.extend_from_slice(stored);
            self.dropped += dropped.len();
            if ends {
                // A dropped tail ends with the line end, which is counted separately.
                let dropped = self.dropped.saturating_sub(2);
                record(RecordedLine { text: without_ending(&self.text), dropped });
                self.text.clear();
                self.dropped = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Feeds `C:` and `S:` data in pieces of `step` octets; returns the recorded lines.
    fn recorded(protocol: Protocol, wire: &[(char, &str)], step: usize) -> Vec<String> {
        let transcript = Rc::<RefCell<Transcript>>::default();
        let mut recorder = TranscriptRecorder::new(&transcript, protocol);
        for (side, text) in wire {
            for piece in text.as_bytes().chunks(step) {
                if *side == 'C' { recorder.sent(piece) } else { recorder.received(piece) }
            }
        }
        transcript.take().lines().map(|line| line.prefixed()).collect()
    }

    #[test]
    fn pop3_password_and_messages_are_not_recorded() {
        let wire = [
            ('S', "+OK POP3 server ready\r\n"),
            ('C', "USER gb\r\n"),
            ('S', "+OK\r\n"),
            ('C', "PASS two words\r\n"),
            ('S', "+OK 2 messages\r\n"),
            ('C', "UIDL\r\nTOP 1 0\r\nRETR 9\r\nLIST 1\r\nRETR 2\r\n"),
            (
                'S',
                "+OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\nSubject: x\r\n\r\n.\r\n-ERR no such message\r\n+OK 1 10\r\n",
            ),
            ('S', "+OK\r\n..dot\r\n+OK not a reply\r\n.\r\n"),
        ];
        let expected = [
            "S: +OK POP3 server ready",
            "C: USER gb",
            "S: +OK",
            "C: PASS ****",
            "S: +OK 2 messages",
            "C: UIDL",
            "C: TOP 1 0",
            "C: RETR 9",
            "C: LIST 1",
            "C: RETR 2",
            "S: +OK",
            "S: 1 a",
            "S: 2 b",
            "S: .",
            "S: +OK",
            "S: [14 octets of the message]",
            "S: .",
            "S: -ERR no such message",
            "S: +OK 1 10",
            "S: +OK",
            "S: [23 octets of the message]",
            "S: .",
        ];
        for step in [1, 2, 3, 7, 1_000] {
            assert_eq!(recorded(Protocol::Pop3, &wire, step), expected, "step {step}");
        }
    }

    #[test]
    fn line_after_a_challenge_is_redacted() {
        let pop3 = [
            ('S', "+OK\r\n"),
            ('C', "AUTH PLAIN\r\n"),
            ('S', "+ \r\n"),
            ('C', "AGFnAHg=\r\n"),
            ('S', "+OK\r\n"),
            ('C', "STAT\r\n"),
            ('S', "+OK 0 0\r\n"),
        ];
        let expected = ["S: +OK", "C: AUTH PLAIN", "S: + ", "C: ****", "S: +OK", "C: STAT", "S: +OK 0 0"];
        assert_eq!(recorded(Protocol::Pop3, &pop3, 2), expected);
        let smtp = [
            ('C', "AUTH PLAIN AGFnAHg=\r\nAUTH LOGIN\r\n"),
            ('S', "334 VXNlcm5hbWU6\r\n"),
            ('C', "YWc=\r\n"),
            ('S', "235 ok\r\n"),
            ('C', "NOOP\r\n"),
        ];
        let expected =
            ["C: AUTH PLAIN ****", "C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6", "C: ****", "S: 235 ok", "C: NOOP"];
        assert_eq!(recorded(Protocol::Smtp, &smtp, 5), expected);
    }

    #[test]
    fn sent_message_is_folded_into_one_line() {
        let wire = [
            ('C', "DATA\r\n"),
            ('S', "354 go\r\n"),
            ('C', "Subject: x\r\n\r\n..\r\nQUIT\r\n.\r\nQUIT\r\n"),
            ('S', "250 ok\r\n221 bye\r\n"),
        ];
        let expected = [
            "C: DATA",
            "S: 354 go",
            "C: [23 octets of the message]",
            "C: .",
            "C: QUIT",
            "S: 250 ok",
            "S: 221 bye",
        ];
        for step in [1, 4, 1_000] {
            assert_eq!(recorded(Protocol::Smtp, &wire, step), expected);
        }
    }

    #[test]
    fn long_listing_is_folded_and_old_lines_are_dropped() {
        let listing: String = (1..=100).map(|n| format!("{n} x\r\n")).collect();
        let wire = [('S', "+OK\r\n"), ('C', "UIDL\r\n"), ('S', "+OK\r\n"), ('S', &listing), ('S', ".\r\n")];
        let lines = recorded(Protocol::Pop3, &wire, 1_000);
        assert_eq!(lines.len(), 3 + LISTED_MAX + 2);
        assert_eq!(lines[lines.len() - 2], "S: [88 more lines]");

        let mut transcript = Transcript::default();
        (0..LINES_MAX + 5).for_each(|_| transcript.push(Protocol::Smtp, Side::Note, "x\u{1b}"));
        assert_eq!((transcript.lines.len(), transcript.count()), (LINES_MAX, LINES_MAX as u64 + 5));
        assert_eq!((transcript.lines[0].number, transcript.lines[0].text.as_str()), (5, "x␛"));
    }

    #[test]
    fn endless_line_is_counted_in_bounded_memory() {
        let transcript = Rc::<RefCell<Transcript>>::default();
        let mut recorder = TranscriptRecorder::new(&transcript, Protocol::Pop3);
        recorder.received(b"+OK\r\n");
        recorder.sent(b"RETR 1\r\n");
        recorder.received(b"+OK\r\n");
        for _ in 0..1_000 {
            recorder.received(&[b'x'; 1_000]);
        }
        assert!(recorder.received.text.capacity() <= 2 * PARTIAL_OCTETS_MAX);
        recorder.received(b"\r\n.\r\n");
        let lines: Vec<_> = transcript.take().lines().map(|line| line.text.clone()).collect();
        assert_eq!(lines[3], "[1000002 octets of the message]");
    }
}
