//! Formatted text in the DOM: reads a document and a selection from elements, and draws them.
//!
//! Reading accepts any elements, because browsers change the editor in their own ways. Drawing replaces only what differs.

use js_sys::{Array, Function};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Document, DomParser, Element, HtmlTemplateElement, Node, Selection, SupportedType};

use super::{dom, js};
use crate::model::rich_text::builder::{self, Builder, WhiteSpace};
use crate::model::rich_text::{Block, Image, Position, Range};

/// A document read from the DOM.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) blocks: Vec<Block>,
    /// The positions of the points that were asked for, if they are in the document.
    pub(crate) points: [Option<Position>; 2],
    /// The document was too large.
    pub(crate) is_cut: bool,
}

/// A point in the DOM: a node and an offset in it.
type Point = Option<(Node, u32)>;

/// The blocks of [`stored_html`](crate::model::rich_text::RichText::stored_html). Nothing is loaded or run.
pub(crate) fn stored_blocks(html: &str) -> Vec<Block> {
    let document =
        DomParser::new().and_then(|parser| parser.parse_from_string(html, SupportedType::TextHtml));
    let body = document.ok().and_then(|document| document.body());
    match body {
        Some(body) => read(&body, WhiteSpace::Kept, [None, None], image_of).blocks,
        None => Builder::new(WhiteSpace::Kept).finish(),
    }
}

/// The content of the editor and its selection.
pub(crate) fn read_editor(root: &Node) -> Read {
    let selection = selection();
    let selection = selection.as_ref();
    let anchor = selection.and_then(|selection| Some((selection.anchor_node()?, selection.anchor_offset())));
    let focus = selection.and_then(|selection| Some((selection.focus_node()?, selection.focus_offset())));
    read(root, WhiteSpace::Kept, [anchor, focus], image_of)
}

/// The content of sanitized HTML that is pasted. `image` returns the images that it may contain.
pub(crate) fn read_pasted(root: &Node, image: impl FnMut(&Element) -> Option<Image>) -> Read {
    read(root, WhiteSpace::Collapsed, [None, None], image)
}

/// The image of an editor's element.
fn image_of(element: &Element) -> Option<Image> {
    let alt = element.get_attribute("alt").unwrap_or_default();
    Some(Image { content_id: element.get_attribute("data-id")?, alt })
}

fn read(
    root: &Node,
    white_space: WhiteSpace,
    points: [Point; 2],
    mut image: impl FnMut(&Element) -> Option<Image>,
) -> Read {
    let mut reader = Reader { builder: Builder::new(white_space), wanted: points, found: [None, None] };
    let mut next = Some(root.clone());
    // Not recursive, because hostile documents are deep.
    while let Some(node) = next {
        let child = if reader.enter(&node, root, &mut image) { node.first_child() } else { None };
        let mut node = node;
        next = child;
        while next.is_none() {
            if node.is_same_node(Some(root)) {
                break;
            }
            next = node.next_sibling();
            if next.is_none() {
                let Some(parent) = node.parent_node() else { break };
                reader.leave(&parent, root);
                node = parent;
            }
        }
    }
    let Reader { builder, found, .. } = reader;
    let is_cut = builder.is_cut();
    let blocks = builder.finish();
    let clamp = |position: Position| {
        let block = position.block.min(blocks.len().saturating_sub(1));
        let len = blocks[block].len();
        Position { block, offset: if position.block > block { len } else { position.offset.min(len) } }
    };
    let points = found.map(|point| point.map(clamp));
    Read { blocks, points, is_cut }
}

struct Reader {
    builder: Builder,
    wanted: [Point; 2],
    found: [Option<Position>; 2],
}

impl Reader {
    /// Returns whether the children follow.
    fn enter(&mut self, node: &Node, root: &Node, image: &mut impl FnMut(&Element) -> Option<Image>) -> bool {
        self.find_before(node);
        if node.node_type() == Node::TEXT_NODE {
            self.text(node);
            return false;
        }
        let Some(element) = node.dyn_ref::<Element>() else { return false };
        let name = element.local_name();
        if node.is_same_node(Some(root)) {
            if name == "p" {
                self.builder.open(builder::Element { name: &name, ..builder::Element::default() });
            }
            self.find_inside(node, 0);
            return true;
        }
        let attribute = |name| element.get_attribute(name);
        let is_image = name == "img";
        let opened = self.builder.open(builder::Element {
            name: &name,
            href: if name == "a" { attribute("href") } else { None },
            style: attribute("style"),
            image: if is_image { image(element) } else { None },
            alt: if is_image { attribute("alt") } else { None },
        });
        if opened {
            self.find_inside(node, 0);
            if node.first_child().is_none() {
                self.builder.close();
                return false;
            }
        }
        opened
    }

    /// After the last child of a node.
    fn leave(&mut self, node: &Node, root: &Node) {
        let count = node.child_nodes().length();
        self.find_inside(node, count);
        if !node.is_same_node(Some(root)) {
            self.builder.close();
        }
    }

    fn text(&mut self, node: &Node) {
        let text = node.text_content().unwrap_or_default();
        let mut offsets: Vec<(usize, u32)> = Vec::new();
        for (at, point) in self.wanted.iter().enumerate() {
            if let Some((wanted, offset)) = point
                && wanted.is_same_node(Some(node))
            {
                offsets.push((at, *offset));
            }
        }
        offsets.sort_by_key(|(_, offset)| *offset);
        let units: Vec<u16> = if offsets.is_empty() { Vec::new() } else { text.encode_utf16().collect() };
        let mut start = 0;
        for (at, offset) in offsets {
            let end = (offset as usize).clamp(start, units.len());
            self.builder.text(&String::from_utf16_lossy(&units[start..end]));
            self.found[at] = Some(self.builder.position());
            start = end;
        }
        if start == 0 {
            self.builder.text(&text);
        } else {
            self.builder.text(&String::from_utf16_lossy(&units[start..]));
        }
    }

    /// A point before a node is in its parent.
    fn find_before(&mut self, node: &Node) {
        for at in 0..self.wanted.len() {
            let Some((wanted, offset)) = &self.wanted[at] else { continue };
            if self.found[at].is_none()
                && wanted.child_nodes().item(*offset).is_some_and(|child| child.is_same_node(Some(node)))
            {
                self.found[at] = Some(self.builder.position());
            }
        }
    }

    fn find_inside(&mut self, node: &Node, offset: u32) {
        for at in 0..self.wanted.len() {
            let Some((wanted, wanted_offset)) = &self.wanted[at] else { continue };
            if self.found[at].is_none() && *wanted_offset == offset && wanted.is_same_node(Some(node)) {
                self.found[at] = Some(self.builder.position());
            }
        }
    }
}

/// Makes the children of `root` those of `html`, which has one element in each string. `drawn` is what was drawn before.
/// Children that are equal stay. Returns whether something was replaced.
pub(crate) fn draw(root: &Element, html: &[String], drawn: &[String]) -> bool {
    let children = root.child_nodes();
    let is_known = children.length() as usize == drawn.len();
    let same = if is_known { html.iter().zip(drawn).take_while(|(new, old)| new == old).count() } else { 0 };
    let rest = html.len().min(drawn.len()) - same;
    let same_end = if is_known {
        html.iter().rev().zip(drawn.iter().rev()).take(rest).take_while(|(new, old)| new == old).count()
    } else {
        0
    };
    let new: Vec<Node> = parse(&html[same..html.len() - same_end]);
    let old_end = children.length() as usize - same_end;
    let old: Vec<Node> = (same..old_end).filter_map(|at| children.item(u32::try_from(at).ok()?)).collect();
    if new.len() == old.len() && new.iter().zip(&old).all(|(new, old)| new.is_equal_node(Some(old))) {
        return false;
    }
    let after = children.item(u32::try_from(old_end).unwrap_or(u32::MAX));
    for node in &old {
        let _ = root.remove_child(node);
    }
    for node in &new {
        // Fails only if `after` is gone.
        let _ = root.insert_before(node, after.as_ref());
    }
    true
}

/// The nodes of HTML that the page has written itself.
fn parse(html: &[String]) -> Vec<Node> {
    let template = dom::document().and_then(|document: Document| document.create_element("template").ok());
    let Some(template) = template.and_then(|template| template.dyn_into::<HtmlTemplateElement>().ok()) else {
        return Vec::new();
    };
    template.set_inner_html(&html.concat());
    let nodes = template.content().child_nodes();
    (0..nodes.length()).filter_map(|at| nodes.item(at)).collect()
}

/// Selects a range of a drawn document.
pub(crate) fn select(root: &Element, range: Range) {
    let point = |position: Position| point(root, position);
    if let (Some(selection), Some(start), Some(end)) = (selection(), point(range.start), point(range.end)) {
        let _ = selection.set_base_and_extent(&start.0, start.1, &end.0, end.1);
    }
}

/// Scrolls the caret into view, after the page has moved it.
pub(crate) fn reveal(root: &Element, position: Position) {
    let block = paragraph(root, position.block);
    let options = web_sys::ScrollIntoViewOptions::new();
    options.set_block(web_sys::ScrollLogicalPosition::Nearest);
    if let Some(block) = block {
        block.scroll_into_view_with_scroll_into_view_options(&options);
    }
}

pub(crate) fn selection() -> Option<Selection> {
    web_sys::window()?.get_selection().ok().flatten()
}

/// Whether the selection is inside an element.
pub(crate) fn has_selection(root: &Node) -> bool {
    selection().is_some_and(|selection| root.contains(selection.focus_node().as_ref()))
}

/// The position of a point in a drawn document, without reading all of it. `None` if the point is elsewhere.
pub(crate) fn selected(root: &Element) -> Option<Range> {
    let selection = selection()?;
    let position = |node, offset| position(root, node, offset);
    let anchor = position(selection.anchor_node()?, selection.anchor_offset())?;
    let focus = if selection.is_collapsed() {
        anchor
    } else {
        position(selection.focus_node()?, selection.focus_offset())?
    };
    Some(Range::new(anchor, focus))
}

fn position(root: &Element, node: Node, offset: u32) -> Option<Position> {
    let element = node.dyn_ref::<Element>().cloned().or_else(|| node.parent_element())?;
    let paragraph = element.closest("p").ok().flatten().filter(|paragraph| root.contains(Some(paragraph)))?;
    let all = Array::from(&JsValue::from(root.query_selector_all("p").ok()?));
    let block = usize::try_from(all.index_of(&paragraph, 0)).ok()?;
    let read = read(&paragraph, WhiteSpace::Kept, [Some((node, offset)), None], image_of);
    Some(Position { block, offset: read.points[0]?.offset })
}

/// The position at a point of the window.
pub(crate) fn position_at(root: &Element, x: i32, y: i32) -> Option<Position> {
    let document = JsValue::from(dom::document()?);
    let call = |name: &str| {
        let function = js::property(&document, name)?.dyn_into::<Function>().ok()?;
        function.call2(&document, &x.into(), &y.into()).ok().filter(|found| !found.is_null())
    };
    // The standard's method, and that of older browsers.
    let found = call("caretPositionFromPoint").or_else(|| call("caretRangeFromPoint"))?;
    let either = |one, other| js::property(&found, one).or_else(|| js::property(&found, other));
    let node = either("offsetNode", "startContainer")?.dyn_into::<Node>().ok()?;
    let offset = either("offset", "startOffset")?.as_f64()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    position(root, node, offset as u32)
}

fn paragraph(root: &Element, block: usize) -> Option<Element> {
    root.query_selector_all("p").ok()?.item(u32::try_from(block).ok()?)?.dyn_into().ok()
}

/// The node and the offset of a position.
fn point(root: &Element, position: Position) -> Option<(Node, u32)> {
    let paragraph: Node = paragraph(root, position.block)?.into();
    let mut left = u32::try_from(position.offset).ok()?;
    let mut last = (paragraph.clone(), 0);
    let mut next = paragraph.first_child();
    while let Some(node) = next {
        if let Some(text) = node.dyn_ref::<web_sys::CharacterData>() {
            if left <= text.length() {
                return Some((node, left));
            }
            left -= text.length();
        } else if node.first_child().is_none() {
            let place = place(&node)?;
            if left == 0 {
                return Some(place);
            }
            left -= 1;
            last = (place.0, place.1 + 1);
        }
        next = node.first_child().or_else(|| after(&node, &paragraph));
    }
    Some(last)
}

/// The next node that is not inside this one.
fn after(node: &Node, root: &Node) -> Option<Node> {
    let mut node = node.clone();
    loop {
        if let Some(sibling) = node.next_sibling() {
            return Some(sibling);
        }
        node = node.parent_node().filter(|parent| !parent.is_same_node(Some(root)))?;
    }
}

/// The parent of a node, and the number of nodes before it there.
fn place(node: &Node) -> Option<(Node, u32)> {
    let parent = node.parent_node()?;
    let index = Array::from(&JsValue::from(parent.child_nodes())).index_of(node, 0);
    Some((parent, u32::try_from(index).ok()?))
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser;
