//! East Asian charsets. The page's build of the core leaves them out, because browsers have the tables.

use web_sys::TextDecoder;

/// Prefixes of charset labels that are decoded by the browser.
const PREFIXES: [&str; 13] = [
    "gb",
    "big5",
    "cn-gb",
    "cp936",
    "ms936",
    "euc",
    "iso-2022",
    "shift",
    "sjis",
    "x-sjis",
    "windows-31j",
    "ks_c",
    "korean",
];

/// A [`CharsetDecoder`](mail_core::message::charset::CharsetDecoder) function.
pub(crate) fn decode(charset: &str, octets: &[u8]) -> Option<String> {
    let name = charset.to_ascii_lowercase();
    if !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    TextDecoder::new_with_label(&name).ok()?.decode_with_u8_array(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn decode_leaves_other_charsets_to_the_core() {
        assert_eq!(decode("utf-8", b"x"), None);
        assert_eq!(decode("ISO-8859-1", b"x"), None);
    }

    #[cfg(target_arch = "wasm32")]
    #[test]
    fn decode_supports_east_asian_charsets() {
        let message = b"Subject: =?GB2312?B?xOO6ww==?=\r\nContent-Type: text/plain; charset=Shift_JIS\r\n\r\n\x82\xa0\r\n";
        let view = mail_core::message::parsed::ParsedMessage::parse_with(message, decode);
        assert_eq!((view.subject.as_str(), view.text.as_deref()), ("\u{4f60}\u{597d}", Some("\u{3042}\r\n")));
    }
}
