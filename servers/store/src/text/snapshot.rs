//! The mailbox as a session found it, its index, and the lock that is the session's lease.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use mail_core::mailbox::{HEAD_OCTETS_MAX, HashedId, Record};

use super::index::{self, Found, IdSource, Index, Opened};
use super::mailbox::ReadError;
use super::{Folder, Shared};
use crate::disk::{Disk, ReadMode, failed, read_range};
use crate::offload::Offload;
use crate::{Entry, StoreError};

/// The mailbox as the session found it. A body that is being read keeps the snapshot and its lock alive.
#[derive(Debug)]
pub(super) struct Snapshot<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) folder: Folder,
    /// The mailbox and its inode, if it exists.
    pub(super) file: Option<(D::File, u64)>,
    /// Length of the file when it was opened.
    pub(super) length: u64,
    pub(super) count: u64,
    pub(super) octets: u64,
    index: Mutex<Arc<Index<D::File>>>,
    _lock: D::Lock,
}

/// Reads on this thread if nothing has to wait for the disk, otherwise on the offload: handing work to another thread takes
/// longer than reading from the page cache.
pub(super) async fn read<D: Disk, O: Offload, T: Send + 'static>(
    snapshot: &Arc<Snapshot<D>>,
    offload: &O,
    read: impl Fn(&Snapshot<D>, ReadMode) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, StoreError> {
    match read(snapshot, ReadMode::NonBlocking) {
        Err(ReadError::WouldBlock) => {
            let snapshot = Arc::clone(snapshot);
            Ok(offload.run(move || read(&snapshot, ReadMode::Blocking)).await?)
        }
        done => Ok(done?),
    }
}

impl<D: Disk> Snapshot<D> {
    pub(super) fn take(shared: Arc<Shared<D>>, folder: Folder) -> Result<Self, StoreError> {
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

    /// The index. Only this session's own removal changes the entries that it has seen.
    pub(super) fn index(&self) -> Arc<Index<D::File>> {
        Arc::clone(&self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Up to `count` messages from number `from` on.
    pub(super) fn messages(&self, from: u64, count: usize) -> Result<Vec<Found>, StoreError> {
        self.read_index(|index| index.messages(ReadMode::Blocking, from, count))
    }

    /// The same without waiting for the disk and without repair. Any failure counts as `WouldBlock`: the blocking read
    /// that follows detects it again and repairs the index.
    pub(super) fn try_messages(&self, from: u64, count: usize) -> Result<Vec<Found>, ReadError> {
        self.index().messages(ReadMode::NonBlocking, from, count).map_err(|_| ReadError::WouldBlock)
    }

    /// Reads the index. A damaged index is deleted and rebuilt in memory.
    pub(super) fn read_index<T>(
        &self,
        read: impl Fn(&Index<D::File>) -> io::Result<T>,
    ) -> Result<T, StoreError> {
        let index = self.index();
        let error = match read(&index) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        tracing::warn!(index = %self.folder.index().display(), %error, "cannot read the index; rebuilding it");
        // If it cannot be deleted, the next login detects the damage again.
        let _ = self.shared.disk.remove(&self.folder.index());
        let rebuilt = index::scanned(self.mailbox()?, index.header.mailbox, &self.shared.hostname)
            .map_err(|error| self.unreadable(error))?;
        if (rebuilt.header.messages(), rebuilt.header.octets) != (self.count, self.octets) {
            return Err(self.lost());
        }
        let rebuilt = Arc::new(rebuilt);
        *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&rebuilt);
        read(&rebuilt).map_err(|error| failed("index", &self.folder.mailbox(), error))
    }

    pub(super) fn describe(&self, number: u64, found: &Found) -> Result<Entry, StoreError> {
        if let Some(entry) = entry_of(number, found) {
            return Ok(entry);
        }
        let (record, _) = self.read_record(ReadMode::Blocking, &found.entry)?;
        let id = match found.entry.id_source() {
            IdSource::Hash => None,
            _ => record.message().and_then(|message| message.id()),
        };
        let unique_id = match id {
            Some(id) => id.to_owned(),
            None => self.hashed_id(&record)?,
        };
        Ok(Entry { number, octets: found.entry.octets, unique_id })
    }

    /// Hash of the record without its final dot line, whose line end a delivery may complete.
    fn hashed_id(&self, record: &Record) -> Result<String, StoreError> {
        let mut id = HashedId::default();
        let read = read_range(self.mailbox()?, record.offset..record.text_end(), |piece| {
            id.update(piece);
            Ok(())
        });
        read.map_err(|error| self.unreadable(error))?;
        Ok(id.finish())
    }

    /// The mailbox file. An empty maildrop may have none.
    pub(super) fn mailbox(&self) -> Result<&D::File, StoreError> {
        self.file.as_ref().map(|(file, _)| file).ok_or_else(|| self.lost())
    }

    /// Checks that the mailbox is still the file of the snapshot.
    pub(super) fn check_identity(&self) -> Result<(), StoreError> {
        let found = match self.shared.disk.status(&self.folder.mailbox()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            status => Some(status.map_err(|error| self.unreadable(error))?.identity),
        };
        if found == self.file.as_ref().map(|(_, identity)| *identity) { Ok(()) } else { Err(self.lost()) }
    }

    /// Reads the record of an index entry and checks that it is unchanged. Also returns its first octets, at least the head.
    pub(super) fn read_record(
        &self,
        mode: ReadMode,
        entry: &index::Entry,
    ) -> Result<(Record, Vec<u8>), ReadError> {
        // Most records fit into the first size. The second includes the line after the longest head.
        for octets_max in [START_OCTETS, HEAD_OCTETS_MAX + 1024] {
            let file = self.mailbox()?;
            let length = octets_max.min(usize::try_from(entry.length).unwrap_or(octets_max));
            let mut start = vec![0; length];
            mode.read_exact(file, &mut start, entry.offset).map_err(|error| self.read_error(error))?;
            let is_complete = length as u64 == entry.length;
            let mut tail = [0; TAIL_OCTETS];
            let tail = if is_complete {
                &start[length.saturating_sub(TAIL_OCTETS)..]
            } else {
                mode.read_exact(file, &mut tail, entry.end() - TAIL_OCTETS as u64)
                    .map_err(|error| self.read_error(error))?;
                &tail[..]
            };
            let found = Record::reparse(entry.offset, entry.length, entry.octets, &start, tail);
            let is_same =
                |record: &Record| record.message().is_some_and(|message| entry.has_id(message.id()));
            match found {
                Some(record) if is_same(&record) => return Ok((record, start)),
                None if !is_complete => {}
                _ => break,
            }
        }
        Err(self.lost().into())
    }

    pub(super) fn read_error(&self, error: io::Error) -> ReadError {
        match error.kind() {
            io::ErrorKind::WouldBlock => ReadError::WouldBlock,
            _ => self.unreadable(error).into(),
        }
    }

    pub(super) fn unreadable(&self, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.lost(),
            _ => failed("read", &self.folder.mailbox(), error),
        }
    }

    fn lost(&self) -> StoreError {
        StoreError::Lost(format!("{} was replaced or edited", self.folder.mailbox().display()))
    }
}

/// First read of a record.
pub(super) const START_OCTETS: usize = 64 << 10;
/// The octets that end every record: CRLF, dot, CRLF.
const TAIL_OCTETS: usize = 5;

/// The listing of a message, if its index entry contains the unique-id.
pub(super) fn entry_of(number: u64, found: &Found) -> Option<Entry> {
    let IdSource::Entry(id) = found.entry.id_source() else { return None };
    Some(Entry { number, octets: found.entry.octets, unique_id: id.to_owned() })
}

/// Takes the lock of the lease. The folder of an account without mail may be missing.
fn lock<D: Disk>(disk: &D, folder: &Folder) -> io::Result<Option<D::Lock>> {
    match disk.try_lock(&folder.maildrop_lock()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            disk.create_dir(&folder.path)?;
            disk.try_lock(&folder.maildrop_lock())
        }
        locked => locked,
    }
}
