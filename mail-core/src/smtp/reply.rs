//! Replies: RFC 5321 section 4.2, with the enhanced status codes of RFC 2034 and RFC 3463.
//!
//! Servers encode a [`Reply`]; clients parse it with a [`ReplyReader`] as its lines arrive.

use std::borrow::Cow;
use std::fmt::{self, Display, Write as _};

use bytes::BytesMut;

use super::limits::{REPLY_LINE_OCTETS_MAX, REPLY_LINE_OCTETS_READ_MAX, REPLY_LINES_MAX};
use crate::line::{Line, LineReader};
use crate::machine::ProtocolError;

/// A reply code.
///
/// ```abnf
/// Reply-code = %x32-35 %x30-35 %x30-39
/// ```
///
/// The second digit of a received code is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// 421: the server closes the connection (RFC 5321 section 3.8).
    pub const CLOSING: Self = Self(421);

    /// Creates a code.
    ///
    /// # Panics
    /// If the code is not 200 to 599.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        assert!(code >= 200 && code <= 599, "a reply code is 200 to 599");
        Self(code)
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }

    fn parse(digits: &[u8]) -> Option<Self> {
        let code = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (200..=599).contains(&code).then_some(Self(code))
    }
}

impl Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// `class.subject.detail` (RFC 3463 section 2), such as 5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedCode {
    class: u8,
    subject: u16,
    detail: u16,
}

impl EnhancedCode {
    /// Creates a code.
    ///
    /// # Panics
    /// If the class is not 2, 4 or 5, or another part has more than three digits.
    #[must_use]
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        assert!(matches!(class, 2 | 4 | 5) && subject <= 999 && detail <= 999, "not an enhanced status code");
        Self { class, subject, detail }
    }

    /// Parses `5.1.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let is_number = matches!(part.len(), 1..=3) && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u16>().ok().filter(|_| is_number)
        });
        let (class, subject, detail) = (parts.next()??, parts.next()??, parts.next()??);
        let is_code = parts.next().is_none() && matches!(class, 2 | 4 | 5);
        is_code.then_some(Self { class: u8::try_from(class).ok()?, subject, detail })
    }

    /// 2 for success, 4 for a temporary failure, 5 for a permanent one.
    #[must_use]
    pub const fn class(self) -> u8 {
        self.class
    }

    /// The second part of the code, such as 1 for an address.
    #[must_use]
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third part of the code.
    #[must_use]
    pub const fn detail(self) -> u16 {
        self.detail
    }

    /// Splits a code and the following space off the front of a reply's text.
    fn strip_from(text: &str, code: ReplyCode) -> Option<(Self, &str)> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        // RFC 2034 section 4: the class is the reply code's first digit.
        let enhanced = Self::parse(word).filter(|enhanced| u16::from(enhanced.class) == code.0 / 100)?;
        Some((enhanced, rest))
    }
}

impl Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// A reply of one or more lines. Its text has no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: ReplyCode,
    enhanced: Option<EnhancedCode>,
    /// The lines, separated by line feeds.
    text: Cow<'static, str>,
}

impl Reply {
    /// Creates a reply. A line feed starts the next line; other control characters become spaces.
    ///
    /// # Panics
    /// If `code` is not a reply code.
    pub fn new(
        code: u16,
        enhanced: impl Into<Option<EnhancedCode>>,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut text = text.into();
        let stray = |c: char| c.is_control() && c != '\n';
        if text.contains(stray) {
            text = text.replace(stray, " ").into();
        }
        Self { code: ReplyCode::new(code), enhanced: enhanced.into(), text }
    }

    /// Creates a constant reply of one line: `Reply::fixed(250, Some((2, 0, 0)), "OK")`.
    ///
    /// # Panics
    /// If a code is invalid or the text has a control character. In a `const`, that is a compile error.
    #[must_use]
    pub const fn fixed(code: u16, enhanced: Option<(u8, u16, u16)>, text: &'static str) -> Self {
        let mut at = 0;
        while at < text.len() {
            assert!(!text.as_bytes()[at].is_ascii_control(), "a fixed reply is one line");
            at += 1;
        }
        let enhanced = match enhanced {
            Some((class, subject, detail)) => Some(EnhancedCode::new(class, subject, detail)),
            None => None,
        };
        Self { code: ReplyCode::new(code), enhanced, text: Cow::Borrowed(text) }
    }

    /// Parses a reply of one line, without its line ending. For input from a connection, use [`ReplyReader`].
    pub fn parse(line: &str) -> Option<Self> {
        let mut reader = ReplyReader::default();
        reader.add_line(line.as_bytes()).filter(|last| *last)?;
        reader.partial
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> ReplyCode {
        self.code
    }

    /// The enhanced status code, if it has one.
    #[must_use]
    pub const fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text, with lines separated by line feeds.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines of the text; at least one.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// Whether the code is 4yz.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code.0 / 100 == 4
    }

    /// Whether the code is 5yz.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code.0 / 100 == 5
    }

    /// Appends the lines, each with the reply code and, if `with_enhanced`, the enhanced code (RFC 2034 section 4).
    /// Lines over the limit of RFC 5321 section 4.5.3.1.5 are truncated.
    pub fn encode(&self, with_enhanced: bool, out: &mut BytesMut) {
        let mut lines = self.lines().peekable();
        while let Some(line) = lines.next() {
            let start = out.len();
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            let written = match self.enhanced.filter(|_| with_enhanced) {
                Some(enhanced) => write!(out, "{}{separator}{enhanced} ", self.code),
                None => write!(out, "{}{separator}", self.code),
            };
            written.expect("a BytesMut grows as needed");
            let room = REPLY_LINE_OCTETS_MAX - 2 - (out.len() - start);
            out.extend_from_slice(&line.as_bytes()[..line.floor_char_boundary(room)]);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Formats `550 5.1.1 no such user`. Lines are joined with spaces.
impl Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        self.lines().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}

/// Splits replies off the front of a growing buffer.
#[derive(Debug, Clone)]
pub struct ReplyReader {
    lines: LineReader,
    /// The lines read so far of an incomplete reply.
    partial: Option<Reply>,
    count: usize,
}

impl Default for ReplyReader {
    fn default() -> Self {
        Self { lines: LineReader::new(REPLY_LINE_OCTETS_READ_MAX), partial: None, count: 0 }
    }
}

impl ReplyReader {
    /// The next reply, or `None` if more input is needed. A bare LF also ends a line. That is safe because replies
    /// are not forwarded.
    ///
    /// # Errors
    /// The reply is malformed or too long.
    pub fn next_reply(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, ProtocolError> {
        loop {
            // Detects a line that is too long before its end arrives.
            if input.len() >= REPLY_LINE_OCTETS_READ_MAX && !input.contains(&b'\n') {
                return Err(ProtocolError::LineTooLong);
            }
            let line = match self.lines.next_line(input) {
                Some(Line::Complete(line, _)) => line,
                Some(Line::TooLong) => return Err(ProtocolError::LineTooLong),
                None => return Ok(None),
            };
            let malformed =
                || ProtocolError::MalformedReply(line[..line.len().min(80)].escape_ascii().to_string());
            self.count += 1;
            let last =
                self.add_line(&line).filter(|_| self.count <= REPLY_LINES_MAX).ok_or_else(malformed)?;
            if last {
                self.count = 0;
                return Ok(self.partial.take());
            }
        }
    }

    /// Adds a line. Returns whether it was the last one, or `None` if it is malformed.
    ///
    /// ```abnf
    /// Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
    /// ```
    fn add_line(&mut self, line: &[u8]) -> Option<bool> {
        let (digits, rest) = line.split_at_checked(3)?;
        let code = ReplyCode::parse(digits)?;
        let last = match rest.first() {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return None,
        };
        let text = String::from_utf8_lossy(rest.get(1..).unwrap_or_default());
        let stripped = EnhancedCode::strip_from(&text, code);
        match &mut self.partial {
            None => {
                let (enhanced, text) =
                    stripped.map_or((None, &*text), |(enhanced, rest)| (Some(enhanced), rest));
                self.partial = Some(Reply::new(code.0, enhanced, text.replace('\n', " ")));
            }
            Some(reply) if reply.code == code => {
                let text =
                    stripped.filter(|(e, _)| reply.enhanced == Some(*e)).map_or(&*text, |(_, rest)| rest);
                let joined = format!("{}\n{}", reply.text, text.replace('\n', " "));
                *reply = Reply::new(code.0, reply.enhanced, joined);
            }
            // RFC 5321 section 4.2.1 requires the same code on every line.
            Some(_) => return None,
        }
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn encoded(reply: &Reply, with_enhanced: bool) -> String {
        let mut out = BytesMut::new();
        reply.encode(with_enhanced, &mut out);
        String::from_utf8(out.to_vec()).expect("a reply is UTF-8")
    }

    fn read(wire: &str, step: usize) -> Result<Vec<Reply>, ProtocolError> {
        let (mut reader, mut input, mut replies) = (ReplyReader::default(), BytesMut::new(), Vec::new());
        for piece in wire.as_bytes().chunks(step) {
            input.extend_from_slice(piece);
            while let Some(reply) = reader.next_reply(&mut input)? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn encode_puts_the_enhanced_code_on_every_line_or_none() {
        let reply = Reply::new(550, EnhancedCode::new(5, 7, 1), "first\nsecond");
        assert_eq!(encoded(&reply, true), "550-5.7.1 first\r\n550 5.7.1 second\r\n");
        assert_eq!(encoded(&reply, false), "550-first\r\n550 second\r\n");
        assert_eq!(reply.to_string(), "550 5.7.1 first second");
    }

    #[test]
    fn new_prevents_reply_injection() {
        let reply = Reply::new(250, None, "a\r\n250 b\0c\x1B");
        assert_eq!(encoded(&reply, true), "250-a \r\n250 250 b c \r\n");
    }

    #[test]
    fn parse_accepts_a_single_line_only() {
        let reply = Reply::new(451, EnhancedCode::new(4, 3, 0), "later");
        assert_eq!(Reply::parse("451 4.3.0 later"), Some(reply));
        assert_eq!(Reply::parse("451"), Some(Reply::fixed(451, None, "")));
        for line in ["", "451-more", "45", "+OK", "650 x"] {
            assert_eq!(Reply::parse(line), None, "{line}");
        }
        let injected = Reply::parse("451 a\r\n250 b").map(|reply| encoded(&reply, true));
        assert_eq!(injected.as_deref(), Some("451 a  250 b\r\n"));
    }

    #[test]
    fn encode_truncates_a_long_line_at_a_character_boundary() {
        let line = encoded(&Reply::new(550, EnhancedCode::new(5, 1, 1), "é".repeat(400)), true);
        assert!(line.len() <= REPLY_LINE_OCTETS_MAX && line.len() >= REPLY_LINE_OCTETS_MAX - 1);
    }

    #[test]
    fn reader_is_independent_of_the_chunk_size() {
        let wire = "220 ready\r\n250-iit.edu Hello\r\n250-SIZE 1\r\n250 HELP\r\n250\r\n550-5.1.1 no\n550 5.1.1 such\n334 \r\n";
        let expected = [
            Reply::fixed(220, None, "ready"),
            Reply::new(250, None, "iit.edu Hello\nSIZE 1\nHELP"),
            Reply::fixed(250, None, ""),
            Reply::new(550, EnhancedCode::new(5, 1, 1), "no\nsuch"),
            Reply::fixed(334, None, ""),
        ];
        for step in 1..=wire.len() {
            assert_eq!(read(wire, step).as_deref(), Ok(&expected[..]), "step {step}");
        }
    }

    #[test]
    fn reader_rejects_malformed_replies() {
        for wire in [
            "\r\n",
            "25\r\n",
            "hello\r\n",
            "199 x\r\n",
            "600 x\r\n",
            "250x\r\n",
            "250-a\r\n251 b\r\n",
            "+OK\r\n",
        ] {
            assert!(matches!(read(wire, 99), Err(ProtocolError::MalformedReply(_))), "{wire:?}");
        }
        let endless = "250-x\r\n".repeat(REPLY_LINES_MAX + 1);
        assert!(matches!(read(&endless, 99), Err(ProtocolError::MalformedReply(_))));
        assert_eq!(read(&"2".repeat(10_000), 99), Err(ProtocolError::LineTooLong));
    }

    proptest! {
        #[test]
        fn reader_is_the_inverse_of_encode(
            (code, class) in prop_oneof![(200_u16..300).prop_map(|c| (c, 2)), (400_u16..500).prop_map(|c| (c, 4)), (500_u16..600).prop_map(|c| (c, 5))],
            rest in proptest::option::of((0_u16..1000, 0_u16..1000)),
            text in "([A-Za-z][ -~é]{0,12}(\n[A-Za-z][ -~]{0,12}){0,3})?",
            step in 1_usize..8,
        ) {
            let enhanced = rest.map(|(subject, detail)| EnhancedCode::new(class, subject, detail));
            let reply = Reply::new(code, enhanced, text);
            prop_assert_eq!(read(&encoded(&reply, true), step), Ok(vec![reply]));
        }

        #[test]
        fn reader_never_panics(wire in "[25. \r\n\t-]{0,24}", step in 1_usize..6) {
            prop_assert_eq!(read(&wire, step), read(&wire, 99));
        }
    }
}
