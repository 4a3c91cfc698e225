//! Limits a message to the part that TOP sends: the header, the blank line and a number of lines of the body.
//!
//! RFC 1939 section 7. Works on dot-stuffed text with CRLF line ends.

use memchr::memchr;

/// Counts the lines of a message, in chunks, up to the end of TOP's part.
#[derive(Debug, Clone)]
pub struct TopLimiter {
    in_header: bool,
    /// Whether the current line is empty so far, except for a CR.
    blank: bool,
    lines_left: u64,
}

impl TopLimiter {
    /// Allows `lines` lines of the body.
    pub const fn new(lines: u64) -> Self {
        Self { in_header: true, blank: true, lines_left: lines }
    }

    /// The number of octets of the next chunk that belong to the reply. If less than the whole chunk, the reply is
    /// complete.
    pub fn take(&mut self, chunk: &[u8]) -> usize {
        let mut taken = 0;
        while taken < chunk.len() && !self.is_done() {
            let rest = &chunk[taken..];
            let Some(end) = memchr(b'\n', rest) else {
                self.blank &= is_blank(rest);
                return chunk.len();
            };
            if self.in_header {
                self.in_header = !(self.blank && is_blank(&rest[..end]));
            } else {
                self.lines_left -= 1;
            }
            self.blank = true;
            taken += end + 1;
        }
        taken
    }

    /// Whether the reply is complete.
    pub const fn is_done(&self) -> bool {
        !self.in_header && self.lines_left == 0
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"" | b"\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn top(message: &str, lines: u64, step: usize) -> String {
        let mut counter = TopLimiter::new(lines);
        let taken = message.as_bytes().chunks(step).flat_map(|chunk| &chunk[..counter.take(chunk)]);
        String::from_utf8(taken.copied().collect()).unwrap()
    }

    #[test]
    fn top_sends_the_header_the_blank_line_and_the_lines() {
        let message = "From: a\r\nX: b\r\n\r\none\r\n\r\n..three\r\n";
        for step in 1..=message.len() {
            assert_eq!(top(message, 0, step), "From: a\r\nX: b\r\n\r\n");
            assert_eq!(top(message, 1, step), "From: a\r\nX: b\r\n\r\none\r\n");
            assert_eq!(top(message, 2, step), "From: a\r\nX: b\r\n\r\none\r\n\r\n");
            assert_eq!(top(message, 3, step), message);
            assert_eq!(top(message, u64::MAX, step), message);
        }
    }

    #[test]
    fn top_handles_messages_without_a_body_or_a_header() {
        assert_eq!(top("From: a\r\n", 5, 1), "From: a\r\n");
        assert_eq!(top("\r\nbody\r\nmore\r\n", 1, 1), "\r\nbody\r\n");
        assert_eq!(top("", 1, 1), "");
    }

    proptest! {
        #[test]
        fn top_agrees_with_a_simple_implementation(message in "([ab.]{0,3}\r\n){0,8}", lines in 0_u64..5, step in 1_usize..6) {
            let mut expected = String::new();
            let mut rest = message.split_inclusive("\r\n");
            for line in rest.by_ref() {
                expected.push_str(line);
                if line == "\r\n" {
                    break;
                }
            }
            expected.extend(rest.take(usize::try_from(lines).unwrap()));
            prop_assert_eq!(top(&message, lines, step), expected);
        }
    }
}
