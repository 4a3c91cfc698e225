//! Holds the state, and tells the page when there is another.

use std::cell::RefCell;
use std::rc::Rc;

use yew::Callback;

use crate::state::{Action, State};

#[derive(Default)]
pub(crate) struct Store {
    state: RefCell<Rc<State>>,
    changed: RefCell<Callback<Rc<State>>>,
}

impl Store {
    pub(crate) fn state(&self) -> Rc<State> {
        self.state.borrow().clone()
    }

    pub(crate) fn dispatch(&self, action: Action) {
        let state = Rc::unwrap_or_clone(self.state.take());
        let next = Rc::new(state.reduce(action));
        self.state.replace(next.clone());
        let changed = self.changed.borrow().clone();
        changed.emit(next);
    }

    pub(crate) fn on_change(&self, changed: Callback<Rc<State>>) {
        self.changed.replace(changed);
    }
}
