//! Charsets, decoded by the browser.

use web_sys::TextDecoder;

/// Decodes bytes; a [`CharsetDecoder`](mail_core::message::platform::CharsetDecoder).
pub(crate) fn decode(label: &str, bytes: &[u8]) -> Option<String> {
    TextDecoder::new_with_label(label).ok()?.decode_with_u8_array(bytes).ok()
}

/// TextDecoder exists on WebAssembly only.
#[cfg(all(test, target_arch = "wasm32"))]
mod tests {
    use mail_core::message::parsed::ParsedMessage;
    use mail_core::message::platform::Platform;
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn decode_supports_the_charsets_of_the_browser() {
        let message = b"Subject: =?GB2312?B?xOO6ww==?=\r\nContent-Type: text/plain; charset=Shift_JIS\r\n\r\n\x82\xa0\r\n";
        let platform = Platform { decode_charset: decode, ..Platform::NONE };
        let message = ParsedMessage::parse_with(message, platform);
        assert_eq!(
            (message.subject.as_str(), message.text.as_deref()),
            ("\u{4f60}\u{597d}", Some("\u{3042}\r\n"))
        );
        assert_eq!(decode("x-unknown", b"x"), None);
    }
}
