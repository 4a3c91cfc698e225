//! The byte stream that a session runs over.

use bytes::Bytes;
use mail_core::time::Instant;

/// The result of [`Connection::receive`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(Bytes),
    /// The server has closed its side.
    End,
    /// The connection was refused before it was open.
    Refused(Refusal),
    TimedOut,
}

/// The answer of a server that refuses the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// Another attempt may succeed.
    pub(crate) is_temporary: bool,
}

/// The stream accepts no more data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLost;

pub(crate) trait Connection {
    /// Waits for bytes until `deadline`.
    async fn receive(&mut self, deadline: Option<Instant>) -> Received;

    /// Bytes that have already arrived.
    fn try_receive(&mut self) -> Option<Bytes>;

    /// Sends `bytes` and returns when the stream can accept more.
    async fn send(&mut self, bytes: Bytes) -> Result<(), ConnectionLost>;

    /// The reason that the other side gave when it closed the connection. `None` for a normal end.
    fn close_reason(&self) -> Option<String> {
        None
    }

    /// Octets that were passed to [`send`](Self::send) and have not left the browser.
    fn unsent_octets(&self) -> u64;
}
