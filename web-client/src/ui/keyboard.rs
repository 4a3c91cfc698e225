//! Keyboard shortcuts and the focus.

use wasm_bindgen::JsCast as _;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::element_ids::{SEARCH_ID, TITLE_ID, row_id};
use super::overlays;
use crate::control::Control;
use crate::model::state::{State, UiAction};
use crate::platform::dom;

/// Keys and descriptions for the dialog.
pub(super) const SHORTCUTS: [(&str, &str); 24] = [
    ("j  k  ↓  ↑", "Next and previous message"),
    ("Home  End", "First and last message"),
    ("Enter", "Open"),
    ("u", "Back to the list"),
    ("c", "Compose"),
    ("r", "Reply"),
    ("a", "Reply all"),
    ("f", "Forward"),
    ("x", "Select"),
    ("Shift+↓  ↑", "Extend the selection"),
    ("Ctrl+A", "Select all"),
    ("Shift+I  U", "Mark as read, as unread"),
    ("s", "Star"),
    ("e", "Archive, or move to the inbox"),
    ("l", "Labels"),
    ("Ctrl+Enter", "Send"),
    ("Ctrl+B  I  K", "Bold, italic, link"),
    ("Ctrl+Shift+7  8  9", "Numbered list, list, quote"),
    ("Ctrl+[  ]", "List item out, in"),
    ("#", "Delete"),
    ("z", "Undo"),
    ("/", "Search"),
    ("?", "Keyboard shortcuts"),
    ("Escape", "Close"),
];

pub(super) fn on_key(control: &Control, event: &KeyboardEvent) {
    let state = control.state();
    if state.session.account.is_none() || event.alt_key() {
        return;
    }
    // The browser closes a dialog that belongs to a component.
    if dom::has_modal() && !state.ui.has_dialog() {
        return;
    }
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    let tag = target.as_ref().map(Element::tag_name).unwrap_or_default();
    let has_control = event.ctrl_key() || event.meta_key();
    if event.key() == "Escape" && !has_control {
        return escape(control, &state, target.as_ref());
    }
    // While composing, the user does not see which message a shortcut would affect.
    let typing = state.compose.open.is_some() || matches!(tag.as_str(), "INPUT" | "TEXTAREA" | "SELECT");
    if typing || state.ui.has_dialog() {
        return;
    }
    let in_list = target.as_ref().is_some_and(|target| matches!(target.closest(".rows"), Ok(Some(_))));
    let handled = if has_control {
        // In the reader, Ctrl+A selects the text.
        let selects = event.key() == "a" && (in_list || state.ui.open.is_none());
        if selects {
            control.select_all();
        }
        selects
    } else {
        (in_list && list_key(control, event)) || shortcut(control, &state, &event.key(), &tag)
    };
    if handled {
        event.prevent_default();
    }
}

/// Keys of the message list. They scroll everywhere else.
fn list_key(control: &Control, event: &KeyboardEvent) -> bool {
    let move_cursor = |rows| match event.shift_key() {
        true => control.extend_selection(rows),
        false => control.move_cursor(rows),
    };
    match event.key().as_str() {
        "ArrowDown" => move_cursor(1),
        "ArrowUp" => move_cursor(-1),
        "Home" => control.move_cursor_to_end(false),
        "End" => control.move_cursor_to_end(true),
        _ => return false,
    }
    true
}

/// Returns whether the key is a shortcut.
fn shortcut(control: &Control, state: &State, key: &str, tag: &str) -> bool {
    let selected = state.selected_ids();
    let message = state.ui.open.as_ref().map(|open| &open.id).or(state.ui.cursor.as_ref());
    // The actions for several messages apply to the selection, or else to one message.
    let affected: Vec<String> =
        if selected.is_empty() { message.into_iter().cloned().collect() } else { selected };
    match key {
        "j" => control.move_cursor(1),
        "k" => control.move_cursor(-1),
        // A focused button handles Enter itself.
        "Enter" if matches!(tag, "BODY" | "MAIN") => {
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
        "x" => {
            if let Some(id) = message {
                control.toggle_selected(id);
            }
        }
        "#" => control.remove(&affected),
        "I" => control.set_read(&affected, true),
        "U" => control.set_read(&affected, false),
        "s" => control.toggle_stars(&affected),
        "e" => control.toggle_archived(&affected),
        "l" => control.choose_labels(&affected),
        "z" => control.undo(),
        _ => return false,
    }
    true
}

fn escape(control: &Control, state: &State, target: Option<&Element>) {
    let search = target.filter(|target| !state.ui.has_dialog() && target.id() == SEARCH_ID);
    let Some(search) = search else {
        let clears_selection =
            !state.ui.has_dialog() && state.compose.open.is_none() && !state.selected_ids().is_empty();
        return if clears_selection {
            control.dispatch(UiAction::ClearSelection);
        } else {
            overlays::close_top(control);
        };
    };
    control.search("");
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
