//! Charsets that a caller decodes.
//!
//! The tables of the East Asian charsets would be a third of the WebAssembly module, and browsers have their own.
//! Without the feature `legacy-charsets` they are not built in, and the caller supplies a [`CharsetDecoder`].

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use memchr::memmem;

/// Decodes octets in a charset. `None` means to use the built-in charsets.
pub type CharsetDecoder = fn(charset: &str, octets: &[u8]) -> Option<String>;

/// Accepts missing padding, which is common.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Converts the encoded words (RFC 2047) that `decode` supports to UTF-8. `None` if there are none.
pub(super) fn recode(header: &[u8], decode: CharsetDecoder) -> Option<Vec<u8>> {
    let mut recoded = Vec::new();
    let (mut copied, mut from) = (0, 0);
    while let Some(start) = memmem::find(&header[from..], b"=?").map(|at| from + at) {
        from = start + 2;
        let Some((octets, charset, end)) = encoded_word(header, from) else { continue };
        let Some(text) = decode(charset, &octets) else { continue };
        recoded.extend_from_slice(&header[copied..start]);
        recoded.extend_from_slice(b"=?utf-8?B?");
        recoded.extend_from_slice(LENIENT.encode(text).as_bytes());
        recoded.extend_from_slice(b"?=");
        (copied, from) = (end, end);
    }
    if copied == 0 {
        return None;
    }
    recoded.extend_from_slice(&header[copied..]);
    Some(recoded)
}

/// Parses the encoded word whose `=?` ends at `start`. Returns its octets, its charset and the position after it.
///
/// ```abnf
/// encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?="
/// ```
fn encoded_word(header: &[u8], start: usize) -> Option<(Vec<u8>, &str, usize)> {
    let rest = &header[start..];
    let mut fields = rest.splitn(3, |&octet| octet == b'?');
    let (charset, encoding, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let charset = str::from_utf8(charset).ok()?;
    let charset = charset.split_once('*').map_or(charset, |(charset, _)| charset);
    let length = memmem::find(rest, b"?=")?;
    let text = &rest[..length];
    let octets = match encoding {
        b"B" | b"b" => LENIENT.decode(text).ok()?,
        b"Q" | b"q" => decode_q(text),
        _ => return None,
    };
    let end = header.len() - rest.len() + length + 2;
    text.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ').then_some((octets, charset, end))
}

fn decode_q(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match (first, tail) {
            (b'=', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                octets.push(value as u8);
                rest = tail;
            }
            (b'_', _) => octets.push(b' '),
            _ => octets.push(*first),
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// A charset for tests, in which each octet means the next character.
    fn next_letter(charset: &str, octets: &[u8]) -> Option<String> {
        let next = |&octet: &u8| char::from_u32(u32::from(octet) + 1);
        charset.eq_ignore_ascii_case("next").then(|| octets.iter().filter_map(next).collect())
    }

    fn recoded(header: &str) -> Option<String> {
        recode(header.as_bytes(), next_letter).map(|header| String::from_utf8(header).unwrap())
    }

    #[test]
    fn recode_converts_encoded_words_of_the_charset_only() {
        let ibm = "=?utf-8?B?SUJN?=";
        assert_eq!(recoded("Subject: =?next?Q?HAL?= x\r\n").unwrap(), format!("Subject: {ibm} x\r\n"));
        assert_eq!(recoded("A: =?NEXT*en?b?SEFM?= =?next?q?=48=41L?=").unwrap(), format!("A: {ibm} {ibm}"));
        assert_eq!(recoded("=?next?B?SEFMIQ?=").unwrap(), "=?utf-8?B?SUJNIg==?=");
    }

    #[test]
    fn recode_leaves_other_text_unchanged() {
        for header in [
            "",
            "=?",
            "=?next",
            "=?next?Q",
            "=?next?Q?x",
            "=?next?X?x?=",
            "=?utf-8?Q?x?=",
            "=?next?B?!?=",
            "=?next?Q?a\r\nb?=",
        ] {
            assert_eq!(recoded(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn recode_never_panics(header in "(=\\?|\\?=|next|\\?|[QBb=_é4A\r\n ]){0,20}") {
            let _ = recoded(&header);
        }
    }
}
