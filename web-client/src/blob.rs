//! Files in a page: attachments as addresses that a link or a picture can have.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use js_sys::{Array, Uint8Array};
use mail_core::message::draft::Attachment;
use web_sys::{Blob, BlobPropertyBag, Url};

/// Pictures that browsers show and that run nothing.
pub(crate) const PICTURES: [&str; 4] = ["image/gif", "image/jpeg", "image/png", "image/webp"];

pub(crate) fn is_picture(attachment: &Attachment) -> bool {
    PICTURES.contains(&attachment.mime.as_str())
}

/// An address for as long as this value lives.
#[derive(Debug, PartialEq)]
pub(crate) struct BlobUrl(String);

impl BlobUrl {
    /// For a link that saves the bytes. They never get their own media type: opened in a tab, they would be a page of
    /// this site.
    pub(crate) fn to_save(bytes: &[u8]) -> Option<Self> {
        Self::new(bytes, "application/octet-stream")
    }

    /// For an `img`.
    pub(crate) fn to_show(attachment: &Attachment) -> Option<Self> {
        is_picture(attachment).then(|| Self::new(&attachment.bytes, &attachment.mime))?
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn new(bytes: &[u8], mime: &str) -> Option<Self> {
        let properties = BlobPropertyBag::new();
        properties.set_type(mime);
        let parts = Array::of1(&Uint8Array::from(bytes));
        let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &properties).ok()?;
        Url::create_object_url_with_blob(&blob).ok().map(Self)
    }
}

impl Drop for BlobUrl {
    fn drop(&mut self) {
        // It fails for what is no address, and this is one.
        let _ = Url::revoke_object_url(&self.0);
    }
}

/// The whole of a picture as an address.
pub(crate) fn data_url(attachment: &Attachment) -> Option<String> {
    is_picture(attachment)
        .then(|| format!("data:{};base64,{}", attachment.mime, STANDARD.encode(&attachment.bytes)))
}

#[cfg(all(test, target_arch = "wasm32"))]
mod in_browser;
