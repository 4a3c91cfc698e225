//! A document from HTML: of the editor, of the storage, and pasted.
//!
//! The caller walks the elements in document order. Everything without a counterpart in the document loses its formatting,
//! not its text.

use std::rc::Rc;

use super::{Block, Content, DEPTH_MAX, Image, Kind, Position, RichText, Run, Style};

/// Limits of pasted HTML. The user's own text has none.
const BLOCKS_MAX: usize = 20_000;
const OCTETS_MAX: usize = 2 * 1_024 * 1_024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhiteSpace {
    /// In the editor and the storage, where each `p` is a block. Of any length.
    Kept,
    /// As in HTML that is pasted. Paragraphs are separated by an empty line.
    Collapsed,
}

/// An element, as far as the document depends on it.
#[derive(Debug, Default)]
pub(crate) struct Element<'a> {
    /// In lower case.
    pub(crate) name: &'a str,
    pub(crate) href: Option<String>,
    /// The attribute `style`.
    pub(crate) style: Option<String>,
    /// For `img`: what is shown.
    pub(crate) image: Option<Image>,
    /// For `img` without `image`.
    pub(crate) alt: Option<String>,
}

/// The format or block that ends with an element.
#[derive(Debug)]
struct Open {
    style: Style,
    is_block: bool,
    is_paragraph: bool,
    is_list: bool,
    is_quote: bool,
    is_preformatted: bool,
    is_cell: bool,
}

#[derive(Debug)]
pub(crate) struct Builder {
    white_space: WhiteSpace,
    blocks: Vec<Block>,
    /// The block that is being filled, `None` between blocks.
    current: Option<Block>,
    open: Vec<Open>,
    style: Style,
    lists: Vec<Kind>,
    quote: u8,
    preformatted: usize,
    /// The next block is the first of an item.
    item: bool,
    /// The style of the space before the next word.
    space: Option<Style>,
    /// An empty line before the next block.
    gap: bool,
    octets: usize,
    is_cut: bool,
}

impl Builder {
    pub(crate) const fn new(white_space: WhiteSpace) -> Self {
        Self {
            white_space,
            blocks: Vec::new(),
            current: None,
            open: Vec::new(),
            style: Style { bold: false, italic: false, link: None },
            lists: Vec::new(),
            quote: 0,
            preformatted: 0,
            item: false,
            space: None,
            gap: false,
            octets: 0,
            is_cut: false,
        }
    }

    /// Whether the rest of the HTML was omitted.
    pub(crate) const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Begins an element. Returns whether its children belong to the document; [`close`](Self::close) follows then.
    pub(crate) fn open(&mut self, element: Element<'_>) -> bool {
        if self.is_cut {
            return false;
        }
        match element.name {
            "script" | "style" | "title" | "head" | "template" | "noscript" | "select" | "textarea" => {
                return false;
            }
            "br" => {
                self.text_as_written("\n");
                return false;
            }
            "img" => {
                self.image(element);
                return false;
            }
            _ => {}
        }
        let is_list = matches!(element.name, "ul" | "ol");
        let is_quote = element.name == "blockquote" && self.quote < DEPTH_MAX;
        let is_paragraph = self.white_space == WhiteSpace::Collapsed && is_paragraph(element.name);
        let is_block = is_list || is_paragraph || element.name == "blockquote" || is_block(element.name);
        let before = self.style.clone();
        self.apply_style(&element);
        if is_block {
            self.end_block();
        }
        self.gap |= is_paragraph && !self.item;
        if is_list {
            self.lists.push(if element.name == "ol" { Kind::Number } else { Kind::Bullet });
        }
        self.quote += u8::from(is_quote);
        self.item |= element.name == "li" && !self.lists.is_empty();
        if element.name == "p" && self.white_space == WhiteSpace::Kept {
            self.start_block();
        }
        let is_preformatted = element.name == "pre";
        self.preformatted += usize::from(is_preformatted);
        let is_cell = matches!(element.name, "td" | "th");
        self.open.push(Open {
            style: before,
            is_block,
            is_paragraph,
            is_list,
            is_quote,
            is_preformatted,
            is_cell,
        });
        true
    }

    pub(crate) fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        if open.is_block {
            self.end_block();
        }
        self.gap |= open.is_paragraph;
        if open.is_cell {
            self.add_space();
        }
        if open.is_list {
            self.lists.pop();
            self.item = false;
        }
        self.quote -= u8::from(open.is_quote);
        self.preformatted -= usize::from(open.is_preformatted);
        self.style = open.style;
    }

    pub(crate) fn text(&mut self, text: &str) {
        if self.is_cut {
            return;
        }
        if self.white_space == WhiteSpace::Kept || self.preformatted > 0 {
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            if self.current.is_some() || !text.trim().is_empty() || self.preformatted > 0 {
                self.text_as_written(&text);
            }
            return;
        }
        let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c');
        if text.starts_with(is_space) {
            self.add_space();
        }
        for (at, word) in text.split(is_space).filter(|word| !word.is_empty()).enumerate() {
            if at > 0 {
                self.add_space();
            }
            self.write_space();
            self.text_as_written(word);
        }
        if text.ends_with(is_space) {
            self.add_space();
        }
    }

    /// A space between words; the first one decides about its style.
    fn add_space(&mut self) {
        if self.space.is_none() {
            self.space = Some(self.style.clone());
        }
    }

    /// Writes the space before a word or an image, unless a line begins with it.
    fn write_space(&mut self) {
        let Some(style) = self.space.take() else { return };
        let Some(block) = &mut self.current else { return };
        let is_inside_line = match block.runs.last() {
            Some(Run { content: Content::Text(text), .. }) => !text.ends_with([' ', '\n']),
            run => run.is_some(),
        };
        if is_inside_line {
            block.push(Run::text(" ", style));
        }
    }

    /// The position behind everything so far.
    pub(crate) fn position(&self) -> Position {
        Position { block: self.blocks.len(), offset: self.current.as_ref().map_or(0, Block::len) }
    }

    /// The blocks; at least one.
    pub(crate) fn finish(mut self) -> Vec<Block> {
        self.end_block();
        let mut document = RichText { blocks: self.blocks, original: None };
        document.normalize();
        document.blocks
    }

    fn text_as_written(&mut self, text: &str) {
        self.octets += text.len();
        if self.white_space == WhiteSpace::Collapsed && self.octets > OCTETS_MAX {
            self.is_cut = true;
            return;
        }
        let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
        let run = Run::text(text, self.style.clone());
        self.block().push(run);
    }

    fn image(&mut self, element: Element<'_>) {
        match element.image {
            Some(image) => {
                self.write_space();
                let run = Run { content: Content::Image(Rc::new(image)), style: self.style.clone() };
                self.block().push(run);
            }
            None => self.text(&element.alt.unwrap_or_default()),
        }
    }

    fn apply_style(&mut self, element: &Element<'_>) {
        match element.name {
            "b" | "strong" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "th" => self.style.bold = true,
            "i" | "em" => self.style.italic = true,
            "a" => self.style.link = element.href.as_deref().and_then(link).map(Rc::from),
            _ => {}
        }
        let style = element.style.as_deref().unwrap_or_default();
        for (name, value) in style.split(';').filter_map(|declaration| declaration.split_once(':')) {
            let value = value.trim().to_ascii_lowercase();
            match (name.trim().to_ascii_lowercase().as_str(), value.as_str()) {
                ("font-weight", "bold" | "bolder" | "600" | "700" | "800" | "900") => self.style.bold = true,
                ("font-weight", "normal" | "400" | "300") => self.style.bold = false,
                ("font-style", "italic" | "oblique") => self.style.italic = true,
                ("font-style", "normal") => self.style.italic = false,
                _ => {}
            }
        }
    }

    fn block(&mut self) -> &mut Block {
        if self.current.is_none() {
            self.start_block();
        }
        self.current.get_or_insert_default()
    }

    fn start_block(&mut self) {
        self.end_block();
        if self.white_space == WhiteSpace::Collapsed && self.blocks.len() >= BLOCKS_MAX {
            self.is_cut = true;
        }
        let is_item = std::mem::take(&mut self.item);
        if std::mem::take(&mut self.gap)
            && !is_item
            && self.blocks.last().is_some_and(|last| !last.is_empty() && last.quote == self.quote)
        {
            self.blocks.push(Block { quote: self.quote, ..Block::default() });
        }
        let level = u8::try_from(self.lists.len().saturating_sub(1)).unwrap_or(DEPTH_MAX).min(DEPTH_MAX);
        self.current = Some(match self.lists.last() {
            Some(kind) if is_item => Block { kind: *kind, level, quote: self.quote, runs: Vec::new() },
            _ => Block { quote: self.quote, ..Block::default() },
        });
    }

    fn end_block(&mut self) {
        self.space = None;
        let Some(mut block) = self.current.take() else { return };
        // A line break at the end of a block is not shown.
        if let Some(Run { content: Content::Text(text), .. }) = block.runs.last_mut() {
            if text.ends_with('\n') {
                text.pop();
            }
            if text.is_empty() {
                block.runs.pop();
            }
        }
        self.blocks.push(block);
    }
}

/// The address of a link: web, mail and telephone.
pub(crate) fn link(href: &str) -> Option<&str> {
    let href = href.trim();
    let scheme = href.split_once(':')?.0.to_ascii_lowercase();
    matches!(scheme.as_str(), "http" | "https" | "mailto" | "tel").then_some(href)
}

/// Elements with a margin.
fn is_paragraph(name: &str) -> bool {
    matches!(name, "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "table" | "dl" | "hr" | "pre")
}

fn is_block(name: &str) -> bool {
    matches!(
        name,
        "p" | "div"
            | "li"
            | "tr"
            | "dt"
            | "dd"
            | "body"
            | "section"
            | "article"
            | "header"
            | "footer"
            | "main"
            | "aside"
            | "nav"
            | "form"
            | "fieldset"
            | "center"
            | "address"
            | "caption"
            | "figure"
            | "pre"
            | "hr"
            | "table"
    )
}
