//! The lease of a maildrop: its lock, and a snapshot of where its messages stand in the file.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use mail_core::mailbox::{HEAD_OCTETS_MAX, HashedId, Kind, Message, Record};
use mail_core::users::Username;

use super::mailbox::{read_exact, read_range, scan, settle};
use super::{Folder, Offload, Shared, TextBody, failed, open_existing, removal};
use crate::disk::{Disk, DiskFile};
use crate::store::{Entry, Extent, Maildrop, StoreError};

/// How many entries are answered at once.
const ENTRIES_AT_ONCE: usize = 512;

/// A lease of the text store.
#[derive(Debug)]
pub struct TextMaildrop<D: Disk, O: Offload> {
    snapshot: Arc<Snapshot<D>>,
    offload: O,
}

/// The mailbox as the session found it. A body that is being read keeps it, and the lock, alive.
#[derive(Debug)]
pub(super) struct Snapshot<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) folder: Folder,
    /// The mailbox and its inode, if there is one.
    pub(super) file: Option<(D::File, u64)>,
    /// The octets of the file when it was read.
    pub(super) length: u64,
    /// The messages in their order; number 1 comes first.
    pub(super) messages: Vec<Record>,
    /// What earlier sessions removed.
    pub(super) removed: Vec<Range<u64>>,
    /// Stretches that cannot be read.
    pub(super) broken: usize,
    /// Ids that more than one message has.
    doubled: HashSet<Box<str>>,
    octets: u64,
    _lock: D::Lock,
}

impl<D: Disk, O: Offload> TextMaildrop<D, O> {
    pub(super) async fn open(
        shared: Arc<Shared<D>>,
        offload: O,
        account: &Username,
    ) -> Result<Self, StoreError> {
        let folder = Folder::new(account);
        let snapshot = offload.run(move || Snapshot::take(shared, folder)).await?;
        Ok(Self { snapshot: Arc::new(snapshot), offload })
    }

    async fn with_snapshot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<D>) -> T + Send + 'static,
    ) -> T {
        let snapshot = Arc::clone(&self.snapshot);
        self.offload.run(move || work(&snapshot)).await
    }
}

impl<D: Disk, O: Offload> Maildrop for TextMaildrop<D, O> {
    type Body = TextBody<D, O>;

    fn count(&self) -> u64 {
        self.snapshot.messages.len() as u64
    }

    fn octets(&self) -> u64 {
        self.snapshot.octets
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        self.with_snapshot(move |snapshot| {
            let to = snapshot.messages.len() as u64;
            (from.max(1)..=to).take(ENTRIES_AT_ONCE).map(|number| snapshot.entry(number)).collect()
        })
        .await
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        self.with_snapshot(move |snapshot| snapshot.entry(number)).await
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<TextBody<D, O>, StoreError> {
        TextBody::open(Arc::clone(&self.snapshot), self.offload.clone(), number, extent).await
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        let Self { snapshot, offload } = self;
        let numbers = numbers.to_vec();
        offload.run(move || removal::remove(&snapshot, &numbers)).await
    }

    /// A flock holds as long as the process lives.
    fn lifetime(&self) -> Option<Duration> {
        None
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl<D: Disk> Snapshot<D> {
    fn take(shared: Arc<Shared<D>>, folder: Folder) -> Result<Self, StoreError> {
        let path = folder.mailbox();
        let fail = |error| failed("read", &path, error);
        let disk = &shared.disk;
        disk.create_dir(&folder.path).map_err(fail)?;
        let lock = disk.try_lock(&folder.maildrop_lock()).map_err(fail)?.ok_or(StoreError::InUse)?;
        let (file, length) = {
            // Held for a moment only: behind the end that it shows, deliveries go on.
            let _append_lock = disk.lock(&folder.append_lock()).map_err(fail)?;
            match open_existing(disk, &path).map_err(fail)? {
                Some(file) => {
                    let length = settle(disk, &folder, &file, &shared.hostname)?.length;
                    let identity = file.identity().map_err(fail)?;
                    (Some((file, identity)), length)
                }
                None => (None, 0),
            }
        };
        let (mut messages, mut removed, mut broken) = (Vec::new(), Vec::new(), 0);
        let (mut seen, mut doubled, mut octets) = (HashSet::<Box<str>>::new(), HashSet::new(), 0);
        if let Some((file, _)) = &file {
            let each = |record: Record| match &record.kind {
                Kind::Message(message) => {
                    octets += message.octets;
                    let id = message.id().map(Box::from);
                    doubled.extend(id.and_then(|id| seen.replace(id)));
                    messages.push(record);
                }
                Kind::Removed => removed.push(record.offset..record.end()),
                Kind::Broken(flaw) => {
                    broken += 1;
                    let (mailbox, offset) = (path.display(), record.offset);
                    tracing::warn!(%mailbox, offset, "a record cannot be read and is left alone: {flaw}");
                }
                Kind::Torn => broken += 1,
            };
            scan(file, length, &shared.hostname, each).map_err(fail)?;
        }
        drop(seen);
        Ok(Self { shared, folder, file, length, messages, removed, broken, doubled, octets, _lock: lock })
    }

    /// The record of a message number.
    pub(super) fn record(&self, number: u64) -> Result<(&Record, &Message), StoreError> {
        let index = number.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        index
            .and_then(|index| self.messages.get(index))
            .and_then(|record| Some((record, record.message()?)))
            .ok_or_else(|| StoreError::Failed(format!("there is no message {number}")))
    }

    fn entry(&self, number: u64) -> Result<Entry, StoreError> {
        let (record, message) = self.record(number)?;
        let unique_id = match message.id() {
            Some(id) if !self.doubled.contains(id) => id.to_owned(),
            _ => self.hashed_id(record)?,
        };
        Ok(Entry { number, octets: message.octets, unique_id, utf8: message.is_utf8() })
    }

    fn hashed_id(&self, record: &Record) -> Result<String, StoreError> {
        let mut id = HashedId::default();
        let read = read_range(self.mailbox()?, record.offset..record.text_end(), |piece| {
            id.update(piece);
            Ok(())
        });
        read.map_err(|error| self.unreadable(error))?;
        Ok(id.finish())
    }

    /// The mailbox file; an empty maildrop may have none.
    pub(super) fn mailbox(&self) -> Result<&D::File, StoreError> {
        self.file.as_ref().map(|(file, _)| file).ok_or_else(|| self.lost())
    }

    /// Checks that the mailbox is the file of the snapshot.
    pub(super) fn check_identity(&self) -> Result<(), StoreError> {
        let found = open_existing(&self.shared.disk, &self.folder.mailbox())
            .and_then(|file| file.map(|file| file.identity()).transpose());
        let found = found.map_err(|error| self.unreadable(error))?;
        if found == self.file.as_ref().map(|(_, identity)| *identity) { Ok(()) } else { Err(self.lost()) }
    }

    /// Checks that a message stands where the snapshot has it, and gives its head.
    pub(super) fn check_record(&self, record: &Record, message: &Message) -> Result<Vec<u8>, StoreError> {
        let file = self.mailbox()?;
        let rest = message.rest() as usize;
        // The line behind the head shows that the head ends there.
        let head_length = (rest + 1024).min(HEAD_OCTETS_MAX + 1024) as u64;
        let mut head = vec![0; usize::try_from(head_length.min(record.length)).unwrap_or(rest)];
        let mut tail = vec![0; usize::try_from(record.length.min(5)).unwrap_or(5)];
        let tail_start = record.end() - tail.len() as u64;
        read_exact(file, &mut head, record.offset)
            .and_then(|()| read_exact(file, &mut tail, tail_start))
            .map_err(|error| self.unreadable(error))?;
        if !record.is_still_there(&head, &tail) {
            return Err(self.lost());
        }
        head.truncate(rest);
        Ok(head)
    }

    pub(super) fn unreadable(&self, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.lost(),
            _ => failed("read", &self.folder.mailbox(), error),
        }
    }

    fn lost(&self) -> StoreError {
        StoreError::Lost(format!("{} is not what it was", self.folder.mailbox().display()))
    }
}
