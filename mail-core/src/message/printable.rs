//! Makes untrusted text safe to display: no terminal escape sequences, no bidirectional overrides.
//!
//! A control character is replaced with its symbol (ESC with `␛`). C1 controls and the bidirectional controls of Unicode,
//! which can disguise a file name or an address, are replaced with `\u{FFFD}`. A log line gets an [`Excerpt`].

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

/// Characters of an [`Excerpt`]: a path (RFC 5321 section 4.5.3.1.3) fits.
const EXCERPT_CHARS_MAX: usize = 256;

/// The beginning of a peer's text for a log line. Control characters, double quotes and invisible characters are escaped as in a
/// Rust string; `…` stands for the rest.
#[derive(Debug, Clone, Copy)]
pub struct Excerpt<'a>(pub &'a str);

impl Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(EXCERPT_CHARS_MAX) {
            match c {
                '\'' => f.write_char(c)?,
                _ => write!(f, "{}", c.escape_debug())?,
            }
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// For text with several lines: line feeds and tabs are unchanged, CRLF becomes a line feed.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_hidden(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    Cow::Owned(text.chars().map(|c| if matches!(c, '\n' | '\t') { c } else { visible(c) }).collect())
}

/// For text on a single line, such as a name or a subject: line ends and tabs become spaces.
#[must_use]
pub fn printable_line(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_hidden(c) || is_line_separator(c)) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", " ");
    let line = |c| if matches!(c, '\n' | '\t') || is_line_separator(c) { ' ' } else { visible(c) };
    Cow::Owned(text.chars().map(line).collect())
}

/// Replaces bidirectional controls only. A subject or a name with one could reorder the text around it.
pub(super) fn without_bidi_controls(text: String) -> String {
    if text.contains(is_bidi_control) { text.replace(is_bidi_control, "\u{fffd}") } else { text }
}

/// Embeddings, overrides and isolates (UAX #9). The marks, such as U+200E, only affect their neighbours.
pub(super) const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_hidden(c: char) -> bool {
    c.is_control() || is_bidi_control(c)
}

pub(super) const fn is_line_separator(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

fn visible(c: char) -> char {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\x7f' => '\u{2421}',
        _ if is_hidden(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn printable_replaces_control_characters_and_overrides() {
        assert_eq!(printable("a\x1b[2J\x07b\r\nc\td\re\x7f"), "a␛[2J␇b\nc\td␍e␡");
        assert_eq!(printable("\u{9b}31m \u{202e}gpj.exe"), "\u{fffd}31m \u{fffd}gpj.exe");
        assert_eq!(printable_line("a\r\n b\tc\u{2028}d\x1be"), "a  b c d␛e");
        assert!(matches!(printable("नमस्ते\n"), Cow::Borrowed(_)));
        assert!(matches!(printable_line("é"), Cow::Borrowed(_)));
    }

    #[test]
    fn excerpt_is_bounded_and_escaped() {
        assert_eq!(Excerpt("<o'brien@iit.edu>").to_string(), "<o'brien@iit.edu>");
        assert_eq!(Excerpt("a\r\nb\x1b[2J \u{202e}é\"").to_string(), r#"a\r\nb\u{1b}[2J \u{202e}é\""#);
        let long = Excerpt(&"é".repeat(1_000)).to_string();
        assert_eq!(long, "é".repeat(EXCERPT_CHARS_MAX) + "…");
    }

    proptest! {
        #[test]
        fn excerpt_is_one_printable_line(text in any::<String>()) {
            prop_assert!(!Excerpt(&text).to_string().contains(|c: char| c.is_control() || is_bidi_control(c)));
        }

        #[test]
        fn printable_leaves_no_control_characters(text in any::<String>()) {
            prop_assert!(!printable(&text).contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')));
            prop_assert!(!printable_line(&text).contains(char::is_control));
        }
    }
}
