//! A message that is read: its octets and what they mean.

use std::rc::Rc;

use bytes::Bytes;
use mail_core::message::view::View;

use crate::charset;

/// Of a message's text, what the search looks at.
const SEARCHED_CHARS_MAX: usize = 20_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) raw: Bytes,
    pub(crate) view: View,
}

impl Opened {
    pub(crate) fn new(raw: impl Into<Bytes>) -> Self {
        let raw = raw.into();
        let view = View::parse_with(&raw, charset::decode);
        Self { raw, view }
    }

    /// What the search looks at, in lower case.
    pub(crate) fn words(&self) -> Rc<str> {
        searched(&self.view.readable())
    }

    /// The attachments to be listed: those that the HTML shows inside itself are not.
    pub(crate) fn files(&self) -> impl Iterator<Item = (usize, &mail_core::message::draft::Attachment)> {
        let html = self.view.html.as_deref().unwrap_or_default();
        self.view.attachments.iter().enumerate().filter(move |(_, attachment)| {
            let id = attachment.content_id.as_deref().filter(|id| !id.is_empty());
            !id.is_some_and(|id| html.contains(&format!("cid:{id}")))
        })
    }
}

pub(crate) fn searched(text: &str) -> Rc<str> {
    text.chars().take(SEARCHED_CHARS_MAX).flat_map(char::to_lowercase).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_picture_that_the_html_shows_is_not_listed_as_a_file() {
        let raw = b"Subject: x\r\nContent-Type: multipart/related; boundary=b\r\n\r\n\
            --b\r\nContent-Type: text/html\r\n\r\n<img src='cid:one'>\r\n\
            --b\r\nContent-Type: image/gif\r\nContent-ID: <one>\r\n\r\nGIF\r\n\
            --b\r\nContent-Type: image/gif; name=two.gif\r\nContent-ID: <two>\r\n\r\nGIF\r\n--b--\r\n";
        let opened = Opened::new(&raw[..]);
        let files: Vec<_> = opened.files().map(|(at, file)| (at, file.name.as_str())).collect();
        assert_eq!(files, [(1, "two.gif")]);
    }
}
