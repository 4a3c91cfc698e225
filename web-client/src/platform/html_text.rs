//! HTML as plain text, with the parser of the browser.
//!
//! A document made by `DOMParser` runs no scripts and loads nothing.

use mail_core::message::platform::link_address;
use wasm_bindgen::JsCast;
use web_sys::{DomParser, Element, Node, SupportedType};

/// Renders an HTML document as text: blocks and line breaks become lines, cells are separated by spaces, links show
/// their address.
pub(crate) fn html_to_text(html: &str) -> String {
    let document =
        DomParser::new().and_then(|parser| parser.parse_from_string(html, SupportedType::TextHtml));
    let Some(body) = document.ok().and_then(|document| document.body()) else { return String::new() };
    let root: Node = body.into();
    let mut writer = Writer::default();
    let mut next = root.first_child();
    // Not recursive, because hostile documents are deep.
    while let Some(node) = next {
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
    writer.text.trim().to_owned()
}

#[derive(Default)]
struct Writer {
    text: String,
    /// White space is pending between two words.
    has_space: bool,
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
        match element.tag_name().as_str() {
            "SCRIPT" | "STYLE" | "TITLE" | "TEMPLATE" | "NOSCRIPT" | "HEAD" => return false,
            "BR" => {
                self.has_space = false;
                self.text.push('\n');
            }
            "IMG" => self.words(&element.get_attribute("alt").unwrap_or_default()),
            "LI" => {
                self.line();
                self.text.push_str("* ");
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
            "TD" | "TH" => self.text.push_str("  "),
            "A" => self.link(&element.get_attribute("href").unwrap_or_default()),
            name if is_paragraph(name) => self.paragraph(),
            name if is_block(name) => self.line(),
            _ => {}
        }
    }

    fn words(&mut self, text: &str) {
        if self.preformatted > 0 {
            self.text.push_str(text);
            return;
        }
        self.has_space |= text.starts_with(char::is_whitespace);
        for word in text.split_whitespace() {
            if self.has_space && !self.text.is_empty() && !self.text.ends_with(char::is_whitespace) {
                self.text.push(' ');
            }
            self.text.push_str(word);
            self.has_space = true;
        }
        self.has_space = text.ends_with(char::is_whitespace) || (self.has_space && text.trim().is_empty());
    }

    /// Shows the address of a link unless its text is the address.
    fn link(&mut self, address: &str) {
        let start = self.links.pop().unwrap_or_default();
        if let Some(address) = link_address(address, self.text.get(start..).unwrap_or_default()) {
            self.text.push_str(&format!(" <{address}>"));
        }
    }

    /// Starts a line.
    fn line(&mut self) {
        self.has_space = false;
        if self.text.ends_with("* ") {
            return;
        }
        self.text.truncate(self.text.trim_end_matches(' ').len());
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Starts a line after an empty one.
    fn paragraph(&mut self) {
        self.line();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }
}

fn is_paragraph(name: &str) -> bool {
    matches!(
        name,
        "P" | "H1" | "H2" | "H3" | "H4" | "H5" | "H6" | "UL" | "OL" | "BLOCKQUOTE" | "TABLE" | "DL" | "HR"
    )
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "DIV"
            | "LI"
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
