//! Links in plain text: web addresses, also those that begin with `www.`, and mail addresses.

use mail_core::message::address::Address;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Text(&'a str),
    Link(&'a str),
}

/// Longer mail addresses are no links.
const ADDRESS_OCTETS_MAX: usize = 254;

/// Splits a text into links and the text between them.
pub(super) fn segments(text: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut written = 0;
    let mut start = 0;
    let is_separator = |c: char| c.is_whitespace() || "<>\"'".contains(c);
    while start < text.len() {
        let rest = &text[start..];
        let end = start + rest.find(is_separator).unwrap_or(rest.len());
        if let Some((at, link)) = link_in(&text[start..end]) {
            segments.push(Segment::Text(&text[written..start + at]));
            segments.push(Segment::Link(link));
            written = start + at + link.len();
        }
        start = end + text[end..].chars().next().map_or(0, char::len_utf8);
    }
    segments.push(Segment::Text(&text[written..]));
    segments.retain(|segment| *segment != Segment::Text(""));
    segments
}

/// The address of a link.
pub(super) fn href(link: &str) -> String {
    if has_scheme(link) {
        link.to_owned()
    } else if is_www(link) {
        format!("https://{link}")
    } else {
        format!("mailto:{link}")
    }
}

/// The link in a word, and its place.
fn link_in(word: &str) -> Option<(usize, &str)> {
    let trimmed = word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']']);
    let mut from = 0;
    while let Some(at) = trimmed[from..].find("http").map(|at| from + at) {
        if has_scheme(&trimmed[at..]) {
            return Some((at, &trimmed[at..]));
        }
        from = at + "http".len();
    }
    let bare = trimmed.trim_start_matches(['(', '[']);
    let is_address = |text: &str| {
        text.contains('@')
            && text.len() <= ADDRESS_OCTETS_MAX
            && text.rsplit('@').next().is_some_and(|host| host.contains('.'))
            && Address::parse(text).is_ok()
    };
    (is_www(bare) || is_address(bare)).then_some((trimmed.len() - bare.len(), bare))
}

fn has_scheme(link: &str) -> bool {
    let host = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty())
}

fn is_www(link: &str) -> bool {
    let is_prefix = link.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www."));
    is_prefix && link[4..].contains('.') && !link[4..].starts_with('.') && !link.contains('@')
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn url_becomes_a_link_without_trailing_punctuation() {
        use Segment::{Link, Text};
        assert_eq!(
            segments("See https://iit.edu/a?b=c, or (http://iit.edu)."),
            [Text("See "), Link("https://iit.edu/a?b=c"), Text(", or ("), Link("http://iit.edu"), Text(").")]
        );
        for text in ["http", "http://", "https:// x", "httpd é", "javascript:alert(1)"] {
            assert_eq!(segments(text), [Text(text)]);
        }
        assert_eq!(segments(""), []);
    }

    #[test]
    fn www_and_mail_addresses_are_links() {
        use Segment::{Link, Text};
        assert_eq!(
            segments("(www.iit.edu/x), <ag@iit.edu>; é"),
            [Text("("), Link("www.iit.edu/x"), Text("), <"), Link("ag@iit.edu"), Text(">; é")]
        );
        for text in ["www.", "www..x", "@iit", "a@b", "awww.x.y z", "www"] {
            assert_eq!(segments(text), [Text(text)], "{text}");
        }
        assert_eq!(href("www.iit.edu"), "https://www.iit.edu");
        assert_eq!(href("ag@iit.edu"), "mailto:ag@iit.edu");
        assert_eq!(href("http://iit.edu"), "http://iit.edu");
    }
}
