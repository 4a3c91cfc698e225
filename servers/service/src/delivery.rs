//! One message on its way in: begin, add recipients, write, commit; dropping it aborts.
//!
//! Between the SMTP session and the store it keeps the rules that need to see the message: the size of its
//! header, the number of its hops, and the memory that it takes.

use std::sync::Arc;

use bytes::Bytes;
use mail_core::mailbox::{HEADER_SEARCH_OCTETS_MAX, Trace};
use mail_core::message::header::{self, HeaderBounds, HeaderScanner};

use crate::budget::{Budget, Share};
use mail_store::{Incoming, MailStore, Recipient, StoreError};

/// Received fields that a message may carry before it is taken for a loop (RFC 5321 section 6.3 asks for a
/// limit of at least 100).
pub const HOPS_MAX: usize = 100;

/// A message that is being received for a list of recipients.
#[derive(Debug)]
pub struct Delivery<I> {
    state: Result<Taking<I>, DeliveryError>,
    memory: Share,
}

/// What has come so far.
#[derive(Debug)]
struct Taking<I> {
    incoming: I,
    header: Header,
}

/// The message's header: kept until it is whole, so that its hops can be counted.
#[derive(Debug)]
enum Header {
    Growing { octets: Vec<u8>, end: HeaderScanner },
    Whole { hops: usize },
}

/// Why a message was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("the message has passed through more than {HOPS_MAX} servers")]
    Loop,
    #[error("the message's header is larger than {HEADER_SEARCH_OCTETS_MAX} octets")]
    HeaderTooLarge,
    #[error("the messages that are being received take all the memory that they may")]
    NoMemory,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<I: Incoming> Delivery<I> {
    /// Starts to take a message in.
    ///
    /// # Errors
    /// The store cannot take one now.
    pub async fn begin<S: MailStore<Incoming = I>>(
        store: &S,
        memory: &Arc<Budget>,
    ) -> Result<Self, StoreError> {
        let header = Header::Growing { octets: Vec::new(), end: HeaderScanner::default() };
        let taking = Taking { incoming: store.begin().await?, header };
        Ok(Self { state: Ok(taking), memory: memory.share() })
    }

    /// Takes the next stretch. A failure is kept for [`commit`](Self::commit), since nobody can be told
    /// before the message's end; what has come until then is forgotten.
    pub async fn write(&mut self, chunk: Bytes) {
        let Ok(taking) = &mut self.state else { return };
        if let Err(error) = taking.write(chunk, &mut self.memory).await {
            self.state = Err(error);
            // Nothing is held any more.
            self.memory.set(0);
        }
    }

    /// Makes the message durable for each recipient.
    ///
    /// # Errors
    /// Nothing may be promised to the sender: it has to keep the message.
    pub async fn commit(self, trace: &Trace, recipients: &[Recipient]) -> Result<(), DeliveryError> {
        let Taking { incoming, header } = self.state?;
        if header.hops() > HOPS_MAX {
            return Err(DeliveryError::Loop);
        }
        Ok(incoming.commit(trace, recipients).await?)
    }
}

impl<I: Incoming> Taking<I> {
    async fn write(&mut self, chunk: Bytes, memory: &mut Share) -> Result<(), DeliveryError> {
        self.header.read(&chunk)?;
        self.incoming.write(chunk).await?;
        if !memory.set(self.memory()) {
            self.incoming.release_memory().await?;
            if !memory.set(self.memory()) {
                return Err(DeliveryError::NoMemory);
            }
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.header.memory() + self.incoming.memory()
    }
}

impl Header {
    fn read(&mut self, chunk: &[u8]) -> Result<(), DeliveryError> {
        let Self::Growing { octets, end } = self else { return Ok(()) };
        let room = HEADER_SEARCH_OCTETS_MAX + 1 - octets.len();
        let ended = end.push(chunk);
        octets.extend_from_slice(&chunk[..chunk.len().min(room)]);
        match ended {
            Some(HeaderBounds { header_end, .. }) if header_end <= HEADER_SEARCH_OCTETS_MAX => {
                *self = Self::Whole { hops: header::hop_count(&octets[..header_end]) };
                Ok(())
            }
            None if octets.len() <= HEADER_SEARCH_OCTETS_MAX => Ok(()),
            _ => Err(DeliveryError::HeaderTooLarge),
        }
    }

    const fn memory(&self) -> usize {
        match self {
            Self::Growing { octets, .. } => octets.capacity(),
            Self::Whole { .. } => 0,
        }
    }

    fn hops(&self) -> usize {
        match self {
            Self::Growing { octets, .. } => header::hop_count(octets),
            Self::Whole { hops } => *hops,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::budget::FREE_OCTETS;

    /// Keeps all of a message in memory until it is told not to.
    #[derive(Debug, Default)]
    struct Heap {
        memory: usize,
        released: Arc<Mutex<usize>>,
    }

    impl Incoming for Heap {
        async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
            self.memory += chunk.len();
            Ok(())
        }

        fn memory(&self) -> usize {
            self.memory
        }

        async fn release_memory(&mut self) -> Result<(), StoreError> {
            *self.released.lock().expect("unshared") += std::mem::take(&mut self.memory);
            Ok(())
        }

        async fn commit(self, _trace: &Trace, _recipients: &[Recipient]) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn delivery(budget: &Arc<Budget>) -> (Delivery<Heap>, Arc<Mutex<usize>>) {
        let (incoming, header) =
            (Heap::default(), Header::Growing { octets: Vec::new(), end: HeaderScanner::default() });
        let released = Arc::clone(&incoming.released);
        (Delivery { state: Ok(Taking { incoming, header }), memory: budget.share() }, released)
    }

    const CHUNK: usize = 32 << 10;

    #[tokio::test]
    async fn a_body_over_the_budget_leaves_the_memory_and_is_taken_all_the_same() {
        let budget = Budget::new(FREE_OCTETS);
        let (mut first, first_released) = delivery(&budget);
        let (mut second, second_released) = delivery(&budget);
        for delivery in [&mut first, &mut second] {
            delivery.write(Bytes::from_static(b"Subject: large\r\n\r\n")).await;
            for _ in 0..4 {
                delivery.write(vec![b'x'; CHUNK].into()).await;
            }
            assert!(budget.used() <= FREE_OCTETS);
        }
        // The first had the budget to itself.
        assert_eq!(*first_released.lock().expect("unshared"), 4 * CHUNK + 18);
        assert!(*second_released.lock().expect("unshared") >= 3 * CHUNK);
        assert!(first.state.is_ok() && second.state.is_ok());
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_header_over_the_budget_is_refused_and_an_ordinary_one_never() {
        let budget = Budget::new(4 * FREE_OCTETS);
        let (mut endless, _) = delivery(&budget);
        let mut held = 0;
        while endless.state.is_ok() {
            held = budget.used();
            endless.write(b"X-Field: x\r\n".repeat(1_000).into()).await;
        }
        assert!(matches!(endless.state, Err(DeliveryError::NoMemory)), "{endless:?}");
        assert!(held > 0 && budget.used() == 0, "{held}, {}", budget.used());

        let mut other = budget.share();
        assert!(other.set(usize::try_from(5 * FREE_OCTETS).expect("small")), "somebody holds all of it");
        let (mut ordinary, _) = delivery(&budget);
        ordinary.write(b"X-Field: x\r\n".repeat(1_000).into()).await;
        ordinary.write(Bytes::from_static(b"\r\nbody\r\n")).await;
        assert!(ordinary.state.is_ok(), "{ordinary:?}");
    }
}
