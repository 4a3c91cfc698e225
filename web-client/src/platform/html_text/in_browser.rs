//! HTML rendered as text by the browser's parser.

use wasm_bindgen_test::wasm_bindgen_test as test;

use super::html_to_text;

#[test]
fn html_is_rendered_as_lines() {
    for (html, text) in [
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("a<br clear=all>b<BR/>c", "a\nb\nc"),
        ("<p>a<p>b", "a\n\nb"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a  b\nc"),
        ("<ul><li>a<li>b</ul>", "* a\n* b"),
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
        ("<a href='#top'>up</a> <a href=javascript:x>js</a>", "up js"),
    ] {
        assert_eq!(html_to_text(html), text, "{html}");
    }
}

#[test]
fn deep_html_is_converted() {
    for part in ["<div>", "<table><tr><td>", "<blockquote>", "<b>"] {
        assert_eq!(html_to_text(&(part.repeat(10_000) + "x")), "x", "{part}");
    }
}
