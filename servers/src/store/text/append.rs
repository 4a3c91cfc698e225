//! Deliveries to one mailbox: those that wait while one is written go together in the next write and sync.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use mail_core::users::Username;

use super::incoming::Spool;
use super::mailbox::{Tail, settle};
use super::{Folder, failed};
use crate::disk::{Disk, DiskFile, Open};
use crate::store::StoreError;

/// Small records are gathered up to this size before they are written.
const BUFFER_OCTETS_MAX: usize = 1 << 20;

/// One record on its way into one mailbox.
#[derive(Debug)]
pub(super) struct Delivery<F> {
    head: Vec<u8>,
    rest: Arc<Spool<F>>,
    outcome: OnceLock<Result<(), StoreError>>,
}

impl<F> Delivery<F> {
    pub(super) const fn new(head: Vec<u8>, rest: Arc<Spool<F>>) -> Self {
        Self { head, rest, outcome: OnceLock::new() }
    }
}

/// The deliveries that wait for one mailbox.
#[derive(Debug)]
pub(super) struct Queue<D: Disk> {
    folder: Folder,
    waiting: Mutex<Waiting<D>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting<D: Disk> {
    deliveries: Vec<Arc<Delivery<D::File>>>,
    /// Somebody writes a group just now.
    led: bool,
    /// The file whose name this process knows to be durable.
    durable: Option<u64>,
}

impl<D: Disk> Queue<D> {
    pub(super) fn new(account: &Username) -> Self {
        let waiting = Waiting { deliveries: Vec::new(), led: false, durable: None };
        Self { folder: Folder::new(account), waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    /// Appends the record, durably, alone or with others. Blocks.
    pub(super) fn deliver(
        &self,
        disk: &D,
        hostname: &str,
        delivery: Arc<Delivery<D::File>>,
    ) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        waiting.deliveries.push(Arc::clone(&delivery));
        loop {
            if let Some(outcome) = delivery.outcome.get() {
                return outcome.clone();
            }
            if waiting.led {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            waiting.led = true;
            let group = Group { deliveries: std::mem::take(&mut waiting.deliveries), queue: self };
            let durable = waiting.durable;
            drop(waiting);
            let outcome = self.append(disk, hostname, &group.deliveries, durable);
            waiting = self.lock();
            waiting.durable = outcome.as_ref().ok().copied();
            drop(waiting);
            group.finish(outcome.map(|_| ()));
            waiting = self.lock();
        }
    }

    #[cfg(test)]
    pub(super) fn waiting_count(&self) -> usize {
        self.lock().deliveries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<D>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and syncs a group, or leaves the mailbox as it was. Tells which file it wrote to.
    fn append(
        &self,
        disk: &D,
        hostname: &str,
        group: &[Arc<Delivery<D::File>>],
        durable: Option<u64>,
    ) -> Result<u64, StoreError> {
        let path = self.folder.mailbox();
        let fail = |error| failed("write to", &path, error);
        disk.create_dir(&self.folder.path).map_err(fail)?;
        let _lock = disk.lock(&self.folder.append_lock()).map_err(fail)?;
        let file = disk.open(&path, Open::OrCreate).map_err(fail)?;
        let identity = file.identity().map_err(fail)?;
        if durable != Some(identity) {
            // It is new, or a compaction's, and whoever made it may have died before its name was durable.
            disk.sync_dir(&self.folder.path).map_err(fail)?;
            disk.sync_dir(Path::new("")).map_err(fail)?;
        }
        let tail = settle(disk, &self.folder, &file, hostname)?;
        let length = complete_last_line(&file, tail).map_err(fail)?;
        let written = write_group(&file, length, group).and_then(|()| file.sync());
        if let Err(error) = written {
            let error = fail(error);
            tracing::error!(mailbox = %path.display(), %error, "a delivery failed");
            // A sync that failed once is never trusted again: what it was about is taken back.
            if let Err(error) = file.set_len(length).and_then(|()| file.sync()) {
                tracing::error!(mailbox = %path.display(), %error, "cannot take the failed delivery back");
            }
            return Err(error);
        }
        Ok(identity)
    }
}

/// The deliveries that one write is for.
struct Group<'a, D: Disk> {
    deliveries: Vec<Arc<Delivery<D::File>>>,
    queue: &'a Queue<D>,
}

impl<D: Disk> Group<'_, D> {
    fn finish(self, outcome: Result<(), StoreError>) {
        for delivery in &self.deliveries {
            delivery.outcome.get_or_init(|| outcome.clone());
        }
    }
}

impl<D: Disk> Drop for Group<'_, D> {
    /// Lets the others go on, even if the write has panicked.
    fn drop(&mut self) {
        for delivery in &self.deliveries {
            delivery.outcome.get_or_init(|| Err(StoreError::Failed("the delivery was interrupted".into())));
        }
        self.queue.lock().led = false;
        self.queue.changed.notify_all();
    }
}

/// Gives the last line its end, durably before anything follows: a crash that kept what follows and lost the line end
/// would take the record before it along. Tells the length of the file.
fn complete_last_line(file: &impl DiskFile, tail: Tail) -> io::Result<u64> {
    if !tail.line_end.is_empty() {
        file.write_all_at(tail.line_end, tail.length)?;
        file.sync()?;
    }
    Ok(tail.length + tail.line_end.len() as u64)
}

fn write_group<F: DiskFile>(file: &F, length: u64, group: &[Arc<Delivery<F>>]) -> io::Result<()> {
    let mut writer = Writer { file, at: length, buffer: Vec::new() };
    for delivery in group {
        writer.put(&delivery.head)?;
        delivery.rest.read(|piece| writer.put(piece))?;
    }
    writer.flush()
}

/// Gathers small pieces into large writes.
pub(super) struct Writer<'a, F> {
    file: &'a F,
    at: u64,
    buffer: Vec<u8>,
}

impl<'a, F: DiskFile> Writer<'a, F> {
    pub(super) const fn new(file: &'a F) -> Self {
        Self { file, at: 0, buffer: Vec::new() }
    }

    pub(super) fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.buffer.len() + piece.len() > BUFFER_OCTETS_MAX {
            self.flush()?;
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.at)?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
