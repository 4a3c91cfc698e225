//! The keys.

use wasm_bindgen::JsCast as _;
use web_sys::{Document, Element, HtmlElement, KeyboardEvent};

use super::back;
use super::list::row_id;
use crate::control::Control;
use crate::state::{Action, State};

/// What `?` shows.
pub(super) const KEYS: [(&str, &str); 13] = [
    ("j  k", "Next and previous message"),
    ("Enter", "Open"),
    ("u", "Back to the list"),
    ("c", "Compose"),
    ("r", "Reply"),
    ("a", "Reply to all"),
    ("f", "Forward"),
    ("s", "Star"),
    ("#", "Delete"),
    ("z", "Undo"),
    ("/", "Search"),
    ("?", "This list"),
    ("Escape", "Close what is open"),
];

pub(super) const SEARCH_ID: &str = "search";
/// What an open message is called.
pub(super) const TITLE_ID: &str = "title";

pub(super) fn on_key(control: &Control, event: &KeyboardEvent) {
    let state = control.state();
    if state.account.is_none() || event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    let name = target.as_ref().map(Element::tag_name).unwrap_or_default();
    if event.key() == "Escape" {
        return escape(control, &state, target.as_ref());
    }
    // Who writes a mail does not see what the other keys are about.
    let writes = state.composing.is_some() || matches!(name.as_str(), "INPUT" | "TEXTAREA" | "SELECT");
    if writes || state.help {
        return;
    }
    let about = state.open.as_ref().map(|open| open.id.clone()).or_else(|| state.cursor.clone());
    match event.key().as_str() {
        "j" => step(control, &state, 1),
        "k" => step(control, &state, -1),
        // A button that has the focus takes it by itself.
        "Enter" if matches!(name.as_str(), "BODY" | "MAIN") => {
            if let Some(id) = &state.cursor {
                control.open(id);
            }
        }
        "c" => control.compose(),
        "r" => control.reply(false),
        "a" => control.reply(true),
        "f" => control.forward(),
        "u" => control.dispatch(Action::Close),
        "/" => focus(SEARCH_ID),
        "?" => control.dispatch(Action::Help(true)),
        "#" => {
            if let Some(id) = about {
                control.remove(&id);
            }
        }
        "z" => control.undo(),
        "s" => {
            if let Some(id) = about {
                control.star(&id);
            }
        }
        _ => return,
    }
    event.prevent_default();
}

fn escape(control: &Control, state: &State, target: Option<&Element>) {
    if !state.help && target.is_some_and(|target| target.id() == SEARCH_ID) {
        control.dispatch(Action::Search(String::new()));
        blur(target);
    } else {
        back::close(control);
    }
}

/// Goes a row on; what is read goes along, so that every key is about the same message.
fn step(control: &Control, state: &State, rows: isize) {
    control.dispatch(Action::Move(rows));
    if let Some(open) = &state.open
        && let Some(cursor) = control.state().cursor.as_ref().filter(|cursor| **cursor != open.id)
    {
        control.open(cursor);
    }
}

pub(super) fn focus(id: &str) {
    let element = document().and_then(|document| document.get_element_by_id(id));
    if let Some(element) = element.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        // What cannot take the focus does without.
        let _ = element.focus();
    }
}

/// Gives the focus to what a person would go on with, when what had it is gone or out of sight.
pub(super) fn regain_focus(state: &State) {
    let focused = document().and_then(|document| document.active_element());
    let focused = focused.and_then(|element| element.dyn_into::<HtmlElement>().ok());
    // The body, and what is not drawn, have no such parent.
    if focused.is_some_and(|element| element.offset_parent().is_some()) {
        return;
    }
    if state.open.is_some() {
        focus(TITLE_ID);
    } else if let Some(cursor) = &state.cursor {
        focus(&row_id(cursor));
    }
}

fn document() -> Option<Document> {
    web_sys::window()?.document()
}

fn blur(target: Option<&Element>) {
    if let Some(element) = target.and_then(|target| target.dyn_ref::<HtmlElement>()) {
        let _ = element.blur();
    }
}
