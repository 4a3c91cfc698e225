//! Commands that await replies, in order, and the timeout of the next reply. Used by both client state machines.
//!
//! Replies answer commands first in, first out (RFC 2920 section 3.1, RFC 2449 section 6.6). The contents of commands
//! and replies are not interpreted here.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::machine::ProtocolError;
use crate::time::{Duration, Instant};

/// Maximum number of outstanding commands. With more, both directions' socket buffers could fill up and deadlock (RFC
/// 2920 section 3.1).
pub(crate) const PIPELINED_MAX: usize = 32;

/// Octets of a reply that are quoted in an error.
const EXCERPT_OCTETS_MAX: usize = 80;

/// Outstanding commands. `A` identifies a command when its reply arrives.
#[derive(Debug)]
pub(crate) struct Pipeline<A> {
    out: BytesMut,
    outstanding: VecDeque<A>,
    /// Number of `outstanding` commands that were handed to the driver. The others cannot have been answered yet.
    transmitted: usize,
    deadline: Option<Instant>,
    /// Progress was made since the deadline was set.
    touched: bool,
    timed_out: bool,
}

impl<A> Pipeline<A> {
    /// A new connection, on which the server sends `greeting` first.
    pub(crate) fn new(greeting: A, deadline: Instant) -> Self {
        Self {
            out: BytesMut::new(),
            outstanding: VecDeque::from([greeting]),
            transmitted: 1,
            deadline: Some(deadline),
            touched: false,
            timed_out: false,
        }
    }

    /// Queues a command; `encode` appends it to the output.
    pub(crate) fn send(&mut self, command: A, encode: impl FnOnce(&mut BytesMut)) {
        encode(&mut self.out);
        self.outstanding.push_back(command);
        self.touched = true;
    }

    /// The output buffer, for bytes that are not a command.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        self.touched = true;
        &mut self.out
    }

    /// Octets queued for [`transmit`](Self::transmit).
    pub(crate) fn pending_octets(&self) -> usize {
        self.out.len()
    }

    /// Hands all output to the driver.
    pub(crate) fn transmit(&mut self, out: &mut BytesMut) {
        if self.out.is_empty() {
            return;
        }
        out.unsplit(self.out.split());
        self.transmitted = self.outstanding.len();
    }

    /// The command that the next reply answers.
    pub(crate) fn front(&self) -> Option<&A> {
        self.outstanding.front()
    }

    /// Number of outstanding replies.
    pub(crate) fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// Removes the command that a reply has just answered. `None` if no command was transmitted.
    pub(crate) fn answered(&mut self) -> Option<A> {
        self.transmitted = self.transmitted.checked_sub(1)?;
        self.touched = true;
        self.outstanding.pop_front()
    }

    /// Records progress, such as part of a long reply, which restarts the timeout.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// Restarts the timeout if progress was made.
    ///
    /// # Errors
    /// [`ProtocolError::TimedOut`] if the timeout had already passed.
    pub(crate) fn rearm(&mut self, now: Instant, timeout: Option<Duration>) -> Result<(), ProtocolError> {
        if self.timed_out {
            return Err(ProtocolError::TimedOut);
        }
        if std::mem::take(&mut self.touched) {
            self.deadline = timeout.map(|timeout| now + timeout);
        }
        Ok(())
    }

    /// Time at which [`handle_timeout`](Self::handle_timeout) is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Records that the deadline passed, or restarts the timeout if progress was made since it was set.
    pub(crate) fn handle_timeout(&mut self, now: Instant, timeout: Option<Duration>) {
        if self.touched {
            self.touched = false;
            self.deadline = timeout.map(|timeout| now + timeout);
        } else if self.deadline.is_some_and(|deadline| now >= deadline) {
            self.timed_out = true;
        }
    }

    /// Discards queued output and outstanding commands, and stops the timeout.
    pub(crate) fn clear(&mut self) {
        self.out.clear();
        self.outstanding.clear();
        self.transmitted = 0;
        self.deadline = None;
        self.touched = false;
    }
}

/// The start of a reply, escaped, for an error.
pub(crate) fn excerpt(reply: &[u8]) -> String {
    reply[..reply.len().min(EXCERPT_OCTETS_MAX)].escape_ascii().to_string()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn reply_before_its_command_was_transmitted_answers_nothing() {
        let mut pipeline = Pipeline::new('g', Instant::now() + MINUTE);
        assert_eq!(pipeline.answered(), Some('g'));
        pipeline.send('a', |out| out.extend_from_slice(b"A\r\n"));
        assert_eq!(pipeline.answered(), None);
        let mut out = BytesMut::new();
        pipeline.transmit(&mut out);
        assert_eq!(out, "A\r\n");
        assert_eq!((pipeline.answered(), pipeline.answered()), (Some('a'), None));
    }

    #[test]
    fn timeout_restarts_after_progress() {
        let start = Instant::now();
        let mut pipeline = Pipeline::new((), start + MINUTE);
        pipeline.handle_timeout(start + MINUTE / 2, Some(MINUTE));
        assert_eq!(pipeline.rearm(start + MINUTE / 2, Some(MINUTE)), Ok(()));
        assert_eq!(pipeline.deadline(), Some(start + MINUTE));
        pipeline.touch();
        pipeline.handle_timeout(start + MINUTE, Some(MINUTE));
        assert_eq!(pipeline.deadline(), Some(start + MINUTE * 2));
        pipeline.handle_timeout(start + MINUTE * 2, Some(MINUTE));
        assert_eq!(pipeline.rearm(start + MINUTE * 2, Some(MINUTE)), Err(ProtocolError::TimedOut));
    }
}
