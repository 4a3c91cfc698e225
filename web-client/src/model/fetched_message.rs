//! A fetched message: its octets and their parsed form.

use std::rc::Rc;

use bytes::Bytes;
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::platform::Platform;

/// Characters of a message's text that the search index stores.
const SEARCH_TEXT_CHARS_MAX: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchedMessage {
    pub(crate) raw: Bytes,
    pub(crate) parsed: ParsedMessage,
}

impl FetchedMessage {
    /// Parses a message with the conversions of a platform.
    pub(crate) fn parse(raw: impl Into<Bytes>, platform: Platform) -> Self {
        let raw = raw.into();
        let parsed = ParsedMessage::parse_with(&raw, platform);
        Self { raw, parsed }
    }

    /// Text for the search, in lower case.
    pub(crate) fn search_text(&self) -> Rc<str> {
        search_text(self.parsed.plain_text())
    }
}

pub(crate) fn search_text(text: &str) -> Rc<str> {
    text.chars().take(SEARCH_TEXT_CHARS_MAX).flat_map(char::to_lowercase).collect::<String>().into()
}
