//! A fetched message: its octets and their parsed form.

use bytes::Bytes;
use mail_core::message::draft::Attachment;
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

    /// The attachments to list, with their index. Images that the HTML shows inline are omitted.
    pub(crate) fn listed_attachments(&self) -> impl Iterator<Item = (usize, &Attachment)> {
        let html = self.parsed.html.as_deref().unwrap_or_default();
        self.parsed.attachments.iter().enumerate().filter(move |(_, attachment)| {
            let id = attachment.content_id.as_deref().filter(|id| !id.is_empty());
            !id.is_some_and(|id| html.contains(&format!("cid:{id}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn listed_attachments_omit_inline_images() {
        let raw = b"Subject: x\r\nContent-Type: multipart/related; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/html\r\n\r\n<img src='cid:one'>\r\n\
            --b\r\nContent-Type: image/gif\r\nContent-ID: <one>\r\n\r\nGIF\r\n\
            --b\r\nContent-Type: image/gif; name=two.gif\r\nContent-ID: <two>\r\n\r\nGIF\r\n--b--\r\n";
        let message = FetchedMessage::parse(&raw[..], Platform::NONE);
        let listed: Vec<_> =
            message.listed_attachments().map(|(at, file)| (at, file.name.as_str())).collect();
        assert_eq!(listed, [(1, "two.gif")]);
    }
}
