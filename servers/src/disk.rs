//! The few file operations that the text store needs, as SQLite has its VFS: [`Disk`], and the real one.
//!
//! Blocking on purpose: natively it runs off the async threads, in a simulation inline, where a disk of the
//! test's own can tear writes, lose what was not synced, fill up or fail.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(feature = "net")]
pub use real::RealDisk;

#[cfg(feature = "net")]
mod patience;
#[cfg(any(test, feature = "sim"))]
pub mod sim;

/// A file system below one directory. Paths are relative to it, and made of names that were checked.
pub trait Disk: Debug + Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// Held while the value lives; a dead process holds none.
    type Lock: Debug + Send + Sync + 'static;

    /// Opens a file for reading and writing at offsets.
    fn open(&self, path: &Path, open: Open) -> io::Result<Self::File>;
    /// Takes the exclusive lock on a lock file, made when missing; waits for it, a minute at most.
    fn lock(&self, path: &Path) -> io::Result<Self::Lock> {
        lock_within(self, path, LOCK_WAIT_MAX)
    }
    /// The same without waiting: `None` when somebody else has it.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
    /// What tells the file's state from another, by its name.
    fn status(&self, path: &Path) -> io::Result<Status>;
    /// Replaces `to` by `from`, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory and its parents; fine when it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// How many files may be kept open to save the time of opening them.
    fn open_files_max(&self) -> usize;
    /// Whether something failed because too many files are open.
    fn is_out_of_descriptors(error: &io::Error) -> bool;
    /// Does work that only reads, unless it would have to wait for the disk: then it is `None`, and has to be done again
    /// where it may wait. A disk that cannot tell does nothing.
    fn without_waiting<T>(work: impl FnOnce() -> T) -> Option<T> {
        drop(work);
        None
    }
    /// A word that is another one when writes that were not synced may have been lost since (the kernel's boot id);
    /// `None` where nobody can tell.
    fn epoch(&self) -> Option<String>;
}

/// Longer than any append, and short enough for the peer that waits for the answer.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);
/// The longest pause between two attempts.
const LOCK_PAUSE_MAX: Duration = Duration::from_millis(64);

/// The system's own waiting for a lock has no limit, so this asks again and again.
fn lock_within<D: Disk>(disk: &D, path: &Path, patience: Duration) -> io::Result<D::Lock> {
    // A page has one thread, and while that waited nobody could give the lock back.
    let mut patience = if cfg!(target_arch = "wasm32") { Duration::ZERO } else { patience };
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(lock) = disk.try_lock(path)? {
            return Ok(lock);
        }
        if patience.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "somebody else keeps it locked"));
        }
        pause = pause.min(patience);
        std::thread::sleep(pause);
        patience -= pause;
        pause = (pause * 2).min(LOCK_PAUSE_MAX);
    }
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// It must be there.
    Existing,
    /// It is made when missing.
    OrCreate,
    /// It must not be there yet.
    New,
}

/// An open file, read and written at offsets.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads up to `buffer.len()` octets; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `data`.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Has the disk begin with a range that a sync will soon ask for. Promises nothing.
    fn begin_sync(&self, _range: Range<u64>) {}
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
    /// What tells its state from another.
    fn status(&self) -> io::Result<Status>;
    /// Length now.
    fn length(&self) -> io::Result<u64> {
        Ok(self.status()?.length)
    }
    /// What tells this file from another that took its name (the inode).
    fn identity(&self) -> io::Result<u64> {
        Ok(self.status()?.identity)
    }
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What tells the file from another that took its name (the inode).
    pub identity: u64,
    /// Octets.
    pub length: u64,
    /// When it was last changed (ctime, which no program can set back), in nanoseconds.
    pub changed: u64,
}

/// The real one.
#[cfg(feature = "net")]
mod real {
    use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
    use std::io;
    use std::num::NonZero;
    use std::ops::Range;
    use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use rustix::fs::{Advice, fadvise};
    use rustix::io::Errno;

    use super::{Disk, DiskFile, Open, Status, patience};
    use crate::descriptors;

    /// A directory of the host's file system. What it makes is its owner's alone: directories 0700, files 0600.
    #[derive(Debug, Clone)]
    pub struct RealDisk {
        root: Arc<Path>,
        epoch: Option<Arc<str>>,
        open_files_max: usize,
    }

    /// So much of the process's descriptors may be files that are open only to save time; the others are for
    /// connections.
    const OPEN_FILES_SHARE: u64 = 4;
    /// Each pins some kernel memory; beyond this, mailboxes are too many for the next delivery to be likely among them.
    const OPEN_FILES_MAX: u64 = 16 << 10;

    impl RealDisk {
        /// The file system below `root`, which need not be there yet.
        pub fn new(root: impl Into<PathBuf>) -> Self {
            // Read here, since a process may lose its sight of the rest of the file system later.
            let epoch = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
            if epoch.is_none() {
                tracing::info!("this system has no boot id to be read: a login reads its whole mailbox");
            }
            let open_files_max = (descriptors::limit() / OPEN_FILES_SHARE).min(OPEN_FILES_MAX) as usize;
            Self { root: root.into().into(), epoch: epoch.map(Arc::from), open_files_max }
        }

        fn lock_file(&self, path: &Path) -> io::Result<File> {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(self.root.join(path))
        }
    }

    /// A lock on an open file (flock), which the kernel gives back with the process.
    #[derive(Debug)]
    pub struct FileLock(File);

    impl Drop for FileLock {
        /// Closing the file is not enough: a program that looks at the files of this one keeps it open a moment longer.
        fn drop(&mut self) {
            if let Err(error) = self.0.unlock() {
                tracing::warn!(%error, "a lock is given back no sooner than its file is closed");
            }
        }
    }

    impl Disk for RealDisk {
        type File = File;
        type Lock = FileLock;

        fn open(&self, path: &Path, open: Open) -> io::Result<File> {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(open == Open::OrCreate)
                .truncate(false)
                .create_new(open == Open::New)
                .mode(0o600)
                .open(self.root.join(path))
        }

        fn try_lock(&self, path: &Path) -> io::Result<Option<FileLock>> {
            let file = self.lock_file(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Some(FileLock(file))),
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => Err(error),
            }
        }

        fn status(&self, path: &Path) -> io::Result<Status> {
            fs::metadata(self.root.join(path)).map(|metadata| status(&metadata))
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            fs::rename(self.root.join(from), self.root.join(to))
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            fs::remove_file(self.root.join(path))
        }

        fn create_dir(&self, path: &Path) -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(self.root.join(path))
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            File::open(self.root.join(path))?.sync_all()
        }

        fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
            fs::read_dir(self.root.join(path))?.map(|entry| Ok(entry?.file_name().into())).collect()
        }

        fn open_files_max(&self) -> usize {
            self.open_files_max
        }

        fn is_out_of_descriptors(error: &io::Error) -> bool {
            matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
        }

        fn without_waiting<T>(work: impl FnOnce() -> T) -> Option<T> {
            patience::without_waiting(work)
        }

        fn epoch(&self) -> Option<String> {
            self.epoch.as_deref().map(String::from)
        }
    }

    fn status(metadata: &Metadata) -> Status {
        let nanoseconds = metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec());
        Status { identity: metadata.ino(), length: metadata.len(), changed: nanoseconds.cast_unsigned() }
    }

    impl DiskFile for File {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            loop {
                match patience::read_at(self, buffer, offset) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    done => return done,
                }
            }
        }

        fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
            FileExt::write_all_at(self, data, offset)
        }

        fn set_len(&self, length: u64) -> io::Result<()> {
            Self::set_len(self, length)
        }

        /// What is not needed Linux begins to write at once. What is not on the disk yet stays in memory all the same.
        fn begin_sync(&self, range: Range<u64>) {
            let _ = fadvise(self, range.start, NonZero::new(range.end - range.start), Advice::DontNeed);
        }

        fn sync(&self) -> io::Result<()> {
            self.sync_data()
        }

        fn status(&self) -> io::Result<Status> {
            self.metadata().map(|metadata| status(&metadata))
        }
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::fs::PermissionsExt;

        use super::*;
        use std::time::Duration;

        #[test]
        fn files_are_their_owners_and_locks_exclude() {
            let root = tempfile::tempdir().unwrap();
            let disk = RealDisk::new(root.path().join("data"));
            disk.create_dir(Path::new("ag")).unwrap();
            disk.create_dir(Path::new("ag")).unwrap();
            let path = Path::new("ag/MyMailBox.txt");
            assert_eq!(disk.open(path, Open::Existing).unwrap_err().kind(), io::ErrorKind::NotFound);
            let file = disk.open(path, Open::New).unwrap();
            assert_eq!(disk.open(path, Open::New).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            DiskFile::write_all_at(&file, b"abc", 2).unwrap();
            DiskFile::sync(&file).unwrap();
            let again = disk.open(path, Open::OrCreate).unwrap();
            let mut bytes = [9; 8];
            assert_eq!(DiskFile::read_at(&again, &mut bytes, 0).unwrap(), 5);
            assert_eq!(bytes[..5], *b"\0\0abc");
            assert_eq!(DiskFile::length(&again).unwrap(), 5);
            assert_eq!(again.identity().unwrap(), file.identity().unwrap());
            assert_eq!(disk.status(path).unwrap(), file.status().unwrap());
            assert_eq!(disk.epoch(), RealDisk::new("elsewhere").epoch());
            for (name, mode) in [("data/ag", 0o700), ("data/ag/MyMailBox.txt", 0o600)] {
                let metadata = fs::metadata(root.path().join(name)).unwrap();
                assert_eq!(metadata.permissions().mode() & 0o777, mode);
            }
            let lock = disk.try_lock(Path::new("ag/.maildrop.lock")).unwrap();
            assert!(lock.is_some());
            assert!(disk.try_lock(Path::new("ag/.maildrop.lock")).unwrap().is_none());
            let refused =
                super::super::lock_within(&disk, Path::new("ag/.maildrop.lock"), Duration::from_millis(3));
            assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::TimedOut);
            let kept_open = lock.as_ref().map(|lock| lock.0.try_clone().unwrap());
            drop(lock);
            disk.lock(Path::new("ag/.maildrop.lock")).unwrap();
            drop(kept_open);
            disk.sync_dir(Path::new("ag")).unwrap();
            disk.rename(path, Path::new("ag/other")).unwrap();
            assert_ne!(disk.open(path, Open::New).unwrap().identity().unwrap(), file.identity().unwrap());
            disk.remove(path).unwrap();
            let mut names = disk.list(Path::new("ag")).unwrap();
            names.sort();
            assert_eq!(names, [Path::new(".maildrop.lock"), Path::new("other")]);
        }
    }
}
