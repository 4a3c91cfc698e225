use std::rc::Rc;

use mail_core::time::{Duration, Instant};

use super::builder::{Builder, Element, WhiteSpace, link};
use super::write::STORED;
use super::*;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const IMAGE: &str = "1@x";

fn at(block: usize, offset: usize) -> Position {
    Position { block, offset }
}

fn range(start: (usize, usize), end: (usize, usize)) -> Range {
    Range { start: at(start.0, start.1), end: at(end.0, end.1) }
}

/// Parses HTML without character references other than those of `escape`, with double-quoted attributes.
fn parse(html: &str, white_space: WhiteSpace) -> RichText {
    let mut builder = Builder::new(white_space);
    let mut skipped: Option<String> = None;
    let unescape = |text: &str| {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&nbsp;", "\u{a0}")
            .replace("&amp;", "&")
    };
    let mut rest = html;
    while !rest.is_empty() {
        let Some(tag) = rest.strip_prefix('<') else {
            let end = rest.find('<').unwrap_or(rest.len());
            if skipped.is_none() {
                builder.text(&unescape(&rest[..end]));
            }
            rest = &rest[end..];
            continue;
        };
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if skipped.as_deref() == Some(name) {
                skipped = None;
            } else if skipped.is_none() {
                builder.close();
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let attribute = |wanted: &str| {
            let start = attributes.find(&format!("{wanted}=\""))? + wanted.len() + 2;
            Some(unescape(attributes[start..].split('"').next()?))
        };
        let alt = attribute("alt");
        let content_id = attribute("src").and_then(|src| src.strip_prefix("cid:").map(str::to_owned));
        let image = content_id.map(|content_id| Image { content_id, alt: alt.clone().unwrap_or_default() });
        let element = Element { name, href: attribute("href"), style: attribute("style"), image, alt };
        if skipped.is_none() && !builder.open(element) && !matches!(name, "br" | "img") {
            skipped = Some(name.to_owned());
        }
    }
    RichText { blocks: builder.finish(), original: None }
}

fn stored(html: &str) -> RichText {
    let document = parse(html, WhiteSpace::Kept);
    assert_eq!(document.stored_html(), html);
    document
}

fn pasted(html: &str) -> String {
    parse(html, WhiteSpace::Collapsed).stored_html()
}

#[test]
fn stored_html_round_trips() {
    for html in [
        "<p><br></p>",
        "<p>a  b </p><p> c\td</p>",
        "<p>line<br>line</p><p>end<br><br></p><p><br><br></p>",
        "<p><b>bold</b> <i>italic</i> <b><i>both</i></b></p>",
        "<p>a <a href=\"https://x.example/?a=1&amp;b=&quot;\">link <b>bold</b></a>.</p>",
        "<ul><li><p>one</p><ol><li><p>inner</p></li><li><p>inner 2</p></li></ol></li><li><p>two</p></li></ul><p>end</p>",
        "<ul><li><p>a</p></li></ul><ol><li><p>b</p></li></ol>",
        "<blockquote><p>one</p><blockquote><p>two</p></blockquote><ul><li><p>item</p></li></ul></blockquote><p>answer</p>",
        "<p>x<img src=\"cid:1@x\" alt=\"A &lt;picture&gt;\" data-id=\"1@x\">y</p>",
        "<p>𝒳 é &lt;script&gt; &amp;amp;</p>",
    ] {
        stored(html);
    }
}

#[test]
fn editor_html_has_a_string_for_each_element_at_the_top() {
    let document = stored(
        "<p>a</p><ul><li><p>b</p></li><li><p>c</p></li></ul><blockquote><p>d</p><p>e</p></blockquote><p>f</p>",
    );
    let html = document.editor_html(STORED);
    assert_eq!(html.len(), 4, "{html:?}");
    assert_eq!(html[1], "<ul><li><p>b</p></li><li><p>c</p></li></ul>");
}

#[test]
fn pasted_html_keeps_what_the_document_knows() {
    for (html, expected) in [
        ("a \n b<script>alert(1)</script>", "<p>a b</p>"),
        ("<p>one</p> <p>two</p>", "<p>one</p><p><br></p><p>two</p>"),
        (
            "<div>one</div><div>two<br></div><div><br></div><div>three</div>",
            "<p>one</p><p>two</p><p><br></p><p>three</p>",
        ),
        ("<h1>Title</h1>text", "<p><b>Title</b></p><p><br></p><p>text</p>"),
        (
            "<b style=\"font-weight:normal\"><span style=\"font-weight: 700\">bold</span> not</b>",
            "<p><b>bold</b> not</p>",
        ),
        ("<em>a</em><strong>b</strong>", "<p><i>a</i><b>b</b></p>"),
        (
            "<ul> <li>a</li> <li><p>b</p><p>c</p></li></ul>",
            "<ul><li><p>a</p></li><li><p>b</p></li></ul><p><br></p><p>c</p>",
        ),
        (
            "<a href=\"javascript:alert(1)\">x</a> <a href=\"https://x.example\">y</a>",
            "<p>x <a href=\"https://x.example\">y</a></p>",
        ),
        ("<pre>a\n  b</pre>", "<p>a<br>  b</p>"),
        ("x <img src=\"https://x.example/a.png\" alt=\"photo\"> y", "<p>x photo y</p>"),
        ("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "<p>1 2</p><p>3</p>"),
        ("<blockquote>q</blockquote>a", "<blockquote><p>q</p></blockquote><p>a</p>"),
        ("", "<p><br></p>"),
    ] {
        assert_eq!(pasted(html), expected, "{html}");
    }
}

#[test]
fn nesting_and_size_are_limited() {
    let deep = "<blockquote>".repeat(500) + "<ul><li>".repeat(500).as_str() + "x";
    let document = parse(&deep, WhiteSpace::Collapsed);
    assert_eq!(document.blocks[0].quote, DEPTH_MAX);
    assert_eq!(document.blocks[0].level, 0);
    let mut builder = Builder::new(WhiteSpace::Collapsed);
    for _ in 0..100 {
        builder.text(&"word ".repeat(10_000));
    }
    assert!(builder.is_cut());
    let mut builder = Builder::new(WhiteSpace::Collapsed);
    for _ in 0..30_000 {
        builder.open(Element { name: "div", ..Element::default() });
        builder.text("x");
        builder.close();
    }
    assert!(builder.is_cut() && builder.finish().len() <= 20_001);
}

#[test]
fn document_of_the_user_has_no_limit() {
    let long = "word ".repeat(20_000);
    let mut document = RichText { blocks: vec![Block::plain("x"); 25_000], original: None };
    document.blocks.extend(vec![Block::plain(&long); 30]);
    let read = parse(&document.stored_html(), WhiteSpace::Kept);
    assert_eq!(read.blocks.len(), 25_030);
    assert!(read == document, "the document has changed");
}

#[test]
fn links_have_a_known_scheme() {
    assert_eq!(link(" https://x.example "), Some("https://x.example"));
    assert_eq!(link("MAILTO:a@b.c"), Some("MAILTO:a@b.c"));
    for href in ["javascript:alert(1)", "data:text/html,x", "/path", "", "vbscript:x", " \u{1}javascript:x"] {
        assert_eq!(link(href), None, "{href}");
    }
}

#[test]
fn mail_html_keeps_spaces_and_has_the_original_below() {
    let mut document =
        stored("<p>a  b</p><p><br></p><ul><li><p>x</p></li></ul><blockquote><p> q</p></blockquote>");
    let original =
        Original { html: "<div>O</div>".to_owned(), text: "> O\n".to_owned(), is_forwarded: false };
    document.original = Some(Rc::new(original));
    let html = document.mail_html();
    assert!(
        html.contains(
            "<body><div>a &nbsp;b</div><div><br></div><ul><li>x</li></ul><blockquote type=\"cite\""
        ),
        "{html}"
    );
    assert!(html.ends_with("\"><div>&nbsp;q</div></blockquote><div>O</div></body></html>"), "{html}");
    assert_eq!(document.plain_text(), "a  b\n\n- x\n>  q\n> O\n");
}

#[test]
fn plain_text_marks_lists_quotations_and_links() {
    let document = stored(
        "<ol><li><p>one<br>more</p><ul><li><p>inner</p></li></ul></li><li><p>two</p></li></ol><p>see <a href=\"https://x.example/\">the <b>page</b></a>, <a href=\"mailto:a@b.c\">a@b.c</a></p><blockquote><p>q</p><p><br></p><blockquote><p>r</p></blockquote></blockquote><p><img src=\"cid:1@x\" alt=\"cat\" data-id=\"1@x\"></p>",
    );
    assert_eq!(
        document.plain_text(),
        "1. one\n   more\n  - inner\n2. two\nsee the page <https://x.example/>, a@b.c\n> q\n>\n>> r\n[cat]"
    );
}

#[test]
fn plain_text_round_trips_without_formatting() {
    for text in ["", "a\n\nb\n", "\n\n-- \nGb\nRoom 7\n", "> quoted\n>> twice\nanswer", "  indented"] {
        let document = RichText::from_plain(text);
        assert_eq!(document.plain_text(), text);
        assert_eq!(document.has_formatting(), text.starts_with('>'), "{text}");
    }
}

#[test]
fn text_is_inserted_with_its_style_and_deleted_across_blocks() {
    let mut document = RichText::from_plain("Hello world\nsecond\nthird");
    document.toggle_bold(range((0, 6), (0, 11)));
    assert_eq!(document.style_at(at(0, 11)), Style { bold: true, ..Style::default() });
    assert_eq!(document.style_at(at(0, 6)), Style::default());
    let style = document.style_at(at(0, 11));
    assert_eq!(document.insert(at(0, 11), Run::text("𝒳!", style)), at(0, 14));
    assert_eq!(document.stored_html(), "<p>Hello <b>world𝒳!</b></p><p>second</p><p>third</p>");
    assert_eq!(document.delete(range((0, 8), (2, 2))), at(0, 8));
    assert_eq!(document.stored_html(), "<p>Hello <b>wo</b>ird</p>");
    assert_eq!(document.delete(range((0, 0), (0, 11))), at(0, 0));
    assert_eq!(document.stored_html(), "<p><br></p>");
}

#[test]
fn bold_and_italic_toggle_for_the_whole_range() {
    let mut document = RichText::from_plain("one\ntwo");
    document.toggle_bold(range((0, 1), (0, 2)));
    document.toggle_bold(range((0, 0), (1, 3)));
    assert_eq!(document.stored_html(), "<p><b>one</b></p><p><b>two</b></p>");
    document.toggle_italic(range((0, 2), (1, 1)));
    document.toggle_bold(range((0, 0), (1, 3)));
    assert_eq!(document.stored_html(), "<p>on<i>e</i></p><p><i>t</i>wo</p>");
    assert!(!document.formats(range((0, 0), (0, 3))).style.italic);
    assert!(document.formats(range((0, 2), (0, 3))).style.italic);
}

#[test]
fn a_link_does_not_continue_behind_its_end() {
    let mut document = stored("<p>a <a href=\"https://x.example\">li<b>nk</b></a> b</p>");
    let link = |document: &RichText, offset| document.style_at(at(0, offset)).link;
    assert_eq!((link(&document, 2), link(&document, 6), link(&document, 7)), (None, None, None));
    assert_eq!(link(&document, 4).as_deref(), Some("https://x.example"));
    assert_eq!(document.link_at(at(0, 3)).map(|(range, _)| range), Some(range((0, 2), (0, 6))));
    assert_eq!(document.link_at(at(0, 1)), None);
    document.set_link(range((0, 2), (0, 6)), None);
    assert_eq!(document.stored_html(), "<p>a li<b>nk</b> b</p>");
    document.set_link(range((0, 0), (0, 4)), Some("mailto:a@b.c".into()));
    assert_eq!(document.stored_html(), "<p><a href=\"mailto:a@b.c\">a li</a><b>nk</b> b</p>");
}

#[test]
fn enter_splits_blocks_and_leaves_lists_and_quotations() {
    let mut document = stored("<ul><li><p>ab</p></li></ul>");
    assert_eq!(document.split(at(0, 1)), at(1, 0));
    assert_eq!(document.stored_html(), "<ul><li><p>a</p></li><li><p>b</p></li></ul>");
    document.split(at(1, 1));
    document.split(at(2, 0));
    assert_eq!(document.stored_html(), "<ul><li><p>a</p></li><li><p>b</p></li></ul><p><br></p>");
    let mut document = stored("<blockquote><p>a</p></blockquote>");
    let end = document.split(at(0, 1));
    assert_eq!(document.split(end), end);
    assert_eq!(document.stored_html(), "<blockquote><p>a</p></blockquote><p><br></p>");
}

#[test]
fn backspace_leaves_the_list_and_then_joins() {
    let mut document = stored("<p>a</p><ul><li><p>b</p></li></ul>");
    assert_eq!(document.join_before(1), Some(at(1, 0)));
    assert_eq!(document.join_before(1), Some(at(0, 1)));
    assert_eq!(document.stored_html(), "<p>ab</p>");
    assert_eq!(document.join_before(0), None);
    let mut document = stored("<blockquote><p>a</p><p>b</p></blockquote><p>c</p>");
    assert_eq!(document.join_before(1), Some(at(0, 1)));
    assert_eq!(document.join_after(0), Some(at(0, 2)));
    assert_eq!(document.stored_html(), "<blockquote><p>abc</p></blockquote>");
    assert_eq!(document.join_after(0), None);
    assert_eq!(document.join_before(0), Some(at(0, 0)));
    assert_eq!(document.stored_html(), "<p>abc</p>");
}

#[test]
fn lists_and_quotations_toggle() {
    let mut document = RichText::from_plain("a\nb\nc");
    let all = range((0, 0), (2, 1));
    document.toggle_list(all, Kind::Bullet);
    assert!(document.indent(range((1, 0), (2, 0)), true));
    assert_eq!(
        document.stored_html(),
        "<ul><li><p>a</p><ul><li><p>b</p></li><li><p>c</p></li></ul></li></ul>"
    );
    assert!(document.indent(range((0, 0), (0, 0)), true));
    assert_eq!(document.blocks[0].level, 0);
    document.toggle_list(range((2, 0), (2, 0)), Kind::Number);
    document.toggle_list(all, Kind::Number);
    assert_eq!(document.blocks.iter().map(|block| block.kind).collect::<Vec<_>>(), [Kind::Number; 3]);
    document.toggle_list(all, Kind::Number);
    document.toggle_quote(range((0, 0), (1, 0)));
    assert_eq!(document.stored_html(), "<blockquote><p>a</p><p>b</p></blockquote><p>c</p>");
    assert!(!document.formats(all).is_quoted && document.formats(range((0, 0), (1, 0))).is_quoted);
    document.toggle_quote(all);
    document.toggle_quote(range((0, 0), (1, 0)));
    assert!(!document.indent(all, true));
    assert_eq!(document.blocks.iter().map(|block| block.quote).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn pasted_blocks_continue_the_paragraph() {
    let paste = |into: &str, position, html: &str| {
        let mut document = stored(into);
        let end = document.insert_blocks(position, parse(html, WhiteSpace::Collapsed).blocks);
        (document.stored_html(), end)
    };
    assert_eq!(paste("<p>ad</p>", at(0, 1), "b<b>c</b>"), ("<p>ab<b>c</b>d</p>".to_owned(), at(0, 3)));
    assert_eq!(
        paste("<p>ad</p>", at(0, 1), "<div>b</div><div>c</div>"),
        ("<p>ab</p><p>cd</p>".to_owned(), at(1, 1))
    );
    assert_eq!(
        paste("<p><br></p>", at(0, 0), "<ul><li>b</li><li>c</li></ul>"),
        ("<ul><li><p>b</p></li><li><p>c</p></li></ul>".to_owned(), at(1, 1))
    );
    assert_eq!(
        paste("<blockquote><p><br></p></blockquote>", at(0, 0), "<div>b</div><div>c</div>").0,
        "<blockquote><p>b</p><p>c</p></blockquote>"
    );
}

#[test]
fn part_of_a_document_keeps_its_formatting() {
    let document = stored("<p>one</p><p>t<b>w</b>o</p><p>three</p>");
    let part = |start, end| document.part(range(start, end)).stored_html();
    assert_eq!(part((0, 1), (2, 2)), "<p>ne</p><p>t<b>w</b>o</p><p>th</p>");
    assert_eq!(part((1, 1), (1, 2)), "<p><b>w</b></p>");
    assert_eq!(part((1, 1), (1, 1)), "<p><br></p>");
}

#[test]
fn attachments_in_the_text_and_in_the_original_are_shown() {
    let file = |id: &str| Attachment {
        name: "x.png".to_owned(),
        mime: "image/png".to_owned(),
        content_id: Some(id.to_owned()),
        content_location: None,
        bytes: Vec::new(),
    };
    let mut document = stored("<p><img src=\"cid:1@x\" alt=\"\" data-id=\"1@x\"></p>");
    assert!(document.shows(&file(IMAGE)) && !document.shows(&file("2@x")) && document.has_formatting());
    let html = "<img src=\"cid:2@x\">".to_owned();
    document.original = Some(Rc::new(Original { html, text: String::new(), is_forwarded: true }));
    assert!(document.shows(&file("2@x")));
}

#[test]
fn large_document_is_edited_in_time() {
    let mut document = RichText::from_plain(&"A line of some words.\n".repeat(5_000));
    let start = Instant::now();
    let end = document.insert(at(2_500, 3), Run::text("x", Style::default()));
    document.split(end);
    let html = document.editor_html(STORED);
    assert_eq!(html.len(), 5_002);
    assert!(start.elapsed() < Duration::from_secs(1));
}
