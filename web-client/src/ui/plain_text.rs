//! Plain text with links.

use mail_core::message::printable::printable;
use yew::prelude::*;

#[derive(Debug, PartialEq, Eq)]
enum Segment<'a> {
    Text(&'a str),
    Link(&'a str),
}

pub(super) fn html(text: &str) -> Html {
    let text = printable(text);
    let segment = |segment| match segment {
        Segment::Text(text) => html! { { text.to_owned() } },
        Segment::Link(link) => {
            let link = link.to_owned();
            html! { <a href={link.clone()} target="_blank" rel="noopener noreferrer">{ link }</a> }
        }
    };
    html! { <div class="text">{ for segments(text.trim_end()).into_iter().map(segment) }</div> }
}

fn segments(mut text: &str) -> Vec<Segment<'_>> {
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
