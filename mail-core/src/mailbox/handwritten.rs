//! Conversion of handwritten records to the wire format of a server's records: a Received field first, canonical field
//! names, CRLF line ends, a blank line before the body.

use memchr::memchr;

use super::head::{is_header_line, received_date};
use crate::line::without_ending;
use crate::message::date;
use crate::message::header;

/// Converts the head of a handwritten record. `head` is the record's first
/// [`head_length`](super::Message::head_length) octets; `hostname` goes into the Received field.
#[must_use]
pub fn wire_head(head: &[u8], has_text: bool, hostname: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + 128);
    let mut fields = header::fields(head);
    let mut front = Vec::with_capacity(head.len());
    for (name, field) in ["From", "To", "Subject"].into_iter().zip(&mut fields) {
        front.extend_from_slice(name.as_bytes());
        front.push(b':');
        let value = field.value.trim_ascii();
        if !value.is_empty() {
            front.push(b' ');
        }
        LfToCrlf::default().convert(value, &mut front);
        front.extend_from_slice(b"\r\n");
    }
    let received = fields.next();
    let date = received.as_ref().and_then(received_date).unwrap_or_default();
    out.extend_from_slice(
        format!("Received: by {hostname}; {}\r\n", date::rfc5322(&date.fixed_offset())).as_bytes(),
    );
    out.append(&mut front);
    let mut rest = &head[head.len() - fields.map(|field| field.raw.len()).sum::<usize>()..];
    let mut has_blank_line = false;
    while !rest.is_empty() && !has_blank_line {
        let (line, following) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |at| at + 1));
        has_blank_line = !is_header_line(line);
        out.extend_from_slice(without_ending(line));
        out.extend_from_slice(b"\r\n");
        rest = following;
    }
    if has_text && !has_blank_line {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Converts bare LF to CRLF, in chunks. A bare CR is unchanged: as a line end, it could create a line with a single
/// dot.
#[derive(Debug, Clone, Copy, Default)]
pub struct LfToCrlf {
    after_cr: bool,
}

impl LfToCrlf {
    /// Appends the next chunk to `out`.
    pub fn convert(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        while let Some(at) = memchr(b'\n', text) {
            let after_cr = if at == 0 { self.after_cr } else { text[at - 1] == b'\r' };
            out.extend_from_slice(&text[..at]);
            out.extend_from_slice(if after_cr { b"\n" } else { b"\r\n" });
            self.after_cr = false;
            text = &text[at + 1..];
        }
        out.extend_from_slice(text);
        if let Some(last) = text.last() {
            self.after_cr = *last == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const CONVERTED: &str = "Received: by iitkgp.edu; Sun, 22 Nov 2026 19:15:00 +0000\r\n\
        From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: a\r\n b\r\n";

    #[test]
    fn wire_head_normalises_a_handwritten_head() {
        let head =
            "From :<ag@iit.edu>\nTo:\t<gb@iit.edu>\nsubject: a\n b \nReceived: 2026-11-22:19:15\nX: y\n";
        for (more, has_text, expected) in [
            ("", false, "X: y\r\n"),
            ("", true, "X: y\r\n\r\n"),
            ("\n", false, "X: y\r\n\r\n"),
            ("\r\n", true, "X: y\r\n\r\n"),
            (".dot: x\n", false, "X: y\r\n.dot: x\r\n"),
        ] {
            let actual = wire_head(format!("{head}{more}").as_bytes(), has_text, "iitkgp.edu");
            assert_eq!(String::from_utf8(actual).unwrap(), format!("{CONVERTED}{expected}"));
        }
    }

    proptest! {
        #[test]
        fn lf_to_crlf_is_independent_of_the_chunk_size(text in "[a\r\n]{0,16}", cut in 0_usize..16) {
            let (head, tail) = text.as_bytes().split_at(cut.min(text.len()));
            let (mut converter, mut out) = (LfToCrlf::default(), Vec::new());
            converter.convert(head, &mut out);
            converter.convert(tail, &mut out);
            let expected = text.replace("\r\n", "\n").replace('\n', "\r\n");
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
