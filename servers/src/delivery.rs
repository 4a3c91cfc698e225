//! One message on its way in: begin, add recipients, write, commit; dropping it aborts.
//!
//! Between the SMTP session and the store it keeps the rules that need to see the message: the size of its
//! header and the number of its hops.

use bytes::Bytes;
use mail_core::mailbox::{HEADER_SEARCH_OCTETS_MAX, Trace};
use mail_core::message::header::{self, Bounds, HeaderEnd};

use crate::store::{Incoming, MailStore, Recipient, StoreError};

/// Received fields that a message may carry before it is taken for a loop (RFC 5321 section 6.3 asks for a
/// limit of at least 100).
pub const HOPS_MAX: usize = 100;

/// A message that is being received for a list of recipients.
#[derive(Debug)]
pub struct Delivery<I> {
    incoming: I,
    header: Header,
    failed: Option<DeliveryError>,
}

/// The message's header: kept until it is whole, so that its hops can be counted.
#[derive(Debug)]
enum Header {
    Growing { octets: Vec<u8>, end: HeaderEnd },
    Whole { hops: usize },
}

/// Why a message was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the message has passed through more than {HOPS_MAX} servers")]
    Loop,
    #[error("the message's header is larger than {HEADER_SEARCH_OCTETS_MAX} octets")]
    HeaderTooLarge,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<I: Incoming> Delivery<I> {
    /// Starts to take a message in.
    ///
    /// # Errors
    /// The store cannot take one now.
    pub async fn begin<S: MailStore<Incoming = I>>(store: &S) -> Result<Self, StoreError> {
        let header = Header::Growing { octets: Vec::new(), end: HeaderEnd::default() };
        Ok(Self { incoming: store.begin().await?, header, failed: None })
    }

    /// Takes the next stretch. A failure is kept for [`commit`](Self::commit), since nobody can be told
    /// before the message's end.
    pub async fn write(&mut self, chunk: Bytes) {
        if self.failed.is_some() {
            return;
        }
        if let Err(error) = self.header.read(&chunk) {
            self.failed = Some(error);
        } else if let Err(error) = self.incoming.write(chunk).await {
            self.failed = Some(error.into());
        }
    }

    /// Makes the message durable for each recipient.
    ///
    /// # Errors
    /// Nothing may be promised to the sender: it has to keep the message.
    pub async fn commit(self, trace: &Trace, recipients: &[Recipient]) -> Result<(), DeliveryError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.header.hops() > HOPS_MAX {
            return Err(DeliveryError::Loop);
        }
        Ok(self.incoming.commit(trace, recipients).await?)
    }
}

impl Header {
    fn read(&mut self, chunk: &[u8]) -> Result<(), DeliveryError> {
        let Self::Growing { octets, end } = self else { return Ok(()) };
        let room = HEADER_SEARCH_OCTETS_MAX + 1 - octets.len();
        let ended = end.push(chunk);
        octets.extend_from_slice(&chunk[..chunk.len().min(room)]);
        match ended {
            Some(Bounds { header_end, .. }) if header_end <= HEADER_SEARCH_OCTETS_MAX => {
                *self = Self::Whole { hops: header::hops(&octets[..header_end]) };
                Ok(())
            }
            None if octets.len() <= HEADER_SEARCH_OCTETS_MAX => Ok(()),
            _ => Err(DeliveryError::HeaderTooLarge),
        }
    }

    fn hops(&self) -> usize {
        match self {
            Self::Growing { octets, .. } => header::hops(octets),
            Self::Whole { hops } => *hops,
        }
    }
}
