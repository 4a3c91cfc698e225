//! Holds the state and notifies the page of every new state.

use std::cell::RefCell;
use std::rc::Rc;

use yew::Callback;

use crate::model::state::{Action, State};

#[derive(Default)]
pub(super) struct Store {
    state: RefCell<Rc<State>>,
    on_change: RefCell<Callback<Rc<State>>>,
}

impl Store {
    pub(super) fn state(&self) -> Rc<State> {
        self.state.borrow().clone()
    }

    pub(super) fn dispatch(&self, action: Action) {
        let state = Rc::unwrap_or_clone(self.state.take());
        let next = Rc::new(state.reduce(action));
        self.state.replace(next.clone());
        let on_change = self.on_change.borrow().clone();
        on_change.emit(next);
    }

    pub(super) fn on_change(&self, on_change: Callback<Rc<State>>) {
        self.on_change.replace(on_change);
    }
}
