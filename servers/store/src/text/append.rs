//! Group commit: deliveries to one mailbox that arrive during a write share the next write and sync.
//!
//! The first delivery becomes the leader. Its thread writes group after group until the queue is empty. The others await
//! their result without a thread, so a locked mailbox delays only its own deliveries.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use mail_core::mailbox::{Header, Trace};
use mail_core::message::address::Address;
use mail_core::users::Username;

use super::index::IndexAppend;
use super::mailbox::{Tail, repair_tail};
use super::{Folder, Shared};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, Open, Status, failed};
use crate::offload::Offload;
use crate::spool::Spooled;

/// Smaller pieces are collected up to this size before a write.
const BUFFER_OCTETS_MAX: usize = 128 << 10;
/// Length of a stretch of a long write. The disk starts writing each stretch when it is complete.
const STRETCH_OCTETS: u64 = 1 << 20;

/// The message that all of its records share.
#[derive(Debug)]
pub(super) struct Content<F> {
    pub(super) header: Header,
    pub(super) trace: Trace,
    pub(super) rest: Spooled<F>,
}

/// One recipient's record. Its head is made when it is written.
#[derive(Debug)]
pub(super) struct Delivery<F> {
    content: Arc<Content<F>>,
    address: Address,
    outcome: Mutex<Outcome>,
}

#[derive(Debug)]
enum Outcome {
    Awaited(Waker),
    Known(Result<(), StoreError>),
}

impl<F> Delivery<F> {
    pub(super) fn new(content: Arc<Content<F>>, address: Address) -> Self {
        Self { content, address, outcome: Mutex::new(Outcome::Awaited(Waker::noop().clone())) }
    }

    fn finish(&self, outcome: Result<(), StoreError>) {
        let before = std::mem::replace(&mut *self.outcome(), Outcome::Known(outcome));
        if let Outcome::Awaited(waker) = before {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Result<(), StoreError>> {
        match &mut *self.outcome() {
            Outcome::Known(outcome) => Poll::Ready(outcome.clone()),
            Outcome::Awaited(waker) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
        }
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The deliveries waiting for one mailbox.
#[derive(Debug)]
pub(super) struct Queue<D: Disk> {
    folder: Folder,
    waiting: Mutex<Waiting<D>>,
}

#[derive(Debug)]
struct Waiting<D: Disk> {
    deliveries: Vec<Arc<Delivery<D::File>>>,
    /// A leader is writing.
    has_leader: bool,
}

impl<D: Disk> Queue<D> {
    pub(super) fn new(account: &Username) -> Self {
        let waiting = Waiting { deliveries: Vec::new(), has_leader: false };
        Self { folder: Folder::new(account), waiting: Mutex::new(waiting) }
    }

    /// Appends the record durably. Starts when it is called, not when the future is polled.
    pub(super) fn deliver<O: Offload>(
        self: Arc<Self>,
        shared: &Arc<Shared<D>>,
        offload: &O,
        delivery: Delivery<D::File>,
    ) -> impl Future<Output = Result<(), StoreError>> + use<D, O> {
        let delivery = Arc::new(delivery);
        let mut waiting = self.lock();
        waiting.deliveries.push(Arc::clone(&delivery));
        let has_leader = std::mem::replace(&mut waiting.has_leader, true);
        drop(waiting);
        if !has_leader {
            let leader = Leader { queue: self, group: Vec::new(), is_leader: true };
            let shared = Arc::clone(shared);
            // The leader completes each delivery, so its own future is not needed.
            drop(offload.run(move || leader.run(&shared)));
        }
        std::future::poll_fn(move |context| delivery.poll(context))
    }

    #[cfg(test)]
    pub(super) fn waiting_count(&self) -> usize {
        self.lock().deliveries.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<D>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes and syncs a group. After an error the mailbox is unchanged.
    fn append(&self, shared: &Shared<D>, group: &[Arc<Delivery<D::File>>]) -> Result<(), StoreError> {
        let path = self.folder.mailbox();
        let fail = |error| failed("write to", &path, error);
        let _lock = with_descriptors(shared, || self.lock_append(&shared.disk))
            .map_err(|error| failed("lock", &self.folder.append_lock(), error))?;
        let (file, status) = with_descriptors(shared, || self.open_durable(shared, &path)).map_err(fail)?;
        let tail = repair_tail(&shared.disk, &self.folder, &file, status, &shared.hostname)?;
        let before = complete_last_line(&*file, tail).map_err(fail)?;
        let index = IndexAppend::open(shared, &self.folder, before);
        let length = before.length;
        let written = write_group(&*file, length, group).and_then(|()| file.sync());
        if let Err(error) = written {
            let error = fail(error);
            tracing::error!(mailbox = %path.display(), %error, "delivery failed");
            // After a failed sync the page cache cannot be trusted, so the append is undone.
            if let Err(error) = file.set_len(length).and_then(|()| file.sync()) {
                tracing::error!(mailbox = %path.display(), %error, "cannot undo the failed delivery");
            }
            shared.open_files.forget(&path);
            return Err(error);
        }
        if let Some(Err(error)) = index.map(|index| index.extend(&*file, &shared.hostname)) {
            tracing::warn!(mailbox = %path.display(), %error, "cannot update the index; the next login rebuilds it");
        }
        Ok(())
    }

    fn lock_append(&self, disk: &D) -> io::Result<D::Lock> {
        match disk.lock(&self.folder.append_lock()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.create_dir(&self.folder.path)?;
                disk.lock(&self.folder.append_lock())
            }
            locked => locked,
        }
    }

    /// The mailbox file, whose directory entry is durable, and its status. The caller holds the append lock.
    fn open_durable(&self, shared: &Shared<D>, path: &Path) -> io::Result<(Arc<D::File>, Status)> {
        let Shared { disk, open_files, .. } = shared;
        match disk.status(path) {
            Ok(status) => {
                if let Some(file) = open_files.find(path, status.identity) {
                    return Ok((file, status));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let file = Arc::new(disk.open(path, Open::OrCreate)?);
        // The process that created or compacted the file may have died before its directory entry was durable.
        disk.sync_dir(&self.folder.path)?;
        disk.sync_dir(Path::new(""))?;
        let status = file.status()?;
        open_files.keep(path, status.identity, &file);
        Ok((file, status))
    }
}

/// Retries after closing the open mailboxes if the process has no file descriptor left.
fn with_descriptors<D: Disk, T>(shared: &Shared<D>, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match work() {
        Err(error) if D::is_out_of_descriptors(&error) && shared.open_files.clear() => {
            tracing::warn!("no file descriptor left: closed the open mailboxes");
            work()
        }
        done => done,
    }
}

/// Writes for a mailbox.
struct Leader<D: Disk> {
    queue: Arc<Queue<D>>,
    /// The deliveries being written.
    group: Vec<Arc<Delivery<D::File>>>,
    is_leader: bool,
}

impl<D: Disk> Leader<D> {
    /// Writes group after group until the queue is empty. Blocks.
    fn run(mut self, shared: &Shared<D>) {
        while self.next_group() {
            let outcome = self.queue.append(shared, &self.group);
            self.group.drain(..).for_each(|delivery| delivery.finish(outcome.clone()));
        }
    }

    /// Takes the waiting deliveries, or gives up leadership if there are none.
    fn next_group(&mut self) -> bool {
        let mut waiting = self.queue.lock();
        self.group = std::mem::take(&mut waiting.deliveries);
        self.is_leader = !self.group.is_empty();
        waiting.has_leader = self.is_leader;
        self.is_leader
    }
}

impl<D: Disk> Drop for Leader<D> {
    /// Fails the remaining deliveries if the write panicked or never started.
    fn drop(&mut self) {
        if !self.is_leader {
            return;
        }
        let mut waiting = self.queue.lock();
        waiting.has_leader = false;
        let pending = std::mem::take(&mut waiting.deliveries);
        drop(waiting);
        for delivery in self.group.drain(..).chain(pending) {
            delivery.finish(Err(StoreError::Failed("the delivery was interrupted".into())));
        }
    }
}

/// Completes the last line end durably before the append: a crash that kept the append but lost the line end would destroy
/// the record before it. Returns the new status.
fn complete_last_line(file: &impl DiskFile, Tail { status, line_end }: Tail) -> io::Result<Status> {
    if line_end.is_empty() {
        return Ok(status);
    }
    file.write_all_at(line_end, status.length)?;
    file.sync()?;
    file.status()
}

fn write_group<F: DiskFile>(file: &F, length: u64, group: &[Arc<Delivery<F>>]) -> io::Result<()> {
    let mut writer = Writer::at(file, length);
    for delivery in group {
        let Content { header, trace, rest } = &*delivery.content;
        writer.put(&header.record_head(trace, &delivery.address))?;
        rest.read(|piece| writer.put(piece))?;
    }
    writer.flush()
}

/// Collects small pieces into large writes, and starts writing them to the disk before the sync.
pub(super) struct Writer<'a, F> {
    file: &'a F,
    at: u64,
    /// Start of the stretch that the disk has not started to write.
    stretch: u64,
    buffer: Vec<u8>,
}

impl<'a, F: DiskFile> Writer<'a, F> {
    pub(super) const fn at(file: &'a F, length: u64) -> Self {
        Self { file, at: length, stretch: length, buffer: Vec::new() }
    }

    pub(super) fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.buffer.len() + piece.len() > BUFFER_OCTETS_MAX {
            self.flush()?;
        }
        if piece.len() > BUFFER_OCTETS_MAX {
            self.write(piece)?;
        } else {
            self.buffer.extend_from_slice(piece);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all_at(octets, self.at)?;
        self.at += octets.len() as u64;
        if self.at - self.stretch >= STRETCH_OCTETS {
            self.file.begin_sync(self.stretch..self.at);
            self.stretch = self.at;
        }
        Ok(())
    }
}
