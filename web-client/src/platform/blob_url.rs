//! Attachments as URLs for links and images.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use js_sys::{Array, Uint8Array};
use mail_core::message::draft::Attachment;
use web_sys::{Blob, BlobPropertyBag, Url};

/// Image types that browsers display and that contain no scripts.
pub(crate) const IMAGE_TYPES: [&str; 4] = ["image/gif", "image/jpeg", "image/png", "image/webp"];

pub(crate) fn is_image(attachment: &Attachment) -> bool {
    IMAGE_TYPES.contains(&attachment.mime.as_str())
}

/// A `blob:` URL, revoked on drop.
#[derive(Debug, PartialEq)]
pub(crate) struct BlobUrl(String);

impl BlobUrl {
    /// For a download link. The type is always `application/octet-stream`: opened in a tab, HTML would run in the
    /// page's origin.
    pub(crate) fn for_download(bytes: &[u8]) -> Option<Self> {
        Self::new(bytes, "application/octet-stream")
    }

    /// For an `img`. `None` for other types.
    pub(crate) fn for_image(attachment: &Attachment) -> Option<Self> {
        is_image(attachment).then(|| Self::new(&attachment.bytes, &attachment.mime))?
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
        let _ = Url::revoke_object_url(&self.0);
    }
}

/// A `data:` URL with the image's content. `None` for other types.
pub(crate) fn data_url(attachment: &Attachment) -> Option<String> {
    is_image(attachment)
        .then(|| format!("data:{};base64,{}", attachment.mime, STANDARD.encode(&attachment.bytes)))
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
