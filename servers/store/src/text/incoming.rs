//! A message that is being received, and its delivery to the mailboxes.

use std::sync::Arc;

use bytes::Bytes;
use mail_core::line::LineEndChecker;
use mail_core::mailbox::{RecordWriter, Trace};
use mail_core::message::address::Address;
use mail_core::users::Username;

use super::Shared;
use super::append::{Content, Delivery};
use crate::disk::Disk;
use crate::offload::Offload;
use crate::spool::Spool;
use crate::{Destination, Envelope, IncomingMessage, StoreError};

/// Mailboxes written in parallel; each needs a thread and a buffer.
const MAILBOXES_AT_ONCE: usize = 16;

/// A message that the text store receives.
#[derive(Debug)]
pub struct TextIncoming<D: Disk, O: Offload> {
    shared: Arc<Shared<D>>,
    offload: O,
    recipients: Vec<(Username, Address)>,
    intake: RecordWriter,
    line_ends: LineEndChecker,
    /// The content after the head of the record.
    rest: Spool<D, O>,
    /// The reason the message cannot be committed.
    error: Option<StoreError>,
}

impl<D: Disk, O: Offload> TextIncoming<D, O> {
    /// # Errors
    /// A recipient is not a local mailbox.
    pub(super) fn new(shared: Arc<Shared<D>>, offload: O, envelope: &Envelope) -> Result<Self, StoreError> {
        let mailbox = |destination: &Destination| match destination {
            Destination::Mailbox { account, address } => Ok((account.clone(), address.clone())),
            Destination::Remote(address) => {
                Err(StoreError::Failed(format!("{address} has no mailbox in this store")))
            }
        };
        Ok(Self {
            recipients: envelope.recipients.iter().map(mailbox).collect::<Result<_, _>>()?,
            rest: Spool::new(Arc::clone(&shared.spill_files), offload.clone()),
            shared,
            offload,
            intake: RecordWriter::default(),
            line_ends: LineEndChecker::default(),
            error: None,
        })
    }

    /// A failed spill makes the message incomplete for good.
    fn remember(&mut self, spilled: Result<(), StoreError>) -> Result<(), StoreError> {
        self.error = spilled.as_ref().err().cloned();
        spilled
    }
}

impl<D: Disk, O: Offload> IncomingMessage for TextIncoming<D, O> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.line_ends.check(&chunk);
        self.intake.write(&chunk, self.rest.end());
        let spilled = self.rest.spill_if_large().await;
        self.remember(spilled)
    }

    fn memory(&self) -> usize {
        self.intake.header_length() + self.rest.memory()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let spilled = self.rest.spill_all().await;
        self.remember(spilled)
    }

    async fn commit(self, trace: &Trace) -> Result<(), StoreError> {
        let Self { shared, offload, recipients, intake, line_ends, mut rest, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        // The protocol refuses such a message earlier. In a mailbox it could be read as two records.
        if line_ends.is_malformed() {
            return Err(StoreError::Failed("the message contains a bare CR, a bare LF or a NUL".into()));
        }
        let header = intake.finish(rest.end());
        let content = Arc::new(Content { header, trace: trace.clone(), rest: rest.finish().await? });
        let mut outcome = Ok(());
        for recipients in recipients.chunks(MAILBOXES_AT_ONCE) {
            // All deliveries start before the first is awaited, so the mailboxes are written in parallel.
            let start = |(account, address): &(Username, Address)| {
                let delivery = Delivery::new(Arc::clone(&content), address.clone());
                shared.queue(account).deliver(&shared, &offload, delivery)
            };
            for delivery in recipients.iter().map(start).collect::<Vec<_>>() {
                outcome = outcome.and(delivery.await);
            }
        }
        outcome
    }
}
