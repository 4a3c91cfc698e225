//! Content-Transfer-Encoding (RFC 2045 section 6): base64, quoted-printable and uuencode.
//!
//! The decoders never fail. They skip invalid input or copy it, whichever shows more of the content.

use std::borrow::Cow;

use memchr::memchr;

use super::field::line_end;
use super::uuencode;

/// A transfer encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// 7bit, 8bit, binary and everything unknown.
    #[default]
    Identity,
    /// RFC 2045 section 6.8.
    Base64,
    /// RFC 2045 section 6.7.
    QuotedPrintable,
    /// x-uuencode: one file between `begin` and `end`.
    Uuencode,
}

impl Encoding {
    /// Reads the value of a Content-Transfer-Encoding field; quotes, comments and parameters are ignored.
    pub(super) fn parse(value: &[u8]) -> Self {
        let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b'"' | b',');
        let token = value.split(is_end).find(|token| !token.is_empty()).unwrap_or_default();
        match token.to_ascii_lowercase().as_slice() {
            b"base64" | b"b64" | b"base-64" => Self::Base64,
            b"quoted-printable" | b"quotedprintable" | b"quoted_printable" => Self::QuotedPrintable,
            b"x-uuencode" | b"uuencode" | b"x-uue" | b"uue" => Self::Uuencode,
            _ => Self::Identity,
        }
    }

    /// Decodes a body. Plain text after base64 is dropped.
    pub(super) fn decode(self, body: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Identity => Cow::Borrowed(body),
            Self::Base64 => Cow::Owned(base64(body).0),
            Self::QuotedPrintable => quoted_printable(body),
            Self::Uuencode => {
                uuencode::first(body).map_or(Cow::Borrowed(body), |file| Cow::Owned(file.bytes))
            }
        }
    }

    /// Decodes the body of a text. Plain text after base64, such as the footer of a mailing list, is part of the
    /// result.
    pub(super) fn decode_text(self, body: &[u8]) -> Cow<'_, [u8]> {
        if self != Self::Base64 {
            return self.decode(body);
        }
        let (mut text, rest) = base64(body);
        if !rest.is_empty() {
            text.extend_from_slice(b"\r\n");
            text.extend_from_slice(rest);
        }
        Cow::Owned(text)
    }
}

/// Values of [`BASE64`] that are not six bits.
const PAD: u8 = 64;
const SPACE: u8 = 65;
const FOREIGN: u8 = 66;

const BASE64: [u8; 256] = {
    let mut table = [FOREIGN; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut i = 0;
    while i < 64 {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table[b'=' as usize] = PAD;
    table[b' ' as usize] = SPACE;
    table[b'\t' as usize] = SPACE;
    table[b'\r' as usize] = SPACE;
    table[b'\n' as usize] = SPACE;
    table
};

/// Decodes base64, and returns the plain text after it.
///
/// Other characters are ignored, padding may be missing, and several padded texts may follow each other. The plain
/// text begins at the first line, after a line of pure base64, in which every 16th character or more is foreign.
pub(super) fn base64(input: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut decoder = Base64 { bytes: Vec::with_capacity(input.len() / 4 * 3 + 3), bits: 0, count: 0 };
    let mut has_data = false;
    let mut at = 0;
    while at < input.len() {
        let end = line_end(input, at);
        let line = input[at..end].trim_ascii();
        let before = (decoder.bytes.len(), decoder.bits, decoder.count);
        let foreign = decoder.line(line);
        if has_data && foreign * 16 > line.len() {
            decoder.bytes.truncate(before.0);
            (decoder.bits, decoder.count) = (before.1, before.2);
            break;
        }
        has_data |= foreign == 0 && !line.is_empty();
        at = end;
    }
    decoder.flush();
    (decoder.bytes, &input[at..])
}

struct Base64 {
    bytes: Vec<u8>,
    /// The pending characters, six bits each.
    bits: u32,
    count: u8,
}

impl Base64 {
    /// Decodes a line, and counts its characters that are not base64.
    fn line(&mut self, line: &[u8]) -> usize {
        let mut foreign = 0;
        let mut rest = line;
        while let [a, b, c, d, tail @ ..] = rest {
            let [w, x, y, z] = [a, b, c, d].map(|byte| BASE64[*byte as usize]);
            if self.count == 0 && (w | x | y | z) < 64 {
                let bits = u32::from(w) << 18 | u32::from(x) << 12 | u32::from(y) << 6 | u32::from(z);
                self.bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
                rest = tail;
                continue;
            }
            foreign += self.character(*a);
            rest = &rest[1..];
        }
        foreign + rest.iter().map(|byte| self.character(*byte)).sum::<usize>()
    }

    fn character(&mut self, byte: u8) -> usize {
        match BASE64[byte as usize] {
            PAD => self.flush(),
            SPACE | FOREIGN => return 1,
            value => {
                self.bits = self.bits << 6 | u32::from(value);
                self.count += 1;
                if self.count == 4 {
                    self.bytes.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                    (self.bits, self.count) = (0, 0);
                }
            }
        }
        0
    }

    /// Ends a group; 2 or 3 characters hold 1 or 2 octets.
    fn flush(&mut self) {
        let bits = (self.bits << (6 * (4 - u32::from(self.count)) % 24)).to_be_bytes();
        self.bytes.extend_from_slice(&bits[1..usize::from(self.count).max(1)]);
        (self.bits, self.count) = (0, 0);
    }
}

/// Decodes quoted-printable. An `=` without a valid sequence is literal; white space at the end of a line is dropped.
fn quoted_printable(input: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(input.len());
    let mut at = 0;
    while at < input.len() {
        let end = line_end(input, at);
        let line = &input[at..end];
        at = end;
        let content = line.trim_ascii_end();
        if let Some(content) = content.strip_suffix(b"=") {
            decode_q(content, false, &mut out);
            continue;
        }
        decode_q(content, false, &mut out);
        if line.ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        } else if line.ends_with(b"\n") {
            out.push(b'\n');
        }
    }
    Cow::Owned(out)
}

/// Decodes `=XX`, and `_` as a space in an encoded word (RFC 2047 section 4.2).
pub(super) fn decode_q(input: &[u8], is_word: bool, out: &mut Vec<u8>) {
    let hex = |digit: Option<&u8>| char::from(*digit?).to_digit(16);
    let mut rest = input;
    while let Some(at) = if is_word { memchr::memchr2(b'=', b'_', rest) } else { memchr(b'=', rest) } {
        out.extend_from_slice(&rest[..at]);
        let mark = rest[at];
        rest = &rest[at + 1..];
        if mark == b'_' {
            out.push(b' ');
        } else if let (Some(high), Some(low)) = (hex(rest.first()), hex(rest.get(1))) {
            out.push((high << 4 | low) as u8);
            rest = &rest[2..];
        } else {
            out.push(b'=');
        }
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn base64_of(text: &str) -> (String, &str) {
        let (bytes, rest) = base64(text.as_bytes());
        (String::from_utf8(bytes).unwrap(), str::from_utf8(rest).unwrap())
    }

    #[test]
    fn encodings_are_read_leniently() {
        for (value, encoding) in [
            (&b" Base64 (comment)\r\n"[..], Encoding::Base64),
            (b"\"quoted-printable\"", Encoding::QuotedPrintable),
            (b"\r\n  quoted-printable;x", Encoding::QuotedPrintable),
            (b"X-UUEncode", Encoding::Uuencode),
            (b"8-bit", Encoding::Identity),
            (b"", Encoding::Identity),
        ] {
            assert_eq!(Encoding::parse(value), encoding, "{value:?}");
        }
    }

    #[test]
    fn base64_ignores_foreign_characters_and_missing_padding() {
        for (text, expected) in [
            ("", ""),
            ("SGVsbG8=", "Hello"),
            ("SGVsbG8", "Hello"),
            ("SGVsbA", "Hell"),
            ("SGVsb", "Hel"),
            ("SG Vs!bG\r\n8=\n", "Hello"),
            ("SGVsbG8=\r\nIHlvdQ==", "Hello you"),
            ("SGVsbG8==IHlvdQ", "Hello you"),
        ] {
            assert_eq!(base64_of(text), (expected.to_owned(), ""), "{text}");
        }
    }

    #[test]
    fn base64_ends_where_plain_text_begins() {
        let footer = "-- \r\nlist mailing list\r\n";
        for data in ["SGVsbG8=\r\n", "SGVsbG8\r\n", "SGVsbG8gSGVsbG8g\r\n\r\n"] {
            let text = format!("{data}{footer}");
            assert_eq!(base64(text.as_bytes()).1, footer.as_bytes(), "{data}");
        }
        let text = Encoding::Base64.decode_text(b"SGk=\r\nthe list, of it\r\n");
        assert_eq!(*text, *b"Hi\r\nthe list, of it\r\n");
        assert_eq!(*Encoding::Base64.decode(b"SGk=\r\nthe list, of it\r\n"), *b"Hi");
    }

    #[test]
    fn invalid_quoted_printable_sequence_is_literal() {
        for (text, expected) in [
            ("caf=C3=A9 = =ZZ a==b", "café = =ZZ a==b"),
            ("one =  \r\ntwo \t\r\nthree", "one two\r\nthree"),
            ("=c3=A9\nx=\ny", "é\nxy"),
            ("end=", "end"),
            ("end==", "end="),
            ("end=4", "end=4"),
        ] {
            assert_eq!(
                String::from_utf8(quoted_printable(text.as_bytes()).into_owned()).unwrap(),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn base64_of_any_bytes_decodes_to_them(bytes in any::<Vec<u8>>(), width in 1_usize..90, at in any::<usize>()) {
            use ::base64::Engine as _;
            let mut text = ::base64::engine::general_purpose::STANDARD.encode(&bytes).into_bytes();
            let width = width.max(17);
            if !text.is_empty() {
                text.insert(at % width.min(text.len()), b'!');
            }
            let lines: Vec<_> = text.chunks(width).collect();
            prop_assert_eq!(base64(&lines.join(&b"\r\n"[..])).0, bytes);
        }

        #[test]
        fn decoding_never_grows_a_body(bytes in any::<Vec<u8>>(), text in "[=A-F0-9 \r\n_!]{0,80}") {
            for input in [&bytes[..], text.as_bytes()] {
                let (decoded, rest) = base64(input);
                prop_assert!(decoded.len() + rest.len() <= input.len());
                prop_assert!(quoted_printable(input).len() <= input.len());
            }
        }
    }
}
