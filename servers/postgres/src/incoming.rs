//! A message that is being received. It waits in memory or in a temporary file, without a connection to the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mail_core::line::LineEndChecker;
use mail_core::mailbox::{RecordWriter, Trace, WireHead};
use mail_core::message::address::Address;
use mail_outbound::Composed;
use mail_store::disk::{Disk, RealDisk};
use mail_store::offload::{Offload as _, Threads};
use mail_store::spool::{Spool, Spooled};
use mail_store::{Destination, Envelope, IncomingMessage, StoreError};

use crate::accounts::key;
use crate::commit::{Content, Delivery, INLINE_OCTETS_MAX, QueuedDelivery, Recipient};
use crate::store::Shared;

/// A message that the database receives.
#[derive(Debug)]
pub struct PostgresIncoming {
    shared: Arc<Shared>,
    envelope: Envelope,
    /// The local recipients by account, because maildrops are locked in this order.
    recipients: BTreeMap<String, Address>,
    intake: RecordWriter,
    line_ends: LineEndChecker,
    /// The message after its header.
    rest: Spool<RealDisk, Threads>,
    rest_octets: u64,
    eight_bit: bool,
    /// The reason the message cannot be committed.
    error: Option<StoreError>,
}

impl PostgresIncoming {
    /// # Errors
    /// A recipient is on another host, and there is no queue.
    pub(crate) fn new(shared: Arc<Shared>, envelope: &Envelope) -> Result<Self, StoreError> {
        let mut recipients = BTreeMap::new();
        for destination in &envelope.recipients {
            match destination {
                Destination::Mailbox { account, address } => {
                    recipients.insert(key(account), address.clone());
                }
                Destination::Remote(_) if shared.outbound.is_some() => {}
                Destination::Remote(address) => {
                    return Err(StoreError::Failed(format!("{address} has no mailbox in this store")));
                }
            }
        }
        Ok(Self {
            envelope: envelope.clone(),
            recipients,
            intake: RecordWriter::without_dot_stuffing(),
            line_ends: LineEndChecker::default(),
            rest: Spool::new(Arc::clone(&shared.spill_files), Threads),
            rest_octets: 0,
            eight_bit: false,
            shared,
            error: None,
        })
    }

    fn check(&self) -> Result<(), StoreError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    /// A failed spill makes the message incomplete for good.
    fn remember(&mut self, spilled: Result<(), StoreError>) -> Result<(), StoreError> {
        self.error = spilled.as_ref().err().cloned();
        spilled
    }
}

impl IncomingMessage for PostgresIncoming {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.check()?;
        self.line_ends.check(&chunk);
        self.eight_bit |= !chunk.is_ascii();
        let rest = self.rest.end();
        let before = rest.len();
        self.intake.write(&chunk, rest);
        self.rest_octets += (rest.len() - before) as u64;
        let spilled = self.rest.spill_if_large().await;
        self.remember(spilled)
    }

    fn memory(&self) -> usize {
        self.intake.header_length() + self.rest.memory()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let spilled = self.rest.spill_all().await;
        self.remember(spilled)
    }

    async fn commit(self, trace: &Trace) -> Result<(), StoreError> {
        self.check()?;
        let Self {
            shared,
            envelope,
            recipients,
            intake,
            line_ends,
            mut rest,
            mut rest_octets,
            eight_bit,
            ..
        } = self;
        // The protocol refuses such a message earlier. As a record of MyMailBox.txt it could be read as two.
        if line_ends.is_malformed() {
            return Err(StoreError::Failed("the message contains a bare CR, a bare LF or a NUL".into()));
        }
        let end = rest.end();
        let before = end.len();
        let header = intake.finish(end);
        rest_octets += (end.len() - before) as u64;
        let composed = match &shared.outbound {
            Some(outbound) => outbound.composer.compose(&envelope, header.octets(), eight_bit, trace)?,
            None => None,
        };
        // Mail for other hosts only has no trace fields of a delivery.
        let head = if recipients.is_empty() { WireHead::default() } else { header.wire_head(trace) };
        let recipients = recipients.into_iter().map(|(account, address)| {
            let front = header.completed_front(trace, &address);
            Recipient { account, front, delivery_fields: trace.delivery_fields(&address) }
        });
        let recipients = recipients.collect();
        let (body_start, octets) = (head.octets.len() as u64, head.octets.len() as u64 + rest_octets);
        let rest = Arc::new(rest.finish().await?);
        let queued = match composed {
            Some(composed) => Some(queued(&shared, composed, &rest, rest_octets, body_start).await?),
            None => None,
        };
        let is_queued = queued.is_some();
        let content = if octets <= INLINE_OCTETS_MAX {
            let mut content = head.octets;
            let read = move || {
                let read = rest.read(|piece| {
                    content.extend_from_slice(piece);
                    Ok(())
                });
                read.map(|()| content)
            };
            Content::Inline(unspool(read)?)
        } else {
            Content::Spooled { head: head.octets, rest }
        };
        let delivery = Delivery {
            unique_id: trace.id.clone(),
            received: trace.time,
            octets,
            trace_length: head.trace_length,
            front_length: head.front_length,
            recipients,
            content,
            queued,
        };
        shared.commits.deliver(delivery).await?;
        if let Some(outbound) = shared.outbound.as_ref().filter(|_| is_queued) {
            outbound.queue.notify();
        }
        Ok(())
    }
}

/// The entry of a message, which is signed on another thread.
async fn queued(
    shared: &Shared,
    composed: Composed,
    rest: &Arc<Spooled<<RealDisk as Disk>::File>>,
    rest_octets: u64,
    body_start: u64,
) -> Result<QueuedDelivery, StoreError> {
    // A message without a body has no empty line either; other hosts get one.
    let is_empty = rest_octets == 0;
    let body = if is_empty {
        let mut line = Spool::new(Arc::clone(&shared.spill_files), Threads);
        line.end().extend_from_slice(b"\r\n");
        Arc::new(line.finish().await?)
    } else {
        Arc::clone(rest)
    };
    let (envelope, head) =
        Threads.run(move || composed.head(&body).map(|head| (composed.envelope, head))).await?;
    let head = if is_empty { [&head[..], b"\r\n"].concat() } else { head };
    Ok(QueuedDelivery { envelope, octets: head.len() as u64 + rest_octets, head, body_start })
}

/// Reads a short message, which is in memory unless memory was short: then a page of the page cache.
fn unspool(read: impl FnOnce() -> std::io::Result<Vec<u8>>) -> Result<Vec<u8>, StoreError> {
    read().map_err(|error| StoreError::Failed(format!("cannot read a temporary file: {error}")))
}
