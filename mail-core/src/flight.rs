//! The client's half of a conversation: commands in flight, and the clock on their replies.
//!
//! Both client machines stand on this. It knows nothing of what a command or a reply says: it keeps the order
//! (replies answer commands first in, first out: RFC 2920 section 3.1, RFC 2449 section 6.6), counts which commands
//! have really left, and times the wait.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::machine::ProtocolError;
use crate::time::{Duration, Instant};

/// Commands that may wait for their replies at once. More could fill the buffers of both directions, and then each
/// side would wait for the other to read (RFC 2920 section 3.1).
pub(crate) const PIPELINED_MAX: usize = 32;

/// How many octets of a peer's words are repeated in an error.
const QUOTED_MAX: usize = 80;

/// Commands in flight: `A` says what the reply to one of them is the reply to.
#[derive(Debug)]
pub(crate) struct Flight<A> {
    out: BytesMut,
    awaited: VecDeque<A>,
    /// How many of `awaited` have been handed to the driver. A reply to any other came before its command.
    transmitted: usize,
    deadline: Option<Instant>,
    /// Something moved since the clock was last set.
    stirred: bool,
    timed_out: bool,
}

impl<A> Flight<A> {
    /// A connection on which the peer speaks first: `greeting` is awaited without any command.
    pub(crate) fn new(greeting: A, deadline: Instant) -> Self {
        Self {
            out: BytesMut::new(),
            awaited: VecDeque::from([greeting]),
            transmitted: 1,
            deadline: Some(deadline),
            stirred: false,
            timed_out: false,
        }
    }

    /// Queues a command; `encode` appends it to the output.
    pub(crate) fn send(&mut self, awaited: A, encode: impl FnOnce(&mut BytesMut)) {
        encode(&mut self.out);
        self.awaited.push_back(awaited);
        self.stirred = true;
    }

    /// The output itself, for octets that are no command.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        self.stirred = true;
        &mut self.out
    }

    /// Octets that wait for [`transmit`](Self::transmit).
    pub(crate) fn pending_octets(&self) -> usize {
        self.out.len()
    }

    /// Hands all output to the driver.
    pub(crate) fn transmit(&mut self, out: &mut BytesMut) {
        if self.out.is_empty() {
            return;
        }
        out.unsplit(self.out.split());
        self.transmitted = self.awaited.len();
    }

    /// What the next reply is the reply to.
    pub(crate) fn front(&self) -> Option<&A> {
        self.awaited.front()
    }

    /// How many replies are outstanding.
    pub(crate) fn len(&self) -> usize {
        self.awaited.len()
    }

    /// Takes the command that a reply has just answered, `None` when nobody asked: either there is no command, or it
    /// has not left yet.
    pub(crate) fn answered(&mut self) -> Option<A> {
        self.transmitted = self.transmitted.checked_sub(1)?;
        self.stirred = true;
        self.awaited.pop_front()
    }

    /// Restarts the clock: a part of a long reply arrived.
    pub(crate) fn stir(&mut self) {
        self.stirred = true;
    }

    /// Sets the clock, when anything moved since it was last set: `allowance` is how long the wait may now last.
    ///
    /// # Errors
    /// The time was over before.
    pub(crate) fn tick(&mut self, now: Instant, allowance: Option<Duration>) -> Result<(), ProtocolError> {
        if self.timed_out {
            return Err(ProtocolError::TimedOut);
        }
        if std::mem::take(&mut self.stirred) {
            self.deadline = allowance.map(|allowance| now + allowance);
        }
        Ok(())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The time is over, unless something moved that the clock does not know of yet.
    pub(crate) fn handle_timeout(&mut self, now: Instant, allowance: Option<Duration>) {
        if self.stirred {
            self.stirred = false;
            self.deadline = allowance.map(|allowance| now + allowance);
        } else if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.timed_out = true;
        }
    }

    /// Forgets everything: nothing more is sent, awaited or timed.
    pub(crate) fn ground(&mut self) {
        self.out.clear();
        self.awaited.clear();
        self.transmitted = 0;
        self.deadline = None;
        self.stirred = false;
    }
}

/// A peer's words, escaped and cut short, for an error.
pub(crate) fn quoted(words: &[u8]) -> String {
    words[..words.len().min(QUOTED_MAX)].escape_ascii().to_string()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_reply_before_its_command_answers_nothing() {
        let mut flight = Flight::new('g', Instant::now() + MINUTE);
        assert_eq!(flight.answered(), Some('g'));
        flight.send('a', |out| out.extend_from_slice(b"A\r\n"));
        assert_eq!(flight.answered(), None);
        let mut out = BytesMut::new();
        flight.transmit(&mut out);
        assert_eq!(out, "A\r\n");
        assert_eq!((flight.answered(), flight.answered()), (Some('a'), None));
    }

    #[test]
    fn the_clock_runs_from_the_last_movement() {
        let start = Instant::now();
        let mut flight = Flight::new((), start + MINUTE);
        flight.handle_timeout(start + MINUTE / 2, Some(MINUTE));
        assert_eq!(flight.tick(start + MINUTE / 2, Some(MINUTE)), Ok(()));
        assert_eq!(flight.deadline(), Some(start + MINUTE));
        flight.stir();
        flight.handle_timeout(start + MINUTE, Some(MINUTE));
        assert_eq!(flight.deadline(), Some(start + MINUTE * 2));
        flight.handle_timeout(start + MINUTE * 2, Some(MINUTE));
        assert_eq!(flight.tick(start + MINUTE * 2, Some(MINUTE)), Err(ProtocolError::TimedOut));
    }
}
