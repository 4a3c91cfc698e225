//! Changes of a document. Positions must exist; see [`RichText::clamp`].

use std::rc::Rc;

use super::{Block, Content, DEPTH_MAX, Kind, Position, Range, RichText, Run, Style};

/// Formats of a selection, for the buttons of the editor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Formats {
    pub(crate) style: Style,
    pub(crate) kind: Kind,
    pub(crate) is_quoted: bool,
}

impl RichText {
    /// Deletes a range and returns its start.
    pub(crate) fn delete(&mut self, range: Range) -> Position {
        let Range { start, end } = range;
        if range.is_empty() {
            return start;
        }
        let tail = self.blocks[end.block].split_off(end.offset);
        self.blocks[start.block].split_off(start.offset);
        self.blocks.drain(start.block + 1..=end.block.max(start.block));
        for run in tail {
            self.blocks[start.block].push(run);
        }
        self.normalize();
        start
    }

    /// Inserts a run and returns the position behind it.
    pub(crate) fn insert(&mut self, at: Position, run: Run) -> Position {
        let block = &mut self.blocks[at.block];
        let end = Position { offset: at.offset + run.len(), ..at };
        let tail = block.split_off(at.offset);
        for run in std::iter::once(run).chain(tail) {
            block.push(run);
        }
        end
    }

    /// Inserts blocks and returns the position behind them. The first one continues the block at the position, and the
    /// text behind the position continues the last one.
    pub(crate) fn insert_blocks(&mut self, at: Position, blocks: Vec<Block>) -> Position {
        let target = &mut self.blocks[at.block];
        let (quote, tail) = (target.quote, target.split_off(at.offset));
        let mut blocks = blocks.into_iter();
        let Some(first) = blocks.next() else { return at };
        if target.is_empty() && target.kind == Kind::Paragraph {
            (target.kind, target.level) = (first.kind, first.level);
            target.quote = (quote + first.quote).min(DEPTH_MAX);
        }
        for run in first.runs {
            target.push(run);
        }
        let quoted = blocks.map(|block| Block { quote: (quote + block.quote).min(DEPTH_MAX), ..block });
        let next = at.block + 1;
        let before = self.blocks.len();
        self.blocks.splice(next..next, quoted);
        let last = at.block + self.blocks.len() - before;
        let end = Position { block: last, offset: self.blocks[last].len() };
        for run in tail {
            self.blocks[last].push(run);
        }
        self.normalize();
        end
    }

    /// Enter: splits a block. An empty item leaves its list, and an empty paragraph its quotation.
    pub(crate) fn split(&mut self, at: Position) -> Position {
        let block = &mut self.blocks[at.block];
        if block.is_empty() && (block.is_item() || block.quote > 0) {
            self.outdent_block(at.block);
            return at;
        }
        let runs = block.split_off(at.offset);
        let rest = Block { runs, ..Block { runs: Vec::new(), ..block.clone() } };
        self.blocks.insert(at.block + 1, rest);
        Position { block: at.block + 1, offset: 0 }
    }

    /// Backspace at the start of a block: the block leaves its list or quotation, or joins the previous one. `None` at
    /// the start of the document.
    pub(crate) fn join_before(&mut self, block: usize) -> Option<Position> {
        let current = self.blocks.get(block)?;
        if current.is_item() || current.quote > block.checked_sub(1).map_or(0, |at| self.blocks[at].quote) {
            self.outdent_block(block);
            return Some(Position { block, offset: 0 });
        }
        let previous = block.checked_sub(1)?;
        Some(self.join(previous))
    }

    /// Delete at the end of a block: the next one joins it. `None` at the end of the document.
    pub(crate) fn join_after(&mut self, block: usize) -> Option<Position> {
        (block + 1 < self.blocks.len()).then(|| self.join(block))
    }

    /// Appends the next block to this one; returns the position between them.
    fn join(&mut self, block: usize) -> Position {
        let next = self.blocks.remove(block + 1);
        let position = Position { block, offset: self.blocks[block].len() };
        if self.blocks[block].is_empty() {
            self.blocks[block] = next;
        } else {
            for run in next.runs {
                self.blocks[block].push(run);
            }
        }
        self.normalize();
        position
    }

    fn outdent_block(&mut self, block: usize) {
        let block = &mut self.blocks[block];
        if block.level > 0 {
            block.level -= 1;
        } else if block.is_item() {
            block.kind = Kind::Paragraph;
        } else {
            block.quote = block.quote.saturating_sub(1);
        }
        self.normalize();
    }

    /// Changes the style of the text in a range.
    pub(crate) fn set_style(&mut self, range: Range, change: impl Fn(&mut Style)) {
        self.for_each_part(range, |block, start, end| {
            let tail = block.split_off(end);
            let changed = block.split_off(start).into_iter().map(|mut run| {
                change(&mut run.style);
                run
            });
            for run in changed.chain(tail) {
                block.push(run);
            }
        });
    }

    fn for_each_part(&mut self, range: Range, mut act: impl FnMut(&mut Block, usize, usize)) {
        let Range { start, end } = range;
        for at in start.block..=end.block {
            let from = if at == start.block { start.offset } else { 0 };
            let to = if at == end.block { end.offset } else { self.blocks[at].len() };
            act(&mut self.blocks[at], from, to);
        }
    }

    /// Whether all of the text in a range has a style. False without text.
    fn all_text(&self, range: Range, has: impl Fn(&Style) -> bool) -> bool {
        let part = self.part(range);
        let runs = part.blocks.iter().flat_map(|block| &block.runs);
        let mut texts = runs.filter(|run| matches!(run.content, Content::Text(_))).peekable();
        texts.peek().is_some() && texts.all(|run| has(&run.style))
    }

    /// Makes the text of a range bold, or not bold if all of it is.
    pub(crate) fn toggle_bold(&mut self, range: Range) {
        let bold = !self.all_text(range, |style| style.bold);
        self.set_style(range, |style| style.bold = bold);
    }

    pub(crate) fn toggle_italic(&mut self, range: Range) {
        let italic = !self.all_text(range, |style| style.italic);
        self.set_style(range, |style| style.italic = italic);
    }

    pub(crate) fn set_link(&mut self, range: Range, link: Option<Rc<str>>) {
        self.set_style(range, |style| style.link.clone_from(&link));
    }

    /// Makes the blocks of a range items of a list, or paragraphs if all are such items.
    pub(crate) fn toggle_list(&mut self, range: Range, kind: Kind) {
        let blocks = &mut self.blocks[range.start.block..=range.end.block];
        let ends = blocks.iter().all(|block| block.kind == kind);
        for block in blocks {
            if ends {
                (block.kind, block.level) = (Kind::Paragraph, 0);
            } else {
                block.kind = kind;
            }
        }
        self.normalize();
    }

    /// Moves items one list deeper, or back. Returns whether there are items.
    pub(crate) fn indent(&mut self, range: Range, deeper: bool) -> bool {
        let items =
            self.blocks[range.start.block..=range.end.block].iter_mut().filter(|block| block.is_item());
        let mut any = false;
        for item in items {
            any = true;
            item.level = if deeper { (item.level + 1).min(DEPTH_MAX) } else { item.level.saturating_sub(1) };
        }
        self.normalize();
        any
    }

    /// Quotes the blocks of a range, or ends their quotation if all are quoted.
    pub(crate) fn toggle_quote(&mut self, range: Range) {
        let blocks = &mut self.blocks[range.start.block..=range.end.block];
        let ends = blocks.iter().all(|block| block.quote > 0);
        for block in blocks {
            block.quote = if ends { block.quote - 1 } else { (block.quote + 1).min(DEPTH_MAX) };
        }
        self.normalize();
    }

    /// The style for text that is typed at a position: that of the character before it. A link does not continue behind
    /// its end.
    pub(crate) fn style_at(&self, at: Position) -> Style {
        let block = &self.blocks[at.block];
        let mut end = 0;
        for (index, run) in block.runs.iter().enumerate() {
            end += run.len();
            let is_before = at.offset <= end;
            if !is_before {
                continue;
            }
            let next = if at.offset < end { Some(run) } else { block.runs.get(index + 1) };
            let is_inside = at.offset > 0 && next.is_some_and(|next| next.style.link == run.style.link);
            let link = run.style.link.clone().filter(|_| is_inside);
            return Style { link, ..run.style.clone() };
        }
        Style::default()
    }

    /// The link at a position, and its range.
    pub(crate) fn link_at(&self, at: Position) -> Option<(Range, Rc<str>)> {
        let block = self.blocks.get(at.block)?;
        let (mut start, mut end) = (0, 0);
        let mut link: Option<&Rc<str>> = None;
        for run in &block.runs {
            if run.style.link.as_ref() != link {
                if link.is_some() && (start..=end).contains(&at.offset) {
                    break;
                }
                (start, link) = (end, run.style.link.as_ref());
            }
            end += run.len();
        }
        let position = |offset| Position { offset, ..at };
        let found = link.filter(|_| (start..=end).contains(&at.offset))?;
        Some((Range { start: position(start), end: position(end) }, found.clone()))
    }

    /// The formats that a whole selection has, or that typed text will have.
    pub(crate) fn formats(&self, range: Range) -> Formats {
        let blocks = &self.blocks[range.start.block..=range.end.block];
        let kind = blocks[0].kind;
        let style = if range.is_empty() {
            let link = self.link_at(range.start).map(|(_, link)| link);
            Style { link, ..self.style_at(range.start) }
        } else {
            let link =
                self.link_at(range.start).filter(|(link, _)| range.end <= link.end).map(|(_, link)| link);
            Style {
                bold: self.all_text(range, |style| style.bold),
                italic: self.all_text(range, |style| style.italic),
                link,
            }
        };
        Formats {
            style,
            kind: if blocks.iter().all(|block| block.kind == kind) { kind } else { Kind::Paragraph },
            is_quoted: blocks.iter().all(|block| block.quote > 0),
        }
    }

    /// The part of the document in a range, without the original.
    pub(crate) fn part(&self, range: Range) -> Self {
        let Range { start, end } = range;
        let mut blocks = self.blocks[start.block..=end.block].to_vec();
        if let Some(last) = blocks.last_mut() {
            last.split_off(end.offset);
        }
        let first = &mut blocks[0];
        first.runs = first.split_off(start.offset);
        let mut part = Self { blocks, original: None };
        part.normalize();
        part
    }

    /// Restores the rules for levels: a paragraph has none, and an item is at most one list deeper than the item before.
    pub(super) fn normalize(&mut self) {
        if self.blocks.is_empty() {
            self.blocks.push(Block::default());
        }
        // The depth and the quotation of the item before.
        let mut before = None;
        for block in &mut self.blocks {
            if block.is_item() {
                let deepest =
                    before.filter(|(_, quote)| *quote == block.quote).map_or(0, |(level, _)| level + 1);
                block.level = block.level.min(deepest).min(DEPTH_MAX);
                before = Some((block.level, block.quote));
            } else {
                block.level = 0;
                before = None;
            }
        }
    }
}
