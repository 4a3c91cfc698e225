//! The minimum rate of a message: [`MESSAGE_OCTETS_MIN`] within [`MESSAGE_TIMEOUT`].

use crate::smtp::limits::{MESSAGE_OCTETS_MIN, MESSAGE_TIMEOUT};
use crate::time::Instant;

/// Progress in the current period; `None` outside a message.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Period>);

#[derive(Debug)]
struct Period {
    octets: usize,
    deadline: Instant,
}

impl Pace {
    /// Counts received octets. Returns whether the current period has expired.
    pub(super) fn is_too_slow(&mut self, in_message: bool, octets: usize, now: Instant) -> bool {
        if !in_message {
            self.0 = None;
            return false;
        }
        let new = || Period { octets: 0, deadline: now + MESSAGE_TIMEOUT };
        let period = self.0.get_or_insert_with(new);
        period.octets += octets;
        if period.octets >= MESSAGE_OCTETS_MIN {
            *period = new();
        }
        now >= period.deadline
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.as_ref().map(|period| period.deadline)
    }
}
