//! Undo and Redo.

use std::rc::Rc;

use mail_core::time::{Duration, Instant};

use super::{Range, RichText};

/// Text that is typed without a longer pause is undone at once.
const TYPING_PAUSE: Duration = Duration::from_secs(1);
const STATES_MAX: usize = 500;
/// Older states are forgotten.
const OCTETS_MAX: usize = 8 * 1_024 * 1_024;

/// A document and its selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) document: Rc<RichText>,
    pub(crate) selection: Range,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Typing,
    Deleting,
    /// Undone by itself.
    Other,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    past: Vec<Snapshot>,
    future: Vec<Snapshot>,
    last: Option<(Change, Instant)>,
}

impl History {
    /// Records the state before a change.
    pub(crate) fn record(&mut self, before: Snapshot, change: Change, now: Instant) {
        let continues = self.last.is_some_and(|(last, at)| {
            last == change && change != Change::Other && now.duration_since(at) < TYPING_PAUSE
        });
        self.last = Some((change, now));
        self.future.clear();
        if !continues {
            self.past.push(before);
            self.limit();
        }
    }

    /// Ends a group of changes, for example because the caret was moved.
    pub(crate) const fn end_group(&mut self) {
        self.last = None;
    }

    pub(crate) fn undo(&mut self, current: Snapshot) -> Option<Snapshot> {
        self.last = None;
        let previous = self.past.pop()?;
        self.future.push(current);
        Some(previous)
    }

    pub(crate) fn redo(&mut self, current: Snapshot) -> Option<Snapshot> {
        self.last = None;
        let next = self.future.pop()?;
        self.past.push(current);
        Some(next)
    }

    fn limit(&mut self) {
        let mut octets = 0;
        let kept = self.past.iter().rev().take(STATES_MAX).take_while(|state| {
            octets += state.document.octets();
            octets <= OCTETS_MAX
        });
        let kept = kept.count().max(1);
        self.past.drain(..self.past.len() - kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn state(text: &str) -> Snapshot {
        Snapshot { document: Rc::new(RichText::from_plain(text)), selection: Range::default() }
    }

    #[test]
    fn typing_without_a_pause_is_undone_at_once() {
        let (mut history, start) = (History::default(), Instant::now());
        history.record(state(""), Change::Typing, start);
        history.record(state("a"), Change::Typing, start + Duration::from_millis(900));
        history.record(state("ab"), Change::Typing, start + Duration::from_millis(2_000));
        assert_eq!(history.undo(state("abc")), Some(state("ab")));
        assert_eq!(history.undo(state("ab")), Some(state("")));
        assert_eq!(history.undo(state("")), None);
        assert_eq!(history.redo(state("")), Some(state("ab")));
        assert_eq!(history.redo(state("ab")), Some(state("abc")));
        assert_eq!(history.redo(state("abc")), None);
    }

    #[test]
    fn a_change_after_undo_ends_redo() {
        let (mut history, now) = (History::default(), Instant::now());
        for text in ["", "a", "b"] {
            history.record(state(text), Change::Other, now);
        }
        assert_eq!(history.undo(state("c")), Some(state("b")));
        history.record(state("b"), Change::Other, now);
        assert_eq!(history.redo(state("d")), None);
        assert_eq!(history.undo(state("d")), Some(state("b")));
    }

    #[test]
    fn history_is_limited_in_number_and_octets() {
        let (mut history, now) = (History::default(), Instant::now());
        for at in 0..600 {
            history.record(state(&at.to_string()), Change::Other, now);
        }
        assert_eq!(history.past.len(), STATES_MAX);
        let large = state(&"x".repeat(3 * 1_024 * 1_024));
        for _ in 0..5 {
            history.record(large.clone(), Change::Other, now);
        }
        assert_eq!(history.past.len(), 2);
    }
}
