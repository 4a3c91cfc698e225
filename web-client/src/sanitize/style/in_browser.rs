//! Styles in a browser.

use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{SHEET_OCTETS_MAX, sanitize_attribute, sanitize_sheets};
use crate::platform::dom;

const PNG_URL: &str = "data:image/png;base64,iVBORw0KGgo=";

/// The filtered style attribute, with one image, `cid:a`.
fn attribute(style: &str) -> String {
    let element = dom::document().unwrap().create_element("p").unwrap();
    element.set_attribute("style", style).unwrap();
    sanitize_attribute(&element, &mut |url| (url == "cid:a").then(|| PNG_URL.to_owned()));
    element.get_attribute("style").unwrap_or_default()
}

fn sheet(css: &str) -> String {
    let html = format!("<html><head><style>{css}</style></head><body><p>x</p></body></html>");
    sanitize_sheets(&html, &mut |_| None).text
}

#[test]
fn colours_fonts_sizes_and_places_are_kept() {
    for style in [
        "color: rgb(255, 255, 255);",
        "font-size: 14px !important;",
        "display: none;",
        "height: 20px;",
        "list-style: square;",
        "margin: -9px;",
        "position: absolute;",
        "z-index: 2147483647;",
        "width: calc(100% + 1px);",
        "background: linear-gradient(red, blue);",
    ] {
        assert_eq!(attribute(style), style);
    }
    assert_eq!(
        attribute("COLOR:#fff;font-family:'A B',serif"),
        "color: rgb(255, 255, 255); font-family: \"A B\", serif;"
    );
}

#[test]
fn fetching_and_fixed_declarations_are_removed() {
    for style in [
        "background:url(http://x.localhost/x)",
        "background:URL(x)",
        "background:u\\72l(x)",
        "background:/**/url(x)",
        "background:url(/ws/smtp)",
        "background:url(cid:b)",
        "background:url(data:text/html,x)",
        "background:url(data:image/svg+xml,x)",
        "background:url(http://x.localhost/x) var(--x)",
        "background:image-set('x' 1x)",
        "background:-webkit-image-set(url(x) 1x)",
        "background:-webkit-cross-fade(url(x),url(y),50%)",
        "background-image:linear-gradient(red,blue),url(x)",
        "list-style:url(x)",
        "cursor:url(x),auto",
        "filter:url(x#y)",
        "mask:url(x)",
        "border-image:url(x) 9",
        "content:url(x)",
        "shape-outside:url(x)",
        "--x:url(x)",
        "--x:u\\72l(x)",
        "--x:image-set('x' 1x)",
        "position:fixed",
        "position:sticky",
        "height:100vh",
        "min-height:calc(100dvh - 1px)",
        "color-scheme:dark",
        "behavior:url(x)",
        "color",
        "",
    ] {
        let left = attribute(style);
        let harmful = ["url(", "localhost", "image-set", "fade", "fixed", "sticky", "vh", "scheme", "\\"];
        assert!(harmful.iter().all(|part| !left.contains(part)), "{style} leaves {left}");
    }
    assert_eq!(attribute("background:#000 url(http://x.localhost/x)").contains("rgb(0, 0, 0)"), true);
    assert_eq!(attribute(&"width:1px;".repeat(2_000)), "");
}

#[test]
fn images_of_the_message_are_shown() {
    let of_message = format!("background-image: url(\"{PNG_URL}\");");
    assert_eq!(attribute("background-image:url(cid:a)"), of_message);
    assert_eq!(attribute(&of_message), of_message);
}

#[test]
fn sheet_keeps_style_rules_and_media_queries() {
    assert_eq!(sheet("p.a > b { COLOR: red }"), "p.a > b{color: red;}\n");
    assert_eq!(
        sheet("@media only screen and (max-width:600px) { .w { width: 100% !important } }"),
        "@media only screen and (max-width: 600px){\n.w{width: 100% !important;}\n}\n"
    );
    assert_eq!(sheet("<!-- p { margin: 0 } -->"), "p{margin: 0px;}\n");
    let html = "<style media=print>p { margin: 0 }</style><svg><style>b { margin: 1px }</style></svg>";
    assert!(sanitize_sheets(html, &mut |_| None).text.starts_with("@media print{\np{margin: 0px;}\n}\n"));
}

#[test]
fn sheet_contains_nothing_that_fetches_or_ends_it() {
    for css in [
        "@import 'http://x.localhost/';",
        "@import url(http://x.localhost/);",
        "@font-face { font-family: x; src: url(http://x.localhost/) }",
        "@namespace url(http://x.localhost/);",
        "@keyframes x { to { background: url(http://x.localhost/) } }",
        "@page { background: url(http://x.localhost/) }",
        "@supports (display: grid) { p { background: url(http://x.localhost/) } }",
        "@media (min-height: 1px) { p { color: red } }",
        "p { background: url(http://x.localhost/) }",
        "p { --x: url(http://x.localhost/); }",
        "p { & b { background: url(http://x.localhost/) } }",
        "p:has(b) { color: red }",
        "p:not(:HAS(b)) { color: red }",
        "input[value^=a] { background: url(http://x.localhost/a) }",
        "p[title='\\3c/style>'] { color: red }",
        "p::before { content: '\\3c/style\\3e\\3cimg src=x onerror=alert(1)>' }",
    ] {
        let left = sheet(css);
        let harmful = ["localhost", "url(", "red", "<", "@", "has"];
        assert!(harmful.iter().all(|part| !left.contains(part)), "{css} leaves {left}");
    }
    assert_eq!(sheet(&"p{margin:0}".repeat(SHEET_OCTETS_MAX / 10)), "");
    assert_eq!(sanitize_sheets("<p>x</p>", &mut |_| None).text, "");
}
