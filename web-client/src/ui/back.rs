//! The browser's own Back: it closes what is open beside the list, as a person with a phone in hand expects, and in the
//! order in which Escape does.
//!
//! What is open is counted, and the history has one entry for each beyond the page's own. An entry's state is its count.

use std::cell::Cell;

use wasm_bindgen::JsValue;
use web_sys::History;

use crate::control::Control;
use crate::state::{Action, State};

#[derive(Default)]
pub(super) struct Back {
    /// The page itself is going back, and has not arrived.
    returning: Cell<bool>,
}

/// What can be open beside the list, the first to be closed first.
fn open(state: &State) -> [bool; 5] {
    let original = state.open.as_ref().is_some_and(|open| open.original);
    [state.help, state.composing.is_some(), original, state.open.is_some(), state.drawer]
}

/// How many things are open beside the list.
pub(super) fn depth(state: &State) -> u32 {
    // A drawer that was open waits for the next sign-in.
    if state.account.is_none() { 0 } else { open(state).map(u32::from).iter().sum() }
}

/// Closes what is to be closed first, if anything is open.
pub(super) fn close(control: &Control) {
    match open(&control.state()) {
        [true, ..] => control.dispatch(Action::Help(false)),
        [_, true, ..] => control.close_draft(),
        [_, _, true, ..] => control.dispatch(Action::Original(false)),
        [_, _, _, true, _] => control.dispatch(Action::Close),
        [.., true] => control.dispatch(Action::Drawer(false)),
        _ => {}
    }
}

impl Back {
    /// Brings the history to what is open.
    pub(super) fn follow(&self, depth: u32) {
        let Some(history) = history().filter(|_| !self.returning.get()) else { return };
        let at = entry(&history);
        for count in at + 1..=depth {
            // A browser that refuses, as some do to a page that does it too often, leaves Back as it was.
            let _ = history.push_state(&JsValue::from(count), "");
        }
        if at > depth {
            let way = i32::try_from(i64::from(depth) - i64::from(at)).unwrap_or(i32::MIN);
            self.returning.set(history.go_with_delta(way).is_ok());
        }
    }

    /// The browser has gone to another entry.
    pub(super) fn arrive(&self, control: &Control) {
        let Some(history) = history() else { return };
        if !self.returning.replace(false) {
            for _ in entry(&history)..depth(&control.state()) {
                close(control);
            }
        }
        // What could not be closed, or was opened meanwhile, gets its entry again.
        self.follow(depth(&control.state()));
    }
}

/// The count of the entry that the browser is at.
fn entry(history: &History) -> u32 {
    let state = history.state().ok().and_then(|state| state.as_f64()).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    let count = state as u32;
    // More were never counted.
    count.min(5)
}

fn history() -> Option<History> {
    web_sys::window()?.history().ok()
}
