//! A stream of bytes to a server and back.

use bytes::Bytes;
use mail_core::time::Instant;

/// What came of waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(Bytes),
    /// The server sends no more.
    End,
    TimedOut,
}

/// The stream takes no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

pub(crate) trait Link {
    /// Waits for the next bytes, no longer than to the deadline.
    async fn receive(&mut self, deadline: Option<Instant>) -> Received;

    /// What has come in already.
    fn received(&mut self) -> Option<Bytes>;

    /// Sends, and is ready when the stream can take more.
    async fn send(&mut self, bytes: Bytes) -> Result<(), Broken>;

    /// Octets that were given to [`send`](Self::send) and have not left yet.
    fn waiting(&self) -> u64;
}
