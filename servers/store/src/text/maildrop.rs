//! The lease of a maildrop: its lock, the mailbox as the session found it, and the index that tells what is in it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail_core::mailbox::{HEAD_OCTETS_MAX, HashedId, Record};
use mail_core::users::Username;

use super::index::{self, Found, IdSource, Index, Opened};
use super::mailbox::{read_exact, read_range};
use super::{Folder, Offload, Shared, TextBody, failed, removal};
use crate::disk::Disk;
use crate::{Entry, Extent, Maildrop, StoreError};

/// How many entries are answered at once.
const ENTRIES_AT_ONCE: usize = 512;
/// How many entries are kept behind one that was asked for: who wants one message mostly wants the next.
const ENTRIES_KEPT: usize = 24;

/// A lease of the text store.
#[derive(Debug)]
pub struct TextMaildrop<D: Disk, O: Offload> {
    snapshot: Arc<Snapshot<D>>,
    offload: O,
    /// Some messages in a row, and the number of the first.
    known: (u64, Vec<Found>),
}

/// The mailbox as the session found it. A body that is being read keeps it, and the lock, alive.
#[derive(Debug)]
pub(super) struct Snapshot<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) folder: Folder,
    /// The mailbox and its inode, if there is one.
    pub(super) file: Option<(D::File, u64)>,
    /// The octets of the file when it was opened.
    pub(super) length: u64,
    pub(super) count: u64,
    octets: u64,
    index: Mutex<Arc<Index<D::File>>>,
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
        Ok(Self { snapshot: Arc::new(snapshot), offload, known: (0, Vec::new()) })
    }

    async fn with_snapshot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<D>) -> T + Send + 'static,
    ) -> T {
        let snapshot = Arc::clone(&self.snapshot);
        self.offload.run(move || work(&snapshot)).await
    }

    /// Where a message stands.
    async fn find(&mut self, number: u64) -> Result<Found, StoreError> {
        let (first, known) = &self.known;
        let place = number.checked_sub(*first).and_then(|place| usize::try_from(place).ok());
        if let Some(found) = place.and_then(|place| known.get(place)) {
            return Ok(*found);
        }
        // A failure may be for good; then it is met once more, where there is time to do something about it.
        let soon = D::without_waiting(|| self.snapshot.index().messages(number, ENTRIES_KEPT));
        let known = match soon {
            Some(Ok(known)) => known,
            _ => self.with_snapshot(move |snapshot| snapshot.messages(number, ENTRIES_KEPT)).await?,
        };
        let found =
            *known.first().ok_or_else(|| StoreError::Failed(format!("there is no message {number}")))?;
        self.known = (number, known);
        Ok(found)
    }
}

impl<D: Disk, O: Offload> Maildrop for TextMaildrop<D, O> {
    type Body = TextBody<D, O>;

    fn count(&self) -> u64 {
        self.snapshot.count
    }

    fn octets(&self) -> u64 {
        self.snapshot.octets
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        self.with_snapshot(move |snapshot| {
            let from = from.max(1);
            let found = snapshot.messages(from, ENTRIES_AT_ONCE)?;
            (from..).zip(&found).map(|(number, found)| snapshot.describe(number, found)).collect()
        })
        .await
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        let found = self.find(number).await?;
        match entry_of(number, &found) {
            Some(entry) => Ok(entry),
            None => self.with_snapshot(move |snapshot| snapshot.describe(number, &found)).await,
        }
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<TextBody<D, O>, StoreError> {
        let found = self.find(number).await?;
        TextBody::open(Arc::clone(&self.snapshot), self.offload.clone(), found.entry, extent).await
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        let Self { snapshot, offload, .. } = self;
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
        let lock = lock(&shared.disk, &folder)
            .map_err(|error| failed("lock", &folder.maildrop_lock(), error))?
            .ok_or(StoreError::InUse)?;
        let (file, index) = match index::open(&shared, &folder)? {
            Some(Opened { file, index }) => (Some((file, index.header.mailbox.identity)), index),
            None => (None, Index::in_memory()),
        };
        let header = index.header;
        let index = Mutex::new(Arc::new(index));
        let (length, count, octets) = (header.mailbox.length, header.messages(), header.octets);
        Ok(Self { shared, folder, file, length, count, octets, index, _lock: lock })
    }

    /// The index, of which nothing but this session's own removal changes what the session has seen.
    pub(super) fn index(&self) -> Arc<Index<D::File>> {
        Arc::clone(&self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Up to `count` messages from number `from` on.
    pub(super) fn messages(&self, from: u64, count: usize) -> Result<Vec<Found>, StoreError> {
        self.read_index(|index| index.messages(from, count))
    }

    /// Reads in the index; one that turns out to be damaged is made again, in memory, and goes.
    pub(super) fn read_index<T>(
        &self,
        read: impl Fn(&Index<D::File>) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let index = self.index();
        let error = match read(&index) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        tracing::warn!(index = %self.folder.index().display(), %error, "the index cannot be read; it will be made again");
        // It may be gone already, and what cannot be removed will be found to be damaged again.
        let _ = self.shared.disk.remove(&self.folder.index());
        let again = index::scanned(self.mailbox()?, index.header.mailbox, &self.shared.hostname)
            .map_err(|error| self.unreadable(error))?;
        if (again.header.messages(), again.header.octets) != (self.count, self.octets) {
            return Err(self.lost());
        }
        let again = Arc::new(again);
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&again);
        read(&again).map_err(|error| failed("index", &self.folder.mailbox(), error))
    }

    fn describe(&self, number: u64, found: &Found) -> Result<Entry, StoreError> {
        if let Some(entry) = entry_of(number, found) {
            return Ok(entry);
        }
        let (record, _) = self.read_record(&found.entry)?;
        let id = match found.entry.id_source() {
            IdSource::Hash => None,
            _ => record.message().and_then(|message| message.id()),
        };
        let unique_id = match id {
            Some(id) => id.to_owned(),
            None => self.hashed_id(&record)?,
        };
        Ok(Entry { number, octets: found.entry.octets, unique_id, utf8: found.entry.is_utf8() })
    }

    /// A hash of all but the line with the dot, whose line end a delivery may complete.
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
        let found = match self.shared.disk.status(&self.folder.mailbox()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            status => Some(status.map_err(|error| self.unreadable(error))?.identity),
        };
        if found == self.file.as_ref().map(|(_, identity)| *identity) { Ok(()) } else { Err(self.lost()) }
    }

    /// Reads a message's record where the index has it, and checks that it is still there. With it comes the start of
    /// the record, through its head at least.
    pub(super) fn read_record(&self, entry: &index::Entry) -> Result<(Record, Vec<u8>), StoreError> {
        // Most records fit into the first. The line behind the head shows that the head ends there.
        for octets_max in [START_OCTETS, HEAD_OCTETS_MAX + 1024] {
            let file = self.mailbox()?;
            let wanted = octets_max.min(usize::try_from(entry.length).unwrap_or(octets_max));
            let mut start = vec![0; wanted];
            read_exact(file, &mut start, entry.offset).map_err(|error| self.unreadable(error))?;
            let is_whole = wanted as u64 == entry.length;
            let mut tail = [0; TAIL_OCTETS];
            let tail = if is_whole {
                &start[wanted.saturating_sub(TAIL_OCTETS)..]
            } else {
                read_exact(file, &mut tail, entry.end() - TAIL_OCTETS as u64)
                    .map_err(|error| self.unreadable(error))?;
                &tail[..]
            };
            let found = Record::reparse(entry.offset, entry.length, entry.octets, &start, tail);
            let is_same =
                |record: &Record| record.message().is_some_and(|message| entry.has_id(message.id()));
            match found {
                Some(record) if is_same(&record) => return Ok((record, start)),
                None if !is_whole => {}
                _ => break,
            }
        }
        Err(self.lost())
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

/// How much of a record is read at first.
pub(super) const START_OCTETS: usize = 64 << 10;
/// The longest end of a record that shows it to be one.
const TAIL_OCTETS: usize = 5;

/// What is said of a message, where its index entry has all of it.
fn entry_of(number: u64, found: &Found) -> Option<Entry> {
    let IdSource::Entry(id) = found.entry.id_source() else { return None };
    Some(Entry { number, octets: found.entry.octets, unique_id: id.to_owned(), utf8: found.entry.is_utf8() })
}

/// Takes the lease's lock. An account that never had mail may have no folder yet.
fn lock<D: Disk>(disk: &D, folder: &Folder) -> io::Result<Option<D::Lock>> {
    match disk.try_lock(&folder.maildrop_lock()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(&folder.path)?;
            disk.try_lock(&folder.maildrop_lock())
        }
        locked => locked,
    }
}
