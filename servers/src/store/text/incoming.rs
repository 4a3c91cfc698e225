//! A message that is being received: up to a quarter of a mebibyte in memory, beyond that in a file without a name.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use mail_core::line::LineEnds;
use mail_core::mailbox::{Intake, Trace};

use super::append::{Content, Delivery, Writer};
use super::{Offload, Shared, TEMPORARY, failed, ignore_missing};
use crate::disk::{Disk, DiskFile, Open};
use crate::store::{Incoming, Recipient, StoreError};

/// A message up to this size never touches the disk before it is delivered.
const MEMORY_OCTETS_MAX: usize = 256 << 10;
/// So many recipients of a message are served in parallel; each takes a thread and a buffer.
const MAILBOXES_AT_ONCE: usize = 16;

/// A message that the text store receives.
#[derive(Debug)]
pub struct TextIncoming<D: Disk, O: Offload> {
    shared: Arc<Shared<D>>,
    offload: O,
    intake: Intake,
    line_ends: LineEnds,
    rest: Spool<D::File>,
    /// Why the message cannot be committed any more.
    error: Option<StoreError>,
}

/// What follows the head of a record: first the spilled part, then the part in memory.
#[derive(Debug)]
pub(super) struct Spool<F> {
    spilled: Option<Spilled<F>>,
    memory: Vec<u8>,
}

#[derive(Debug)]
struct Spilled<F> {
    file: Arc<F>,
    length: u64,
}

impl<D: Disk, O: Offload> TextIncoming<D, O> {
    pub(super) fn new(shared: Arc<Shared<D>>, offload: O) -> Self {
        Self {
            shared,
            offload,
            intake: Intake::default(),
            line_ends: LineEnds::default(),
            rest: Spool { spilled: None, memory: Vec::new() },
            error: None,
        }
    }

    async fn spill(&mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let memory = std::mem::take(&mut self.rest.memory);
        let spilled = self.rest.spilled.take();
        let work = move || -> io::Result<_> {
            let Spilled { file, length } = match spilled {
                Some(spilled) => spilled,
                None => Spilled { file: Arc::new(open_nameless(&shared)?), length: 0 },
            };
            file.write_all_at(&memory, length)?;
            Ok(Spool {
                spilled: Some(Spilled { file, length: length + memory.len() as u64 }),
                memory: emptied(memory),
            })
        };
        let spooled = self.offload.run(work).await;
        self.rest = spooled.map_err(|error| failed("write to", Path::new(TEMPORARY), error))?;
        Ok(())
    }
}

impl<D: Disk, O: Offload> Incoming for TextIncoming<D, O> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.line_ends.check(&chunk);
        self.intake.write(&chunk, &mut self.rest.memory);
        if self.rest.memory.len() > MEMORY_OCTETS_MAX {
            let spilled = self.spill().await;
            self.error = spilled.as_ref().err().cloned();
            return spilled;
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.intake.header_length() + self.rest.memory.capacity()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let spilled = self.spill().await;
        self.error = spilled.as_ref().err().cloned();
        self.rest.memory = Vec::new();
        spilled
    }

    async fn commit(self, trace: &Trace, recipients: &[Recipient]) -> Result<(), StoreError> {
        let Self { shared, offload, intake, line_ends, mut rest, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        // The protocol has refused such a message before; in a mailbox it could be taken for two.
        if line_ends.are_broken() {
            return Err(StoreError::Failed("the message has a bare CR, a bare LF or a NUL in it".into()));
        }
        let header = intake.finish(&mut rest.memory);
        let content = Arc::new(Content { header, trace: trace.clone(), rest });
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

impl<F: DiskFile> Spool<F> {
    pub(super) fn put_into(&self, writer: &mut Writer<'_, F>) -> io::Result<()> {
        if let Some(Spilled { file, length }) = &self.spilled {
            writer.put_range(file, 0..*length)?;
        }
        writer.put(&self.memory)
    }
}

/// A file that no directory lists: however this process ends, nothing of it stays.
fn open_nameless<D: Disk>(shared: &Shared<D>) -> io::Result<D::File> {
    loop {
        let number = shared.spill.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(TEMPORARY).join(number.to_string());
        match shared.disk.open(&path, Open::New) {
            Ok(file) => {
                ignore_missing(shared.disk.remove(&path))?;
                return Ok(file);
            }
            // Another process is between the two steps just now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer
}
