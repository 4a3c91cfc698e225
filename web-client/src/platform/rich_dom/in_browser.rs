use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;
use crate::model::rich_text::RichText;

const HTML: &str = "<p>a  <b>b&quot;</b><br>c<br><br></p><ul><li><p>x<img src=\"cid:1@x\" alt=\"p\" data-id=\"1@x\">y</p></li></ul><p><br></p>";

fn editor(html: &str) -> Element {
    let document = dom::document().unwrap();
    let root = document.create_element("div").unwrap();
    document.body().unwrap().append_child(&root).unwrap();
    root.set_inner_html(html);
    root
}

#[test]
fn stored_html_is_read_without_loss() {
    let document = RichText { blocks: stored_blocks(HTML), original: None };
    assert_eq!(document.stored_html(), HTML);
    assert_eq!(RichText { blocks: stored_blocks(""), original: None }.stored_html(), "<p><br></p>");
}

#[test]
fn every_position_is_selected_and_read_back() {
    let root = editor("");
    let document = RichText { blocks: stored_blocks(HTML), original: None };
    draw(&root, &document.editor_html(&|id| format!("cid:{id}")), &[]);
    for (block, content) in document.blocks.iter().enumerate() {
        for offset in 0..=content.len() {
            let position = Position { block, offset };
            select(&root, Range::at(position));
            assert_eq!(selected(&root), Some(Range::at(position)));
            assert_eq!(read_editor(&root).points, [Some(position); 2]);
        }
    }
    select(&root, Range { start: Position::default(), end: document.end() });
    assert_eq!(selected(&root), Some(Range { start: Position::default(), end: document.end() }));
    root.remove();
}

#[test]
fn elements_of_a_browser_are_read_as_blocks() {
    for (html, expected) in [
        ("typed", "<p>typed</p>"),
        ("<p>a</p><div>b<span style=\"font-size:9px\">c</span></div>", "<p>a</p><p>bc</p>"),
        ("<p>a\nb</p>", "<p>a<br>b</p>"),
        ("<ul><li>a</li><li><b>b</b></li></ul>", "<ul><li><p>a</p></li><li><p><b>b</b></p></li></ul>"),
        ("", "<p><br></p>"),
        ("<br>", "<p><br></p>"),
    ] {
        let root = editor(html);
        let read = RichText { blocks: read_editor(&root).blocks, original: None };
        assert_eq!(read.stored_html(), expected, "{html}");
        root.remove();
    }
}

#[test]
fn draw_replaces_only_what_differs() {
    let root = editor("");
    let html = |texts: &[&str]| texts.iter().map(|text| format!("<p>{text}</p>")).collect::<Vec<_>>();
    let first = html(&["a", "b", "c"]);
    assert!(draw(&root, &first, &[]));
    let (a, c) = (root.first_child().unwrap(), root.last_child().unwrap());
    let second = html(&["a", "x", "y", "c"]);
    assert!(draw(&root, &second, &first));
    assert!(!draw(&root, &second, &second));
    assert_eq!(root.inner_html(), second.concat());
    assert!(a.is_same_node(root.first_child().as_ref()) && c.is_same_node(root.last_child().as_ref()));
    // A browser has changed the text in place.
    root.first_child().unwrap().set_text_content(Some("typed"));
    assert!(!draw(&root, &html(&["typed", "x", "y", "c"]), &second));
    // A browser has added an element.
    root.append_child(&editor("z")).unwrap();
    assert!(draw(&root, &second, &second));
    assert_eq!(root.inner_html(), second.concat());
    root.remove();
}
