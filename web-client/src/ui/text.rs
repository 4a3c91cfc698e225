//! Plain text with its addresses as links.

use mail_core::message::text::printable;
use yew::prelude::*;

/// A stretch of text.
#[derive(Debug, PartialEq, Eq)]
enum Stretch<'a> {
    Text(&'a str),
    Link(&'a str),
}

pub(super) fn text(text: &str) -> Html {
    let text = printable(text);
    let stretch = |stretch| match stretch {
        Stretch::Text(text) => html! { { text.to_owned() } },
        Stretch::Link(link) => {
            let link = link.to_owned();
            html! { <a href={link.clone()} target="_blank" rel="noopener noreferrer">{ link }</a> }
        }
    };
    html! { <div class="text">{ for stretches(text.trim_end()).into_iter().map(stretch) }</div> }
}

fn stretches(mut text: &str) -> Vec<Stretch<'_>> {
    let mut stretches = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("http").map(|at| from + at) {
        let rest = &text[at..];
        let end = rest.find(|c: char| c.is_whitespace() || "<>\"'".contains(c)).unwrap_or(rest.len());
        let link = rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']']);
        let host = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
        if host.is_some_and(|host| !host.is_empty()) {
            stretches.push(Stretch::Text(&text[..at]));
            stretches.push(Stretch::Link(link));
            text = &rest[link.len()..];
            from = 0;
        } else {
            from = at + "http".len();
        }
    }
    stretches.push(Stretch::Text(text));
    stretches.retain(|stretch| *stretch != Stretch::Text(""));
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn addresses_are_links_without_what_follows_them() {
        use Stretch::{Link, Text};
        assert_eq!(
            stretches("See https://iit.edu/a?b=c, or (http://iit.edu)."),
            [Text("See "), Link("https://iit.edu/a?b=c"), Text(", or ("), Link("http://iit.edu"), Text(").")]
        );
        for text in ["http", "http://", "https:// x", "httpd é", "javascript:alert(1)"] {
            assert_eq!(stretches(text), [Text(text)]);
        }
        assert_eq!(stretches(""), []);
    }
}
