//! The mbox format (RFC 4155): messages one after the other, each behind a line that starts with `From `.
//!
//! Writing quotes lines of a message that look like such a line with `>`, and also those that are quoted already
//! (mboxrd), so that reading restores every message. Lines end with LF in the file and with CRLF in a message.

use chrono::{DateTime, FixedOffset, Utc};

use super::address::ReversePath;
use super::date;
use crate::line::without_ending;

/// Finds the messages of an mbox file in its lines. An empty line before a separator or the end of the file belongs to the
/// format.
#[derive(Debug, Default)]
pub struct Reader {
    is_in_message: bool,
    /// The last line was empty. It belongs to the message only if another line of the message follows.
    has_empty_line: bool,
}

/// The effect of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// The line belongs to the message and was appended to it.
    Content,
    /// The line separates messages. The date is that of the following message.
    Separator(Option<DateTime<FixedOffset>>),
    /// The file is not an mbox file: it does not start with `From `.
    NotMbox,
}

impl Reader {
    /// Reads the next line, with or without its line end, and appends its text to `message` with CRLF.
    pub fn line(&mut self, line: &[u8], message: &mut Vec<u8>) -> Line {
        let line = without_ending(line);
        let is_after_gap = !self.is_in_message || self.has_empty_line;
        if is_after_gap && let Some(rest) = line.strip_prefix(b"From ") {
            (self.is_in_message, self.has_empty_line) = (true, false);
            return Line::Separator(separator_date(rest));
        }
        if !self.is_in_message {
            return if line.is_empty() { Line::Content } else { Line::NotMbox };
        }
        if std::mem::take(&mut self.has_empty_line) {
            message.extend_from_slice(b"\r\n");
        }
        if line.is_empty() {
            self.has_empty_line = true;
            return Line::Content;
        }
        message.extend_from_slice(if is_quoted(line) { &line[1..] } else { line });
        message.extend_from_slice(b"\r\n");
        Line::Content
    }
}

/// Appends a message, whose lines end with CRLF, with its separator and the empty line after it.
pub fn write(message: &[u8], sender: &ReversePath, time: DateTime<Utc>, out: &mut Vec<u8>) {
    let sender = sender.address().map_or_else(|| "MAILER-DAEMON".to_owned(), ToString::to_string);
    // The sender ends at the first space.
    let sender = sender.replace(' ', "_");
    out.extend_from_slice(format!("From {sender} {}\n", asctime(time)).as_bytes());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        let line = without_ending(line);
        if is_quoted(line) || line.starts_with(b"From ") {
            out.push(b'>');
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// `>From `, with any number of `>`.
fn is_quoted(line: &[u8]) -> bool {
    let text = line.iter().position(|byte| *byte != b'>').unwrap_or(line.len());
    text > 0 && line[text..].starts_with(b"From ")
}

/// `Sun Nov 22 19:15:07 2026`, in UTC (RFC 4155 appendix A).
fn asctime(time: DateTime<Utc>) -> String {
    time.format("%a %b %e %H:%M:%S %Y").to_string()
}

/// The date after the sender in a separator.
fn separator_date(text: &[u8]) -> Option<DateTime<FixedOffset>> {
    let text = std::str::from_utf8(text).ok()?;
    let (_sender, date) = text.trim_start().split_once(' ')?;
    date::parse_rfc5322(date)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn time() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_374_907, 0).unwrap()
    }

    /// The messages of a file and their dates.
    fn read(file: &[u8]) -> Option<Vec<(Option<i64>, String)>> {
        let (mut reader, mut messages, mut message) = (Reader::default(), Vec::new(), Vec::new());
        let mut date = None;
        for line in file.split_inclusive(|byte| *byte == b'\n') {
            match reader.line(line, &mut message) {
                Line::Content => {}
                Line::NotMbox => return None,
                Line::Separator(next) => {
                    messages.push((date, std::mem::take(&mut message)));
                    date = next.map(|date| date.timestamp());
                }
            }
        }
        messages.push((date, message));
        let text = |(date, message)| (date, String::from_utf8(message).unwrap());
        Some(messages.into_iter().skip(1).map(text).collect())
    }

    #[test]
    fn separators_need_an_empty_line_and_quotes_are_removed() {
        let file = b"\nFrom ag@iit.edu Sun Nov 22 19:15:07 2026\r\nSubject: a\r\n\r\nto\r\nFrom here\r\n>From there\r\n>>From x\n> From y\n\n\n\
            From - Mon, 23 Nov 2026 00:15:07 +0500\nSubject: b\n\nx\nFrom y\n\nFrom MAILER-DAEMON\nSubject: c\n";
        let expected = [
            (
                Some(1_795_374_907),
                "Subject: a\r\n\r\nto\r\nFrom here\r\nFrom there\r\n>From x\r\n> From y\r\n\r\n",
            ),
            (Some(1_795_374_907), "Subject: b\r\n\r\nx\r\nFrom y\r\n"),
            (None, "Subject: c\r\n"),
        ];
        let expected = expected.map(|(date, text)| (date, text.to_owned()));
        assert_eq!(read(file).unwrap(), expected);
        assert_eq!(read(b"Subject: no mbox\n\nx\n"), None);
        assert_eq!(read(b""), Some(Vec::new()));
    }

    #[test]
    fn written_message_has_a_separator_and_an_empty_line() {
        let mut file = Vec::new();
        let sender = ReversePath::parse(b"<\"a b\"@iit.edu>").unwrap().0;
        write(b"Subject: a\r\n\r\nFrom here\r\n", &sender, time(), &mut file);
        write(b"Subject: b\r\n", &ReversePath::Null, time(), &mut file);
        assert_eq!(
            String::from_utf8(file).unwrap(),
            "From \"a_b\"@iit.edu Sun Nov 22 19:15:07 2026\nSubject: a\n\n>From here\n\n\
             From MAILER-DAEMON Sun Nov 22 19:15:07 2026\nSubject: b\n\n"
        );
    }

    proptest! {
        #[test]
        fn reading_is_the_inverse_of_writing(messages in prop::collection::vec("((>{0,2}From |>|x)?[a >]{0,3}\r\n){1,6}", 1..4)) {
            let mut file = Vec::new();
            for message in &messages {
                write(message.as_bytes(), &ReversePath::Null, time(), &mut file);
            }
            let read: Vec<_> = read(&file).unwrap().into_iter().map(|(_, message)| message).collect();
            prop_assert_eq!(read, messages);
        }
    }
}
