//! The message of a transaction on its way to a delivery target: begin, write, commit. Dropping it aborts the delivery.
//!
//! The intake applies the rules that need to see the message: size of the header, number of hops, memory in use.

use std::sync::Arc;

use bytes::Bytes;
use mail_core::mailbox::{HEADER_SEARCH_OCTETS_MAX, Trace};
use mail_core::message::header::{self, HeaderBounds, HeaderScanner};
use mail_core::message::printable::Excerpt;
use mail_store::{DeliveryTarget, Envelope, IncomingMessage, StoreError};

use crate::budget::{Budget, Share};

/// Received fields above which a message is considered to loop (RFC 5321 section 6.3: at least 100).
pub const HOPS_MAX: usize = 100;

/// A message that is being received.
#[derive(Debug)]
pub struct MessageIntake<I> {
    state: Result<Receiving<I>, IntakeError>,
    memory: Share,
}

#[derive(Debug)]
struct Receiving<I> {
    incoming: I,
    header: Header,
}

/// The message's header, buffered until it is complete.
#[derive(Debug)]
enum Header {
    Partial { octets: Vec<u8>, end: HeaderScanner },
    Complete(HeaderSummary),
}

#[derive(Debug, Default)]
struct HeaderSummary {
    /// Received fields (RFC 5321 section 6.3).
    hops: usize,
    /// The first Message-ID, as an [`Excerpt`].
    message_id: Option<String>,
}

impl HeaderSummary {
    fn of(header: &[u8]) -> Self {
        let mut summary = Self::default();
        for field in header::fields(header) {
            if field.is("Received") {
                summary.hops += 1;
            } else if summary.message_id.is_none() && field.is("Message-ID") {
                let value = String::from_utf8_lossy(field.value.trim_ascii());
                summary.message_id = Some(Excerpt(&value).to_string());
            }
        }
        summary
    }
}

/// The reason a message was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    #[error("the message has passed through more than {HOPS_MAX} servers")]
    Loop,
    #[error("the message's header is larger than {HEADER_SEARCH_OCTETS_MAX} octets")]
    HeaderTooLarge,
    #[error("the messages being received use all of their memory")]
    NoMemory,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<I: IncomingMessage> MessageIntake<I> {
    /// Starts to receive a message for the recipients of `envelope`.
    ///
    /// # Errors
    /// The target cannot accept a message now.
    pub async fn begin<T: DeliveryTarget<Incoming = I>>(
        target: &T,
        envelope: &Envelope,
        memory: &Arc<Budget>,
    ) -> Result<Self, StoreError> {
        Ok(Self::new(target.begin(envelope).await?, memory))
    }

    fn new(incoming: I, memory: &Arc<Budget>) -> Self {
        let header = Header::Partial { octets: Vec::new(), end: HeaderScanner::default() };
        Self { state: Ok(Receiving { incoming, header }), memory: memory.share() }
    }

    /// Receives the next part. A failure is reported by [`commit`](Self::commit), since SMTP has no reply before the end of
    /// the message; the parts so far are discarded at once.
    pub async fn write(&mut self, chunk: Bytes) {
        let Ok(receiving) = &mut self.state else { return };
        if let Err(error) = receiving.write(chunk, &mut self.memory).await {
            self.state = Err(error);
            self.memory.set(0);
        }
    }

    /// Makes the message durable for every recipient. Returns its Message-ID for the log.
    ///
    /// # Errors
    /// The sender remains responsible for the message.
    pub async fn commit(self, trace: &Trace) -> Result<Option<String>, IntakeError> {
        let Receiving { incoming, header } = self.state?;
        let HeaderSummary { hops, message_id } = header.summary();
        if hops > HOPS_MAX {
            return Err(IntakeError::Loop);
        }
        incoming.commit(trace).await?;
        Ok(message_id)
    }
}

impl<I: IncomingMessage> Receiving<I> {
    async fn write(&mut self, chunk: Bytes, memory: &mut Share) -> Result<(), IntakeError> {
        self.header.read(&chunk)?;
        self.incoming.write(chunk).await?;
        if !memory.set(self.memory()) {
            self.incoming.release_memory().await?;
            if !memory.set(self.memory()) {
                return Err(IntakeError::NoMemory);
            }
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.header.memory() + self.incoming.memory()
    }
}

impl Header {
    fn read(&mut self, chunk: &[u8]) -> Result<(), IntakeError> {
        let Self::Partial { octets, end } = self else { return Ok(()) };
        let room = HEADER_SEARCH_OCTETS_MAX + 1 - octets.len();
        let ended = end.push(chunk);
        octets.extend_from_slice(&chunk[..chunk.len().min(room)]);
        match ended {
            Some(HeaderBounds { header_end, .. }) if header_end <= HEADER_SEARCH_OCTETS_MAX => {
                *self = Self::Complete(HeaderSummary::of(&octets[..header_end]));
                Ok(())
            }
            None if octets.len() <= HEADER_SEARCH_OCTETS_MAX => Ok(()),
            _ => Err(IntakeError::HeaderTooLarge),
        }
    }

    const fn memory(&self) -> usize {
        match self {
            Self::Partial { octets, .. } => octets.capacity(),
            Self::Complete(_) => 0,
        }
    }

    fn summary(self) -> HeaderSummary {
        match self {
            Self::Partial { octets, .. } => HeaderSummary::of(&octets),
            Self::Complete(summary) => summary,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::budget::FREE_OCTETS;

    /// Keeps a message in memory until it must release it.
    #[derive(Debug, Default)]
    struct MemoryIncoming {
        memory: usize,
        released: Arc<Mutex<usize>>,
    }

    impl IncomingMessage for MemoryIncoming {
        async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
            self.memory += chunk.len();
            Ok(())
        }

        fn memory(&self) -> usize {
            self.memory
        }

        async fn release_memory(&mut self) -> Result<(), StoreError> {
            *self.released.lock().expect("not poisoned") += std::mem::take(&mut self.memory);
            Ok(())
        }

        async fn commit(self, _trace: &Trace) -> Result<(), StoreError> {
            Ok(())
        }
    }

    fn intake(budget: &Arc<Budget>) -> (MessageIntake<MemoryIncoming>, Arc<Mutex<usize>>) {
        let incoming = MemoryIncoming::default();
        let released = Arc::clone(&incoming.released);
        (MessageIntake::new(incoming, budget), released)
    }

    const CHUNK: usize = 32 << 10;

    #[tokio::test]
    async fn body_over_the_budget_leaves_memory_and_is_accepted() {
        let budget = Budget::new(FREE_OCTETS);
        let (mut first, first_released) = intake(&budget);
        let (mut second, second_released) = intake(&budget);
        for intake in [&mut first, &mut second] {
            intake.write(Bytes::from_static(b"Subject: large\r\n\r\n")).await;
            for _ in 0..4 {
                intake.write(vec![b'x'; CHUNK].into()).await;
            }
            assert!(budget.used() <= FREE_OCTETS);
        }
        // The first had the budget to itself.
        assert_eq!(*first_released.lock().expect("not poisoned"), 4 * CHUNK + 18);
        assert!(*second_released.lock().expect("not poisoned") >= 3 * CHUNK);
        assert!(first.state.is_ok() && second.state.is_ok());
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn header_summary_has_the_first_message_id_bounded_and_escaped() {
        let long = "x".repeat(2_000);
        for (header, message_id) in [
            ("Subject: a\r\nMESSAGE-ID:\r\n <1@iit.edu>\r\nMessage-ID: <2@iit.edu>\r\n", Some("<1@iit.edu>")),
            ("Message-ID: <a\x1b[2J\"@iit.edu>\r\n", Some(r#"<a\u{1b}[2J\"@iit.edu>"#)),
            ("Message-IDs: <1@iit.edu>\r\n", None),
        ] {
            assert_eq!(HeaderSummary::of(header.as_bytes()).message_id.as_deref(), message_id, "{header}");
        }
        let summary =
            HeaderSummary::of(format!("Message-ID: {long}\r\nReceived: b\r\nReceived: a\r\n").as_bytes());
        assert_eq!((summary.hops, summary.message_id.map(|id| id.chars().count())), (2, Some(257)));
    }

    #[tokio::test]
    async fn only_a_large_header_over_the_budget_is_refused() {
        let budget = Budget::new(4 * FREE_OCTETS);
        let (mut endless, _) = intake(&budget);
        let mut held = 0;
        while endless.state.is_ok() {
            held = budget.used();
            endless.write(b"X-Field: x\r\n".repeat(1_000).into()).await;
        }
        assert!(matches!(endless.state, Err(IntakeError::NoMemory)), "{endless:?}");
        assert!(held > 0 && budget.used() == 0, "{held}, {}", budget.used());

        let mut other = budget.share();
        assert!(other.set(usize::try_from(5 * FREE_OCTETS).expect("small")), "it takes the whole budget");
        let (mut ordinary, _) = intake(&budget);
        ordinary.write(b"X-Field: x\r\n".repeat(1_000).into()).await;
        ordinary.write(Bytes::from_static(b"\r\nbody\r\n")).await;
        assert!(ordinary.state.is_ok(), "{ordinary:?}");
    }
}
