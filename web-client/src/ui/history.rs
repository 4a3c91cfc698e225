//! The browser's Back and Forward, and the URL.
//!
//! A history entry has a depth, the number of open overlays, and a [`Route`] as the URL's fragment. Opening adds an
//! entry; closing goes back; changing the folder adds an entry of depth 0. Back closes overlays in the order of
//! Escape. A route in the URL at sign-in is opened.

use std::cell::Cell;

use super::overlays;
use crate::control::Control;
use crate::model::route::Route;
use crate::model::state::{Folder, State, UiAction};
use crate::platform::location;

/// Depth and route of the state; `None` while signed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    depth: u32,
    route: Route,
}

impl Location {
    pub(super) fn of(state: &State) -> Option<Self> {
        state.session.account.as_ref()?;
        let route = match (&state.compose.open, &state.ui.open) {
            (Some(open), _) => Route::Draft(open.form.id.clone()),
            (None, Some(open)) => Route::Message(open.folder.clone(), open.id.clone()),
            (None, None) => Route::Folder(state.ui.folder.clone()),
        };
        Some(Self { depth: overlays::depth(state), route })
    }
}

/// Synchronizes the session history with the state.
#[derive(Default)]
pub(super) struct HistorySync {
    signed_in: Cell<bool>,
    /// The page itself goes back; the `popstate` event is pending.
    going_back: Cell<bool>,
}

impl HistorySync {
    /// The state has changed.
    pub(super) fn state_changed(&self, control: &Control, location: Option<&Location>) {
        match location {
            Some(_) if !self.signed_in.replace(true) => {
                if self.open_route(control) {
                    self.update(Location::of(&control.state()).as_ref());
                }
            }
            None if !self.signed_in.get() => {}
            location => self.update(location),
        }
    }

    /// The browser has moved to another entry.
    pub(super) fn on_popstate(&self, control: &Control) {
        let own = self.going_back.replace(false);
        let location = Location::of(&control.state());
        if let Some(location) = &location
            && !own
        {
            let target = location::entry_depth();
            for _ in target..location.depth {
                overlays::close_top(control);
            }
            let moved_back = target < location.depth;
            // Going back closes overlays. Only an entry of depth 0 may name another folder.
            let route_applied = (moved_back && target > 0) || self.open_route(control);
            if !route_applied {
                return;
            }
        }
        // An overlay that was opened meanwhile gets its entry.
        self.update(Location::of(&control.state()).as_ref());
    }

    /// Opens the route of the URL. Returns false if a draft is being opened asynchronously.
    fn open_route(&self, control: &Control) -> bool {
        let Some(route) = Route::parse(&location::fragment(), location::decode) else { return true };
        let at_base = location::entry_depth() == 0;
        let ui = &control.state().ui;
        match route {
            Route::Folder(folder) => enter(control, &ui.folder, folder),
            Route::Message(folder, id) => {
                if at_base {
                    // Back from the message leads to its folder.
                    location::replace(0, &Route::Folder(folder.clone()).fragment(location::encode));
                }
                enter(control, &ui.folder, folder);
                if !control.state().ui.is_open(&id) {
                    control.open(&id);
                }
            }
            Route::Draft(id) => {
                if at_base {
                    location::replace(0, &Route::Folder(Folder::Drafts).fragment(location::encode));
                    enter(control, &ui.folder, Folder::Drafts);
                }
                let compose = &control.state().compose;
                if compose.draft(&id).is_some() && !compose.is_open(&id) {
                    control.open_draft(&id);
                    return at_base;
                }
            }
        }
        true
    }

    /// Updates the history to `location`.
    fn update(&self, location: Option<&Location>) {
        if self.going_back.get() {
            return;
        }
        let entry = location::entry_depth();
        let depth = location.map_or(0, |location| location.depth);
        if entry > depth {
            self.going_back.set(location::back(entry - depth));
            return;
        }
        let Some(location) = location else {
            // The next user does not see the route.
            self.signed_in.set(false);
            return location::replace(0, "");
        };
        let fragment = location.route.fragment(location::encode);
        for depth in entry + 1..=depth {
            location::push(depth, &fragment);
        }
        let current = location::fragment();
        if entry == depth && current != fragment {
            let changes_folder = depth == 0 && Route::parse(&current, location::decode).is_some();
            if changes_folder {
                location::push(0, &fragment);
            } else {
                location::replace(depth, &fragment);
            }
        }
    }
}

fn enter(control: &Control, current: &Folder, folder: Folder) {
    if *current != folder {
        control.dispatch(UiAction::Folder(folder));
    }
}
