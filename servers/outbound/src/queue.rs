//! The files of the queue: `queue/ID` is an entry, `queue/ID.log` its log. [`mail_core::queue`] defines both formats.
//!
//! One process writes the queue; it holds the lock of [`Queue::open`]. Other processes may read it.

use std::collections::HashSet;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail_core::queue::{Entry, EntryError, LogLine, Progress, QueueId, lines};
use mail_store::StoreError;
use mail_store::disk::{Disk, DiskFile, Open, failed, ignore_missing, open_existing, read_exact};

use crate::store::{QueueError, Queued};
use crate::text::FileContent;

/// The directory of the queue, below the data directory.
pub const DIRECTORY: &str = "queue";
/// Extension of logs.
const LOG: &str = "log";
/// Envelopes over this size are refused.
pub(crate) const ENVELOPE_OCTETS_MAX: u64 = 4 << 20;
/// Covers most envelopes.
const ENVELOPE_OCTETS_INITIAL: u64 = 4 << 10;
/// Reads the files of the queue.
#[derive(Debug, Clone)]
pub struct QueueFiles<D> {
    disk: D,
}

/// The queue of the process that delivers it.
#[derive(Debug)]
pub struct Queue<D: Disk> {
    files: QueueFiles<D>,
    names: DirectorySync,
    /// Whether a sync of the directory has failed since the last one that succeeded.
    has_unsynced_names: Mutex<bool>,
    _lock: D::Lock,
}

/// Syncs of the directory. Changes made while one runs share the next (group commit).
#[derive(Debug, Default)]
struct DirectorySync {
    /// Number of changes so far.
    changes: AtomicU64,
    synced: Mutex<Synced>,
}

/// The last changes that a sync has covered.
#[derive(Debug, Default)]
struct Synced {
    done: u64,
    failed: u64,
}

impl DirectorySync {
    /// Returns once the caller's changes of names are on stable storage.
    fn sync(&self, disk: &impl Disk) -> io::Result<()> {
        let change = self.changes.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        // The system reports a failed write once; another sync would seem to succeed.
        if change <= synced.failed {
            return Err(io::Error::other("the sync of the directory failed"));
        }
        if change <= synced.done {
            return Ok(());
        }
        let covered = self.changes.load(Ordering::SeqCst);
        let result = disk.sync_dir(Path::new(DIRECTORY));
        match result {
            Ok(()) => synced.done = covered,
            Err(_) => synced.failed = covered,
        }
        result
    }
}

impl<D: Disk> QueueFiles<D> {
    #[must_use]
    pub const fn new(disk: D) -> Self {
        Self { disk }
    }

    /// The entries, oldest first.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn ids(&self) -> Result<Vec<QueueId>, StoreError> {
        let directory = Path::new(DIRECTORY);
        let names = match self.disk.list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| failed("list", directory, error))?,
        };
        // Ids begin with their time. Each name is freed when it is read, so that a large queue does not need both.
        let mut ids: Vec<QueueId> =
            names.into_iter().filter_map(|name| name.file_name()?.to_str()?.parse().ok()).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Reads an entry and its log.
    ///
    /// # Errors
    /// The entry does not exist, or is unreadable.
    pub fn read(&self, id: &QueueId) -> Result<Queued<FileContent<D::File>>, QueueError> {
        let path = entry_path(id);
        let read_failed = |error| QueueError::Store(failed("read", &path, error));
        let file = open_existing(&self.disk, &path).map_err(read_failed)?;
        let file = file.ok_or_else(|| QueueError::NotFound(id.clone()))?;
        let length = file.length().map_err(read_failed)?;
        let (entry, start) = read_entry(&file, length).map_err(read_failed)?.map_err(|reason| {
            let place = self.disk.display_path(&path).display().to_string();
            QueueError::Invalid { place, reason }
        })?;
        let progress = Progress::replay(&entry, lines(&self.log(id)?));
        let content = FileContent { file: Arc::new(file), range: start..length };
        Ok(Queued { entry, progress, octets: length - start, is_claimed: true, content })
    }

    /// The log of an entry.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log(&self, id: &QueueId) -> Result<Vec<u8>, StoreError> {
        let path = log_path(id);
        let read = || -> io::Result<Vec<u8>> {
            let Some(file) = open_existing(&self.disk, &path)? else { return Ok(Vec::new()) };
            let mut octets = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX)];
            read_exact(&file, &mut octets, 0)?;
            Ok(octets)
        };
        read().map_err(|error| failed("read", &path, error))
    }
}

impl<D: Disk> Deref for Queue<D> {
    type Target = QueueFiles<D>;

    fn deref(&self) -> &QueueFiles<D> {
        &self.files
    }
}

impl<D: Disk> Queue<D> {
    /// Opens the queue for delivery and removes what an earlier process left incomplete.
    ///
    /// # Errors
    /// Another process delivers the queue, or the directory cannot be created or read.
    pub fn open(disk: D) -> Result<Self, StoreError> {
        let (directory, lock_path) = (Path::new(DIRECTORY), Path::new(DIRECTORY).join(".lock"));
        let prepare = |error| failed("prepare the directory", directory, error);
        disk.create_dir(directory).and_then(|()| disk.sync_dir(Path::new(""))).map_err(prepare)?;
        let lock = disk.try_lock(&lock_path).map_err(|error| failed("lock", &lock_path, error))?;
        let lock = lock.ok_or_else(|| {
            StoreError::Failed(format!(
                "another process delivers the queue in {}; stop it first",
                disk.display_path(directory).display()
            ))
        })?;
        let queue = Self {
            files: QueueFiles::new(disk),
            names: DirectorySync::default(),
            has_unsynced_names: Mutex::default(),
            _lock: lock,
        };
        // An earlier process may have been killed before its syncs.
        queue.remove_incomplete().and_then(|()| queue.sync_names()).map_err(prepare)?;
        Ok(queue)
    }

    /// Removes entries that were not completely written, and logs without an entry.
    fn remove_incomplete(&self) -> io::Result<()> {
        let directory = Path::new(DIRECTORY);
        let paths = self.files.disk.list(directory)?;
        let names: HashSet<&str> = paths.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        for name in &names {
            let is_new = name.starts_with('.') && name.ends_with(".new");
            let is_orphan = name.strip_suffix(".log").is_some_and(|id| !names.contains(id));
            if is_new || is_orphan {
                ignore_missing(self.files.disk.remove(&directory.join(name)))?;
            }
        }
        Ok(())
    }

    /// Adds an entry: `head` and what `body` puts after it. It is on stable storage when this returns `Ok`.
    ///
    /// # Errors
    /// The entry cannot be written; no file is left.
    pub fn insert(
        &self,
        id: &QueueId,
        head: &[u8],
        body: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let disk = &self.files.disk;
        let (path, new) = (entry_path(id), Path::new(DIRECTORY).join(format!(".{id}.new")));
        let write = || -> io::Result<()> {
            let file = disk.open(&new, Open::New)?;
            file.write_all_at(head, 0)?;
            let mut at = head.len() as u64;
            body(&mut |piece| {
                file.write_all_at(piece, at)?;
                at += piece.len() as u64;
                Ok(())
            })?;
            file.sync()?;
            disk.rename(&new, &path)?;
            self.sync_names()
        };
        write().map_err(|error| {
            // The message was not accepted, so a complete entry must not remain either.
            for leftover in [&new, &path] {
                if let Err(error) = ignore_missing(disk.remove(leftover)) {
                    tracing::error!(%error, path = %leftover.display(), "cannot remove a refused message; delete the file, or the next start may deliver it");
                }
            }
            failed("write", &path, error)
        })
    }

    /// Appends lines to the log of an entry, unless the entry was removed. They are on stable storage when this returns `Ok`.
    ///
    /// # Errors
    /// The log cannot be written.
    pub fn append(&self, id: &QueueId, lines: &[LogLine]) -> Result<(), StoreError> {
        let path = log_path(id);
        let append = || -> io::Result<()> {
            let disk = &self.files.disk;
            self.repeat_failed_sync()?;
            if open_existing(disk, &entry_path(id))?.is_none() {
                return Ok(());
            }
            let file = match open_existing(disk, &path)? {
                Some(file) => file,
                None => {
                    let file = disk.open(&path, Open::New)?;
                    // First, because a repeated call finds the file.
                    self.sync_names()?;
                    file
                }
            };
            let end = complete_lines(&file)?;
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            file.set_len(end)?;
            file.write_all_at(text.as_bytes(), end)?;
            file.sync()
        };
        append().map_err(|error| failed("write", &path, error))
    }

    /// Removes an entry and its log. The removal survives a power failure.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn remove(&self, id: &QueueId) -> Result<(), StoreError> {
        let (disk, entry) = (&self.files.disk, entry_path(id));
        // An entry without its log would be delivered again, so the entry is gone for certain before the log.
        let remove = || -> io::Result<()> {
            ignore_missing(disk.remove(&entry))?;
            self.sync_names()?;
            ignore_missing(disk.remove(&log_path(id)))
        };
        remove().map_err(|error| failed("remove", &entry, error))
    }
}

impl<D: Disk> Queue<D> {
    /// Makes all names durable.
    fn sync_names(&self) -> io::Result<()> {
        let synced = self.names.sync(&self.files.disk);
        if synced.is_err() {
            *self.unsynced_names() = true;
        }
        synced
    }

    /// Makes names durable that an earlier sync did not. The call that failed may have no reason to sync them again.
    fn repeat_failed_sync(&self) -> io::Result<()> {
        let mut has_unsynced_names = self.unsynced_names();
        if *has_unsynced_names {
            self.names.sync(&self.files.disk)?;
            *has_unsynced_names = false;
        }
        Ok(())
    }

    fn unsynced_names(&self) -> MutexGuard<'_, bool> {
        self.has_unsynced_names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry_path(id: &QueueId) -> PathBuf {
    Path::new(DIRECTORY).join(id.as_str())
}

fn log_path(id: &QueueId) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{id}.{LOG}"))
}

/// The envelope, and the position of the message.
fn read_entry(file: &impl DiskFile, length: u64) -> io::Result<Result<(Entry, u64), EntryError>> {
    let mut limit = ENVELOPE_OCTETS_INITIAL;
    loop {
        let mut octets = vec![0; usize::try_from(length.min(limit)).unwrap_or(usize::MAX)];
        read_exact(file, &mut octets, 0)?;
        if let Some(start) = Entry::message_start(&octets) {
            return Ok(Entry::parse(&octets).map(|entry| (entry, start as u64)));
        }
        if limit >= length || limit == ENVELOPE_OCTETS_MAX {
            return Ok(Err(EntryError::NoEnd));
        }
        limit = ENVELOPE_OCTETS_MAX.min(limit * 16);
    }
}

/// Length of the log without a torn last line.
fn complete_lines(file: &impl DiskFile) -> io::Result<u64> {
    let length = file.length()?;
    let mut end = length;
    let mut window = [0; 4_096];
    while end > 0 {
        let start = end.saturating_sub(window.len() as u64);
        let window = &mut window[..usize::try_from(end - start).unwrap_or(usize::MAX)];
        read_exact(file, window, start)?;
        if let Some(at) = window.iter().rposition(|octet| *octet == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
