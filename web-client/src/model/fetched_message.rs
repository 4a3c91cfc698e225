//! A fetched message: its octets and their parsed form.

use std::rc::Rc;

use bytes::Bytes;
use mail_core::message::draft::Attachment;
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

    /// The attachments to list, with their index. Images that the HTML shows inline are omitted.
    pub(crate) fn listed_attachments(&self) -> impl Iterator<Item = (usize, &Attachment)> {
        let html = self.parsed.html.as_deref().unwrap_or_default();
        self.parsed.attachments.iter().enumerate().filter(move |(_, attachment)| {
            let id = attachment.content_id.as_deref().filter(|id| !id.is_empty());
            !id.is_some_and(|id| html.contains(&format!("cid:{id}")))
        })
    }
}

pub(crate) fn search_text(text: &str) -> Rc<str> {
    text.chars().take(SEARCH_TEXT_CHARS_MAX).flat_map(char::to_lowercase).collect::<String>().into()
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
