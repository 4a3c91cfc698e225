//! The state of a combobox that completes recipients.

use std::rc::Rc;

use yew::prelude::*;

use crate::model::draft_form::{Recipients, is_address};
use crate::model::people::{Person, suggestions};
use crate::platform::text;

/// The suggestions for the typed text, and the active one.
#[derive(Clone)]
pub(super) struct Completion {
    people: Rc<Vec<Person>>,
    /// Belongs to a typed text; another text resets it.
    active: UseStateHandle<(String, usize)>,
    /// The text for which the user has closed the list.
    closed: UseStateHandle<Option<String>>,
    typed: String,
}

#[hook]
pub(super) fn use_completion(recipients: &Recipients, people: &Rc<Vec<Person>>) -> Completion {
    let active = use_state(|| (String::new(), 0));
    let closed = use_state(|| None);
    let people = use_memo((recipients.clone(), people.clone()), |(recipients, people)| {
        suggestions(people, &recipients.typed, &recipients.chips, text::fold)
    });
    Completion { people, active, closed, typed: recipients.typed.clone() }
}

impl Completion {
    pub(super) fn people(&self) -> &[Person] {
        &self.people
    }

    pub(super) fn is_open(&self) -> bool {
        !self.people.is_empty() && self.closed.as_ref() != Some(&self.typed)
    }

    /// Index of the active person.
    pub(super) fn active(&self) -> usize {
        let (typed, active) = &*self.active;
        if *typed == self.typed { (*active).min(self.people.len().saturating_sub(1)) } else { 0 }
    }

    /// Handles a key of the open list. Returns whether the key belongs to the list.
    pub(super) fn on_key(&self, key: &str, event: &KeyboardEvent) -> bool {
        if !self.is_open() {
            return false;
        }
        let (active, last) = (self.active(), self.people.len() - 1);
        match key {
            "ArrowDown" => self.active.set((self.typed.clone(), if active == last { 0 } else { active + 1 })),
            "ArrowUp" => self.active.set((self.typed.clone(), active.checked_sub(1).unwrap_or(last))),
            "Escape" => {
                // The draft stays open.
                event.stop_propagation();
                self.closed.set(Some(self.typed.clone()));
            }
            // Without a move to another suggestion, a complete address is kept as it was typed.
            "Enter" | "Tab" if !event.shift_key() && (self.has_moved() || !is_address(self.typed.trim())) => {
            }
            _ => return false,
        }
        event.prevent_default();
        true
    }

    /// Whether the user has chosen a suggestion for the typed text with the arrow keys.
    fn has_moved(&self) -> bool {
        self.active.0 == self.typed
    }

    /// The address that a key of the open list chooses.
    pub(super) fn chosen_by(&self, key: &str) -> Option<String> {
        let chooses = matches!(key, "Enter" | "Tab");
        self.people.get(self.active()).filter(|_| chooses).map(|person| person.address.clone())
    }
}
