//! A message on its way into the text queue.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::message::header::{HeaderBounds, HeaderScanner};
use mail_store::disk::Disk;
use mail_store::offload::Offload;
use mail_store::spool::{SpillFiles, Spool};
use mail_store::{DeliveryTarget, Destination, Envelope, IncomingMessage, StoreError};

use crate::compose::Composer;
use crate::schedule::SharedSchedule;
use crate::text::TextQueue;

/// Accepts messages for other hosts into the text queue.
#[derive(Debug, Clone)]
pub struct OutboundQueue<D: Disk, O: Offload> {
    queue: TextQueue<D, O>,
    schedule: Arc<SharedSchedule>,
    composer: Composer,
    spill_files: Arc<SpillFiles<D>>,
}

impl<D: Disk, O: Offload> OutboundQueue<D, O> {
    /// Opens the queue below the directory of `disk`.
    ///
    /// # Errors
    /// Another process delivers the queue, or its directory cannot be used.
    pub fn open(
        disk: &D,
        offload: O,
        schedule: SharedSchedule,
        composer: Composer,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            composer,
            queue: TextQueue::open(disk.clone(), offload)?,
            schedule: Arc::new(schedule),
            spill_files: Arc::new(SpillFiles::open(disk)?),
        })
    }

    /// The queue and its schedule, for the agent.
    #[must_use]
    pub fn parts(&self) -> (TextQueue<D, O>, Arc<SharedSchedule>) {
        (self.queue.clone(), Arc::clone(&self.schedule))
    }
}

impl<D: Disk, O: Offload> DeliveryTarget for OutboundQueue<D, O> {
    type Incoming = OutboundIncoming<D, O>;

    async fn begin(&self, envelope: &Envelope) -> Result<Self::Incoming, StoreError> {
        for destination in &envelope.recipients {
            if let Destination::Mailbox { address, .. } = destination {
                return Err(StoreError::Failed(format!("{address} has a mailbox on this host")));
            }
        }
        Ok(OutboundIncoming {
            target: self.clone(),
            envelope: envelope.clone(),
            header: Header::default(),
            body: Spool::new(Arc::clone(&self.spill_files), self.queue.offload.clone()),
            eight_bit: false,
            error: None,
        })
    }
}

/// A message that the queue receives.
#[derive(Debug)]
pub struct OutboundIncoming<D: Disk, O: Offload> {
    target: OutboundQueue<D, O>,
    envelope: Envelope,
    header: Header,
    /// The message after the header.
    body: Spool<D, O>,
    eight_bit: bool,
    /// The reason the message cannot be committed.
    error: Option<StoreError>,
}

/// The header, buffered because a submitted message is completed. Its caller bounds its size.
#[derive(Debug, Default)]
struct Header {
    octets: Vec<u8>,
    scanner: HeaderScanner,
    is_complete: bool,
}

impl Header {
    /// Reads up to the end of the header. Returns the beginning of the body.
    fn read(&mut self, chunk: &Bytes) -> Bytes {
        if self.is_complete {
            return chunk.clone();
        }
        self.octets.extend_from_slice(chunk);
        match self.scanner.push(chunk) {
            Some(bounds) => self.end_at(bounds),
            None => Bytes::new(),
        }
    }

    /// Ends the header. Returns the octets after it: an empty line, which is added if it is missing, and the body.
    fn end_at(&mut self, HeaderBounds { header_end, body_start }: HeaderBounds) -> Bytes {
        self.is_complete = true;
        let rest = self.octets.split_off(header_end);
        if header_end > 0 && !self.octets.ends_with(b"\n") {
            self.octets.extend_from_slice(b"\r\n");
        }
        if header_end == body_start { [b"\r\n", &rest[..]].concat().into() } else { rest.into() }
    }

    /// The octets after the header of a message that ends here.
    fn finish(&mut self) -> Bytes {
        if self.is_complete { Bytes::new() } else { self.end_at(self.scanner.finish()) }
    }
}

impl<D: Disk, O: Offload> OutboundIncoming<D, O> {
    /// A failed write makes the message incomplete for good.
    fn remember(&mut self, written: Result<(), StoreError>) -> Result<(), StoreError> {
        self.error = written.as_ref().err().cloned();
        written
    }

    fn check(&self) -> Result<(), StoreError> {
        self.error.clone().map_or(Ok(()), Err)
    }
}

impl<D: Disk, O: Offload> IncomingMessage for OutboundIncoming<D, O> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.check()?;
        self.eight_bit |= !chunk.is_ascii();
        let body = self.header.read(&chunk);
        self.body.end().extend_from_slice(&body);
        let spilled = self.body.spill_if_large().await;
        self.remember(spilled)
    }

    fn memory(&self) -> usize {
        self.header.octets.capacity() + self.body.memory()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let spilled = self.body.spill_all().await;
        self.remember(spilled)
    }

    async fn commit(mut self, trace: &Trace) -> Result<(), StoreError> {
        self.check()?;
        let body = self.header.finish();
        self.body.end().extend_from_slice(&body);
        let Self { target, envelope, header, body, eight_bit, .. } = self;
        let Some(composed) = target.composer.compose(&envelope, &header.octets, eight_bit, trace)? else {
            return Err(StoreError::Failed("the message has no recipient on another host".into()));
        };
        let TextQueue { queue, offload, .. } = target.queue;
        let (id, entry) = (composed.id.clone(), composed.entry.clone());
        let body = body.finish().await?;
        let insert = move || {
            let mut head = composed.envelope.clone().into_bytes();
            head.extend_from_slice(&composed.head(&body)?);
            queue.insert(&composed.id, &head, |put| body.read(|piece| -> io::Result<()> { put(piece) }))
        };
        offload.run(insert).await?;
        target.schedule.add(id, &entry);
        Ok(())
    }
}
