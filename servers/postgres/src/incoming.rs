//! A message that is being received. It waits in memory or in a temporary file, without a connection to the database.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mail_core::line::LineEndChecker;
use mail_core::mailbox::{RecordWriter, Trace};
use mail_core::message::address::Address;
use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::spool::Spool;
use mail_store::{Destination, Envelope, IncomingMessage, StoreError};

use crate::accounts::key;
use crate::commit::{Content, Delivery, INLINE_OCTETS_MAX, Recipient};
use crate::store::Shared;

/// A message that the database receives.
#[derive(Debug)]
pub struct PostgresIncoming {
    shared: Arc<Shared>,
    /// By account, because maildrops are locked in this order.
    recipients: BTreeMap<String, Address>,
    intake: RecordWriter,
    line_ends: LineEndChecker,
    /// The message after its header.
    rest: Spool<RealDisk, Threads>,
    rest_octets: u64,
    /// The reason the message cannot be committed.
    error: Option<StoreError>,
}

impl PostgresIncoming {
    /// # Errors
    /// A recipient is not a local mailbox.
    pub(crate) fn new(shared: Arc<Shared>, envelope: &Envelope) -> Result<Self, StoreError> {
        let mailbox = |destination: &Destination| match destination {
            Destination::Mailbox { account, address } => Ok((key(account), address.clone())),
            Destination::Remote(address) => {
                Err(StoreError::Failed(format!("{address} has no mailbox in this store")))
            }
        };
        Ok(Self {
            recipients: envelope.recipients.iter().map(mailbox).collect::<Result<_, _>>()?,
            intake: RecordWriter::without_dot_stuffing(),
            line_ends: LineEndChecker::default(),
            rest: Spool::new(Arc::clone(&shared.spill_files), Threads),
            rest_octets: 0,
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
        let Self { shared, recipients, intake, line_ends, mut rest, mut rest_octets, .. } = self;
        // The protocol refuses such a message earlier. As a record of MyMailBox.txt it could be read as two.
        if line_ends.is_malformed() {
            return Err(StoreError::Failed("the message contains a bare CR, a bare LF or a NUL".into()));
        }
        let end = rest.end();
        let before = end.len();
        let header = intake.finish(end);
        rest_octets += (end.len() - before) as u64;
        let head = header.wire_head(trace);
        let recipients = recipients.into_iter().map(|(account, address)| {
            let front = header.completed_front(trace, &address);
            Recipient { account, front }
        });
        let octets = head.octets.len() as u64 + rest_octets;
        let rest = rest.finish().await?;
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
            Content::Spooled { head: head.octets, rest: Arc::new(rest) }
        };
        let delivery = Delivery {
            unique_id: trace.id.clone(),
            received: trace.time,
            octets,
            trace_length: head.trace_length,
            front_length: head.front_length,
            recipients: recipients.collect(),
            content,
        };
        shared.commits.deliver(delivery).await
    }
}

/// Reads a short message, which is in memory unless memory was short: then a page of the page cache.
fn unspool(read: impl FnOnce() -> std::io::Result<Vec<u8>>) -> Result<Vec<u8>, StoreError> {
    read().map_err(|error| StoreError::Failed(format!("cannot read a temporary file: {error}")))
}
