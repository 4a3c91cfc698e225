//! Dot-stuffing, incremental in both directions.
//!
//! RFC 5321 section 4.5.2 (transparency), RFC 1939 section 3. Only `CRLF . CRLF` ends a text. Sequences with a bare CR
//! or a bare LF are text, and the decoder reports them as malformed.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memmem;

use crate::line::LineEndChecker;

/// The result of [`DotDecoder::decode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Part of the text, split off the input without a copy.
    Text(Bytes),
    /// The terminating line. The decoder is ready for the next text.
    End,
}

/// Removes dot-stuffing. At most two bytes stay in the input between calls.
#[derive(Debug, Clone)]
pub struct DotDecoder {
    line_start: bool,
    line_ends: LineEndChecker,
}

impl Default for DotDecoder {
    fn default() -> Self {
        Self { line_start: true, line_ends: LineEndChecker::default() }
    }
}

impl DotDecoder {
    /// The next piece, or `None` when more input is needed.
    pub fn decode(&mut self, input: &mut BytesMut) -> Option<Piece> {
        if self.line_start {
            match input[..] {
                [] | [b'.'] | [b'.', b'\r'] => return None,
                [b'.', b'\r', b'\n', ..] => {
                    input.advance(3);
                    return Some(Piece::End);
                }
                [b'.', ..] => input.advance(1),
                _ => {}
            }
            self.line_start = false;
        }
        let length = match memmem::find(input, b"\r\n.") {
            Some(at) => {
                self.line_start = true;
                at + 2
            }
            None => {
                self.line_start = input.ends_with(b"\r\n");
                // Leave a trailing CR in the input until the next byte shows whether it ends the line.
                input.len() - usize::from(input.ends_with(b"\r"))
            }
        };
        if length == 0 {
            return None;
        }
        let text = input.split_to(length).freeze();
        self.line_ends.check(&text);
        Some(Piece::Text(text))
    }

    /// Whether the text so far contains a bare CR, a bare LF or a NUL.
    pub const fn is_malformed(&self) -> bool {
        self.line_ends.is_malformed()
    }
}

/// Adds dot-stuffing: the inverse of [`DotDecoder`] for text with CRLF line ends.
#[derive(Debug, Clone, Copy)]
pub struct DotEncoder {
    /// Bytes of a CRLF at the end of the text so far. A new text starts as if after a CRLF.
    matched: u8,
}

impl Default for DotEncoder {
    fn default() -> Self {
        Self { matched: 2 }
    }
}

impl DotEncoder {
    /// Appends the next part of the text, with a dot added to every line that starts with one.
    pub fn encode(&mut self, mut text: &[u8], out: &mut impl BufMut) {
        // A CRLF may be split between two parts, so a line start at the boundary is found byte by byte.
        while self.matched > 0 {
            let Some((&byte, rest)) = text.split_first() else { return };
            match (self.matched, byte) {
                (1, b'\n') => self.matched = 2,
                (2, b'.') => {
                    out.put_u8(b'.');
                    self.matched = 0;
                }
                (_, b'\r') => self.matched = 1,
                _ => self.matched = 0,
            }
            out.put_u8(byte);
            text = rest;
        }
        if text.is_empty() {
            return;
        }
        let mut copied = 0;
        for at in memmem::find_iter(text, b"\r\n.") {
            out.put_slice(&text[copied..at + 2]);
            out.put_u8(b'.');
            copied = at + 2;
        }
        out.put_slice(&text[copied..]);
        self.matched = match text {
            [.., b'\r', b'\n'] => 2,
            [.., b'\r'] => 1,
            _ => 0,
        };
    }

    /// Appends the terminating line, after a CRLF if the text does not end with one.
    pub fn finish(self, out: &mut impl BufMut) {
        if self.matched != 2 {
            out.put_slice(b"\r\n");
        }
        out.put_slice(b".\r\n");
    }

    /// Whether the text so far ends with a line end, or is empty.
    pub const fn at_line_start(&self) -> bool {
        self.matched == 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Decodes `wire` in chunks of `step` bytes. Returns the text, whether it is malformed, and the input after its
    /// end.
    fn decode(wire: &[u8], step: usize) -> Option<(Vec<u8>, bool, Vec<u8>)> {
        let (mut decoder, mut input, mut text) = (DotDecoder::default(), BytesMut::new(), Vec::new());
        let mut chunks = wire.chunks(step.max(1));
        loop {
            match decoder.decode(&mut input) {
                Some(Piece::Text(piece)) => text.extend_from_slice(&piece),
                Some(Piece::End) => {
                    chunks.for_each(|chunk| input.extend_from_slice(chunk));
                    return Some((text, decoder.is_malformed(), input.to_vec()));
                }
                None => input.extend_from_slice(chunks.next()?),
            }
        }
    }

    #[test]
    fn decoder_removes_stuffing_and_finds_the_end_for_any_chunk_size() {
        let wire = b"one\r\n..two\r\n...\r\n.x\r\n\r\n.\r\nQUIT\r\n";
        for step in 1..=wire.len() {
            let (text, malformed, rest) = decode(wire, step).expect("the wire holds an end");
            assert_eq!(text, b"one\r\n.two\r\n..\r\nx\r\n\r\n", "step {step}");
            assert!(!malformed);
            assert_eq!(rest, b"QUIT\r\n");
        }
        assert_eq!(decode(b".\r\n", 1), Some((vec![], false, vec![])));
    }

    #[test]
    fn decoder_treats_false_terminators_as_malformed_text() {
        for wire in [
            &b"a\n.\nb"[..],
            b"a\n.\r\nb",
            b"a\r.\rb",
            b"a\r\n.\nb",
            b"a\r.\r\nb",
            b"a\n.\rb",
            b"a\r\n.\rb",
            b"a\r\n.\0\r\nb",
        ] {
            let wire = [wire, b"\r\n.\r\nNOOP\r\n"].concat();
            for step in 1..=wire.len() {
                let (_, malformed, rest) = decode(&wire, step).expect("the real terminator is last");
                assert!(malformed, "{wire:?} in steps of {step}");
                assert_eq!(rest, b"NOOP\r\n");
            }
        }
    }

    fn encode(text: &[u8], step: usize) -> Vec<u8> {
        let (mut encoder, mut out) = (DotEncoder::default(), Vec::new());
        text.chunks(step.max(1)).for_each(|chunk| encoder.encode(chunk, &mut out));
        encoder.finish(&mut out);
        out
    }

    #[test]
    fn encoder_doubles_leading_dots_and_adds_the_terminator() {
        for step in 1..20 {
            assert_eq!(encode(b".a\r\n\r\n..b\r\nc.", step), b"..a\r\n\r\n...b\r\nc.\r\n.\r\n");
            assert_eq!(encode(b"", step), b".\r\n");
        }
    }

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode(text in "([a.]|\r\n){0,16}", encode_step in 1_usize..5, decode_step in 1_usize..5) {
            let mut expected = text.clone().into_bytes();
            if !expected.is_empty() && !expected.ends_with(b"\r\n") {
                expected.extend_from_slice(b"\r\n");
            }
            let (decoded, malformed, rest) = decode(&encode(text.as_bytes(), encode_step), decode_step).expect("encoded text ends");
            prop_assert_eq!(decoded, expected);
            prop_assert!(!malformed && rest.is_empty());
        }

        #[test]
        fn decode_is_independent_of_the_chunk_size(wire in "[a.\r\n\0]{0,24}", step in 1_usize..6) {
            prop_assert_eq!(decode(wire.as_bytes(), step), decode(wire.as_bytes(), wire.len()));
        }
    }
}
