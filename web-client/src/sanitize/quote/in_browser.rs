use wasm_bindgen_test::wasm_bindgen_test as test;

use super::super::html::in_browser::load_dom_purify;
use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn quoted(html: &str) -> Quotation {
    load_dom_purify();
    let image = Attachment {
        name: "x.png".to_owned(),
        mime: "image/png".to_owned(),
        content_id: Some("a@b".to_owned()),
        content_location: None,
        bytes: PNG.to_vec(),
    };
    quote_html(html, &[image], |index| format!("new{index}@x")).unwrap()
}

#[test]
fn formatting_remote_images_and_images_of_the_message_are_kept() {
    let html = "<table><tr><td style=\"color:red\"><b>x</b><img src=\"cid:a@b\" alt=\"i\">\
        <img src=\"https://x.localhost/y.png\"></td></tr></table>";
    let quotation = quoted(html);
    for part in
        ["<td style=\"color: red;\">", "<b>x</b>", "src=\"cid:new0@x\"", "src=\"https://x.localhost/y.png\""]
    {
        assert!(quotation.html.contains(part), "{part}: {}", quotation.html);
    }
    assert_eq!(quotation.images.into_iter().collect::<Vec<_>>(), [(0, "new0@x".to_owned())]);
    assert!(!quotation.is_empty);
    let colours = quoted("<body bgcolor=\"#000\" text=white>x</body>").html;
    assert!(colours.starts_with("<div style=\"color:white;background-color:#000;"), "{colours}");
}

#[test]
fn scripts_and_unknown_images_are_removed() {
    let quotation = quoted(
        "<p onclick=\"x()\">y<script>alert(1)</script></p><img src=\"cid:other\" alt=\"lost\"><a href=\"javascript:x\">z</a>",
    );
    for part in ["script", "onclick", "cid:"] {
        assert!(!quotation.html.contains(part), "{part}: {}", quotation.html);
    }
    assert!(quotation.html.contains("lost"), "{}", quotation.html);
    assert!(quoted("<p> </p><script>x</script>").is_empty);
}
