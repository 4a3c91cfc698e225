//! Links in plain text.

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    Text(&'a str),
    Link(&'a str),
}

/// Splits a text into links and the text between them.
pub(super) fn segments(mut text: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("http").map(|at| from + at) {
        let rest = &text[at..];
        let end = rest.find(|c: char| c.is_whitespace() || "<>\"'".contains(c)).unwrap_or(rest.len());
        let link = rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']']);
        let host = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
        if host.is_some_and(|host| !host.is_empty()) {
            segments.push(Segment::Text(&text[..at]));
            segments.push(Segment::Link(link));
            text = &rest[link.len()..];
            from = 0;
        } else {
            from = at + "http".len();
        }
    }
    segments.push(Segment::Text(text));
    segments.retain(|segment| *segment != Segment::Text(""));
    segments
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
}
