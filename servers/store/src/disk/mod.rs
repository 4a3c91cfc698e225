//! The file operations of the text store: [`Disk`], like SQLite's VFS.
//!
//! The operations block; the store runs them on an offload. [`RealDisk`] is the host's file system. [`sim::SimDisk`] is a disk
//! in memory that fails: it tears writes, loses unsynced data, fills up and returns errors.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use files::{ReadMode, WINDOW_OCTETS};
pub use files::{failed, ignore_missing, open_existing, read_exact, read_range};
#[cfg(not(target_arch = "wasm32"))]
pub use real::RealDisk;

mod files;
#[cfg(not(target_arch = "wasm32"))]
mod real;
pub mod sim;

/// A file system below one directory. Paths are relative to it and consist of validated names.
pub trait Disk: Debug + Clone + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// An exclusive lock. Released when dropped, and when its process dies.
    type Lock: Debug + Send + Sync + 'static;

    /// Opens a file for reading and writing at offsets.
    fn open(&self, path: &Path, open: Open) -> io::Result<Self::File>;
    /// Takes the exclusive lock on a lock file, which is created if missing. Waits for up to a minute.
    fn lock(&self, path: &Path) -> io::Result<Self::Lock> {
        lock_within(self, path, LOCK_WAIT_MAX)
    }
    /// As [`lock`](Self::lock) without waiting; `None` while the lock is taken.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
    /// Inode, length and ctime of the file with this name.
    fn status(&self, path: &Path) -> io::Result<Status>;
    /// Atomically replaces `to` by `from`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents, unless they exist.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a directory durable (fsync).
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The file names in a directory.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    /// Number of mailbox files that may stay open between deliveries.
    fn open_files_max(&self) -> usize;
    /// Whether an operation failed because too many files are open.
    fn is_out_of_descriptors(error: &io::Error) -> bool;
    /// Removes a directory with everything in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The path on the host, for messages to the administrator.
    fn display_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
    /// Identifies the boot of the host. A different value means that unsynced writes may have been lost; `None` means
    /// that the host has no boot id.
    fn boot_id(&self) -> Option<String>;
}

/// Longer than any append, and short enough for an SMTP client that waits for its reply.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest pause between two attempts.
const LOCK_PAUSE_MAX: Duration = Duration::from_millis(64);

/// Polls, since flock(2) has no timeout.
fn lock_within<D: Disk>(disk: &D, path: &Path, timeout: Duration) -> io::Result<D::Lock> {
    // WebAssembly has one thread, so the lock cannot be released while it waits.
    let mut timeout = if cfg!(target_arch = "wasm32") { Duration::ZERO } else { timeout };
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(lock) = disk.try_lock(path)? {
            return Ok(lock);
        }
        if timeout.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "another process holds the lock"));
        }
        pause = pause.min(timeout);
        std::thread::sleep(pause);
        timeout -= pause;
        pause = (pause * 2).min(LOCK_PAUSE_MAX);
    }
}

/// The mode of opening a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// The file must exist.
    Existing,
    /// The file is created if missing.
    OrCreate,
    /// The file must not exist.
    New,
}

/// An open file, read and written at offsets.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Reads like [`read_at`](Self::read_at), but fails with `WouldBlock` instead of waiting for the disk. A disk
    /// without such reads always fails.
    fn try_read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
    /// Writes all of `data`.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Truncates or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Starts writing a range to the disk before a later sync. Guarantees nothing.
    fn begin_sync(&self, _range: Range<u64>) {}
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Inode, length and ctime.
    fn status(&self) -> io::Result<Status>;
    /// Length in bytes.
    fn length(&self) -> io::Result<u64> {
        Ok(self.status()?.length)
    }
    /// The inode, which differs from that of a file that has replaced this one.
    fn identity(&self) -> io::Result<u64> {
        Ok(self.status()?.identity)
    }
}

/// Inode, length and ctime; equal values mean that the file is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The inode.
    pub identity: u64,
    /// Bytes.
    pub length: u64,
    /// The ctime, which programs cannot set, in nanoseconds.
    pub changed: u64,
}
