//! The editor of formatted text: a `contenteditable` element that shows a [`RichText`].
//!
//! The browser changes text inside a block by itself, also through input methods; the editor reads the result. Everything
//! else (Enter, deletions across blocks, formatting, paste, drop, Undo) changes the document, which is drawn again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use mail_core::message::draft::Attachment;
use mail_core::time::Instant;
use web_sys::{Element, HtmlElement, InputEvent};
use yew::Callback;

use crate::model::rich_text::edit::Formats;
use crate::model::rich_text::history::{Change, History, Snapshot};
use crate::model::rich_text::{Block, Content, Image, Original, Position, Range, RichText, Run, Style};
use crate::platform::blob_url::BlobUrl;
use crate::platform::rich_dom;

/// The editor of one draft. A handle for its component and the buttons.
pub(crate) struct Editor {
    root: HtmlElement,
    document: RefCell<Rc<RichText>>,
    /// The drawn HTML of each element at the top.
    drawn: RefCell<Vec<String>>,
    history: RefCell<History>,
    /// The last selection inside the editor. It remains when a button or a dialog has the focus.
    selection: Cell<Range>,
    /// A style that was chosen for text that is not typed yet.
    pending: RefCell<Option<(Position, Style)>>,
    /// An input method is composing text.
    composing: Cell<bool>,
    /// The selection is being dragged.
    dragging: Cell<bool>,
    images: RefCell<HashMap<String, BlobUrl>>,
    onchange: Callback<Rc<RichText>>,
    onformats: Callback<Formats>,
}

impl Editor {
    pub(super) fn new(
        root: HtmlElement,
        document: Rc<RichText>,
        onchange: Callback<Rc<RichText>>,
        onformats: Callback<Formats>,
    ) -> Self {
        Self {
            root,
            document: RefCell::new(document),
            drawn: RefCell::default(),
            history: RefCell::default(),
            selection: Cell::default(),
            pending: RefCell::default(),
            composing: Cell::default(),
            dragging: Cell::default(),
            images: RefCell::default(),
            onchange,
            onformats,
        }
    }

    pub(super) const fn root(&self) -> &HtmlElement {
        &self.root
    }

    pub(super) fn document(&self) -> Rc<RichText> {
        self.document.borrow().clone()
    }

    pub(super) const fn selection(&self) -> Range {
        self.selection.get()
    }

    /// Provides the images that the document shows.
    pub(super) fn set_images(&self, attachments: &[Rc<Attachment>]) {
        let mut images = self.images.borrow_mut();
        for file in attachments {
            if let Some(id) = &file.content_id
                && !images.contains_key(id)
                && let Some(url) = BlobUrl::for_image(file)
            {
                images.insert(id.clone(), url);
            }
        }
    }

    /// Shows a document that another tab or another mode has changed.
    pub(super) fn replace(&self, document: &Rc<RichText>) {
        if **document == **self.document.borrow() {
            return;
        }
        self.record(Change::Other);
        self.document.replace(document.clone());
        self.draw();
    }

    /// Draws the document.
    pub(super) fn draw(&self) -> bool {
        let images = self.images.borrow();
        let url = |id: &str| images.get(id).map_or_else(String::new, |url| url.as_str().to_owned());
        let html = self.document.borrow().editor_html(&url);
        let is_changed = rich_dom::draw(&self.root, &html, &self.drawn.borrow());
        self.drawn.replace(html);
        is_changed
    }

    /// Focuses the editor with the caret at a position.
    pub(super) fn focus_at(&self, position: Position) {
        let _ = self.root.focus();
        self.select(Range::at(position));
    }

    /// Changes the document. `change` gets the selection and returns the next one.
    pub(super) fn edit(&self, kind: Change, change: impl FnOnce(&mut RichText, Range) -> Range) {
        self.record(kind);
        let mut document = RichText::clone(&self.document.borrow());
        let selection = self.selection.get();
        let selection = Range { start: document.clamp(selection.start), end: document.clamp(selection.end) };
        let selection = change(&mut document, selection);
        self.pending.take();
        self.show(Rc::new(document), selection);
    }

    /// Inserts text or an image in the place of the selection.
    pub(super) fn insert(&self, kind: Change, content: Content, style: Option<Style>) {
        self.edit(kind, |document, selection| {
            let style = style.unwrap_or_else(|| document.style_at(selection.start));
            let at = document.delete(selection);
            Range::at(document.insert(at, Run { content, style }))
        });
    }

    pub(super) fn insert_blocks(&self, blocks: Vec<Block>) {
        self.edit(Change::Other, |document, selection| {
            let at = document.delete(selection);
            Range::at(document.insert_blocks(at, blocks))
        });
    }

    /// Shows an attachment in the text.
    pub(super) fn insert_image(&self, file: &Rc<Attachment>) {
        self.set_images(std::slice::from_ref(file));
        if let Some(content_id) = file.content_id.clone() {
            let image = Image { content_id, alt: file.name.clone() };
            self.insert(Change::Other, Content::Image(Rc::new(image)), Some(Style::default()));
        }
    }

    pub(super) fn set_original(&self, original: Option<Rc<Original>>, blocks: Vec<Block>) {
        self.edit(Change::Other, |document, selection| {
            document.original = original;
            document.blocks.extend(blocks);
            selection
        });
    }

    pub(super) fn begin_drag(&self) {
        self.dragging.set(true);
    }

    /// Returns whether the selection was being dragged.
    pub(super) fn ends_drag(&self) -> bool {
        self.dragging.take()
    }

    /// Moves the selected text to a position.
    pub(super) fn move_selection(&self, at: Position) {
        self.edit(Change::Other, |document, selection| {
            if (selection.start..=selection.end).contains(&at) {
                return selection;
            }
            let blocks = document.part(selection).blocks;
            if at > selection.end {
                document.insert_blocks(at, blocks);
                return Range::at(document.delete(selection));
            }
            document.delete(selection);
            Range::at(document.insert_blocks(at, blocks))
        });
    }

    pub(super) fn has_image(&self, content_id: &str) -> bool {
        self.images.borrow().contains_key(content_id)
    }

    /// The image of the draft to which an element refers.
    pub(super) fn image_of(&self, element: &Element) -> Option<Image> {
        let source = element.get_attribute("src")?;
        let content_id = source.strip_prefix("cid:").filter(|id| self.has_image(id))?;
        let alt = element.get_attribute("alt").unwrap_or_default();
        Some(Image { content_id: content_id.to_owned(), alt })
    }

    /// Changes the style of the selection, or of the text that is typed next.
    pub(super) fn toggle(&self, toggle: fn(&mut RichText, Range), pending: fn(&mut Style)) {
        let selection = self.selection.get();
        if !selection.is_empty() {
            return self.edit(Change::Other, |document, selection| {
                toggle(document, selection);
                selection
            });
        }
        let mut style = self.typing_style(selection.start);
        pending(&mut style);
        self.pending.replace(Some((selection.start, style)));
        self.report_formats();
        let _ = self.root.focus();
    }

    pub(super) fn undo(&self, redo: bool) {
        let current = self.snapshot();
        let mut history = self.history.borrow_mut();
        let state = if redo { history.redo(current) } else { history.undo(current) };
        drop(history);
        if let Some(Snapshot { document, selection }) = state {
            self.show(document, selection);
        }
    }

    /// The selection has moved.
    pub(super) fn selection_changed(&self) {
        if self.composing.get() || !rich_dom::has_selection(&self.root) {
            return;
        }
        let Some(selection) = rich_dom::selected(&self.root) else { return };
        if selection != self.selection.replace(selection) {
            self.history.borrow_mut().end_group();
            self.pending.borrow_mut().take_if(|(at, _)| Range::at(*at) != selection);
        }
        self.report_formats();
    }

    /// Before the browser changes the element. Returns whether the editor has made the change itself.
    pub(super) fn before_input(&self, event: &InputEvent) -> bool {
        let kind = event.input_type();
        if self.composing.get() || kind == "insertCompositionText" {
            return false;
        }
        if let Some(selection) = rich_dom::selected(&self.root) {
            self.selection.set(selection);
        }
        let selection = self.selection.get();
        match kind.as_str() {
            "insertText" => self.type_text(&event.data().unwrap_or_default()),
            "insertParagraph" => {
                self.edit(Change::Other, |document, selection| {
                    let at = document.delete(selection);
                    Range::at(document.split(at))
                });
                true
            }
            "insertLineBreak" => {
                self.insert(Change::Other, Content::Text("\n".to_owned()), None);
                true
            }
            "formatBold" => {
                self.toggle_bold();
                true
            }
            "formatItalic" => {
                self.toggle_italic();
                true
            }
            "historyUndo" | "historyRedo" => {
                self.undo(kind == "historyRedo");
                true
            }
            _ if kind.starts_with("format") => true,
            "insertOrderedList" | "insertUnorderedList" | "insertHorizontalRule" | "insertLink" => true,
            _ if kind.starts_with("delete") => self.delete(&kind, selection),
            _ => false,
        }
    }

    /// After the browser has changed the element.
    pub(super) fn input(&self, event: &InputEvent) {
        let change = if event.input_type().starts_with("delete") { Change::Deleting } else { Change::Typing };
        self.read(change);
        if !self.composing.get() {
            self.draw_and_select();
        }
    }

    pub(super) fn composition_started(&self) {
        if let Some(selection) = rich_dom::selected(&self.root) {
            self.selection.set(selection);
        }
        self.composing.set(true);
    }

    pub(super) fn composition_ended(&self) {
        self.composing.set(false);
        let start = self.selection.get().start;
        self.read(Change::Typing);
        let end = self.selection.get().end;
        let pending = self.pending.take();
        if let Some((at, style)) = pending.filter(|(at, _)| *at <= end) {
            let mut document = RichText::clone(&self.document.borrow());
            document.set_style(Range::new(at.min(start), end), |own| own.clone_from(&style));
            self.document.replace(Rc::new(document));
            self.onchange.emit(self.document());
        }
        self.draw_and_select();
    }

    pub(super) fn toggle_bold(&self) {
        self.toggle(RichText::toggle_bold, |style| style.bold = !style.bold);
    }

    pub(super) fn toggle_italic(&self) {
        self.toggle(RichText::toggle_italic, |style| style.italic = !style.italic);
    }

    /// Types text unless the browser can do it: it knows no chosen style, and no end of a link.
    fn type_text(&self, text: &str) -> bool {
        let selection = self.selection.get();
        let pending = self.pending.take().filter(|(at, _)| *at == selection.start).map(|(_, style)| style);
        let document = self.document();
        let is_plain_text = selection.is_empty()
            && pending.is_none()
            && document
                .link_at(selection.start)
                .is_none_or(|(link, _)| selection.start > link.start && selection.start < link.end);
        if is_plain_text || text.is_empty() {
            return false;
        }
        self.insert(Change::Typing, Content::Text(text.to_owned()), pending);
        true
    }

    fn delete(&self, kind: &str, selection: Range) -> bool {
        if !selection.is_empty() {
            self.edit(Change::Deleting, |document, selection| Range::at(document.delete(selection)));
            return true;
        }
        let document = self.document();
        let at = selection.start;
        let is_forward = kind.ends_with("Forward");
        let is_at_end = at.offset == document.blocks.get(at.block).map_or(0, Block::len);
        let joins = if is_forward { is_at_end } else { at.offset == 0 && kind.ends_with("Backward") };
        if joins {
            self.edit(Change::Other, |document, selection| {
                let joined = match is_forward {
                    true => document.join_after(at.block),
                    false => document.join_before(at.block),
                };
                joined.map_or(selection, Range::at)
            });
        }
        joins
    }

    /// Reads what the browser has changed.
    fn read(&self, change: Change) {
        self.record(change);
        let read = rich_dom::read_editor(&self.root);
        let original = self.document.borrow().original.clone();
        let document = Rc::new(RichText { blocks: read.blocks, original });
        self.document.replace(document.clone());
        if let [Some(anchor), Some(focus)] = read.points {
            self.selection.set(Range::new(anchor, focus));
        }
        self.onchange.emit(document);
    }

    fn show(&self, document: Rc<RichText>, selection: Range) {
        self.document.replace(document.clone());
        self.draw();
        self.select(selection);
        rich_dom::reveal(&self.root, selection.end);
        self.onchange.emit(document);
    }

    /// Draws the document if the browser has left other elements.
    fn draw_and_select(&self) {
        if self.draw() {
            self.select(self.selection.get());
        }
        self.report_formats();
    }

    fn select(&self, selection: Range) {
        self.selection.set(selection);
        rich_dom::select(&self.root, selection);
        self.report_formats();
    }

    fn record(&self, change: Change) {
        self.history.borrow_mut().record(self.snapshot(), change, Instant::now());
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { document: self.document(), selection: self.selection.get() }
    }

    fn typing_style(&self, at: Position) -> Style {
        let pending = self.pending.borrow();
        let pending = pending.as_ref().filter(|(pending, _)| *pending == at).map(|(_, style)| style.clone());
        pending.unwrap_or_else(|| {
            let document = self.document.borrow();
            document.style_at(document.clamp(at))
        })
    }

    fn report_formats(&self) {
        let document = self.document.borrow();
        let selection = self.selection.get();
        let selection = Range { start: document.clamp(selection.start), end: document.clamp(selection.end) };
        let mut formats = document.formats(selection);
        drop(document);
        if selection.is_empty() {
            let typed = self.typing_style(selection.start);
            (formats.style.bold, formats.style.italic) = (typed.bold, typed.italic);
        }
        self.onformats.emit(formats);
    }
}

impl PartialEq for Editor {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}
