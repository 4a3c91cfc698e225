//! Attachments as URLs for links and images.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use js_sys::{Array, Uint8Array};
use mail_core::message::draft::Attachment;
use web_sys::{Blob, BlobPropertyBag, Url};

/// Image types that browsers display and that contain no scripts.
pub(crate) const IMAGE_TYPES: [&str; 4] = ["image/gif", "image/jpeg", "image/png", "image/webp"];

/// The type of an image, by its content: senders often declare another one, such as `image/jpg` or
/// `application/octet-stream`. `None` if it is not one of [`IMAGE_TYPES`].
pub(crate) fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
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
        Self::new(&attachment.bytes, image_type(&attachment.bytes)?)
    }

    /// For a tab that shows a PDF.
    pub(super) fn for_pdf(bytes: &Uint8Array) -> Option<Self> {
        Self::with_type(&Array::of1(bytes), "application/pdf")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For a file that consists of these `Uint8Array`s.
    pub(super) fn of_parts(parts: &Array) -> Option<Self> {
        Self::with_type(parts, "application/octet-stream")
    }

    fn new(bytes: &[u8], mime: &str) -> Option<Self> {
        Self::with_type(&Array::of1(&Uint8Array::from(bytes)), mime)
    }

    fn with_type(parts: &Array, mime: &str) -> Option<Self> {
        let properties = BlobPropertyBag::new();
        properties.set_type(mime);
        let blob = Blob::new_with_u8_array_sequence_and_options(parts, &properties).ok()?;
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
    let mime = image_type(&attachment.bytes)?;
    Some(format!("data:{mime};base64,{}", STANDARD.encode(&attachment.bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn image_type_is_found_in_the_content() {
        for (bytes, mime) in [
            (&b"GIF87a..."[..], Some("image/gif")),
            (b"GIF89a...", Some("image/gif")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"\x89PNG\r\n\x1a\n...", Some("image/png")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"GIF88a", None),
            (b"\x89PNG", None),
            (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
            (b"BM", None),
            (b"", None),
        ] {
            assert_eq!(image_type(bytes), mime, "{bytes:?}");
        }
    }
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
