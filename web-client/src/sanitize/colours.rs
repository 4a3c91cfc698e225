//! Keeps text readable if the sanitizer has removed its colour or its background, but not both.
//!
//! Background images on other hosts are removed. A light text colour whose dark background was removed is removed
//! too, and text on a dark background whose colour was removed becomes white.

use wasm_bindgen::JsCast as _;
use web_sys::{CssStyleDeclaration, Element, HtmlElement};

/// Lowest contrast of a text colour to white. Less cannot be read; hardly any mail uses less on purpose.
const CONTRAST_MIN: f64 = 1.5;
/// Contrast of the default text colour to the background below which text becomes white.
const CONTRAST_WITH_BLACK_MIN: f64 = 3.0;

/// The relative luminance of a colour, between 0 and 1 (WCAG 2.2), approximately.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Luminance(f64);

/// Checks the colours of elements in the order of the document.
#[derive(Default)]
pub(super) struct Colours {
    /// The last element and its ancestors. The time for an element does not depend on its depth.
    path: Vec<Checked>,
}

struct Checked {
    element: Element,
    /// The element or an ancestor has a background.
    has_background: bool,
    /// The element or an ancestor has a text colour.
    has_text_colour: bool,
}

impl Colours {
    /// Checks the colours of the next element. Its style must be sanitised already.
    pub(super) fn make_readable(&mut self, element: &Element) {
        let parent = element.parent_element();
        while self.path.pop_if(|last| parent.as_ref() != Some(&last.element)).is_some() {}
        let (mut has_background, mut has_text_colour) =
            self.path.last().map_or((false, false), |parent| (parent.has_background, parent.has_text_colour));
        let (background, text) = (background(element), text_colour(element));
        has_background |= background.is_some();
        let luminance_of = |colour: Option<String>| colour.and_then(|colour| luminance(&colour));
        if let Some(luminance) = luminance_of(text.clone()) {
            if luminance.contrast(Luminance(1.0)) < CONTRAST_MIN && !has_background {
                remove_text_colour(element);
            } else {
                has_text_colour = true;
            }
        } else {
            has_text_colour |= text.is_some();
            let is_dark = luminance_of(background)
                .is_some_and(|luminance| luminance.contrast(Luminance(0.0)) < CONTRAST_WITH_BLACK_MIN);
            if is_dark && !has_text_colour {
                // A valid name and value.
                let _ = style(element).set_property("color", "#fff");
                has_text_colour = true;
            }
        }
        self.path.push(Checked { element: element.clone(), has_background, has_text_colour });
    }
}

impl Luminance {
    fn contrast(self, other: Self) -> f64 {
        let (lighter, darker) = (self.0.max(other.0), self.0.min(other.0));
        (lighter + 0.05) / (darker + 0.05)
    }
}

fn text_colour(element: &Element) -> Option<String> {
    let style = style_value(element, "color");
    let attribute = match element.local_name().as_str() {
        "body" => "text",
        "font" => "color",
        _ => return style,
    };
    style.or_else(|| element.get_attribute(attribute))
}

fn background(element: &Element) -> Option<String> {
    let value =
        ["background-color", "background-image"].into_iter().find_map(|name| style_value(element, name));
    value.or_else(|| element.get_attribute("bgcolor").filter(|value| !value.trim().is_empty()))
}

fn remove_text_colour(element: &Element) {
    for attribute in ["text", "color"] {
        // Valid names.
        let _ = element.remove_attribute(attribute);
    }
    let style = style(element);
    // A valid name.
    let _ = style.remove_property("color");
    if style.length() == 0 {
        let _ = element.remove_attribute("style");
    }
}

/// The value of a property in a sanitised style.
fn style_value(element: &Element, name: &str) -> Option<String> {
    let value = style(element).get_property_value(name).ok()?;
    let is_none = ["none", "transparent", "inherit", "initial", "unset", ""].contains(&value.as_str());
    (!is_none).then_some(value)
}

fn style(element: &Element) -> CssStyleDeclaration {
    // Unchecked: the element is in another document.
    element.unchecked_ref::<HtmlElement>().style()
}

/// The luminance of the first colour in a value. `None` for other notations than these, and for transparent colours.
fn luminance(value: &str) -> Option<Luminance> {
    let value = value.trim().to_ascii_lowercase();
    let channels = match value.split_once("rgb") {
        Some((_, rest)) => functional(rest)?,
        None => {
            let word = value.split(' ').next().unwrap_or_default();
            named(word).or_else(|| hexadecimal(word.strip_prefix('#').unwrap_or(word)))?
        }
    };
    // Close to the curve of sRGB, without a power function in the page.
    let [r, g, b] = channels.map(|channel| f64::from(channel) * f64::from(channel) / (255.0 * 255.0));
    Some(Luminance(0.2126 * r + 0.7152 * g + 0.0722 * b))
}

/// The rest of `rgb(1, 2, 3)` or `rgba(1 2 3 0.5)`.
fn functional(rest: &str) -> Option<[u8; 3]> {
    let (_, numbers) = rest.split_once('(')?;
    let numbers = numbers.split(')').next()?;
    let mut numbers = numbers.split([',', ' ', '/']).filter(|number| !number.is_empty());
    let mut channel = || {
        let number: u16 = numbers.next()?.split('.').next()?.parse().ok()?;
        Some(number.min(255) as u8)
    };
    let channels = [channel()?, channel()?, channel()?];
    let is_transparent = numbers.next().is_some_and(|alpha| {
        let alpha = alpha.trim_start_matches('0');
        alpha.is_empty() || alpha.strip_prefix('.').is_some_and(|digits| digits < "5")
    });
    (!is_transparent).then_some(channels)
}

fn hexadecimal(digits: &str) -> Option<[u8; 3]> {
    let digit = |at: usize| digits.get(at..=at).and_then(|digit| u8::from_str_radix(digit, 16).ok());
    match digits.len() {
        3 | 4 => Some([digit(0)? * 17, digit(1)? * 17, digit(2)? * 17]),
        6 | 8 => Some([digit(0)? * 16 + digit(1)?, digit(2)? * 16 + digit(3)?, digit(4)? * 16 + digit(5)?]),
        _ => None,
    }
}

/// The names of light and dark colours that mails use.
fn named(name: &str) -> Option<[u8; 3]> {
    match name {
        "white" | "snow" | "ivory" | "whitesmoke" | "ghostwhite" | "floralwhite" | "azure" | "aliceblue"
        | "mintcream" => Some([255; 3]),
        "gainsboro" | "lavender" | "beige" | "linen" | "seashell" | "honeydew" | "lightyellow" | "yellow" => {
            Some([230; 3])
        }
        "black" | "navy" | "midnightblue" | "darkblue" | "darkslategray" | "darkslategrey" | "maroon"
        | "indigo" => Some([0; 3]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn luminance_is_read_from_every_notation() {
        for white in [
            "#fff",
            "#FFFFFF",
            "white",
            "ffffff",
            " rgb(255, 255,255)",
            "rgba(300 255 255 1) !important",
            "#fff no-repeat",
        ] {
            assert!(luminance(white).is_some_and(|luminance| luminance.0 > 0.99), "{white}");
        }
        for black in ["#000", "black", "000000ff", "rgb(0,0,0)"] {
            assert!(luminance(black).is_some_and(|luminance| luminance.0 < 0.01), "{black}");
        }
        for other in ["", "inherit", "#ff", "#ggg", "rgba(0,0,0,0)", "rgb(1)", "hsl(0,0%,0%)", "é12"] {
            assert_eq!(luminance(other), None, "{other}");
        }
    }
}
