//! Framing of command and reply lines with a length limit, and checking and normalising the line ends of message text.
//!
//! RFC 5321 section 2.3.8 (only CRLF ends a line) and section 4.5.3.1 (limits). Does not interpret the lines.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memchr2};

/// The line ending of a line. SMTP rejects a bare LF, POP3 accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnding {
    /// CR LF.
    Crlf,
    /// LF alone.
    BareLf,
}

/// The line without its line end: CRLF, LF alone, or none.
#[must_use]
pub fn without_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// One line from the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its line ending.
    Complete(Bytes, LineEnding),
    /// A line over the limit; all of it was skipped.
    TooLong,
}

/// Splits lines off the front of a growing buffer. Each byte is scanned once.
#[derive(Debug, Clone)]
pub struct LineReader {
    line_length_max: usize,
    scanned: usize,
    skipping: bool,
}

impl LineReader {
    /// `line_length_max` is in octets and includes the line ending.
    pub const fn new(line_length_max: usize) -> Self {
        Self { line_length_max, scanned: 0, skipping: false }
    }

    /// The next line, or `None` if more input is needed. A line over the limit is discarded as it arrives, so the
    /// buffer never exceeds the limit by more than one read.
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
        let ending = if line.ends_with(b"\r\n") { LineEnding::Crlf } else { LineEnding::BareLf };
        line.truncate(length - if ending == LineEnding::Crlf { 2 } else { 1 });
        Some(Line::Complete(line, ending))
    }
}

/// Checks text, in chunks, for a bare CR, a bare LF or a NUL.
///
/// RFC 5321 section 2.3.8 forbids the first two. All three are used for SMTP smuggling.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineEndChecker {
    after_cr: bool,
    malformed: bool,
}

impl LineEndChecker {
    /// Checks the next chunk.
    pub fn check(&mut self, text: &[u8]) {
        let (Some(first), Some(last)) = (text.first(), text.last()) else { return };
        // Well-formed text has an LF after every CR and a CR before every LF.
        self.malformed |= self.after_cr != (*first == b'\n');
        self.after_cr = *last == b'\r';
        let body = if *first == b'\n' { &text[1..] } else { text };
        let crs = memchr_iter(b'\r', body).count() - usize::from(self.after_cr && !body.is_empty());
        let mut lfs = 0;
        self.malformed |= memchr_iter(b'\n', body).any(|at| {
            lfs += 1;
            at == 0 || body[at - 1] != b'\r'
        });
        self.malformed |= crs != lfs || memchr(0, text).is_some();
    }

    /// The result for the text so far. A CR at its end counts as bare.
    pub const fn is_malformed(&self) -> bool {
        self.malformed || self.after_cr
    }
}

/// Converts every line end (CRLF, bare LF, bare CR) to CRLF, in chunks. A client applies it to a message before sending
/// (RFC 5321 section 2.3.8).
#[derive(Debug, Clone, Copy, Default)]
pub struct LineNormaliser {
    after_cr: bool,
}

impl LineNormaliser {
    /// Appends `text` to `out` with CRLF line ends.
    pub fn normalise(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        let Some(last) = text.last() else { return };
        // The CR of a split CRLF was already converted; skip its LF.
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

    fn complete(text: &'static [u8], ending: LineEnding) -> Line {
        Line::Complete(Bytes::from_static(text), ending)
    }

    #[test]
    fn reader_is_independent_of_the_chunk_size() {
        let expected = [
            complete(b"NOOP", LineEnding::Crlf),
            complete(b"", LineEnding::Crlf),
            complete(b"a\rb", LineEnding::BareLf),
        ];
        let wire = b"NOOP\r\n\r\na\rb\nrest";
        assert_eq!(read_all(&mut LineReader::new(64), &[wire]), expected);
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read_all(&mut LineReader::new(64), &bytes), expected);
    }

    #[test]
    fn reader_skips_a_line_over_the_limit() {
        let expected =
            [complete(b"12345678", LineEnding::Crlf), Line::TooLong, complete(b"ok", LineEnding::Crlf)];
        let wire = b"12345678\r\n123456789\r\nok\r\n";
        assert_eq!(read_all(&mut LineReader::new(10), &[wire]), expected);
        let bytes: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(read_all(&mut LineReader::new(10), &bytes), expected);
    }

    #[test]
    fn reader_bounds_the_buffer_for_an_endless_line() {
        let mut reader = LineReader::new(100);
        let mut input = BytesMut::new();
        for _ in 0..1_000 {
            input.extend_from_slice(&[b'x'; 64]);
            assert_eq!(reader.next_line(&mut input), None);
            assert!(input.len() <= 164);
        }
    }

    fn is_malformed(pieces: &[&[u8]]) -> bool {
        let mut ends = LineEndChecker::default();
        pieces.iter().for_each(|piece| ends.check(piece));
        ends.is_malformed()
    }

    #[test]
    fn checker_handles_chunk_boundaries() {
        for good in [&[&b"a\r\nb\r\n"[..]][..], &[b"a\r", b"\nb"], &[b"\r", b"\n", b""], &[b""]] {
            assert!(!is_malformed(good), "{good:?}");
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
            assert!(is_malformed(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn checker_agrees_with_a_simple_implementation(text in "[ab\r\n\0]{0,12}", cut in 0_usize..12) {
            let text = text.into_bytes();
            let plain = String::from_utf8_lossy(&text).replace("\r\n", "");
            let expected = plain.contains(['\r', '\n', '\0']);
            let (head, tail) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(is_malformed(&[head, tail]), expected);
        }

        #[test]
        fn normaliser_converts_all_line_ends(text in "[a\r\n]{0,12}", cut in 0_usize..12) {
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
