//! A message that is being received, and its delivery to everybody's mailbox.

use std::sync::Arc;

use bytes::Bytes;
use mail_core::line::LineEndChecker;
use mail_core::mailbox::{RecordWriter, Trace};

use super::append::{Content, Delivery};
use super::spool::Spool;
use super::{Offload, Shared};
use crate::disk::Disk;
use crate::{Incoming, Recipient, StoreError};

/// So many recipients of a message are served in parallel; each takes a thread and a buffer.
const MAILBOXES_AT_ONCE: usize = 16;

/// A message that the text store receives.
#[derive(Debug)]
pub struct TextIncoming<D: Disk, O: Offload> {
    shared: Arc<Shared<D>>,
    offload: O,
    intake: RecordWriter,
    line_ends: LineEndChecker,
    /// What follows the head of a record.
    rest: Spool<D, O>,
    /// Why the message cannot be committed any more.
    error: Option<StoreError>,
}

impl<D: Disk, O: Offload> TextIncoming<D, O> {
    pub(super) fn new(shared: Arc<Shared<D>>, offload: O) -> Self {
        Self {
            rest: Spool::new(Arc::clone(&shared), offload.clone()),
            shared,
            offload,
            intake: RecordWriter::default(),
            line_ends: LineEndChecker::default(),
            error: None,
        }
    }

    /// A message that could not be spilled once is lost.
    fn remember(&mut self, spilled: Result<(), StoreError>) -> Result<(), StoreError> {
        self.error = spilled.as_ref().err().cloned();
        spilled
    }
}

impl<D: Disk, O: Offload> Incoming for TextIncoming<D, O> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.line_ends.check(&chunk);
        self.intake.write(&chunk, self.rest.end());
        let spilled = self.rest.relieve().await;
        self.remember(spilled)
    }

    fn memory(&self) -> usize {
        self.intake.header_length() + self.rest.memory()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let spilled = self.rest.leave_memory().await;
        self.remember(spilled)
    }

    async fn commit(self, trace: &Trace, recipients: &[Recipient]) -> Result<(), StoreError> {
        let Self { shared, offload, intake, line_ends, mut rest, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        // The protocol has refused such a message before; in a mailbox it could be taken for two.
        if line_ends.is_malformed() {
            return Err(StoreError::Failed("the message has a bare CR, a bare LF or a NUL in it".into()));
        }
        let header = intake.finish(rest.end());
        let content = Arc::new(Content { header, trace: trace.clone(), rest: rest.finish().await? });
        let mut outcome = Ok(());
        for recipients in recipients.chunks(MAILBOXES_AT_ONCE) {
            // All are started before the first is awaited, so that the mailboxes are written in parallel.
            let start = |recipient: &Recipient| {
                let delivery = Delivery::new(Arc::clone(&content), recipient.address.clone());
                shared.queue(&recipient.account).deliver(&shared, &offload, delivery)
            };
            for delivery in recipients.iter().map(start).collect::<Vec<_>>() {
                outcome = outcome.and(delivery.await);
            }
        }
        outcome
    }
}
