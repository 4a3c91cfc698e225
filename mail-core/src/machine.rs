//! The one grammar of all four state machines: SMTP and POP3, server and client.
//!
//! A machine does no I/O. Its driver owns the socket, the buffers and the clock, and turns this crank:
//!
//! 1. [`poll_transmit`](Machine::poll_transmit) and write all of it to the peer, before every read;
//! 2. [`receive`](Machine::receive) with what has been read so far, again and again:
//!    - [`Step::Event`]: act on it (an event that asks a question is answered by one of the machine's own
//!      methods, at once or later);
//!    - [`Step::NeedInput`]: write what there is to transmit; if there was any and input is left, call again, for a
//!      machine may stop for the sake of its output ([`OUTPUT_OCTETS_MAX`]); else read more;
//!    - [`Step::Paused`]: the last question is not answered yet;
//!    - [`Step::UpgradeTls`]: write everything, do the TLS handshake, tell the machine, go on;
//!    - [`Step::Closed`]: write everything, close;
//! 3. when [`poll_timeout`](Machine::poll_timeout), asked after the last `receive`, passes without input,
//!    [`handle_timeout`](Machine::handle_timeout).
//!
//! Because output is written before every read, and commands are taken one at a time from whatever has
//! arrived, pipelining (RFC 2920) needs no code of its own.

use bytes::BytesMut;

use crate::time::Instant;

/// A machine that has queued so much stops taking commands until it is transmitted. A thousand short commands that arrive
/// together would otherwise queue a hundred times their length.
pub const OUTPUT_OCTETS_MAX: usize = 16 << 10;

/// What a machine wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Step<E> {
    /// Something happened that the driver or the policy above it must know or decide.
    Event(E),
    /// All complete input is consumed, or enough for the output that waits: see [the module](self).
    NeedInput,
    /// An earlier event waits for its answer; input is left alone until then.
    Paused,
    /// Begin the TLS handshake now; nothing more is read in plain text.
    UpgradeTls,
    /// The session is over once the output is written.
    Closed,
}

/// A protocol endpoint as a state machine. The calling order is on [the module](self).
pub trait Machine {
    /// What the machine tells the policy above it.
    type Event;

    /// Consumes from the front of `input` as far as the next step.
    ///
    /// # Errors
    /// The peer broke the protocol beyond repair. A fitting last reply is already queued: transmit it and
    /// close. Every later call answers [`Step::Closed`].
    fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Self::Event>, ProtocolError>;

    /// The peer closed its side. Call [`receive`](Self::receive) until it needs input first.
    ///
    /// # Errors
    /// The stream ended where the protocol does not allow it.
    fn receive_eof(&mut self, now: Instant) -> Result<Step<Self::Event>, ProtocolError>;

    /// Appends everything that waits to be sent to `out`.
    fn poll_transmit(&mut self, out: &mut BytesMut);

    /// When [`handle_timeout`](Self::handle_timeout) is due, if nothing arrives before.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Tells the machine that its timeout has passed.
    fn handle_timeout(&mut self, now: Instant);
}

/// The peer's misbehaviour that ends a session. A peer's mistakes that do not end it are answered by the
/// machine itself and never come up here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Too many commands in a row that could not be carried out.
    #[error("too many errors in a row")]
    TooManyErrors,
    /// More commands than any use of the protocol has.
    #[error("too many commands in one session")]
    TooManyCommands,
    /// A message that comes so slowly that it may never end.
    #[error("the message came too slowly")]
    TooSlow,
    /// Bytes arrived in plain text behind STARTTLS or STLS (RFC 3207 section 6, CVE-2011-0411).
    #[error("plain text was sent behind the request for TLS")]
    InjectedBeforeTls,
    /// A reply line longer than any that the protocol knows.
    #[error("the other side sent an endless line")]
    LineTooLong,
    /// A reply that is no reply; its first bytes, escaped.
    #[error("the other side sent no valid reply: {0}")]
    MalformedReply(String),
    /// A reply, or bytes, that nobody asked for.
    #[error("the other side sent something that was not asked for: {0}")]
    Unexpected(String),
    /// The stream ended in mid-conversation.
    #[error("the connection was closed by the other side")]
    UnexpectedEof,
    /// Nothing arrived for as long as the protocol allows.
    #[error("the other side did not answer in time")]
    TimedOut,
}

/// Our own mistake: a method was called where the calling order does not allow it. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("called out of order: {0}")]
pub struct ApiMisuse(pub &'static str);
