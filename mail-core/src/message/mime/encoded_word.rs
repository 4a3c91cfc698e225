//! Encoded words at any position in header fields (RFC 2047).
//!
//! Adjacent words of one charset are joined before they are decoded, because many programs split a character between
//! two words.

use std::borrow::Cow;

use super::{charset, transfer};
use crate::message::platform::CharsetDecoder;

/// Decodes header text: `charset::decode_raw` for the octets outside encoded words.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The declared charset of the message or the part.
    pub charset: Option<&'a [u8]>,
    /// The tables of the platform.
    pub decode: CharsetDecoder,
}

impl Context<'_> {
    /// Decodes an unfolded value.
    #[must_use]
    pub fn text(&self, value: &[u8]) -> String {
        if memchr::memmem::find(value, b"=?").is_none() {
            return self.raw(value);
        }
        let mut text = String::with_capacity(value.len());
        // The octets of adjacent words of one charset.
        let mut joined: Option<(&[u8], Vec<u8>)> = None;
        let (mut copied, mut from) = (0, 0);
        while let Some(start) = memchr::memmem::find(&value[from..], b"=?").map(|at| from + at) {
            let word = match word(value, start) {
                Ok(word) => word,
                Err(resume) => {
                    from = resume;
                    continue;
                }
            };
            let between = &value[copied..start];
            match &mut joined {
                Some((charset, octets)) if between.trim_ascii().is_empty() => {
                    if charset.eq_ignore_ascii_case(word.charset) {
                        word.append_to(octets);
                    } else {
                        self.flush(&mut joined, &mut text);
                        joined = Some((word.charset, word.octets()));
                    }
                }
                _ => {
                    self.flush(&mut joined, &mut text);
                    text.push_str(&self.raw(between));
                    joined = Some((word.charset, word.octets()));
                }
            }
            (copied, from) = (word.end, word.end);
        }
        self.flush(&mut joined, &mut text);
        text.push_str(&self.raw(&value[copied..]));
        text
    }

    fn raw(&self, octets: &[u8]) -> String {
        charset::decode_raw(octets, self.charset, self.decode)
    }

    fn flush(&self, joined: &mut Option<(&[u8], Vec<u8>)>, text: &mut String) {
        if let Some((charset, octets)) = joined.take() {
            text.push_str(&charset::decode(Some(charset), Cow::Owned(octets), self.decode));
        }
    }
}

/// The end of the encoded word at `start`, if there is one.
pub(super) fn word_end(value: &[u8], start: usize) -> Option<usize> {
    value[start..].starts_with(b"=?").then(|| word(value, start).ok().map(|word| word.end)).flatten()
}

struct Word<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
    end: usize,
}

impl Word<'_> {
    fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.text.len());
        self.append_to(&mut octets);
        octets
    }

    fn append_to(&self, octets: &mut Vec<u8>) {
        if self.is_base64 {
            octets.extend_from_slice(&transfer::base64(self.text).0);
        } else {
            transfer::decode_q(self.text, true, octets);
        }
    }
}

/// The encoded word whose `=?` is at `start`, or the position to search on from. Every octet is examined once.
///
/// ```abnf
/// encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
/// ```
fn word(value: &[u8], start: usize) -> Result<Word<'_>, usize> {
    let name = start + 2;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:()+*'".contains(byte);
    let length = value[name..].iter().position(|byte| !is_name(byte)).unwrap_or(value.len() - name);
    let encoding = name + length;
    let [b'?', letter, b'?', text @ ..] = &value[encoding..] else { return Err(encoding) };
    let is_base64 = letter.eq_ignore_ascii_case(&b'B');
    if length == 0 || !(is_base64 || letter.eq_ignore_ascii_case(&b'Q')) {
        return Err(encoding);
    }
    let text_start = encoding + 3;
    let mut from = 0;
    while let Some(mark) = memchr::memchr(b'?', &text[from..]).map(|at| from + at) {
        if text.get(mark + 1) == Some(&b'=') {
            let charset = &value[name..encoding];
            let charset = charset.split(|byte| *byte == b'*').next().unwrap_or(charset);
            return Ok(Word { charset, is_base64, text: &text[..mark], end: text_start + mark + 2 });
        }
        if mark > 0 && text[mark - 1] == b'=' {
            // Another word starts before this one ends.
            return Err(text_start + mark - 1);
        }
        from = mark + 1;
    }
    Err(value.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn text(value: &str) -> String {
        Context { charset: None, decode: |_, _| None }.text(value.as_bytes())
    }

    #[test]
    fn words_are_decoded_at_any_position() {
        for (value, expected) in [
            ("plain é", "plain é"),
            ("=?utf-8?Q?caf=C3=A9_1?=", "café 1"),
            ("=?ISO-8859-1*en?b?6Q?=", "é"),
            ("[=?utf-8?q?a?=] =?utf-8?q?b?=, c", "[a] b, c"),
            ("\"=?utf-8?q?a?=\"", "\"a\""),
            ("=?utf-8?q?a b?=", "a b"),
            ("=?utf-8?q?what??=", "what?"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn adjacent_words_of_one_charset_are_joined_first() {
        assert_eq!(text("=?UTF-8?Q?=C4?= =?utf-8?Q?=97?= x"), "ė x");
        assert_eq!(text("=?utf-8?B?w?= \t =?utf-8?B?w6k?="), "é");
        assert_eq!(text("=?utf-8?B?xA==?==?utf-8?Q?=97?="), "ė");
        assert_eq!(text("=?utf-8?q?a?= =?iso-8859-1?q?=E9?= =?utf-8?q?b?="), "aéb");
    }

    #[test]
    fn other_text_is_unchanged() {
        for value in [
            "=?",
            "=?utf-8",
            "=?utf-8?Q",
            "=?utf-8?Q?x",
            "=?utf-8?X?x?=",
            "=??Q?x?=",
            "=? utf-8?Q?x?=",
            "a =?= b",
        ] {
            assert_eq!(text(value), value);
        }
        assert_eq!(text("=?utf-8?Q?cut =?utf-8?Q?b?="), "=?utf-8?Q?cut b");
    }

    proptest! {
        #[test]
        fn decoded_text_is_not_much_longer_than_the_value(value in "(=\\?|\\?=|utf-8|\\?|[QBb=_é4A +-]){0,30}") {
            prop_assert!(text(&value).len() <= 3 * value.len());
        }
    }
}
