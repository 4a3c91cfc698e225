//! The images of a message: which attachment an `img` refers to, and its `data:` URL.
//!
//! HTML refers to an attachment by its Content-ID, as `cid:` URL (RFC 2392), or by its Content-Location (RFC 2557). Mail
//! programs differ in escapes, capitals and angle brackets.

use std::collections::HashMap;

use mail_core::message::draft::Attachment;

use crate::platform::blob_url::{IMAGE_TYPES, data_url, image_type};

/// Octets of attachments that a document contains as `data:` URLs. An attachment counts for each image that shows it.
const INLINE_OCTETS_MAX: usize = 32 * 1_024 * 1_024;

/// Segments of the longest relative URL that refers to a Content-Location.
const RELATIVE_SEGMENTS_MAX: usize = 8;

/// The indices of attachments that are images are in maps, so that the time for an `img` does not depend on their number.
pub(super) struct Images<'a> {
    attachments: &'a [Attachment],
    ids: HashMap<&'a str, usize>,
    ids_lowercase: HashMap<String, usize>,
    /// By the location, escaped or not, and by its last segments.
    locations: HashMap<String, usize>,
    octets_left: usize,
    /// The index of the attachment that each `img` of the document shows, `None` for an image inside the HTML.
    pub(super) inline: Vec<Option<usize>>,
}

impl<'a> Images<'a> {
    /// The first of several images with the same name is used.
    pub(super) fn new(attachments: &'a [Attachment]) -> Self {
        let (mut ids, mut ids_lowercase, mut locations) = (HashMap::new(), HashMap::new(), HashMap::new());
        let images = attachments.iter().enumerate().filter(|(_, file)| image_type(&file.bytes).is_some());
        for (index, image) in images {
            if let Some(id) = image.content_id.as_deref().map(bare) {
                ids.entry(id).or_insert(index);
                ids_lowercase.entry(id.to_ascii_lowercase()).or_insert(index);
            }
            if let Some(location) = image.content_location.as_deref() {
                let decoded = unescaped(location);
                for reference in references(location).chain(references(&decoded)) {
                    locations.entry(reference.to_owned()).or_insert(index);
                }
            }
        }
        let octets_left = INLINE_OCTETS_MAX;
        Self { attachments, ids, ids_lowercase, locations, octets_left, inline: Vec::new() }
    }

    /// The `data:` URL for the next `img`. `None` if its source is no image of the message, or if the document contains
    /// too many images already.
    pub(super) fn next(&mut self, source: &str) -> Option<String> {
        let source = source.trim();
        if let Some(data) = after_scheme(source, "data:") {
            let mime = data.split([';', ',']).next()?.to_ascii_lowercase();
            let url = IMAGE_TYPES.contains(&mime.as_str()).then(|| source.to_owned())?;
            self.inline.push(None);
            return Some(url);
        }
        let index = self.find(source)?;
        let attachment = &self.attachments[index];
        self.octets_left = self.octets_left.checked_sub(attachment.bytes.len())?;
        let url = data_url(attachment)?;
        self.inline.push(Some(index));
        Some(url)
    }

    /// The `data:` URL for a background. `None` if the URL is no image of the message, or if the document contains too many
    /// images already.
    pub(super) fn background(&mut self, url: &str) -> Option<String> {
        let attachment = &self.attachments[self.find(url.trim())?];
        self.octets_left = self.octets_left.checked_sub(attachment.bytes.len())?;
        data_url(attachment)
    }

    /// The `https` URL for the next `img`. `None` if its source is not on another host.
    pub(super) fn remote(&mut self, source: &str) -> Option<String> {
        let source = source.trim();
        let rest =
            ["https:", "http:"].iter().find_map(|scheme| after_scheme(source, scheme)).unwrap_or(source);
        let url = rest.starts_with("//").then(|| format!("https:{rest}"))?;
        self.inline.push(None);
        Some(url)
    }

    /// The index of the attachment that a source refers to.
    pub(super) fn find(&self, source: &str) -> Option<usize> {
        if source.is_empty() {
            return None;
        }
        let decoded = unescaped(source);
        let id = |url| after_scheme(url, "cid:").map(bare);
        let by_id = || {
            let (written, decoded) = (id(source)?, id(&decoded)?);
            let exact = self.ids.get(written).or_else(|| self.ids.get(decoded));
            exact.or_else(|| self.ids_lowercase.get(&decoded.to_ascii_lowercase())).copied()
        };
        let by_location = || {
            // The HTML has the same base URL as its images (RFC 2557 section 5).
            let relative = |url| str::strip_prefix(url, "./").unwrap_or(url);
            let urls = [source, relative(source), &decoded, relative(&decoded)];
            urls.iter().find_map(|url| self.locations.get(*url)).copied()
        };
        by_id().or_else(by_location)
    }
}

/// A location and the relative URLs that may refer to it.
fn references(location: &str) -> impl Iterator<Item = &str> {
    let tails =
        location.rmatch_indices('/').map(|(at, _)| &location[at + 1..]).filter(|tail| !tail.is_empty());
    std::iter::once(location).chain(tails.take(RELATIVE_SEGMENTS_MAX))
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
