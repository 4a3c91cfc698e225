//! Sanitises HTML of messages.
//!
//! DOMPurify, in the version that `package.json` pins, removes elements and attributes, using the browser's own parser. A
//! second pass over its result replaces image sources, and checks links, styles and colours. Style sheets do not pass
//! through DOMPurify: [`style`](super::style) reads them from the HTML and writes allowed rules into the document's head.
//!
//! Three layers protect the user: this sanitizer, the sandbox of the frame that shows the result, and the page's CSP.
//!
//! | threat | blocked by |
//! |---|---|
//! | scripts | sanitizer, sandbox, CSP |
//! | remote images and style sheets | sanitizer, CSP |
//! | DNS prefetch | sanitizer |
//! | navigation of the page, overlays | sanitizer, sandbox |

use std::rc::Rc;

use js_sys::Array;
use mail_core::message::draft::Attachment;
use wasm_bindgen::prelude::*;
use web_sys::Element;

use super::colours::Colours;
use super::folding::trailing_quotation;
use super::images::{Images, after_scheme, is_remote};
use super::style::{ImageOf, StyleSheet, sanitize_attribute, sanitize_sheets};
use crate::platform::js;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = DOMPurify, catch)]
    fn sanitize(html: &str, options: &JsValue) -> Result<Option<Element>, JsValue>;
}

/// Passive elements. URLs are allowed only in the attributes [`URL_ATTRIBUTES`].
const TAGS: &str = "a abbr address area article aside b bdi bdo big blockquote body br caption center cite code col \
    colgroup dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hgroup hr i img \
    ins kbd li main mark nav ol p pre q rp rt ruby s samp section small span strike strong sub summary sup table \
    tbody td tfoot th thead time tr tt u ul var wbr";
const ATTRIBUTES: &str = "abbr align alink alt bgcolor border cellpadding cellspacing class color cols colspan datetime dir face \
    headers height hspace lang link noshade nowrap open reversed rowspan rules scope size span start style summary text \
    title type valign value vlink vspace width";
const URL_ATTRIBUTES: &str = "cite href src";
/// Schemes of links. Relative URLs have no meaning in a message.
const LINK_SCHEMES: [&str; 4] = ["https:", "http:", "mailto:", "tel:"];

/// Attributes of the message's `body` override the background and the text colour, so `body` has no rules for them.
const STYLE: &str = "body{margin:0;padding:8px;font:15px/1.5 system-ui,sans-serif;overflow-wrap:break-word}\
    img{max-width:100%;height:auto}pre{white-space:pre-wrap}blockquote{margin:0 0 0 8px;padding-left:10px;border-left:3px \
    solid #1f5fbf}.blocked-image{display:inline-block;max-width:100%;padding:2px 8px;border:1px solid #c5ccd6;border-radius:6px;\
    background:#f6f7f9;color:#5a6675;font-size:13px}";
/// For messages with their own colours.
const LIGHT: &str = ":root{color-scheme:light;color:#1c2430}";
/// For other messages: the colours of the page.
const THEMED: &str = ":root{color-scheme:light dark;color:#1c2430;background:#fff}body{padding:0}\
    @media screen and (prefers-color-scheme:dark){:root{color:#e6eaf0;background:#14181e}blockquote{border-color:#7fb0ff}\
    .blocked-image{border-color:#2b323c;background:#1b2027;color:#a3adba}}";
/// After the message's style sheets: the frame is as high as the document.
const ROOT: &str = ":root:root,:root:root body{position:static!important;float:none!important;height:auto!important;\
    min-height:0!important;max-height:none!important}";

/// Images on other hosts. Only the frame for them has a policy that lets the browser fetch them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteImages {
    /// They are replaced by their alternative text.
    Blocked,
    /// They remain, with `https` URLs.
    Shown,
}

/// The result of [`sanitize_html`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SanitizedHtml {
    /// A complete document for the frame.
    pub(crate) document: Rc<str>,
    /// Number of blocked remote images.
    pub(crate) blocked_images: usize,
    /// Number of remote images that remain.
    pub(crate) remote_images: usize,
    /// The index of the attachment that each `img` shows, in the order of the document; `None` for an image inside the
    /// HTML.
    pub(crate) images: Rc<[Option<usize>]>,
    /// The message has no visible content.
    pub(crate) is_empty: bool,
    /// The message has no colours of its own and follows the theme of the page.
    pub(crate) is_themed: bool,
    /// The message ends with a quotation, which may be folded.
    pub(crate) has_quotation: bool,
}

/// Whether a quotation at the end of a message is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrailingQuotation {
    Shown,
    Folded,
}

/// `None` if the sanitizer fails. The HTML must not be shown then.
pub(crate) fn sanitize_html(
    html: &str,
    attachments: &[Attachment],
    remote_images: RemoteImages,
) -> Option<SanitizedHtml> {
    sanitize_and_fold(html, attachments, remote_images, TrailingQuotation::Shown)
}

/// As [`sanitize_html`], with or without the quotation at the end.
pub(crate) fn sanitize_and_fold(
    html: &str,
    attachments: &[Attachment],
    remote_images: RemoteImages,
    quotation: TrailingQuotation,
) -> Option<SanitizedHtml> {
    // A document with a `frameset` has no body.
    let body = sanitize(html, &options()).ok()??;
    let trailing = trailing_quotation(&body);
    let has_quotation = trailing.is_some();
    if let Some(trailing) = trailing.filter(|_| quotation == TrailingQuotation::Folded) {
        trailing.remove();
    }
    let mut images = Images::new(attachments);
    let sheet = sanitize_sheets(html, &mut |url| images.background(url));
    // Only the browser knows which elements a style sheet colours.
    let mut colours = (!sheet.has_colours).then(Colours::default);
    let mut has_colours = sheet.has_colours;
    let (mut blocked_images, mut shown_images) = (0, 0);
    let elements = body.query_selector_all("*").ok()?;
    let elements = (0..elements.length()).filter_map(|at| elements.get(at)?.dyn_into::<Element>().ok());
    // Parents precede their children.
    for element in std::iter::once(body.clone()).chain(elements) {
        has_colours |= check_attributes(&element, &mut |url| images.background(url));
        if let Some(colours) = &mut colours {
            colours.make_readable(&element);
        }
        if element.local_name() == "img" {
            let source = element.get_attribute("src").unwrap_or_default();
            if let Some(source) = images.next(&source) {
                set_attribute(&element, "src", Some(&source));
            } else if remote_images == RemoteImages::Shown
                && let Some(source) = images.remote(&source)
            {
                shown_images += 1;
                set_attribute(&element, "src", Some(&source));
            } else {
                blocked_images += usize::from(is_remote(&source));
                replace_by_alternative_text(&element);
            }
        }
    }
    let is_empty = images.inline.is_empty() && body.text_content().is_none_or(|text| text.trim().is_empty());
    let (is_themed, remote_images) = (!has_colours, shown_images);
    let document = format!("{}{}</html>", head(&sheet, is_themed), body.outer_html()).into();
    let images = images.inline.into();
    Some(SanitizedHtml {
        document,
        blocked_images,
        remote_images,
        images,
        is_empty,
        is_themed,
        has_quotation,
    })
}

fn head(sheet: &StyleSheet, is_themed: bool) -> String {
    let (colours, own) = (if is_themed { THEMED } else { LIGHT }, &sheet.text);
    format!(
        "<!doctype html><html><head><meta charset=\"utf-8\"><style>{STYLE}{colours}</style><style>{own}</style>\
         <style>{ROOT}</style></head>"
    )
}

/// The elements of HTML that is pasted: passive ones, in a document that loads nothing.
pub(crate) fn sanitize_fragment(html: &str) -> Option<Element> {
    sanitize(html, &options()).ok()?
}

/// Checks the style and the links of an element. Returns whether it sets a text colour or a background.
pub(super) fn check_attributes(element: &Element, image_of: &mut ImageOf<'_>) -> bool {
    let attributes: &[&str] = match element.local_name().as_str() {
        "body" => &["bgcolor", "text"],
        "font" => &["color"],
        _ => &["bgcolor"],
    };
    let has_colours = sanitize_attribute(element, image_of)
        || attributes
            .iter()
            .any(|name| element.get_attribute(name).is_some_and(|value| !value.trim().is_empty()));
    for name in ["href", "cite"] {
        if let Some(url) = element.get_attribute(name)
            && LINK_SCHEMES.iter().all(|scheme| after_scheme(url.trim(), scheme).is_none())
        {
            set_attribute(element, name, None);
        }
    }
    match element.local_name().as_str() {
        "img" => {}
        "a" => {
            set_attribute(element, "target", Some("_blank"));
            set_attribute(element, "rel", Some("noopener noreferrer"));
        }
        _ => set_attribute(element, "src", None),
    }
    has_colours
}

/// Replaces an image by its alternative text, so that no broken-image icon appears. Spacers and tracking pixels are
/// removed.
pub(super) fn replace_by_alternative_text(image: &Element) {
    let alt = image.get_attribute("alt");
    let is_pixel = ["width", "height"]
        .iter()
        .any(|side| matches!(image.get_attribute(side).as_deref(), Some("0" | "1" | "2")));
    let text = alt.as_deref().map_or("image", str::trim);
    let label = image.owner_document().and_then(|document| document.create_element("span").ok());
    let Some(label) = label.filter(|_| !is_pixel && !text.is_empty()) else { return image.remove() };
    set_attribute(&label, "class", Some("blocked-image"));
    label.set_text_content(Some(text));
    // Fails only for an image without a parent, which is not shown.
    let _ = image.replace_with_with_node_1(&label);
}

pub(super) fn set_attribute(element: &Element, name: &str, value: Option<&str>) {
    // Fails only for invalid attribute names.
    let _ = match value {
        Some(value) => element.set_attribute(name, value),
        None => element.remove_attribute(name),
    };
}

fn options() -> JsValue {
    let list = |words: &str| words.split_whitespace().map(JsValue::from).collect::<Array>().into();
    // Relative URLs may name an image by its Content-Location; the second pass removes the others.
    let allowed_urls = js_sys::RegExp::new(
        "^(?:(?:https?|mailto|tel|cid):|data:image/(?:png|gif|jpe?g|webp)[;,]|[^a-z]|[a-z+.-]+(?:[^a-z+.:-]|$))",
        "i",
    );
    js::object([
        ("ALLOWED_TAGS", list(TAGS)),
        ("ALLOWED_ATTR", list(&format!("{ATTRIBUTES} {URL_ATTRIBUTES}"))),
        // DOMPurify would otherwise check sizes and colours as URLs.
        ("ADD_URI_SAFE_ATTR", list(ATTRIBUTES)),
        ("ALLOWED_URI_REGEXP", allowed_urls.into()),
        ("ALLOW_DATA_ATTR", JsValue::FALSE),
        ("ALLOW_ARIA_ATTR", JsValue::FALSE),
        ("RETURN_DOM", JsValue::TRUE),
    ])
    .into()
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
pub(super) mod in_browser;
