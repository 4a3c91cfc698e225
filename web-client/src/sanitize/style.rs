//! Filters style sheets and `style` attributes, with the browser's own CSS parser.
//!
//! The frame of the message is the boundary: declarations may move and cover what is inside it. Removed are:
//!
//! | removed | reason |
//! |---|---|
//! | functions other than [`FUNCTIONS`], `url()` of other than images in the message | they may fetch a resource |
//! | rules other than style rules and `@media`, as `@import` and `@font-face` | they may fetch a resource |
//! | `position: fixed` and `sticky`, units of the height of the frame, `@media` that depend on it | the frame is as high as its content |
//! | `color-scheme` | the frame decides about it |
//! | selectors with `:has()` | matching may take the square of the document's size |

use js_sys::Array;
use wasm_bindgen::prelude::*;
use web_sys::{CssStyleDeclaration, DomParser, Element, HtmlElement, SupportedType};

use super::images::after_scheme;
use crate::platform::blob_url::IMAGE_TYPES;

/// `CSSRule.type` of a style rule and of `@media`.
const STYLE_RULE: u16 = 1;
const MEDIA_RULE: u16 = 4;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = CSSStyleSheet)]
    type CssStyleSheet;
    #[wasm_bindgen(constructor, js_class = CSSStyleSheet, catch)]
    fn new() -> Result<CssStyleSheet, JsValue>;
    #[wasm_bindgen(method, js_name = replaceSync, catch)]
    fn replace_sync(this: &CssStyleSheet, text: &str) -> Result<(), JsValue>;
    #[wasm_bindgen(method, getter, js_name = cssRules)]
    fn css_rules(this: &CssStyleSheet) -> JsValue;

    /// A style rule has a selector and declarations, `@media` a condition and rules.
    type CssRule;
    #[wasm_bindgen(method, getter, js_name = type)]
    fn kind(this: &CssRule) -> u16;
    #[wasm_bindgen(method, getter, js_name = selectorText)]
    fn selector_text(this: &CssRule) -> String;
    #[wasm_bindgen(method, getter)]
    fn style(this: &CssRule) -> CssStyleDeclaration;
    #[wasm_bindgen(method, getter, js_name = conditionText)]
    fn condition_text(this: &CssRule) -> String;
    #[wasm_bindgen(method, getter, js_name = cssRules)]
    fn css_rules(this: &CssRule) -> JsValue;
}

/// Functions that compute a value.
const FUNCTIONS: &str = "calc circle clamp color color-mix conic-gradient counter counters cubic-bezier ellipse fit-content \
    hsl hsla hwb inset lab lch linear-gradient matrix max min minmax oklab oklch polygon radial-gradient rect repeat \
    repeating-conic-gradient repeating-linear-gradient repeating-radial-gradient rgb rgba rotate scale scalex scaley skew \
    skewx skewy steps translate translatex translatey var";

/// Units of the height of the frame.
const HEIGHT_UNITS: [&str; 6] = ["vh", "svh", "lvh", "dvh", "vmin", "vmax"];

/// A longer style attribute is removed. Mails have a few hundred octets; the longest ones contain images.
const ATTRIBUTE_OCTETS_MAX: usize = 16 * 1_024;
/// Longer style sheets are removed. Those of newsletters have less than 100 KiB.
const SHEET_OCTETS_MAX: usize = 256 * 1_024;
/// Deeper `@media` are removed.
const DEPTH_MAX: u32 = 4;

/// Returns the URL of an image in the message, for the URL in the style.
pub(super) type ImageOf<'a> = dyn FnMut(&str) -> Option<String> + 'a;

/// The style sheets of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StyleSheet {
    /// Contains no `</`.
    pub(super) text: String,
    /// A rule sets a text colour or a background.
    pub(super) has_colours: bool,
}

/// Filters the style of an element. Returns whether it sets a text colour or a background.
pub(super) fn sanitize_attribute(element: &Element, image_of: &mut ImageOf<'_>) -> bool {
    let Some(attribute) = element.get_attribute("style") else { return false };
    // Unchecked: the element is in another document.
    let style = element.unchecked_ref::<HtmlElement>().style();
    if attribute.len() <= ATTRIBUTE_OCTETS_MAX {
        sanitize_declarations(&style, image_of);
    } else {
        style.set_css_text("");
    }
    let text = style.css_text();
    // Fails only for invalid attribute names.
    let _ = if text.is_empty() {
        element.remove_attribute("style")
    } else {
        element.set_attribute("style", &text)
    };
    has_colours(&style)
}

/// The style sheets in the HTML of a message, filtered. Nothing is fetched: the parsed document is not shown, and a
/// style sheet made by a script ignores `@import`.
pub(super) fn sanitize_sheets(html: &str, image_of: &mut ImageOf<'_>) -> StyleSheet {
    let mut sheet = StyleSheet::default();
    let css = css_of(html).unwrap_or_default();
    if css.trim().is_empty() || css.len() > SHEET_OCTETS_MAX {
        return sheet;
    }
    let parsed = CssStyleSheet::new().and_then(|parsed| {
        parsed.replace_sync(&css)?;
        Ok(parsed.css_rules())
    });
    if let Ok(rules) = parsed {
        write_rules(&rules, image_of, &mut sheet, 0);
    }
    sheet
}

/// The text of all `style` elements.
fn css_of(html: &str) -> Option<String> {
    if !html.to_ascii_lowercase().contains("<style") {
        return None;
    }
    let document = DomParser::new().ok()?.parse_from_string(html, SupportedType::TextHtml).ok()?;
    let elements = document.query_selector_all("style").ok()?;
    let elements = (0..elements.length()).filter_map(|at| elements.get(at)?.dyn_into::<Element>().ok());
    let mut css = String::new();
    for element in elements {
        let text = element.text_content().unwrap_or_default();
        match element.get_attribute("media").filter(|media| !media.trim().is_empty()) {
            // The parser reads it as a media query or not at all.
            Some(media) if !media.contains(['{', '}', ';']) => {
                css.push_str(&format!("@media {media}{{{text}\n}}\n"))
            }
            Some(_) => {}
            None => css.push_str(&format!("{text}\n")),
        }
        if css.len() > SHEET_OCTETS_MAX {
            break;
        }
    }
    Some(css)
}

fn write_rules(rules: &JsValue, image_of: &mut ImageOf<'_>, sheet: &mut StyleSheet, depth: u32) {
    for rule in Array::from(rules).iter().map(JsCast::unchecked_into::<CssRule>) {
        match rule.kind() {
            STYLE_RULE => {
                let (selector, style) = (rule.selector_text(), rule.style());
                sanitize_declarations(&style, image_of);
                let declarations = style.css_text();
                if !declarations.is_empty() && is_allowed_selector(&selector) && !declarations.contains("</")
                {
                    sheet.text.push_str(&format!("{selector}{{{declarations}}}\n"));
                    sheet.has_colours |= has_colours(&style);
                }
            }
            MEDIA_RULE => {
                let media = rule.condition_text();
                if depth < DEPTH_MAX && is_allowed_media(&media) {
                    sheet.text.push_str(&format!("@media {media}{{\n"));
                    write_rules(&rule.css_rules(), image_of, sheet, depth + 1);
                    sheet.text.push_str("}\n");
                }
            }
            _ => {}
        }
    }
}

/// A selector cannot fetch a resource.
fn is_allowed_selector(selector: &str) -> bool {
    !selector.contains("</") && !selector.to_ascii_lowercase().contains(":has")
}

fn is_allowed_media(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    !media.contains("</")
        && !["height", "aspect", "orientation"].iter().any(|feature| media.contains(feature))
}

fn sanitize_declarations(style: &CssStyleDeclaration, image_of: &mut ImageOf<'_>) {
    // The names of longhand properties. Without one of them, the browser writes the others separately.
    let names: Vec<String> = (0..style.length()).map(|at| style.item(at)).collect();
    for name in names {
        let value = style.get_property_value(&name).unwrap_or_default();
        // Valid names, and values that the browser has written.
        let _ = match filtered_value(&name, &value, image_of) {
            Some(filtered) if filtered == value => Ok(()),
            Some(filtered) => {
                let priority = style.get_property_priority(&name);
                style.set_property_with_priority(&name, &filtered, &priority)
            }
            None => style.remove_property(&name).map(drop),
        };
    }
    // Every value was checked. This checks what the frame gets.
    if filtered_value("", &style.css_text(), &mut |url| Some(url.to_owned())).is_none() {
        style.set_css_text("");
    }
}

/// The value of a property as the browser writes it, with the URLs of images. `None` if it is not allowed. A shorthand
/// property with `var()` has no value here.
fn filtered_value(name: &str, value: &str, image_of: &mut ImageOf<'_>) -> Option<String> {
    let lowercase = value.to_ascii_lowercase();
    let is_fixed = name == "position" && ["fixed", "sticky"].iter().any(|word| lowercase.contains(word));
    let is_empty = value.is_empty() && !name.is_empty();
    // Escapes and comments remain in the values of variables and could disguise a function's name.
    if is_empty || is_fixed || name == "color-scheme" || value.contains('\\') || value.contains("/*") {
        return None;
    }
    if HEIGHT_UNITS.iter().any(|unit| has_unit(&lowercase, unit)) {
        return None;
    }
    let (mut filtered, mut rest) = (String::new(), value);
    while let Some(at) = rest.find(['(', '"', '\'']) {
        let (before, from) = rest.split_at(at);
        filtered.push_str(before);
        let quote = from.chars().next()?;
        if quote == '(' {
            filtered.push('(');
            rest = &from[1..];
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || !c.is_ascii();
            let function =
                before.rsplit(|c: char| !is_word(c)).next().unwrap_or_default().to_ascii_lowercase();
            if function == "url" {
                let url = rest.strip_prefix('"')?;
                let (url, after) = url.split_once('"')?;
                filtered.push_str(&format!("\"{}\"", image_url(url, image_of)?));
                rest = after;
            } else if !function.is_empty() && !FUNCTIONS.split_whitespace().any(|allowed| allowed == function)
            {
                return None;
            }
        } else {
            let end = from[1..].find(quote)? + 2;
            filtered.push_str(&from[..end]);
            rest = &from[end..];
        }
    }
    filtered.push_str(rest);
    Some(filtered)
}

/// A `data:` URL of an image.
fn image_url(url: &str, image_of: &mut ImageOf<'_>) -> Option<String> {
    let is_image = |url: &str| {
        let mime = after_scheme(url, "data:").and_then(|data| data.split([';', ',']).next());
        mime.is_some_and(|mime| IMAGE_TYPES.contains(&mime.to_ascii_lowercase().as_str()))
            && url.chars().all(|c| c.is_ascii_alphanumeric() || "+/=;:,.%-_".contains(c))
    };
    if is_image(url) {
        return Some(url.to_owned());
    }
    image_of(url).filter(|url| is_image(url))
}

/// Whether a number with this unit occurs. Both are in lower case.
fn has_unit(value: &str, unit: &str) -> bool {
    value.match_indices(unit).any(|(at, _)| {
        value[..at].ends_with(|c: char| c.is_ascii_digit() || c == '.')
            && !value[at + unit.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-')
    })
}

fn has_colours(style: &CssStyleDeclaration) -> bool {
    let is_set = |name: &str| {
        let value = style.get_property_value(name).unwrap_or_default();
        !["", "none", "transparent", "inherit", "initial", "unset", "currentcolor", "rgba(0, 0, 0, 0)"]
            .contains(&value.as_str())
    };
    ["color", "background-color", "background-image"].into_iter().any(is_set)
}

/// The CSS parser exists in a browser only.
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
