//! Deliveries to one mailbox: those that wait while one is written go together in the next write and sync.
//!
//! The first of them leads: it has a thread and writes group by group, until nobody waits. The others await their
//! outcome and take no thread, so that a mailbox whose lock is held keeps nobody but its own deliveries waiting.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use mail_core::mailbox::{Header, Trace};
use mail_core::message::address::Address;
use mail_core::users::Username;

use super::index::Chain;
use super::mailbox::{Tail, settle};
use super::spool::Spooled;
use super::{Folder, Offload, Shared, failed};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, Open, Status};

/// Small pieces are gathered up to this size before they are written; larger ones are written as they are.
const BUFFER_OCTETS_MAX: usize = 128 << 10;
/// So much of a long write goes to the disk at a time, while the rest is still written.
const STRETCH_OCTETS: u64 = 1 << 20;

/// What the records of one message have in common.
#[derive(Debug)]
pub(super) struct Content<F> {
    pub(super) header: Header,
    pub(super) trace: Trace,
    pub(super) rest: Spooled<F>,
}

/// One record on its way into one mailbox. Its head is made when it is written.
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

/// The deliveries that wait for one mailbox.
#[derive(Debug)]
pub(super) struct Queue<D: Disk> {
    folder: Folder,
    waiting: Mutex<Waiting<D>>,
}

#[derive(Debug)]
struct Waiting<D: Disk> {
    deliveries: Vec<Arc<Delivery<D::File>>>,
    /// Somebody leads just now.
    led: bool,
}

impl<D: Disk> Queue<D> {
    pub(super) fn new(account: &Username) -> Self {
        let waiting = Waiting { deliveries: Vec::new(), led: false };
        Self { folder: Folder::new(account), waiting: Mutex::new(waiting) }
    }

    /// Appends the record, durably, alone or with others. Starts when it is called.
    pub(super) fn deliver<O: Offload>(
        self: Arc<Self>,
        shared: &Arc<Shared<D>>,
        offload: &O,
        delivery: Delivery<D::File>,
    ) -> impl Future<Output = Result<(), StoreError>> + use<D, O> {
        let delivery = Arc::new(delivery);
        let mut waiting = self.lock();
        waiting.deliveries.push(Arc::clone(&delivery));
        let is_led = std::mem::replace(&mut waiting.led, true);
        drop(waiting);
        if !is_led {
            let leader = Leader { queue: self, group: Vec::new(), leads: true };
            let shared = Arc::clone(shared);
            // It goes on by itself; what becomes of it, each delivery learns on its own.
            drop(offload.run(move || leader.lead(&shared)));
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

    /// Writes and syncs a group, or leaves the mailbox as it was.
    fn append(&self, shared: &Shared<D>, group: &[Arc<Delivery<D::File>>]) -> Result<(), StoreError> {
        let path = self.folder.mailbox();
        let fail = |error| failed("write to", &path, error);
        let _lock = with_descriptors(shared, || self.lock_append(&shared.disk)).map_err(fail)?;
        let (file, status) = with_descriptors(shared, || self.open_durable(shared, &path)).map_err(fail)?;
        let tail = settle(&shared.disk, &self.folder, &file, status, &shared.hostname)?;
        let before = complete_last_line(&*file, tail).map_err(fail)?;
        let index = Chain::open(shared, &self.folder, before);
        let length = before.length;
        let written = write_group(&*file, length, group).and_then(|()| file.sync());
        if let Err(error) = written {
            let error = fail(error);
            tracing::error!(mailbox = %path.display(), %error, "a delivery failed");
            // A sync that failed once is never trusted again: what it was about is taken back.
            if let Err(error) = file.set_len(length).and_then(|()| file.sync()) {
                tracing::error!(mailbox = %path.display(), %error, "cannot take the failed delivery back");
            }
            shared.open_files.forget(&path);
            return Err(error);
        }
        if let Some(Err(error)) = index.map(|index| index.extend(&*file, &shared.hostname)) {
            tracing::warn!(mailbox = %path.display(), %error, "the index cannot follow a delivery; it will be made again");
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

    /// The mailbox, with a name that is durable, and its status. The caller has the append lock.
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
        // It is new, or a compaction's, and whoever made it may have died before its name was durable.
        disk.sync_dir(&self.folder.path)?;
        disk.sync_dir(Path::new(""))?;
        let status = file.status()?;
        open_files.keep(path, status.identity, &file);
        Ok((file, status))
    }
}

/// Does it once more without the files that are kept open, where the process has no descriptor left.
fn with_descriptors<D: Disk, T>(shared: &Shared<D>, work: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match work() {
        Err(error) if D::is_out_of_descriptors(&error) && shared.open_files.clear() => {
            tracing::warn!("no file descriptor was left; closed the mailboxes that were kept open");
            work()
        }
        done => done,
    }
}

/// Who writes for a mailbox.
struct Leader<D: Disk> {
    queue: Arc<Queue<D>>,
    /// The deliveries that are being written.
    group: Vec<Arc<Delivery<D::File>>>,
    leads: bool,
}

impl<D: Disk> Leader<D> {
    /// Writes group by group until nobody waits. Blocks.
    fn lead(mut self, shared: &Shared<D>) {
        while self.next_group() {
            let outcome = self.queue.append(shared, &self.group);
            self.group.drain(..).for_each(|delivery| delivery.finish(outcome.clone()));
        }
    }

    /// Takes those that wait; when there is nobody, stops leading in the same moment.
    fn next_group(&mut self) -> bool {
        let mut waiting = self.queue.lock();
        self.group = std::mem::take(&mut waiting.deliveries);
        self.leads = !self.group.is_empty();
        waiting.led = self.leads;
        self.leads
    }
}

impl<D: Disk> Drop for Leader<D> {
    /// Lets everybody go on, even if the write has panicked or was never begun.
    fn drop(&mut self) {
        if !self.leads {
            return;
        }
        let mut waiting = self.queue.lock();
        waiting.led = false;
        let left = std::mem::take(&mut waiting.deliveries);
        drop(waiting);
        for delivery in self.group.drain(..).chain(left) {
            delivery.finish(Err(StoreError::Failed("the delivery was interrupted".into())));
        }
    }
}

/// Gives the last line its end, durably before anything follows: a crash that kept what follows and lost the line end
/// would take the record before it along. Tells the file's status then.
fn complete_last_line(file: &impl DiskFile, Tail { status, line_end }: Tail) -> io::Result<Status> {
    if line_end.is_empty() {
        return Ok(status);
    }
    file.write_all_at(line_end, status.length)?;
    file.sync()?;
    file.status()
}

fn write_group<F: DiskFile>(file: &F, length: u64, group: &[Arc<Delivery<F>>]) -> io::Result<()> {
    let mut writer = Writer::behind(file, length);
    for delivery in group {
        let Content { header, trace, rest } = &*delivery.content;
        writer.put(&header.record_head(trace, &delivery.address))?;
        rest.read(|piece| writer.put(piece))?;
    }
    writer.flush()
}

/// Gathers small pieces into large writes, and has the disk begin before the sync.
pub(super) struct Writer<'a, F> {
    file: &'a F,
    at: u64,
    /// Where the stretch begins that the disk has not been told of.
    stretch: u64,
    buffer: Vec<u8>,
}

impl<'a, F: DiskFile> Writer<'a, F> {
    pub(super) const fn behind(file: &'a F, length: u64) -> Self {
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
