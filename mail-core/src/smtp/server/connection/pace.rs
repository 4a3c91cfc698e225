//! How fast a message has to come: the stretch of [`MESSAGE_OCTETS_MIN`] that is under way has [`MESSAGE_TIMEOUT`] to be
//! complete, whatever trickles in meanwhile.

use super::{Input, Server};
use crate::machine::ProtocolError;
use crate::smtp::limits::{MESSAGE_OCTETS_MIN, MESSAGE_TIMEOUT};
use crate::smtp::server::replies;
use crate::time::Instant;

/// The stretch of a message that is under way, if one is.
#[derive(Debug, Default)]
pub(super) struct Pace(Option<Stretch>);

#[derive(Debug)]
struct Stretch {
    octets: usize,
    deadline: Instant,
}

impl Pace {
    /// Counts octets that came; whether the stretch that they are of should have been complete by now.
    pub(super) fn is_too_slow(&mut self, in_message: bool, octets: usize, now: Instant) -> bool {
        if !in_message {
            self.0 = None;
            return false;
        }
        let new = || Stretch { octets: 0, deadline: now + MESSAGE_TIMEOUT };
        let stretch = self.0.get_or_insert_with(new);
        stretch.octets += octets;
        if stretch.octets >= MESSAGE_OCTETS_MIN {
            *stretch = new();
        }
        now >= stretch.deadline
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.as_ref().map(|stretch| stretch.deadline)
    }
}

impl Server {
    /// Whether what comes next is part of a message, taken or not.
    pub(super) const fn in_message(&self) -> bool {
        matches!(self.input, Input::Text(_) | Input::Chunk(_) | Input::RefusedChunk(..))
    }

    pub(super) fn give_up_slow_message(&mut self) {
        self.pace = Pace::default();
        self.send(&replies::TOO_SLOW);
        self.close(Some(ProtocolError::TooSlow));
    }
}
