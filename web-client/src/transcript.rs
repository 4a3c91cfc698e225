//! The live dialogue, line by line, as it goes over the wire: `C:` and `S:`, secrets as `****`, long answers and
//! message bodies folded into one line that says how much there was.
//!
//! A [`Scribe`] listens on one connection. It follows the protocol just far enough to know which lines are bodies and
//! which are secrets; it never judges a reply.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use mail_core::message::text::printable_line;
use mail_core::pop3::Command;

/// What is kept. Older lines make room.
const LINES_MAX: usize = 2_000;
/// The lines of a listing that are shown before the rest is folded.
const LISTED_MAX: usize = 12;
/// Of one line; a hostile server's may be longer.
const CHARS_MAX: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Pop3,
    Smtp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
    /// What happened to the connection itself.
    Note,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counts from the first line of all, so that a line keeps its name when older ones go.
    pub(crate) number: u64,
    pub(crate) protocol: Protocol,
    pub(crate) side: Side,
    pub(crate) text: String,
}

impl Line {
    /// The line as it is copied.
    pub(crate) fn written(&self) -> String {
        let mark = match self.side {
            Side::Client => "C: ",
            Side::Server => "S: ",
            Side::Note => "-- ",
        };
        format!("{mark}{}", self.text)
    }
}

/// All that was said since the page was opened.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    lines: VecDeque<Rc<Line>>,
    count: u64,
}

impl Transcript {
    pub(crate) fn lines(&self) -> impl DoubleEndedIterator<Item = &Rc<Line>> {
        self.lines.iter()
    }

    /// How many lines there ever were: another number means that there is something new.
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

/// What the server's next lines are.
#[derive(Debug, Default)]
enum Answer {
    #[default]
    FirstLine,
    Listing {
        folded: usize,
        shown: usize,
    },
    Message {
        octets: usize,
    },
}

/// Listens on one connection.
#[derive(Debug)]
pub(crate) struct Scribe {
    transcript: Rc<RefCell<Transcript>>,
    protocol: Protocol,
    /// A line whose end has not come, of each side.
    sent: Vec<u8>,
    received: Vec<u8>,
    /// The answers that POP3 owes, in order.
    awaited: VecDeque<Answer>,
    answer: Answer,
    /// The client's next line answers a challenge.
    secret: bool,
    /// The octets so far of the message that SMTP is sending.
    body: Option<usize>,
}

impl Scribe {
    pub(crate) fn new(transcript: &Rc<RefCell<Transcript>>, protocol: Protocol) -> Self {
        Self {
            transcript: transcript.clone(),
            protocol,
            sent: Vec::new(),
            received: Vec::new(),
            awaited: VecDeque::new(),
            answer: Answer::FirstLine,
            secret: false,
            body: None,
        }
    }

    pub(crate) fn note(&self, text: &str) {
        self.write(Side::Note, text);
    }

    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        let mut partial = std::mem::take(&mut self.sent);
        for_each_line(&mut partial, bytes, |line| self.client_line(line));
        self.sent = partial;
    }

    pub(crate) fn received(&mut self, bytes: &[u8]) {
        let mut partial = std::mem::take(&mut self.received);
        for_each_line(&mut partial, bytes, |line| self.server_line(line));
        self.received = partial;
    }

    fn client_line(&mut self, line: &[u8]) {
        if let Some(octets) = &mut self.body {
            if line != b"." {
                *octets += unstuffed(line);
                return;
            }
            let octets = *octets;
            self.body = None;
            self.write(Side::Client, &format!("[{octets} octets of the message]"));
            return self.write(Side::Client, ".");
        }
        if std::mem::take(&mut self.secret) {
            return self.write(Side::Client, "****");
        }
        match self.protocol {
            Protocol::Smtp => self.write(Side::Client, &without_initial_response(line)),
            Protocol::Pop3 => match Command::parse(line) {
                Ok(command) => {
                    self.awaited.push_back(expected(&command));
                    self.write(Side::Client, &command.to_string());
                }
                // This client sends nothing else; if it did, it would not be known for no secret.
                Err(_) => self.write(Side::Client, "****"),
            },
        }
    }

    fn server_line(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        match (self.protocol, &mut self.answer) {
            (Protocol::Smtp, _) => {
                self.secret = text.starts_with("334");
                if text.starts_with("354") {
                    self.body = Some(0);
                }
                self.write(Side::Server, &text);
            }
            (Protocol::Pop3, Answer::FirstLine) => {
                self.secret = text.starts_with("+ ") || text == "+";
                if text.starts_with("+OK") {
                    self.answer = self.awaited.pop_front().unwrap_or_default();
                } else if !self.secret {
                    self.awaited.pop_front();
                }
                self.write(Side::Server, &text);
            }
            (Protocol::Pop3, _) if text == "." => self.end_answer(),
            (Protocol::Pop3, Answer::Message { octets }) => *octets += unstuffed(line),
            (Protocol::Pop3, Answer::Listing { folded, .. }) if *folded > 0 => *folded += 1,
            (Protocol::Pop3, Answer::Listing { folded, shown }) if *shown == LISTED_MAX => *folded += 1,
            (Protocol::Pop3, Answer::Listing { shown, .. }) => {
                *shown += 1;
                self.write(Side::Server, &text);
            }
        }
    }

    fn end_answer(&mut self) {
        match std::mem::take(&mut self.answer) {
            Answer::Message { octets } => {
                self.write(Side::Server, &format!("[{octets} octets of the message]"));
            }
            Answer::Listing { folded: 0, .. } | Answer::FirstLine => {}
            Answer::Listing { folded, .. } => self.write(Side::Server, &format!("[{folded} more lines]")),
        }
        self.write(Side::Server, ".");
    }

    fn write(&self, side: Side, text: &str) {
        self.transcript.borrow_mut().push(self.protocol, side, text);
    }
}

fn expected(command: &Command) -> Answer {
    match command {
        Command::Capa | Command::List(None) | Command::Uidl(None) => Answer::Listing { folded: 0, shown: 0 },
        Command::Retr(_) | Command::Top { .. } => Answer::Message { octets: 0 },
        _ => Answer::FirstLine,
    }
}

/// `AUTH PLAIN ****`
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

/// Every line that has come to its end, without that end.
fn for_each_line(partial: &mut Vec<u8>, bytes: &[u8], mut line: impl FnMut(&[u8])) {
    for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
        if piece.last() != Some(&b'\n') {
            partial.extend_from_slice(piece);
        } else if partial.is_empty() {
            line(trimmed(piece));
        } else {
            partial.extend_from_slice(piece);
            line(trimmed(partial));
            partial.clear();
        }
    }
}

/// The octets that a line of a message has without its stuffed dot (RFC 1939 section 3, RFC 5321 section 4.5.2).
fn unstuffed(line: &[u8]) -> usize {
    line.len() + 2 - usize::from(line.starts_with(b"."))
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Plays `C:` and `S:` lines, cut after every `step` octets, and gives what was written down.
    fn written(protocol: Protocol, wire: &[(char, &str)], step: usize) -> Vec<String> {
        let transcript = Rc::<RefCell<Transcript>>::default();
        let mut scribe = Scribe::new(&transcript, protocol);
        for (side, text) in wire {
            for cut in text.as_bytes().chunks(step) {
                if *side == 'C' { scribe.sent(cut) } else { scribe.received(cut) }
            }
        }
        transcript.take().lines().map(|line| line.written()).collect()
    }

    #[test]
    fn a_pop3_dialogue_without_its_password_and_its_messages() {
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
            assert_eq!(written(Protocol::Pop3, &wire, step), expected, "step {step}");
        }
    }

    #[test]
    fn a_challenge_makes_the_next_line_a_secret() {
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
        assert_eq!(written(Protocol::Pop3, &pop3, 2), expected);
        let smtp = [
            ('C', "AUTH PLAIN AGFnAHg=\r\nAUTH LOGIN\r\n"),
            ('S', "334 VXNlcm5hbWU6\r\n"),
            ('C', "YWc=\r\n"),
            ('S', "235 ok\r\n"),
            ('C', "NOOP\r\n"),
        ];
        let expected =
            ["C: AUTH PLAIN ****", "C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6", "C: ****", "S: 235 ok", "C: NOOP"];
        assert_eq!(written(Protocol::Smtp, &smtp, 5), expected);
    }

    #[test]
    fn a_message_that_is_sent_is_one_line() {
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
            assert_eq!(written(Protocol::Smtp, &wire, step), expected);
        }
    }

    #[test]
    fn long_listings_are_folded_and_old_lines_go() {
        let listing: String = (1..=100).map(|n| format!("{n} x\r\n")).collect();
        let wire = [('S', "+OK\r\n"), ('C', "UIDL\r\n"), ('S', "+OK\r\n"), ('S', &listing), ('S', ".\r\n")];
        let lines = written(Protocol::Pop3, &wire, 1_000);
        assert_eq!(lines.len(), 3 + LISTED_MAX + 2);
        assert_eq!(lines[lines.len() - 2], "S: [88 more lines]");

        let mut transcript = Transcript::default();
        (0..LINES_MAX + 5).for_each(|_| transcript.push(Protocol::Smtp, Side::Note, "x\u{1b}"));
        assert_eq!((transcript.lines.len(), transcript.count()), (LINES_MAX, LINES_MAX as u64 + 5));
        assert_eq!((transcript.lines[0].number, transcript.lines[0].text.as_str()), (5, "x␛"));
    }
}
