//! Identifiers in Message-ID, In-Reply-To and References (RFC 5322 section 3.6.4).

use memchr::memchr;

use super::field::unfold;
use super::limits::MESSAGE_IDS_MAX;
use crate::message::id::MessageId;

/// Reads the identifiers in angle brackets; if there are none, the words that contain `@`, or the only word.
#[must_use]
pub fn message_ids(value: &[u8]) -> Vec<MessageId> {
    let value = unfold(value);
    let parse = |id: &[u8]| {
        let id: Vec<u8> = id.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        MessageId::parse(str::from_utf8(&id).ok()?)
    };
    let bracketed = value.split(|byte| *byte == b'<').skip(1);
    let bracketed = bracketed.filter_map(|text| Some(&text[..memchr(b'>', text)?]));
    let ids: Vec<_> = bracketed.filter_map(parse).take(MESSAGE_IDS_MAX).collect();
    if !ids.is_empty() {
        return ids;
    }
    let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b',')).filter(|word| !word.is_empty());
    let count = words.clone().take(2).count();
    words.filter(|word| count == 1 || word.contains(&b'@')).filter_map(parse).take(MESSAGE_IDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn identifiers_are_found() {
        for (value, expected) in [
            ("<a@b>", "a@b"),
            (" <a@b>\r\n\t<c@d><e @f>", "a@b c@d e@f"),
            ("Your message of \"Mon\" <a@b>", "a@b"),
            ("a@b", "a@b"),
            ("a@b c@d", "a@b c@d"),
            ("no-at-sign", "no-at-sign"),
            ("Your message of Monday", ""),
            ("<a@b", ""),
            ("", ""),
        ] {
            let ids: Vec<_> = message_ids(value.as_bytes()).iter().map(|id| id.as_str().to_owned()).collect();
            assert_eq!(ids.join(" "), expected, "{value}");
        }
    }
}
