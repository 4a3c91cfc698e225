//! HTML as its text and its links, with the HTML parser's tokenizer.

use std::cell::RefCell;

use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, EndTag, StartTag, Tag, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// Elements whose text is not shown. The head needs no closing tag, so its other elements, which have no text, do not hide any.
const HIDDEN: [&str; 5] = ["noscript", "script", "style", "template", "title"];
/// Elements after which a line ends.
const BLOCKS: [&str; 27] = [
    "address",
    "article",
    "blockquote",
    "br",
    "center",
    "dd",
    "div",
    "dt",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "tr",
    "ul",
];

/// Text and links of a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Document {
    /// The shown text; white space is collapsed, and blocks are separated by line ends.
    pub(crate) text: String,
    /// The addresses of links in order, as written but without white space around them.
    pub(crate) links: Vec<String>,
}

impl Document {
    pub(crate) fn parse(html: &str) -> Self {
        let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
        let input = BufferQueue::default();
        input.push_back(html.into());
        // Scripts are not run, so the tokenizer never pauses.
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        let State { mut document, .. } = tokenizer.sink.0.into_inner();
        document.text.truncate(document.text.trim_end().len());
        document
    }
}

#[derive(Default)]
struct Sink(RefCell<State>);

#[derive(Default)]
struct State {
    document: Document,
    /// Open elements whose text is hidden.
    hidden: Vec<String>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => {
                let raw = raw_text_of(&tag);
                state.tag(&tag);
                if let Some(kind) = raw {
                    return TokenSinkResult::RawData(kind);
                }
            }
            Token::CharacterTokens(text) if state.hidden.is_empty() => state.document.push(&text),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// Markup in scripts and styles is text (HTML Standard, section 13.2.6.2).
pub(crate) fn raw_text_of(tag: &Tag) -> Option<RawKind> {
    if tag.kind != StartTag {
        return None;
    }
    match &*tag.name {
        "script" => Some(RawKind::ScriptData),
        "style" | "noscript" => Some(RawKind::Rawtext),
        "title" | "textarea" => Some(RawKind::Rcdata),
        _ => None,
    }
}

impl State {
    fn tag(&mut self, tag: &Tag) {
        let name = &*tag.name;
        if BLOCKS.contains(&name) {
            self.document.end_line();
        }
        if HIDDEN.contains(&name) {
            match tag.kind {
                StartTag => self.hidden.push(name.to_owned()),
                EndTag => {
                    if let Some(open) = self.hidden.iter().rposition(|open| open == name) {
                        self.hidden.truncate(open);
                    }
                }
            }
        }
        if tag.kind == StartTag && matches!(name, "a" | "area") {
            let href = tag.attrs.iter().find(|attribute| &*attribute.name.local == "href");
            let address = href.map(|href| href.value.trim().to_owned());
            self.document.links.extend(address.filter(|address| !address.is_empty()));
        }
    }
}

impl Document {
    fn push(&mut self, text: &str) {
        for (index, word) in text.split(|c: char| c.is_ascii_whitespace()).enumerate() {
            if index > 0 && !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
                self.text.push(' ');
            }
            self.text.push_str(word);
        }
    }

    fn end_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_has_shown_text_and_links() {
        let document = Document::parse(
            "<html><head><title>T</title><style>p { color: red }</style></head><body>\n<p>Hello <b>you</b>,</p>\
             <p>click <a href=' https://a.example/?x=1&amp;y=2 '>here</a>&nbsp;&lt;now&gt;</p>\
             <script>if (a < b) document.write('<a href=\"x\">')</script><map><area href='/map'></map><a name=n>n</a>",
        );
        assert_eq!(document.text, "Hello you,\n\nclick here\u{a0}<now>\nn");
        assert_eq!(document.links, ["https://a.example/?x=1&y=2", "/map"]);
    }

    #[test]
    fn unclosed_head_hides_nothing_of_the_body() {
        for html in [
            "<head><title>x</title><body>shown",
            "<html><head><title>x</title><meta charset=utf-8><p>shown",
            "<head><style>p{}</style>shown",
            "<title>x</title></head>shown",
        ] {
            assert_eq!(Document::parse(html).text, "shown", "{html}");
        }
        assert_eq!(
            Document::parse("plain < text"),
            Document { text: "plain < text".to_owned(), links: Vec::new() }
        );
    }
}
