//! Formatted text: the document of the compose pane.
//!
//! A document is a list of blocks: paragraphs and list items, which may be quoted. A block is a list of runs: text or an
//! image, with a style. The quoted or forwarded message below the text is not part of the list; it keeps its own HTML.
//!
//! | file | contents |
//! |---|---|
//! | `edit.rs` | changes of a document |
//! | `builder.rs` | a document from HTML |
//! | `write.rs` | HTML and plain text from a document |
//! | `history.rs` | Undo and Redo |
//!
//! Nothing here uses the DOM.

pub(crate) mod builder;
pub(crate) mod edit;
pub(crate) mod history;
mod write;

use std::rc::Rc;

use mail_core::message::draft::Attachment;

/// Deepest quotation and list. Deeper ones are flattened.
const DEPTH_MAX: u8 = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RichText {
    /// At least one.
    pub(crate) blocks: Vec<Block>,
    pub(crate) original: Option<Rc<Original>>,
}

/// The message that a reply quotes or that is forwarded, below the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    /// Sanitized HTML, with the lines above the message.
    pub(crate) html: String,
    /// The same as plain text.
    pub(crate) text: String,
    /// The message is forwarded: its images remain attached if its HTML is removed.
    pub(crate) is_forwarded: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Paragraph,
    Bullet,
    Number,
}

/// A paragraph or a list item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    /// Number of lists around the item's own list. 0 for a paragraph.
    pub(crate) level: u8,
    /// Number of quotations around the block.
    pub(crate) quote: u8,
    /// Without empty texts and without neighbours that could be one run.
    pub(crate) runs: Vec<Run>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) content: Content,
    pub(crate) style: Style,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A line break inside the block is `\n`.
    Text(String),
    Image(Rc<Image>),
}

/// An attachment that is shown in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) content_id: String,
    pub(crate) alt: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    /// The address of a link.
    pub(crate) link: Option<Rc<str>>,
}

/// A position between two characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) block: usize,
    /// UTF-16 code units, as in the DOM. An image counts as one.
    pub(crate) offset: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: Position,
    pub(crate) end: Position,
}

impl Range {
    pub(crate) fn new(one: Position, other: Position) -> Self {
        Self { start: one.min(other), end: one.max(other) }
    }

    pub(crate) const fn at(position: Position) -> Self {
        Self { start: position, end: position }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl Run {
    pub(crate) fn text(text: impl Into<String>, style: Style) -> Self {
        Self { content: Content::Text(text.into()), style }
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Text(text) => utf16_len(text),
            Content::Image(_) => 1,
        }
    }
}

impl Block {
    /// A paragraph without formatting.
    fn plain(text: &str) -> Self {
        let mut block = Self::default();
        block.push(Run::text(text, Style::default()));
        block
    }

    /// Length in the units of [`Position::offset`].
    pub(crate) fn len(&self) -> usize {
        self.runs.iter().map(Run::len).sum()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(crate) const fn is_item(&self) -> bool {
        matches!(self.kind, Kind::Bullet | Kind::Number)
    }

    /// Adds a run at the end.
    fn push(&mut self, run: Run) {
        let Content::Text(text) = &run.content else { return self.runs.push(run) };
        if text.is_empty() {
            return;
        }
        if let Some(Run { content: Content::Text(last), style }) = self.runs.last_mut()
            && *style == run.style
        {
            last.push_str(text);
        } else {
            self.runs.push(run);
        }
    }

    /// Removes the runs behind an offset and returns them.
    fn split_off(&mut self, offset: usize) -> Vec<Run> {
        let mut left = offset;
        for at in 0..self.runs.len() {
            let len = self.runs[at].len();
            if left >= len {
                left -= len;
                continue;
            }
            let mut rest = self.runs.split_off(at);
            if left > 0
                && let Run { content: Content::Text(text), style } = &mut rest[0]
            {
                let tail = text.split_off(byte_at(text, left));
                let head = std::mem::replace(text, tail);
                let style = style.clone();
                self.push(Run::text(head, style));
            }
            rest.retain(|run| run.len() > 0);
            return rest;
        }
        Vec::new()
    }
}

impl RichText {
    /// A paragraph for each line. Lines that begin with `>` are quoted.
    pub(crate) fn from_plain(text: &str) -> Self {
        let block = |line: &str| {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let mut rest = line;
            let mut quote = 0;
            while let Some(quoted) = rest.strip_prefix('>').filter(|_| quote < DEPTH_MAX) {
                quote += 1;
                rest = quoted.strip_prefix(' ').filter(|rest| rest.starts_with('>')).unwrap_or(quoted);
            }
            let rest = if quote > 0 { rest.strip_prefix(' ').unwrap_or(rest) } else { line };
            Block { quote, ..Block::plain(rest) }
        };
        Self { blocks: text.split('\n').map(block).collect(), original: None }
    }

    /// A paragraph for each line, as it is written.
    pub(crate) fn from_lines(text: &str) -> Vec<Block> {
        text.split('\n').map(Block::plain).collect()
    }

    /// Whether plain text would lose something.
    pub(crate) fn has_formatting(&self) -> bool {
        let is_formatted = |block: &Block| {
            block.is_item()
                || block.quote > 0
                || block
                    .runs
                    .iter()
                    .any(|run| run.style != Style::default() || matches!(run.content, Content::Image(_)))
        };
        self.original.is_some() || self.blocks.iter().any(is_formatted)
    }

    /// Approximate size in memory.
    pub(crate) fn octets(&self) -> usize {
        let run = |run: &Run| match &run.content {
            Content::Text(text) => text.len() + size_of::<Run>(),
            Content::Image(_) => size_of::<Run>(),
        };
        let block = |block: &Block| block.runs.iter().map(run).sum::<usize>() + size_of::<Block>();
        self.blocks.iter().map(block).sum()
    }

    /// The end of the document.
    pub(crate) fn end(&self) -> Position {
        let block = self.blocks.len().saturating_sub(1);
        Position { block, offset: self.blocks.get(block).map_or(0, Block::len) }
    }

    /// The nearest position that exists.
    pub(crate) fn clamp(&self, position: Position) -> Position {
        match self.blocks.get(position.block) {
            Some(block) => Position { offset: position.offset.min(block.len()), ..position },
            None => self.end(),
        }
    }

    /// Whether the HTML shows this attachment.
    pub(crate) fn shows(&self, attachment: &Attachment) -> bool {
        let Some(id) = &attachment.content_id else { return false };
        let is_shown = |run: &Run| matches!(&run.content, Content::Image(image) if image.content_id == *id);
        let in_original = || {
            let original = self.original.as_ref();
            original.is_some_and(|original| original.html.contains(&format!("\"cid:{id}\"")))
        };
        self.blocks.iter().flat_map(|block| &block.runs).any(is_shown) || in_original()
    }
}

fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The byte index of an offset in UTF-16 code units, at the nearest character before it.
fn byte_at(text: &str, offset: usize) -> usize {
    let mut units = 0;
    for (at, c) in text.char_indices() {
        units += c.len_utf16();
        if units > offset {
            return at;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests;
