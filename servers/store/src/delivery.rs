//! Delivery: a message goes into a mailbox store, a queue, or any other [`DeliveryTarget`].

use std::fmt::Debug;

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, ReversePath};
use mail_core::smtp::dsn::{EnvelopeId, Ret};
use mail_core::smtp::parameter::RcptParameters;
use mail_core::users::Username;

use crate::StoreError;

/// Accepts messages.
pub trait DeliveryTarget: Send + Sync {
    type Incoming: IncomingMessage;

    /// Starts a delivery to the recipients of `envelope`.
    ///
    /// # Errors
    /// The target cannot accept a message now, or not for one of the recipients.
    fn begin(&self, envelope: &Envelope) -> impl Future<Output = Result<Self::Incoming, StoreError>> + Send;
}

/// A message that is being received. Dropping it aborts the delivery.
pub trait IncomingMessage: Send + Debug {
    /// The next part of the message: as sent, without dot-stuffing, lines ending with CRLF.
    ///
    /// # Errors
    /// The message cannot be stored; every later call fails, too.
    fn write(&mut self, chunk: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Bytes of memory in use.
    fn memory(&self) -> usize;

    /// Moves buffered parts out of memory, for example to a temporary file.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    fn release_memory(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Completes the delivery: every recipient's copy is on stable storage when this returns `Ok`.
    ///
    /// # Errors
    /// Some copies may be stored. The sender retries, so a recipient can get a second copy but none is lost.
    fn commit(self, trace: &Trace) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Sender and recipients of a message (RFC 5321 section 2.3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub reverse_path: ReversePath,
    /// Each destination once.
    pub recipients: Vec<Destination>,
    /// Whether a user of this host, or the host itself, submits the message. Another host receives it completed (RFC 6409
    /// section 8) and signed.
    pub origin: Origin,
    pub dsn: DsnRequest,
}

/// The client that a message comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// Any other host. Mail that leaves this one was forwarded by an alias.
    #[default]
    OtherHost,
    /// A client that may send mail to other hosts without signing in.
    RelayClient,
    /// An authenticated user, or this host itself.
    ThisHost,
}

/// The reports that the sender asks for (RFC 3461).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DsnRequest {
    /// The part of the message that a failure report returns.
    pub ret: Option<Ret>,
    /// The sender's identifier of the message.
    pub envid: Option<EnvelopeId>,
    /// The addresses of RCPT commands with parameters.
    pub recipients: Vec<(Address, RcptParameters)>,
}

impl DsnRequest {
    /// The parameters of a recipient, as the sender wrote it.
    #[must_use]
    pub fn parameters(&self, address: &Address) -> RcptParameters {
        let found = self.recipients.iter().find(|(other, _)| other == address);
        found.map(|(_, parameters)| parameters.clone()).unwrap_or_default()
    }
}

/// The destination to which routing sends mail for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The mailbox of a local account.
    Mailbox {
        /// As the directory spells it.
        account: Username,
        /// As the sender wrote it.
        address: Address,
    },
    /// An address of another host.
    Remote(Address),
}

impl Destination {
    /// The address as the sender wrote it.
    #[must_use]
    pub const fn address(&self) -> &Address {
        match self {
            Self::Mailbox { address, .. } | Self::Remote(address) => address,
        }
    }

    /// Whether both are served by one copy: the same account, or the same remote address.
    #[must_use]
    pub fn is_same_copy(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mailbox { account, .. }, Self::Mailbox { account: other, .. }) => account == other,
            (Self::Remote(address), Self::Remote(other)) => address == other,
            _ => false,
        }
    }
}
