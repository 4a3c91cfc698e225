//! Errors located in the text of a configuration file.

use crate::InvalidValue;

/// An error and its location.
#[derive(Debug)]
pub(crate) struct SourceError {
    /// Counts from 1.
    pub(crate) line: usize,
    /// One line; names the key.
    pub(crate) reason: String,
}

impl SourceError {
    pub(crate) fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let line = text[..start.min(text.len())].matches('\n').count() + 1;
        let message = error.message().replace('\n', " ");
        let reason = match text.lines().nth(line - 1).and_then(key_of) {
            Some(key) if !message.contains(&format!("`{key}`")) => format!("`{key}`: {message}"),
            _ => message,
        };
        Self { line, reason }
    }

    pub(crate) fn from_invalid_value(text: &str, error: InvalidValue) -> Self {
        let InvalidValue { section, key, reason } = error;
        Self { line: line_of(text, section, key), reason: format!("`{key}` {reason}") }
    }
}

/// The key that a line assigns, if it is a bare key.
fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (!key.is_empty() && key.bytes().all(is_bare)).then_some(key)
}

/// The line of `key` in `section`. Falls back to the section's line, or to 1, if the file writes the key in another form.
fn line_of(text: &str, section: &str, key: &str) -> usize {
    let start = text.lines().position(|line| line.trim().starts_with(section)).unwrap_or(0);
    let mut body = text.lines().skip(start + 1).take_while(|line| !line.trim_start().starts_with('['));
    let offset = body.position(|line| key_of(line) == Some(key)).map_or(0, |position| position + 1);
    start + offset + 1
}
