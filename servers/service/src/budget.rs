//! The memory budget of all messages that are being received.
//!
//! The first [`UNCOUNTED_OCTETS`] of each message do not count, so that one sender cannot block ordinary mail by using the whole
//! budget; the number of connections bounds them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// More than most whole messages, and than the header of any ordinary one.
pub const UNCOUNTED_OCTETS: u64 = 64 << 10;

#[derive(Debug)]
pub struct Budget {
    octets_max: u64,
    used: AtomicU64,
}

/// The part of the budget that one message holds; dropping it returns it.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    octets: u64,
}

impl Budget {
    #[must_use]
    pub fn new(octets_max: u64) -> Arc<Self> {
        Arc::new(Self { octets_max, used: AtomicU64::new(0) })
    }

    /// An empty reservation for a new message.
    #[must_use]
    pub fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation { budget: Arc::clone(self), octets: 0 }
    }

    /// Octets in use, without the uncounted octets of each message.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// Sets the memory that the message holds. Returns false, and changes nothing, if the budget does not allow it.
    pub fn resize(&mut self, octets: usize) -> bool {
        let octets = (octets as u64).saturating_sub(UNCOUNTED_OCTETS);
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

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_stay_within_the_budget_and_return_it_when_dropped() {
        let budget = Budget::new(100);
        let uncounted = usize::try_from(UNCOUNTED_OCTETS).expect("small");
        let (mut one, mut other) = (budget.reserve(), budget.reserve());
        assert!(one.resize(uncounted + 60) && other.resize(uncounted));
        assert!(other.resize(uncounted + 40) && !other.resize(uncounted + 41));
        assert_eq!(budget.used(), 100);
        assert!(one.resize(uncounted + 10) && other.resize(uncounted + 90) && !one.resize(uncounted + 11));
        drop(other);
        assert_eq!(budget.used(), 10);
        assert!(one.resize(0));
        assert_eq!(budget.used(), 0);
    }
}
