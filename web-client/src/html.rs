//! HTML of strangers, made harmless: it runs nothing, fetches nothing and looks like nothing but mail.
//!
//! DOMPurify, in the version that `package.json` pins, does the cleaning, with the browser's own parser, so that there
//! are no two opinions on what a tag is. What it leaves is gone through once more for what it does not judge: where
//! pictures come from, and styles.
//!
//! The result stands in a frame without scripts and origin, under the page's policy. That nothing runs, each of the three
//! sees to alone. That nothing is fetched, the cleaner and the policy do, and the frame does not: it would load pictures
//! and styles. That no name is looked up (`dns-prefetch`), the cleaner does alone: a policy has no say in it. That nothing
//! leads the page elsewhere or lies over it, the cleaner and the frame do.

use std::rc::Rc;

use js_sys::{Array, Object, Reflect};
use mail_core::message::draft::Attachment;
use wasm_bindgen::prelude::*;
use web_sys::Element;

use crate::blob::{PICTURES, data_url};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = DOMPurify, catch)]
    fn sanitize(html: &str, options: &JsValue) -> Result<Element, JsValue>;
}

/// Everything that mail needs and that cannot do anything. Addresses stand in `cite`, `href` and `src` alone.
const TAGS: &str = "a abbr address area article aside b bdi bdo big blockquote body br caption center cite code col \
    colgroup dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hgroup hr i img \
    ins kbd li main mark nav ol p pre q rp rt ruby s samp section small span strike strong sub summary sup table \
    tbody td tfoot th thead time tr tt u ul var wbr";
const ATTRIBUTES: &str = "abbr align alt bgcolor border cellpadding cellspacing color cols colspan datetime dir face \
    headers height hspace lang noshade nowrap open reversed rowspan rules scope size span start style summary title type \
    valign value vspace width";
const ADDRESSES: &str = "cite href src";

const HEAD: &str = "<!doctype html><html><head><meta charset=\"utf-8\"><style>\
    :root{color-scheme:light}\
    body{margin:0;padding:8px;font:15px/1.5 system-ui,sans-serif;color:#1c2430;background:#fff;overflow-wrap:anywhere}\
    img{max-width:100%;height:auto}pre{white-space:pre-wrap}blockquote{margin:0 0 0 8px;padding-left:8px;border-left:2px \
    solid #c5ccd6}.left-out{display:inline-block;max-width:100%;padding:2px 8px;border:1px solid #c5ccd6;border-radius:6px;\
    background:#f6f7f9;color:#5a6675;font-size:13px}</style></head><body>";

/// HTML that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// A whole document, for a frame.
    pub(crate) document: Rc<str>,
    /// How many pictures it asks for from elsewhere. They are left out.
    pub(crate) pictures_left_out: usize,
    /// There is nothing in it to look at.
    pub(crate) is_empty: bool,
}

/// `None` when it cannot be cleaned: then it is not shown.
pub(crate) fn clean(html: &str, attachments: &[Attachment]) -> Option<Page> {
    let body = sanitize(html, &options()).ok()?;
    let (mut pictures_left_out, mut pictures_shown) = (0, 0);
    let elements = body.query_selector_all("*").ok()?;
    for index in 0..elements.length() {
        let Some(element) = elements.get(index).and_then(|node| node.dyn_into::<Element>().ok()) else {
            continue;
        };
        if let Some(style) = element.get_attribute("style") {
            let calm = crate::style::calm(&style);
            set(&element, "style", (!calm.is_empty()).then_some(&calm));
        }
        match element.local_name().as_str() {
            "img" => {
                let source = element.get_attribute("src").unwrap_or_default();
                if let Some(shown) = picture(&source, attachments) {
                    pictures_shown += 1;
                    set(&element, "src", Some(&shown));
                } else {
                    pictures_left_out += usize::from(is_from_elsewhere(&source));
                    stand_in(&element);
                }
            }
            name => {
                set(&element, "src", None);
                if name == "a" {
                    set(&element, "target", Some("_blank"));
                    set(&element, "rel", Some("noopener noreferrer"));
                }
            }
        }
    }
    let is_empty = pictures_shown == 0 && body.text_content().is_none_or(|text| text.trim().is_empty());
    let document = format!("{HEAD}{}</body></html>", body.inner_html()).into();
    Some(Page { document, pictures_left_out, is_empty })
}

fn is_from_elsewhere(source: &str) -> bool {
    !source.is_empty() && !source.starts_with("cid:") && !source.starts_with("data:")
}

/// Puts what a picture is called in its place: without one, a browser draws it as broken. Of one that is there for the
/// layout, or to tell of the reader, nothing is left.
fn stand_in(picture: &Element) {
    let alt = picture.get_attribute("alt");
    let is_dot = ["width", "height"]
        .iter()
        .any(|side| matches!(picture.get_attribute(side).as_deref(), Some("0" | "1" | "2")));
    let words = alt.as_deref().map_or("picture", str::trim);
    let mark = picture.owner_document().and_then(|document| document.create_element("span").ok());
    let Some(mark) = mark.filter(|_| !is_dot && !words.is_empty()) else { return picture.remove() };
    set(&mark, "class", Some("left-out"));
    mark.set_text_content(Some(words));
    // It fails for a picture that stands nowhere, and then it is not shown either.
    let _ = picture.replace_with_with_node_1(&mark);
}

/// What an `img` may show: pictures that came with the message.
fn picture(source: &str, attachments: &[Attachment]) -> Option<String> {
    if let Some(id) = source.strip_prefix("cid:") {
        let attachment =
            attachments.iter().find(|attachment| attachment.content_id.as_deref() == Some(id))?;
        return data_url(attachment);
    }
    let mime = source.strip_prefix("data:")?.split([';', ',']).next()?;
    PICTURES.contains(&mime.to_ascii_lowercase().as_str()).then(|| source.to_owned())
}

fn set(element: &Element, name: &str, value: Option<&str>) {
    // Both fail only for names that are none.
    let _ = match value {
        Some(value) => element.set_attribute(name, value),
        None => element.remove_attribute(name),
    };
}

fn options() -> JsValue {
    let options = Object::new();
    let words = |words: &str| words.split_whitespace().map(JsValue::from).collect::<Array>().into();
    let addresses =
        js_sys::RegExp::new("^(?:https?:|mailto:|tel:|cid:|data:image/(?:png|gif|jpe?g|webp)[;,])", "i");
    for (name, value) in [
        ("ALLOWED_TAGS", words(TAGS)),
        ("ALLOWED_ATTR", words(&format!("{ATTRIBUTES} {ADDRESSES}"))),
        // Otherwise a measure or a colour would have to be an address, too.
        ("ADD_URI_SAFE_ATTR", words(ATTRIBUTES)),
        ("ALLOWED_URI_REGEXP", addresses.into()),
        ("ALLOW_DATA_ATTR", JsValue::FALSE),
        ("ALLOW_ARIA_ATTR", JsValue::FALSE),
        ("RETURN_DOM", JsValue::TRUE),
    ] {
        // A new object takes every property.
        let _ = Reflect::set(&options, &name.into(), &value);
    }
    options.into()
}

#[cfg(all(test, target_arch = "wasm32"))]
mod in_browser;
