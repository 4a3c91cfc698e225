//! The images of a message: which attachment an `img` refers to, and its `data:` URL.
//!
//! HTML refers to an attachment by its Content-ID, as `cid:` URL (RFC 2392), or by its Content-Location (RFC 2557). Mail
//! programs differ in escapes, capitals and angle brackets.

use mail_core::message::draft::Attachment;

use crate::platform::blob_url::{IMAGE_TYPES, data_url, image_type};

/// Octets of attachments that a document contains as `data:` URLs. An attachment counts for each image that shows it.
const DRAWN_OCTETS_MAX: usize = 32 * 1_024 * 1_024;

pub(super) struct Images<'a> {
    attachments: &'a [Attachment],
    octets_left: usize,
    /// The index of the attachment that each `img` of the document shows, `None` for an image inside the HTML.
    pub(super) drawn: Vec<Option<usize>>,
}

impl<'a> Images<'a> {
    pub(super) const fn new(attachments: &'a [Attachment]) -> Self {
        Self { attachments, octets_left: DRAWN_OCTETS_MAX, drawn: Vec::new() }
    }

    /// The `data:` URL for the next `img`. `None` if its source is no image of the message, or if the document contains
    /// too many images already.
    pub(super) fn next(&mut self, source: &str) -> Option<String> {
        let source = source.trim();
        if let Some(data) = after_scheme(source, "data:") {
            let mime = data.split([';', ',']).next()?.to_ascii_lowercase();
            let url = IMAGE_TYPES.contains(&mime.as_str()).then(|| source.to_owned())?;
            self.drawn.push(None);
            return Some(url);
        }
        let index = self.find(source)?;
        let attachment = &self.attachments[index];
        self.octets_left = self.octets_left.checked_sub(attachment.bytes.len())?;
        let url = data_url(attachment)?;
        self.drawn.push(Some(index));
        Some(url)
    }

    fn find(&self, source: &str) -> Option<usize> {
        let position = |is_same: &dyn Fn(&Attachment) -> bool| {
            self.attachments.iter().position(|file| is_same(file) && image_type(&file.bytes).is_some())
        };
        let decoded = unescaped(source);
        let by_id = || {
            let [written, decoded] = [source, &decoded].map(|url| after_scheme(url, "cid:").map(bare));
            let (written, decoded) = (written?, decoded?);
            let has_id = |file: &Attachment, is_same: &dyn Fn(&str) -> bool| {
                file.content_id.as_deref().map(bare).is_some_and(is_same)
            };
            position(&|file| has_id(file, &|id| id == written))
                .or_else(|| position(&|file| has_id(file, &|id| id == decoded)))
                .or_else(|| position(&|file| has_id(file, &|id| id.eq_ignore_ascii_case(decoded))))
        };
        let by_location = || {
            let is_named = |location: &str, url: &str| {
                // The HTML has the same base URL as its images (RFC 2557 section 5).
                let relative = url.strip_prefix("./").unwrap_or(url);
                location == url || location.strip_suffix(relative).is_some_and(|base| base.ends_with('/'))
            };
            position(&|file| {
                let location = file.content_location.as_deref().unwrap_or_default();
                is_named(location, source)
                    || is_named(location, &decoded)
                    || is_named(&unescaped(location), &decoded)
            })
        };
        if source.is_empty() { None } else { by_id().or_else(by_location) }
    }
}

/// Whether a source is on another host.
pub(super) fn is_remote(source: &str) -> bool {
    let source = source.trim();
    source.starts_with("//")
        || ["http:", "https:"].iter().any(|scheme| after_scheme(source, scheme).is_some())
}

/// The rest of a URL with this scheme, in any capitals.
pub(super) fn after_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = url.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// An identifier without angle brackets.
fn bare(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

/// Without percent-escapes. Text with invalid escapes is returned unchanged.
fn unescaped(url: &str) -> String {
    js_sys::decode_uri_component(url).map_or_else(|_| url.to_owned(), String::from)
}
