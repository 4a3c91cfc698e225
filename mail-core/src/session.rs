//! The policy beside a server's [`Machine`]: it decides the machine's events.
//!
//! The machine knows the protocol; the session knows accounts, mailboxes and limits. Neither does socket I/O: a driver
//! passes events from the machine to the session and writes what both produce. Server sessions, the TCP driver and the
//! simulation meet in this trait.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::machine::Machine;
use crate::time::Instant;

/// The policy of one connection.
pub trait Session: Send {
    /// The machine whose events the session decides.
    type Machine: Machine<Event: Send> + Send;

    /// Decides an event and answers the machine. A long answer is only begun here; [`produce`](Self::produce)
    /// continues it.
    fn handle(
        &mut self,
        event: <Self::Machine as Machine>::Event,
        machine: &mut Self::Machine,
    ) -> impl Future<Output = ()> + Send;

    /// The next part of a long answer. The driver transmits the machine's output between calls, so that an answer of
    /// any length needs a bounded buffer.
    fn produce(&mut self, machine: &mut Self::Machine) -> impl Future<Output = Produced> + Send;

    /// The TLS handshake that the machine asked for is complete. The session informs the machine and discards
    /// everything from before the handshake (RFC 3207 section 4.2, RFC 2595 section 4).
    fn tls_established(&mut self, encryption: Encryption, now: Instant, machine: &mut Self::Machine);

    /// Time at which the driver must call [`renew`](Self::renew) next; `None` while the session holds nothing that
    /// expires.
    fn renewal(&self) -> Option<Instant> {
        None
    }

    /// Renews what expires, such as the lease of a maildrop. If that fails, the session ends itself through the machine.
    fn renew(&mut self, _now: Instant, _machine: &mut Self::Machine) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Informs the machine that the server is shutting down.
    fn shutdown(&self, machine: &mut Self::Machine);
}

/// Version and cipher suite of a TLS connection, as RFC 8446 and its registry name them: `TLSv1.3` and
/// `TLS_AES_128_GCM_SHA256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption {
    /// Protocol version.
    pub version: &'static str,
    /// Cipher suite.
    pub suite: &'static str,
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.version, self.suite)
    }
}

/// Result of [`Session::produce`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Produced {
    /// No long answer is in progress, or it is complete.
    Nothing,
    /// The machine queued a part; transmit it and call again.
    Queued,
    /// Octets for the peer, to be sent unchanged after the machine's queued output.
    Octets(Bytes),
    /// Wait this long, then call again.
    Wait(Duration),
    /// Close the connection without further output.
    Drop,
}
