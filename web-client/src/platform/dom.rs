//! The document: focus, visibility, the window.

use wasm_bindgen::JsCast as _;
use web_sys::{Document, Element, HtmlElement};

pub(crate) fn document() -> Option<Document> {
    web_sys::window()?.document()
}

/// Focuses an element by id. Does nothing if it does not exist.
pub(crate) fn focus(id: &str) {
    focus_if_drawn(id);
}

/// Focuses an element by id; returns whether it exists.
pub(crate) fn focus_if_drawn(id: &str) -> bool {
    let element = document().and_then(|document| document.get_element_by_id(id));
    let element = element.and_then(|element| element.dyn_into::<HtmlElement>().ok());
    element.is_some_and(|element| element.focus().is_ok())
}

/// Whether an element has the focus.
pub(crate) fn is_focused(element: &Element) -> bool {
    document().and_then(|document| document.active_element()).is_some_and(|focused| focused == *element)
}

/// Whether the focused element is visible. The body and undrawn elements have no offset parent.
pub(crate) fn has_visible_focus() -> bool {
    let focused = document().and_then(|document| document.active_element());
    let focused = focused.and_then(|element| element.dyn_into::<HtmlElement>().ok());
    focused.is_some_and(|element| element.offset_parent().is_some())
}

/// Whether the page is in a background tab or a minimised window.
pub(crate) fn is_hidden() -> bool {
    document().is_some_and(|document| document.hidden())
}

/// Whether a toast has the pointer or the focus. Its timer waits meanwhile.
pub(crate) fn is_toast_in_use() -> bool {
    let toast = document().map(|document| document.query_selector(".toast:is(:hover, :focus-within)"));
    matches!(toast, Some(Ok(Some(_))))
}

/// Whether a modal dialog is open.
pub(crate) fn has_modal() -> bool {
    document().is_some_and(|document| matches!(document.query_selector("dialog:modal"), Ok(Some(_))))
}

/// Opens the browser's print dialog.
pub(crate) fn print() {
    if let Some(window) = web_sys::window() {
        let _ = window.print();
    }
}

pub(crate) fn set_title(title: &str) {
    if let Some(document) = document() {
        document.set_title(title);
    }
}

/// Height of the window in CSS pixels.
pub(crate) fn window_height() -> Option<f64> {
    web_sys::window()?.inner_height().ok()?.as_f64()
}
