//! Lines: bounded framing of command and reply lines, and the line ends of message text.
//!
//! RFC 5321 section 2.3.8 (only CRLF ends a line), section 4.5.3.1 (limits). What a line says is not
//! looked at here.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memchr2};

/// How a line ended. SMTP refuses a bare LF; POP3 takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// CR LF, as the RFCs have it.
    Crlf,
    /// LF alone.
    BareLf,
}

/// One line taken off the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A whole line, without its end.
    Complete(Bytes, Ending),
    /// A line of more than the allowed octets; all of it has been skipped.
    TooLong,
}

/// Takes lines off a buffer that grows at its end, looking at each byte once.
#[derive(Debug, Clone)]
pub struct LineReader {
    line_length_max: usize,
    scanned: usize,
    skipping: bool,
}

impl LineReader {
    /// A reader of lines of at most `line_length_max` octets, their end included.
    pub const fn new(line_length_max: usize) -> Self {
        Self { line_length_max, scanned: 0, skipping: false }
    }

    /// The next line, or `None` when the input holds no whole one. A line over the limit is dropped as it
    /// arrives, so the buffer never grows beyond the limit and one read.
    pub fn next_line(&mut self, input: &mut BytesMut) -> Option<Line> {
        let Some(found) = memchr(b'\n', &input[self.scanned..]) else {
            if self.skipping || input.len() >= self.line_length_max {
                self.skipping = true;
                input.clear();
            }
            self.scanned = input.len();
            return None;
        };
        let length = self.scanned + found + 1;
        self.scanned = 0;
        let mut line = input.split_to(length).freeze();
        if std::mem::take(&mut self.skipping) || length > self.line_length_max {
            return Some(Line::TooLong);
        }
        let ending = if line.ends_with(b"\r\n") { Ending::Crlf } else { Ending::BareLf };
        line.truncate(length - if ending == Ending::Crlf { 2 } else { 1 });
        Some(Line::Complete(line, ending))
    }
}

/// Checks that text holds no bare CR, no bare LF and no NUL, over any cuts.
///
/// RFC 5321 section 2.3.8 forbids the first two; all three are how one message is smuggled inside another.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineEnds {
    after_cr: bool,
    broken: bool,
}

impl LineEnds {
    /// Looks at the next stretch of the text.
    pub fn check(&mut self, text: &[u8]) {
        let (Some(first), Some(last)) = (text.first(), text.last()) else { return };
        // A CR is followed by LF and an LF stands behind a CR, or the text is broken.
        self.broken |= self.after_cr != (*first == b'\n');
        self.after_cr = *last == b'\r';
        let body = if *first == b'\n' { &text[1..] } else { text };
        let returns = memchr_iter(b'\r', body).count() - usize::from(self.after_cr && !body.is_empty());
        let mut feeds = 0;
        self.broken |= memchr_iter(b'\n', body).any(|at| {
            feeds += 1;
            at == 0 || body[at - 1] != b'\r'
        });
        self.broken |= returns != feeds || memchr(0, text).is_some();
    }

    /// Whether anything broken was seen, the text being at its end.
    pub const fn are_broken(&self) -> bool {
        self.broken || self.after_cr
    }
}

/// Turns every line end (CRLF, a bare LF, a bare CR) into CRLF, over any cuts: what a client does with a
/// file before it sends it (RFC 5321 section 2.3.8).
#[derive(Debug, Clone, Copy, Default)]
pub struct LineNormaliser {
    after_cr: bool,
}

impl LineNormaliser {
    /// Appends `text` to `out` with its line ends made CRLF.
    pub fn normalise(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        let Some(last) = text.last() else { return };
        // Of a CRLF that is cut in two the CR is written already, and its LF alone may be all of this text.
        if std::mem::replace(&mut self.after_cr, *last == b'\r') {
            text = text.strip_prefix(b"\n").unwrap_or(text);
        }
        while let Some(at) = memchr2(b'\r', b'\n', text) {
            out.extend_from_slice(&text[..at]);
            out.extend_from_slice(b"\r\n");
            text = &text[at + if text[at..].starts_with(b"\r\n") { 2 } else { 1 }..];
        }
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn read_all(reader: &mut LineReader, pieces: &[&[u8]]) -> Vec<Line> {
        let mut input = BytesMut::new();
        let mut lines = Vec::new();
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Some(line) = reader.next_line(&mut input) {
                lines.push(line);
            }
        }
        lines
    }

    fn complete(text: &'static [u8], ending: Ending) -> Line {
        Line::Complete(Bytes::from_static(text), ending)
    }

    #[test]
    fn lines_come_whole_from_any_cuts() {
        let expected =
            [complete(b"NOOP", Ending::Crlf), complete(b"", Ending::Crlf), complete(b"a\rb", Ending::BareLf)];
        let wire = b"NOOP\r\n\r\na\rb\nrest";
        assert_eq!(read_all(&mut LineReader::new(64), &[wire]), expected);
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read_all(&mut LineReader::new(64), &bytes), expected);
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_is_read() {
        let expected = [complete(b"12345678", Ending::Crlf), Line::TooLong, complete(b"ok", Ending::Crlf)];
        let wire = b"12345678\r\n123456789\r\nok\r\n";
        assert_eq!(read_all(&mut LineReader::new(10), &[wire]), expected);
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read_all(&mut LineReader::new(10), &bytes), expected);
    }

    #[test]
    fn an_endless_line_does_not_fill_the_buffer() {
        let mut reader = LineReader::new(100);
        let mut input = BytesMut::new();
        for _ in 0..1_000 {
            input.extend_from_slice(&[b'x'; 64]);
            assert_eq!(reader.next_line(&mut input), None);
            assert!(input.len() <= 164);
        }
    }

    fn broken(pieces: &[&[u8]]) -> bool {
        let mut ends = LineEnds::default();
        pieces.iter().for_each(|piece| ends.check(piece));
        ends.are_broken()
    }

    #[test]
    fn line_ends_are_judged_over_cuts() {
        for good in [&[&b"a\r\nb\r\n"[..]][..], &[b"a\r", b"\nb"], &[b"\r", b"\n", b""], &[b""]] {
            assert!(!broken(good), "{good:?}");
        }
        for bad in [
            &[&b"a\nb"[..]][..],
            &[b"\n"],
            &[b"a\r"],
            &[b"a\rb\n"],
            &[b"a\r", b"b"],
            &[b"a\r\r\n"],
            &[b"\0"],
            &[b"\r\n\n"],
        ] {
            assert!(broken(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn line_ends_agree_with_a_plain_reading(text in "[ab\r\n\0]{0,12}", cut in 0_usize..12) {
            let text = text.into_bytes();
            let plain = String::from_utf8_lossy(&text).replace("\r\n", "");
            let expected = plain.contains(['\r', '\n', '\0']);
            let (head, tail) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(broken(&[head, tail]), expected);
        }

        #[test]
        fn normalised_text_has_good_line_ends(text in "[a\r\n]{0,12}", cut in 0_usize..12) {
            let bytes = text.as_bytes();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let expected = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
            for pieces in [vec![head, tail], bytes.chunks(1).collect()] {
                let (mut normaliser, mut out) = (LineNormaliser::default(), Vec::new());
                pieces.iter().for_each(|piece| normaliser.normalise(piece, &mut out));
                prop_assert_eq!(String::from_utf8(out).expect("ASCII"), expected.as_str());
            }
        }
    }
}
