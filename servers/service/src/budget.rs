//! One budget for the memory of all messages that are being received: what a thousand senders may hold together.
//!
//! The first [`FREE_OCTETS`] of each message are free, so that nobody who holds the whole budget keeps an ordinary mail
//! out; they are bounded by the number of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// More than the header of any real mail, and than most mails.
pub const FREE_OCTETS: u64 = 64 << 10;

/// What is left, and of how much.
#[derive(Debug)]
pub struct Budget {
    octets_max: u64,
    used: AtomicU64,
}

/// One message's part of it; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    octets: u64,
}

impl Budget {
    /// So many octets for all together.
    #[must_use]
    pub fn new(octets_max: u64) -> Arc<Self> {
        Arc::new(Self { octets_max, used: AtomicU64::new(0) })
    }

    /// The part of a message that is about to begin.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), octets: 0 }
    }

    /// How much is taken, besides what is free.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Says how much memory the message holds now; whether it may. If not, nothing has changed.
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
    fn shares_together_stay_within_the_budget_and_are_given_back() {
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
