//! The session's view of an open maildrop: its size and the messages marked as deleted.
//!
//! RFC 1939 section 5. Sizes and unique-ids of messages stay in the store, so memory use depends only on the number of
//! marks.

use std::collections::BTreeSet;

use super::listing::DropListing;

/// An open maildrop: message-numbers 1 to `count`, some of them marked as deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildrop {
    all: DropListing,
    marks: BTreeSet<u64>,
    marked_octets: u64,
}

impl Maildrop {
    /// A maildrop without marks. `octets` is the total size of its messages.
    pub const fn new(count: u64, octets: u64) -> Self {
        Self { all: DropListing { count, octets }, marks: BTreeSet::new(), marked_octets: 0 }
    }

    /// Number of messages, including marked ones.
    pub const fn total(&self) -> u64 {
        self.all.count
    }

    /// The reply to STAT, without marked messages.
    pub fn drop_listing(&self) -> DropListing {
        DropListing {
            count: self.all.count - self.marks.len() as u64,
            octets: self.all.octets.saturating_sub(self.marked_octets),
        }
    }

    /// Whether the message exists and is not marked.
    pub fn contains(&self, number: u64) -> bool {
        (1..=self.all.count).contains(&number) && !self.marks.contains(&number)
    }

    /// Marks a message of this size as deleted. Returns false if it does not exist or is already marked.
    pub fn mark(&mut self, number: u64, octets: u64) -> bool {
        if !self.contains(number) {
            return false;
        }
        self.marks.insert(number);
        self.marked_octets += octets;
        true
    }

    /// Removes all marks (RSET).
    pub fn reset(&mut self) {
        self.marks.clear();
        self.marked_octets = 0;
    }

    /// The marked message-numbers, in ascending order.
    pub fn marked(&self) -> Vec<u64> {
        self.marks.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn mark_applies_once_and_reset_removes_all_marks() {
        let mut maildrop = Maildrop::new(3, 600);
        assert!(maildrop.mark(3, 300) && maildrop.mark(1, 100));
        assert!(!maildrop.mark(1, 100) && !maildrop.mark(0, 0) && !maildrop.mark(4, 0));
        assert_eq!(maildrop.drop_listing(), DropListing { count: 1, octets: 200 });
        assert_eq!(maildrop.marked(), [1, 3]);
        maildrop.reset();
        assert_eq!(maildrop, Maildrop::new(3, 600));
    }

    proptest! {
        #[test]
        fn maildrop_agrees_with_a_list_of_messages(
            sizes in proptest::collection::vec(0_u64..1_000, 0..8),
            numbers in proptest::collection::vec(proptest::option::weighted(0.9, 0_u64..10), 0..20),
        ) {
            let mut maildrop = Maildrop::new(sizes.len() as u64, sizes.iter().sum());
            let mut left: Vec<Option<u64>> = sizes.iter().copied().map(Some).collect();
            for number in numbers {
                let Some(number) = number else {
                    maildrop.reset();
                    left = sizes.iter().copied().map(Some).collect();
                    continue;
                };
                let slot = usize::try_from(number).ok().and_then(|n| left.get_mut(n.checked_sub(1)?));
                let octets = slot.and_then(Option::take);
                prop_assert_eq!(maildrop.mark(number, octets.unwrap_or(0)), octets.is_some());
            }
            let expected = DropListing {
                count: left.iter().flatten().count() as u64,
                octets: left.iter().flatten().sum(),
            };
            prop_assert_eq!(maildrop.drop_listing(), expected);
        }
    }
}
