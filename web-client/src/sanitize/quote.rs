//! HTML of a message, for a reply or a forwarded message.
//!
//! The result is not shown without another pass of the sanitizer. It keeps the addresses of remote images: the recipients
//! decide whether to load them.

use std::collections::BTreeMap;

use mail_core::message::draft::Attachment;
use mail_core::message::html::escape;
use wasm_bindgen::JsCast as _;
use web_sys::Element;

use super::html::{check_attributes, replace_by_alternative_text, sanitize_fragment, set_attribute};
use super::images::{Images, after_scheme, is_remote};

pub(crate) struct Quotation {
    pub(crate) html: String,
    /// The message has no content to quote.
    pub(crate) is_empty: bool,
    /// The Content-IDs in the HTML, by the index of the attachment.
    pub(crate) images: BTreeMap<usize, String>,
}

/// `content_id` returns a new Content-ID. `None` if the sanitizer fails.
pub(crate) fn quote_html(
    html: &str,
    attachments: &[Attachment],
    content_id: impl Fn(usize) -> String,
) -> Option<Quotation> {
    let body = sanitize_fragment(html)?;
    let images = Images::new(attachments);
    let mut shown = BTreeMap::new();
    let elements = body.query_selector_all("*").ok()?;
    let elements = (0..elements.length()).filter_map(|at| elements.get(at)?.dyn_into::<Element>().ok());
    for element in std::iter::once(body.clone()).chain(elements) {
        // Other mail programs do not find a background by its Content-ID.
        check_attributes(&element, &mut |_| None);
        if element.local_name() != "img" {
            continue;
        }
        let source = element.get_attribute("src").unwrap_or_default();
        if let Some(index) = images.find(&source) {
            let id = shown.entry(index).or_insert_with(|| content_id(index));
            set_attribute(&element, "src", Some(&format!("cid:{id}")));
        } else if !is_remote(&source) && after_scheme(source.trim(), "data:").is_none() {
            replace_by_alternative_text(&element);
        }
    }
    let has_text = body.text_content().is_some_and(|text| !text.trim().is_empty());
    let has_image = body.query_selector("img").is_ok_and(|image| image.is_some());
    Some(Quotation { html: as_block(&body), is_empty: !has_text && !has_image, images: shown })
}

/// The content of the body in an element with the body's style and colours.
fn as_block(body: &Element) -> String {
    let mut style = body.get_attribute("style").unwrap_or_default();
    for (attribute, property) in [("bgcolor", "background-color"), ("text", "color")] {
        if let Some(colour) = body.get_attribute(attribute)
            && colour.chars().all(|c| c.is_ascii_alphanumeric() || c == '#')
        {
            style = format!("{property}:{colour};{style}");
        }
    }
    let content = body.inner_html();
    if style.is_empty() { content } else { format!("<div style=\"{}\">{content}</div>", escape(&style)) }
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
