//! The memory budget of all messages that are being received.
//!
//! The first [`FREE_OCTETS`] of each message do not count, so that a sender who holds the whole budget cannot keep ordinary
//! mail out; the number of connections bounds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// More than most whole messages, and than the header of any ordinary one.
pub const FREE_OCTETS: u64 = 64 << 10;

#[derive(Debug)]
pub struct Budget {
    octets_max: u64,
    used: AtomicU64,
}

/// The part of the budget that one message holds; dropping it returns it.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    octets: u64,
}

impl Budget {
    #[must_use]
    pub fn new(octets_max: u64) -> Arc<Self> {
        Arc::new(Self { octets_max, used: AtomicU64::new(0) })
    }

    /// An empty share for a new message.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), octets: 0 }
    }

    /// Octets in use, without the free octets of each message.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Sets the memory that the message holds. Returns false, and changes nothing, if the budget does not allow it.
    pub fn set(&mut self, octets: usize) -> bool {
        let octets = (octets as u64).saturating_sub(FREE_OCTETS);
        let Budget { octets_max, used } = &*self.budget;
        if octets <= self.octets {
            used.fetch_sub(self.octets - octets, Ordering::Relaxed);
        } else {
            let more = octets - self.octets;
            let grow = |used: u64| used.checked_add(more).filter(|sum| sum <= octets_max);
            if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow).is_err() {
                return false;
            }
        }
        self.octets = octets;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_the_budget_and_return_it_when_dropped() {
        let budget = Budget::new(100);
        let free = usize::try_from(FREE_OCTETS).expect("small");
        let (mut one, mut other) = (budget.share(), budget.share());
        assert!(one.set(free + 60) && other.set(free));
        assert!(other.set(free + 40) && !other.set(free + 41));
        assert_eq!(budget.used(), 100);
        assert!(one.set(free + 10) && other.set(free + 90) && !one.set(free + 11));
        drop(other);
        assert_eq!(budget.used(), 10);
        assert!(one.set(0));
        assert_eq!(budget.used(), 0);
    }
}
