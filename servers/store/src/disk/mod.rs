//! The few file operations that the text store needs, as SQLite has its VFS: [`Disk`], and the real one.
//!
//! Blocking on purpose: natively it runs off the async threads, in a simulation inline, where a disk of the
//! test's own can tear writes, lose what was not synced, fill up or fail.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(not(target_arch = "wasm32"))]
pub use real::RealDisk;

#[cfg(not(target_arch = "wasm32"))]
mod real;
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
    /// Removes a directory with everything in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The path as an administrator finds it.
    fn display_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
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
    /// Reads like [`read_at`](Self::read_at), but fails with `WouldBlock` instead of waiting for the disk. A disk that cannot
    /// tell always fails.
    fn try_read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
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
