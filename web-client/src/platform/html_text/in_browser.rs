//! HTML rendered as text by the browser's parser.

use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{PREFIX_OCTETS_MAX, TEXT_OCTETS_MAX, html_to_text};

#[test]
fn html_is_rendered_as_lines() {
    for (html, text) in [
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("a<br clear=all>b<BR/>c", "a\nb\nc"),
        ("<p>a<p>b", "a\n\nb"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a  b\nc"),
        ("<ul><li>a<li>b</ul><ol><li>c</ol>", "* a\n* b\n1. c"),
        (
            "<p>x</p><ol start=9><li>a<li>b<br>c<li value=20>d<li>e</ol>y",
            "x\n\n9. a\n10. b\n    c\n20. d\n21. e\ny",
        ),
        ("<ul><li>a<ul><li>b</ul><li><p>c</p></ul>", "* a\n  * b\n* c"),
        ("<blockquote>a</blockquote>", "> a"),
        ("x<blockquote><p>a</p><p>b</p></blockquote>y", "x\n\n> a\n>\n> b\n\ny"),
        ("<blockquote>a<blockquote>b</blockquote>c</blockquote>d", "> a\n>\n> > b\n>\n> c\n\nd"),
        ("<blockquote><ul><li>a<br>b</ul></blockquote>", "> * a\n>   b"),
        ("<div>a</div><div><br></div><div>b<br></div><div>c</div>", "a\n\nb\nc"),
        ("<br>a<br><br>b<br>", "a\n\nb"),
        ("<blockquote><pre>a\n\n  b\n</pre></blockquote>", "> a\n>\n>   b"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("a<!-->b<!---->c<!-- x > y -->d", "abcd"),
        ("<style>p{}</style><script>x</script><p title='a>b'>c", "c"),
        ("<!--[if mso]>x<![endif]--><![if !mso]>a<![endif]>", "a"),
        ("one <b>two</b>\n three", "one two three"),
        ("&lt;b&gt; &amp; &eacute;", "<b> & é"),
        ("", ""),
    ] {
        assert_eq!(html_to_text(html), text, "{html}");
    }
}

#[test]
fn links_show_their_address_once() {
    for (html, text) in [
        ("<a href=https://iit.edu/x>here</a>.", "here <https://iit.edu/x>."),
        ("<a href=https://iit.edu/>https://iit.edu</a>", "https://iit.edu"),
        ("<a href=mailto:ag@iit.edu>ag@iit.edu</a>", "ag@iit.edu"),
        ("<a href=mailto:ag@iit.edu>Ag</a>", "Ag <ag@iit.edu>"),
        ("<p>a</p><a href=https://iit.edu/x><img></a>", "a\n\n<https://iit.edu/x>"),
        ("<a href='#top'>up</a> <a href=javascript:x>js</a>", "up js"),
    ] {
        assert_eq!(html_to_text(html), text, "{html}");
    }
}

#[test]
fn size_of_the_text_is_limited() {
    // A line of three octets in the HTML has a prefix of 80 octets.
    let html = "<blockquote>".repeat(60) + &"x<p>".repeat(200_000);
    let text = html_to_text(&html);
    assert!(text.len() < TEXT_OCTETS_MAX + 100, "{}", text.len());
    assert!(text.ends_with("\n\n[The rest of the message is omitted.]"));
    assert!(text.lines().all(|line| line.len() <= PREFIX_OCTETS_MAX + 50));
    // Empty lines have a prefix too.
    let html = "<blockquote>".repeat(60) + "x" + &"<br>".repeat(1_000_000) + "y";
    assert!(html_to_text(&html).len() < TEXT_OCTETS_MAX + 100);
    // Long numbers are short.
    let html = "<ol start=-9223372036854775808><li>x<ol start=9223372036854775807><li>y<li>z";
    let text = html_to_text(html);
    let indent = " ".repeat(12);
    let expected = format!("-999999999. x\n{indent}999999999. y\n{indent}999999999. z");
    assert_eq!(text, expected);
    let html = "<ol start=999999999><li>".repeat(50) + &"x<br>".repeat(10);
    assert!(html_to_text(&html).lines().all(|line| line.len() <= PREFIX_OCTETS_MAX + 1));
}

#[test]
fn deep_html_is_converted() {
    for part in ["<div>", "<table><tr><td>", "<b>"] {
        assert_eq!(html_to_text(&(part.repeat(10_000) + "x")), "x", "{part}");
    }
    for part in ["<blockquote>", "<ul><li>"] {
        let text = html_to_text(&(part.repeat(10_000) + "x"));
        assert!(text.ends_with(" x") && text.len() < 200, "{part}: {text}");
    }
}
