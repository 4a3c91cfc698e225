//! What a driver needs of a session's policy: an event in, an answer given to the machine.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use mail_core::machine::Machine;
use mail_core::time::Instant;

use crate::store::MaybeSend;

/// The policy of one connection. It names no socket and no runtime; its driver may be a TCP stream, a
/// simulation or a page.
pub trait Session: MaybeSend {
    type Machine: Machine<Event: MaybeSend> + MaybeSend;

    /// Decides an event and answers the machine. A long answer is only begun here.
    fn handle(
        &mut self,
        event: <Self::Machine as Machine>::Event,
        machine: &mut Self::Machine,
    ) -> impl Future<Output = ()> + MaybeSend;

    /// The next stretch of a long answer. The driver transmits what the machine has queued between calls,
    /// so that an answer of any length takes a bounded buffer.
    fn produce(&mut self, machine: &mut Self::Machine) -> impl Future<Output = Produced> + MaybeSend;

    /// The handshake that the machine asked for is done: passes the word to it, and forgets what was said before
    /// (RFC 3207 section 4.2, RFC 2595 section 4).
    fn tls_established(&mut self, encryption: Encryption, now: Instant, machine: &mut Self::Machine);

    /// Passes the word that the server is stopping.
    fn shutdown(&self, machine: &mut Self::Machine);
}

/// How a connection is encrypted, in the words of RFC 8446 and its registry: `TLSv1.3` and `TLS_AES_128_GCM_SHA256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption {
    pub version: &'static str,
    pub suite: &'static str,
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.version, self.suite)
    }
}

/// What [`Session::produce`] has for the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Produced {
    /// No long answer is under way, or it is complete.
    Nothing,
    /// The machine queued some of it; call again after transmitting.
    Queued,
    /// Octets that go to the peer as they are, behind what the machine has queued.
    Octets(Bytes),
    /// Nothing for so long; then call again.
    Wait(Duration),
    /// The end: the connection is closed without another word.
    Drop,
}
