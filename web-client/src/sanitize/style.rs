//! Filters `style` attributes: colours, fonts and sizes remain. Declarations that fetch a resource, move an element or
//! cover other content are removed.

/// Properties that do not move an element.
const PROPERTIES: [&str; 29] = [
    "background",
    "background-color",
    "border",
    "border-bottom",
    "border-collapse",
    "border-color",
    "border-left",
    "border-radius",
    "border-right",
    "border-spacing",
    "border-style",
    "border-top",
    "border-width",
    "color",
    "direction",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "letter-spacing",
    "line-height",
    "max-width",
    "min-width",
    "text-align",
    "text-decoration",
    "text-transform",
    "vertical-align",
    "white-space",
    "width",
];

/// Functions allowed in values.
const FUNCTIONS: [&str; 4] = ["rgb", "rgba", "hsl", "hsla"];

/// A longer style attribute is removed. Mails have a few hundred octets; the longest ones contain images.
const STYLE_OCTETS_MAX: usize = 16 * 1_024;

/// The allowed declarations of a style attribute.
pub(super) fn sanitize_style(style: &str) -> String {
    if style.len() > STYLE_OCTETS_MAX {
        return String::new();
    }
    let declarations = style.split(';').filter_map(|declaration| declaration.split_once(':'));
    let declarations = declarations.map(|(name, value)| {
        let name = name.trim().to_ascii_lowercase();
        let value = if name == "background" { without_images(value) } else { value.to_owned() };
        (name, value.trim().to_owned())
    });
    let allowed = declarations.filter(|(name, value)| is_allowed_property(name) && is_allowed_value(value));
    allowed.map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(";")
}

/// A background without its images. Its colour remains, which the text on it needs.
fn without_images(background: &str) -> String {
    // Both have the same length.
    let lowercase = background.to_ascii_lowercase();
    let (mut colour, mut start) = (String::new(), 0);
    while let Some(at) = lowercase[start..].find("url(") {
        colour.push_str(&background[start..start + at]);
        let end = background[start + at..].find(')');
        start = end.map_or(background.len(), |end| start + at + end + 1);
    }
    colour + &background[start..]
}

fn is_allowed_property(name: &str) -> bool {
    let side = |box_name: &str| {
        name.strip_prefix(box_name)
            .is_some_and(|side| matches!(side, "" | "-top" | "-right" | "-bottom" | "-left"))
    };
    PROPERTIES.contains(&name) || side("padding") || side("margin")
}

/// Rejects escapes, comments and at-signs, which could disguise a function's name.
fn is_allowed_value(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " \t#%.,!+-_'\"()".contains(c);
    // A negative margin moves an element over its neighbour.
    let negative = value.split([' ', ',', '(']).any(|word| word.starts_with('-'));
    let mut before_brackets = value.split('(');
    let last = before_brackets.next_back();
    let functions_allowed = before_brackets.all(|before| {
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next();
        name.is_some_and(|name| FUNCTIONS.contains(&name.to_ascii_lowercase().as_str()))
    });
    !value.is_empty() && last.is_some() && value.chars().all(plain) && functions_allowed && !negative
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn colours_fonts_and_sizes_are_kept() {
        let style = "color:#fff; FONT-SIZE: 14px !important;padding-left:8px;background:rgb(1, 2, 3);font-family:'A B',serif";
        assert_eq!(
            sanitize_style(style),
            "color:#fff;font-size:14px !important;padding-left:8px;background:rgb(1, 2, 3);font-family:'A B',serif"
        );
    }

    #[test]
    fn fetching_moving_and_hiding_declarations_are_removed() {
        for style in [
            "background:url(http://example.com/x)",
            "background:URL (x)",
            "background:u\\72l(x)",
            "background:/**/url(x)",
            "background:image-set('x' 1x)",
            "color:rgb(url(x))",
            "background:-webkit-image-set(x)",
            "width:expression(alert(1))",
            "width:calc(100% + 1px)",
            "background-image:none",
            "list-style:url(x)",
            "position:fixed",
            "display:none",
            "margin:-9px",
            "margin:1px -9px",
            "behavior:url(x)",
            "-moz-binding:none",
            "--x:1",
            "color",
            "",
            "@import 'x'",
        ] {
            assert_eq!(sanitize_style(style), "", "{style}");
        }
        assert_eq!(
            sanitize_style("color:red;background:url(data:image/png;base64,x);width:1px"),
            "color:red;width:1px"
        );
    }

    #[test]
    fn long_style_attribute_is_removed() {
        let style = |octets: usize| "width:1px;".repeat(octets / 10);
        assert_eq!(sanitize_style(&style(16_000)).len(), 15_999);
        assert_eq!(sanitize_style(&style(20_000)), "");
    }

    #[test]
    fn background_colour_remains_without_its_image() {
        for (style, expected) in [
            ("background:#000 url(http://example.com/x) no-repeat", "background:#000  no-repeat"),
            ("background:URL('x') rgb(1,2,3)", "background:rgb(1,2,3)"),
            ("background:#111 url(data:image/png;base64,x)", "background:#111"),
            ("background:url(x) url(y)", ""),
            ("background:#000 image-set('x' 1x)", ""),
            ("background:#000 u\\72l(x) url(y)", ""),
        ] {
            assert_eq!(sanitize_style(style), expected, "{style}");
        }
    }
}
