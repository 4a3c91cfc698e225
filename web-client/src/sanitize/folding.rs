//! The quotation at the end of an HTML message.

use wasm_bindgen::JsCast as _;
use web_sys::{Element, Node};

/// Characters of a quotation that may say that it is a forwarded message.
const BEGINNING_CHARS: usize = 200;

/// The outermost `blockquote` that ends the message, if the message has words of its own before it. Forwarded messages are
/// no quotations.
pub(super) fn trailing_quotation(body: &Element) -> Option<Element> {
    let root: &Node = body;
    let last = content_up_to(deepest_last(root.clone()), root)?;
    let quotation = outermost_quotation(last, root)?;
    content_up_to(step_back(&quotation, root)?, root)?;
    let text = quotation.text_content().unwrap_or_default();
    let beginning: String = text.trim_start().chars().take(BEGINNING_CHARS).collect();
    let is_forwarded = beginning.to_lowercase().contains("forwarded message");
    (!is_forwarded).then_some(quotation)
}

fn outermost_quotation(mut node: Node, root: &Node) -> Option<Element> {
    let mut outermost = None;
    while node != *root {
        if let Some(element) =
            node.dyn_ref::<Element>().filter(|element| element.local_name() == "blockquote")
        {
            outermost = Some(element.clone());
        }
        node = node.parent_node()?;
    }
    outermost
}

/// The last text or image in the order of the document, from this node on backwards.
fn content_up_to(mut node: Node, root: &Node) -> Option<Node> {
    while !is_content(&node) {
        node = step_back(&node, root)?;
    }
    Some(node)
}

fn is_content(node: &Node) -> bool {
    let is_text = node.node_type() == Node::TEXT_NODE;
    (is_text && node.node_value().is_some_and(|text| !text.trim().is_empty())) || node.node_name() == "IMG"
}

fn step_back(node: &Node, root: &Node) -> Option<Node> {
    match node.previous_sibling() {
        Some(previous) => Some(deepest_last(previous)),
        None => node.parent_node().filter(|parent| parent != root),
    }
}

fn deepest_last(mut node: Node) -> Node {
    while let Some(child) = node.last_child() {
        node = child;
    }
    node
}
