//! Keyboard shortcuts and the focus.

use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::element_ids::{SEARCH_ID, TITLE_ID, row_id};
use super::overlays;
use crate::control::Control;
use crate::model::state::{State, UiAction};
use crate::platform::dom;

/// Keys and descriptions for the dialog.
pub(super) const SHORTCUTS: [(&str, &str); 13] = [
    ("j  k", "Next and previous message"),
    ("Enter", "Open"),
    ("u", "Back to the list"),
    ("c", "Compose"),
    ("r", "Reply"),
    ("a", "Reply all"),
    ("f", "Forward"),
    ("s", "Star"),
    ("#", "Delete"),
    ("z", "Undo"),
    ("/", "Search"),
    ("?", "Keyboard shortcuts"),
    ("Escape", "Close"),
];

pub(super) fn on_key(control: &Control, event: &KeyboardEvent) {
    let state = control.state();
    if state.session.account.is_none() || event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    let tag = target.as_ref().map(Element::tag_name).unwrap_or_default();
    if event.key() == "Escape" {
        return escape(control, &state, target.as_ref());
    }
    // While composing, the user does not see which message a shortcut would affect.
    let typing = state.compose.open.is_some() || matches!(tag.as_str(), "INPUT" | "TEXTAREA" | "SELECT");
    if typing || state.ui.has_dialog() {
        return;
    }
    let message = state.ui.open.as_ref().map(|open| open.id.clone()).or_else(|| state.ui.cursor.clone());
    match event.key().as_str() {
        "j" => control.move_cursor(1),
        "k" => control.move_cursor(-1),
        // A focused button handles Enter itself.
        "Enter" if matches!(tag.as_str(), "BODY" | "MAIN") => {
            if let Some(id) = &state.ui.cursor {
                control.open(id);
            }
        }
        "c" => control.compose(),
        "r" => control.reply(false),
        "a" => control.reply(true),
        "f" => control.forward(),
        "u" => control.dispatch(UiAction::CloseMessage),
        "/" => dom::focus(SEARCH_ID),
        "?" => control.dispatch(UiAction::Shortcuts(true)),
        "#" => {
            if let Some(id) = message {
                control.remove(&id);
            }
        }
        "z" => control.undo(),
        "s" => {
            if let Some(id) = message {
                control.toggle_star(&id);
            }
        }
        _ => return,
    }
    event.prevent_default();
}

fn escape(control: &Control, state: &State, target: Option<&Element>) {
    let search = target.filter(|target| !state.ui.has_dialog() && target.id() == SEARCH_ID);
    let Some(search) = search else { return overlays::close_top(control) };
    control.dispatch(UiAction::Search(String::new()));
    if let Some(field) = search.dyn_ref::<HtmlElement>() {
        let _ = field.blur();
    }
}

/// Moves the focus to the open message or the selected row if the focused element has disappeared.
pub(super) fn restore_focus(state: &State) {
    if dom::has_visible_focus() {
        return;
    }
    if state.ui.open.is_some() {
        dom::focus(TITLE_ID);
    } else if let Some(cursor) = &state.ui.cursor {
        dom::focus(&row_id(cursor));
    }
}
