//! The styles of an HTML mail, down to what a letter needs: colours, type, measures. Nothing that could fetch, move out
//! of its place or lie over something else.

/// Properties that take no address and leave things where they are.
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

/// Functions that a value may call.
const FUNCTIONS: [&str; 4] = ["rgb", "rgba", "hsl", "hsla"];

/// The declarations of a style attribute that may stay.
pub(crate) fn calm(style: &str) -> String {
    let declarations = style.split(';').filter_map(|declaration| declaration.split_once(':'));
    let calm = declarations.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()));
    let calm = calm.filter(|(name, value)| is_calm_property(name) && is_calm_value(value));
    calm.map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(";")
}

fn is_calm_property(name: &str) -> bool {
    let side = |box_name: &str| {
        name.strip_prefix(box_name)
            .is_some_and(|side| matches!(side, "" | "-top" | "-right" | "-bottom" | "-left"))
    };
    PROPERTIES.contains(&name) || side("padding") || side("margin")
}

/// Without escapes, comments and at-signs there is nothing to hide a function's name behind.
fn is_calm_value(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || " \t#%.,!+-_'\"()".contains(c);
    // A negative margin moves a thing over its neighbour.
    let negative = value.split([' ', ',', '(']).any(|word| word.starts_with('-'));
    let mut before_brackets = value.split('(');
    let last = before_brackets.next_back();
    let calls_calm = before_brackets.all(|before| {
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next();
        name.is_some_and(|name| FUNCTIONS.contains(&name.to_ascii_lowercase().as_str()))
    });
    last.is_some() && value.chars().all(plain) && calls_calm && !negative
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn colours_type_and_measures_stay() {
        let style = "color:#fff; FONT-SIZE: 14px !important;padding-left:8px;background:rgb(1, 2, 3);font-family:'A B',serif";
        assert_eq!(
            calm(style),
            "color:#fff;font-size:14px !important;padding-left:8px;background:rgb(1, 2, 3);font-family:'A B',serif"
        );
    }

    #[test]
    fn what_fetches_moves_or_hides_goes() {
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
            assert_eq!(calm(style), "", "{style}");
        }
        assert_eq!(
            calm("color:red;background:url(data:image/png;base64,x);width:1px"),
            "color:red;width:1px"
        );
    }
}
