//! Conversions for [`ParsedMessage`](mail_core::message::parsed::ParsedMessage): `encoding_rs` for charsets, `html2text`
//! for HTML.

use encoding_rs::Encoding;
use html2text::render::TextDecorator;
use mail_core::message::platform::{Platform, link_address};

/// The conversions of the terminal client.
pub(crate) const PLATFORM: Platform = Platform { decode_charset, html_to_text };

/// Maximum nesting depth of rendered HTML. The time grows with the square of the depth; mails have about 50.
const DEPTH_MAX: usize = 500;
/// Lines are not wrapped: the terminal does that, and a quoted reply must not break links.
const WIDTH: usize = 100_000;
/// Private-use characters around the address of a link, until [`without_repeated_links`] replaces them.
const LINK_START: char = '\u{e000}';
const LINK_END: char = '\u{e001}';

fn decode_charset(label: &str, bytes: &[u8]) -> Option<String> {
    let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
    Some(encoding.decode_with_bom_removal(bytes).0.into_owned())
}

fn html_to_text(html: &str) -> String {
    let html = html.replace([LINK_START, LINK_END, '\0'], "");
    if depth(&html) > DEPTH_MAX {
        return without_tags(&html);
    }
    let config = html2text::config::with_decorator(Decorator::default())
        .link_footnotes(false)
        .raw_mode(true)
        .no_link_wrapping()
        .allow_width_overflow();
    match config.string_from_read(html.as_bytes(), WIDTH) {
        Ok(text) => without_repeated_links(&text),
        Err(_) => without_tags(&html),
    }
}

/// The nesting depth of elements with mandatory end tags; unclosed ones count to the end.
fn depth(html: &str) -> usize {
    const NOT_NESTED: [&str; 26] = [
        "area", "base", "body", "br", "col", "dd", "dt", "hr", "html", "img", "input", "li", "link", "meta",
        "o:p", "option", "p", "param", "source", "tbody", "td", "th", "thead", "tr", "v:shape", "wbr",
    ];
    let (mut depth, mut deepest) = (0_usize, 0);
    for tag in html.split('<').skip(1) {
        let (name, is_end) = tag.strip_prefix('/').map_or((tag, false), |name| (name, true));
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != ':').unwrap_or(name.len());
        let name = &name[..end];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || NOT_NESTED.iter().any(|other| other.eq_ignore_ascii_case(name))
        {
            continue;
        }
        depth = if is_end { depth.saturating_sub(1) } else { depth + 1 };
        deepest = deepest.max(depth);
    }
    deepest
}

fn without_tags(html: &str) -> String {
    let text = |tag: &str| tag.split_once('>').map_or("", |(_, text)| text).to_owned();
    let mut parts = html.split('<');
    let first = parts.next().unwrap_or_default().to_owned();
    first + &parts.map(text).collect::<String>()
}

/// Shows the address of a link after its text, unless the text is the address.
fn without_repeated_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(LINK_START);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (address, rest) = part.split_once(LINK_END).unwrap_or(("", part));
        if let Some(address) = link_address(address, &out) {
            out.push_str(" <");
            out.push_str(address);
            out.push('>');
        }
        out.push_str(rest);
    }
    out
}

/// Plain text without emphasis, with list marks and the addresses of links.
#[derive(Clone, Default)]
struct Decorator {
    links: Vec<String>,
}

impl TextDecorator for Decorator {
    type Annotation = ();

    fn decorate_link_start(&mut self, url: &str) -> (String, ()) {
        self.links.push(url.to_owned());
        (String::new(), ())
    }

    fn decorate_link_end(&mut self) -> String {
        let url = self.links.pop();
        url.map(|url| format!("{LINK_START}{url}{LINK_END}")).unwrap_or_default()
    }

    fn decorate_em_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_em_end(&self) -> String {
        String::new()
    }

    fn decorate_strong_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_strong_end(&self) -> String {
        String::new()
    }

    fn decorate_strikeout_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_strikeout_end(&self) -> String {
        String::new()
    }

    fn decorate_code_start(&self) -> (String, ()) {
        (String::new(), ())
    }

    fn decorate_code_end(&self) -> String {
        String::new()
    }

    fn decorate_preformat_first(&self) {}

    fn decorate_preformat_cont(&self) {}

    fn decorate_image(&mut self, _src: &str, title: &str) -> (String, ()) {
        (title.to_owned(), ())
    }

    fn header_prefix(&self, _level: usize) -> String {
        String::new()
    }

    fn quote_prefix(&self) -> String {
        "> ".to_owned()
    }

    fn unordered_item_prefix(&self) -> String {
        "* ".to_owned()
    }

    fn ordered_item_prefix(&self, number: i64) -> String {
        format!("{number}. ")
    }

    fn make_subblock_decorator(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
#[path = "../../mail-core/tests/cases/mod.rs"]
mod cases;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_give_the_expected_results() {
        let count = cases::check(PLATFORM, true);
        // Without the folder, only the tests below run.
        assert!(count == 0 || count > 100, "{count} cases");
    }

    #[test]
    fn html_is_rendered_as_lines() {
        for (html, text) in [
            ("<div>one</div><div>two</div>", "one\ntwo"),
            ("a<br clear=all>b<BR/>c", "a\nb\nc"),
            ("<p>a<p>b", "a\n\nb"),
            ("<table><tr><td>a</td><td>b</td></tr></table>", "a\nb"),
            ("<ul><li>a<li>b</ul><ol><li>c</ol>", "* a\n* b\n1. c"),
            ("<pre>a\n  b</pre>", "a\n  b"),
            ("a<!-->b<!---->c<!-- x > y -->d", "abcd"),
            ("<style>p{}</style><script>x</script><p title='a>b'>c", "c"),
            ("<!--[if mso]>x<![endif]--><![if !mso]>a<![endif]>", "a"),
            ("<blockquote>a</blockquote>", "> a"),
            ("&lt;b&gt; &amp; &eacute;", "<b> & é"),
        ] {
            assert_eq!(html_to_text(html).trim(), text, "{html}");
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
            assert_eq!(html_to_text(html).trim(), text, "{html}");
        }
    }

    #[test]
    fn deep_html_is_converted() {
        for part in ["<div>", "<table><tr><td>", "<ul><li>", "<blockquote>", "<b>"] {
            assert_eq!(html_to_text(&(part.repeat(100_000) + "x")).trim(), "x", "{part}");
        }
    }
}
