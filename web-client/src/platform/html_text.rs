//! HTML as plain text, with the parser of the browser.
//!
//! A document made by `DOMParser` runs no scripts and loads nothing.

use mail_core::message::platform::link_address;
use wasm_bindgen::JsCast;
use web_sys::{DomParser, Element, Node, SupportedType};

/// Length of the prefix of a line. Deeper quotations and lists have the prefix of their ancestors.
const PREFIX_OCTETS_MAX: usize = 80;
/// Highest number of a list item. Browsers have similar limits.
const ITEM_NUMBER_MAX: i64 = 999_999_999;
/// Length of the text, which may be longer than its HTML because of the prefixes.
const TEXT_OCTETS_MAX: usize = 4 * 1_024 * 1_024;
/// The last line of a text that was too long.
const OMITTED: &str = "\n\n[The rest of the message is omitted.]";

/// Renders an HTML document as text: blocks and line breaks become lines, cells are separated by spaces, list items have
/// their marks and quotations a `>`, links show their address. A text of more than [`TEXT_OCTETS_MAX`] octets is cut, and
/// says so.
pub(crate) fn html_to_text(html: &str) -> String {
    let document =
        DomParser::new().and_then(|parser| parser.parse_from_string(html, SupportedType::TextHtml));
    let Some(body) = document.ok().and_then(|document| document.body()) else { return String::new() };
    let root: Node = body.into();
    let mut writer = Writer::default();
    let mut next = root.first_child();
    // Not recursive, because hostile documents are deep.
    while let Some(node) = next.filter(|_| !writer.is_full()) {
        let child = if writer.enter(&node) { node.first_child() } else { None };
        next = child.or_else(|| {
            let mut node = node;
            loop {
                writer.leave(&node);
                if let Some(sibling) = node.next_sibling() {
                    return Some(sibling);
                }
                node = node.parent_node().filter(|parent| !parent.is_same_node(Some(&root)))?;
            }
        });
    }
    writer.finish()
}

/// The start of each line inside an element.
enum Prefix {
    Quote,
    /// The mark is written on the first line; the others are indented by its width.
    Item {
        mark: String,
        is_written: bool,
    },
}

#[derive(Default)]
struct Writer {
    text: String,
    /// Line ends before the next word. Those before the first word are dropped.
    line_ends: usize,
    /// White space before the next word, unless a line end precedes it.
    space: &'static str,
    prefixes: Vec<Prefix>,
    /// Number of prefixes that did not end since the last word: those of the empty lines before the next word.
    continued_prefixes: usize,
    /// The number of the next item of each open list; `None` for lists without numbers.
    lists: Vec<Option<i64>>,
    /// Open `pre` elements.
    preformatted: usize,
    /// The positions in the text at which the open links start.
    links: Vec<usize>,
}

impl Writer {
    /// Writes the text before the children. Returns false if the children are not shown.
    fn enter(&mut self, node: &Node) -> bool {
        if node.node_type() == Node::TEXT_NODE {
            self.words(&node.text_content().unwrap_or_default());
            return false;
        }
        let Some(element) = node.dyn_ref::<Element>() else { return false };
        let number = |name| element.get_attribute(name).and_then(|number| number.trim().parse().ok());
        match element.tag_name().as_str() {
            "SCRIPT" | "STYLE" | "TITLE" | "TEMPLATE" | "NOSCRIPT" | "HEAD" => return false,
            "BR" => self.line_ends += 1,
            "IMG" => self.words(&element.get_attribute("alt").unwrap_or_default()),
            "UL" => self.list(None),
            "OL" => self.list(Some(number("start").unwrap_or(1))),
            "LI" => self.item(number("value")),
            "BLOCKQUOTE" => {
                self.paragraph();
                self.prefixes.push(Prefix::Quote);
            }
            "PRE" => {
                self.paragraph();
                self.preformatted += 1;
            }
            "A" => self.links.push(self.text.len()),
            name if is_paragraph(name) => self.paragraph(),
            name if is_block(name) => self.line(),
            _ => {}
        }
        true
    }

    /// Writes the text after the children.
    fn leave(&mut self, node: &Node) {
        let Some(element) = node.dyn_ref::<Element>() else { return };
        match element.tag_name().as_str() {
            "PRE" => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.paragraph();
            }
            "TD" | "TH" => self.space = "  ",
            "A" => self.link(&element.get_attribute("href").unwrap_or_default()),
            "UL" | "OL" => {
                self.lists.pop();
                self.line();
            }
            "LI" => self.end_prefix(1),
            "BLOCKQUOTE" => self.end_prefix(2),
            name if is_paragraph(name) => self.paragraph(),
            name if is_block(name) => self.line(),
            _ => {}
        }
    }

    fn list(&mut self, first: Option<i64>) {
        self.line();
        self.lists.push(first);
    }

    fn item(&mut self, value: Option<i64>) {
        self.line();
        let mark = match self.lists.last_mut() {
            Some(Some(next)) => {
                let number = value.unwrap_or(*next).clamp(-ITEM_NUMBER_MAX, ITEM_NUMBER_MAX);
                *next = number + 1;
                format!("{number}. ")
            }
            _ => "* ".to_owned(),
        };
        self.prefixes.push(Prefix::Item { mark, is_written: false });
    }

    fn end_prefix(&mut self, line_ends: usize) {
        self.prefixes.pop();
        self.continued_prefixes = self.continued_prefixes.min(self.prefixes.len());
        self.line_ends = self.line_ends.max(line_ends);
    }

    fn is_full(&self) -> bool {
        self.text.len() > TEXT_OCTETS_MAX
    }

    fn finish(mut self) -> String {
        if self.is_full() {
            self.text.truncate(self.text.floor_char_boundary(TEXT_OCTETS_MAX));
            self.text.push_str(OMITTED);
        }
        self.text
    }

    fn words(&mut self, text: &str) {
        if self.preformatted > 0 {
            for (number, line) in text.split('\n').enumerate() {
                self.line_ends += usize::from(number > 0);
                if !line.is_empty() {
                    self.word(line);
                }
            }
            return;
        }
        let space = |writer: &mut Self, is_space| {
            if is_space && writer.space.is_empty() {
                writer.space = " ";
            }
        };
        space(self, text.starts_with(char::is_whitespace));
        for (number, word) in text.split_whitespace().enumerate() {
            space(self, number > 0);
            self.word(word);
        }
        space(self, text.ends_with(char::is_whitespace));
    }

    /// Writes a word with everything that is pending before it.
    fn word(&mut self, word: &str) {
        if self.is_full() {
            return;
        }
        let is_first = self.text.is_empty();
        if is_first || self.line_ends > 0 {
            for empty in 0..if is_first { 0 } else { self.line_ends } {
                self.text.push('\n');
                if empty + 1 < self.line_ends {
                    let end = self.text.len();
                    self.prefix(self.continued_prefixes);
                    self.text.truncate(end + self.text[end..].trim_end().len());
                }
                if self.is_full() {
                    return;
                }
            }
            self.prefix(self.prefixes.len());
            self.mark_items_written();
        } else {
            self.text.push_str(self.space);
        }
        (self.line_ends, self.space, self.continued_prefixes) = (0, "", self.prefixes.len());
        self.text.push_str(word);
    }

    fn prefix(&mut self, count: usize) {
        let mut octets_left = PREFIX_OCTETS_MAX;
        for prefix in self.prefixes.iter().take(count) {
            let octets = match prefix {
                Prefix::Quote => 2,
                Prefix::Item { mark, .. } => mark.len(),
            };
            match octets_left.checked_sub(octets) {
                Some(left) => octets_left = left,
                None => return,
            }
            match prefix {
                Prefix::Quote => self.text.push_str("> "),
                Prefix::Item { mark, is_written: false } => self.text.push_str(mark),
                Prefix::Item { mark, is_written: true } => self.text.extend(mark.chars().map(|_| ' ')),
            }
        }
    }

    fn mark_items_written(&mut self) {
        for prefix in &mut self.prefixes {
            if let Prefix::Item { is_written, .. } = prefix {
                *is_written = true;
            }
        }
    }

    /// Shows the address of a link unless its text is the address.
    fn link(&mut self, address: &str) {
        let start = self.links.pop().unwrap_or_default();
        if let Some(address) = link_address(address, self.text.get(start..).unwrap_or_default()) {
            self.space = " ";
            self.word(&format!("<{address}>"));
        }
    }

    /// Starts a line.
    fn line(&mut self) {
        self.at_least(1);
    }

    /// Starts a line after an empty one.
    fn paragraph(&mut self) {
        self.at_least(2);
    }

    /// A block at the start of an item begins on the line of its mark.
    fn at_least(&mut self, line_ends: usize) {
        if !matches!(self.prefixes.last(), Some(Prefix::Item { is_written: false, .. })) {
            self.line_ends = self.line_ends.max(line_ends);
        }
    }
}

fn is_paragraph(name: &str) -> bool {
    matches!(name, "P" | "H1" | "H2" | "H3" | "H4" | "H5" | "H6" | "TABLE" | "DL" | "HR")
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "DIV"
            | "TR"
            | "DT"
            | "DD"
            | "SECTION"
            | "ARTICLE"
            | "HEADER"
            | "FOOTER"
            | "MAIN"
            | "ASIDE"
            | "NAV"
            | "FORM"
            | "FIELDSET"
            | "CENTER"
            | "ADDRESS"
            | "CAPTION"
            | "FIGURE"
            | "OPTION"
    )
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
