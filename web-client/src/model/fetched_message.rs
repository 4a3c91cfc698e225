//! A fetched message: its octets and their parsed form.

use bytes::Bytes;
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::platform::Platform;

use super::message::BodyIndex;
use super::search::Fold;

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

    pub(crate) fn body_index(&self, fold: Fold) -> BodyIndex {
        BodyIndex::new(self.parsed.plain_text(), fold)
    }
}
