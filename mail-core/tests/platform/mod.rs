//! The conversions of the platform that the tests run on.

use mail_core::message::platform::Platform;

/// All charsets; HTML as its source.
pub(crate) const PLATFORM: Platform = Platform { decode_charset, ..Platform::NONE };

#[cfg(not(target_arch = "wasm32"))]
fn decode_charset(label: &str, bytes: &[u8]) -> Option<String> {
    let encoding = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
    Some(encoding.decode_with_bom_removal(bytes).0.into_owned())
}

#[cfg(target_arch = "wasm32")]
fn decode_charset(label: &str, bytes: &[u8]) -> Option<String> {
    web_sys::TextDecoder::new_with_label(label).ok()?.decode_with_u8_array(bytes).ok()
}
