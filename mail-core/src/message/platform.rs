//! Conversions that a platform provides: charset tables and an HTML parser.
//!
//! A browser includes both; native clients use libraries.

/// Decodes bytes of a charset, named by a label of the WHATWG Encoding Standard in lower case; `None` for an unknown
/// label. UTF-8, windows-1252 (which ISO-8859-1 means there) and UTF-7 are never asked for.
pub type CharsetDecoder = fn(label: &str, bytes: &[u8]) -> Option<String>;

/// Renders an HTML document as plain text.
pub type HtmlToText = fn(html: &str) -> String;

/// The address to show after a link of this text: a web, FTP or mail address that the text does not end with. `mailto:` is
/// removed.
#[must_use]
pub fn link_address<'a>(url: &'a str, text: &str) -> Option<&'a str> {
    if !["http://", "https://", "mailto:", "ftp://"].iter().any(|scheme| url.starts_with(scheme)) {
        return None;
    }
    let address = url.strip_prefix("mailto:").unwrap_or(url);
    let text = text.trim_end();
    (!text.ends_with(address) && !text.ends_with(address.trim_end_matches('/'))).then_some(address)
}

/// The conversions of a platform.
#[derive(Debug, Clone, Copy)]
pub struct Platform {
    /// Charsets.
    pub decode_charset: CharsetDecoder,
    /// HTML.
    pub html_to_text: HtmlToText,
}

impl Platform {
    /// No other charsets, and HTML as its source.
    pub const NONE: Self = Self { decode_charset: |_, _| None, html_to_text: str::to_owned };
}
