//! The few file operations that the text store needs, as SQLite has its VFS: [`Disk`], and the real one.
//!
//! Blocking on purpose: natively it runs off the async threads, in a simulation inline, where a disk of the
//! test's own can tear writes, lose what was not synced, fill up or fail.

use std::io;
use std::path::{Path, PathBuf};

/// A file system below one directory. Paths are relative to it, and made of names that were checked.
pub trait Disk: Clone + Send + Sync + 'static {
    type File: DiskFile;
    /// Held while the value lives; a dead process holds none.
    type Lock: Send + Sync + 'static;

    /// Opens a file for reading and writing at offsets.
    fn open(&self, path: &Path, open: Open) -> io::Result<Self::File>;
    /// Takes the exclusive lock on a lock file, made when missing; waits for it.
    fn lock(&self, path: &Path) -> io::Result<Self::Lock>;
    /// The same without waiting: `None` when somebody else has it.
    fn try_lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
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
pub trait DiskFile: Send + Sync + 'static {
    /// Reads up to `buffer.len()` octets; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `data`.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, length: u64) -> io::Result<()>;
    /// Makes content and length durable.
    fn sync(&self) -> io::Result<()>;
    /// Length now.
    fn len(&self) -> io::Result<u64>;
    /// What tells this file from another that took its name (the inode).
    fn identity(&self) -> io::Result<u64>;
}
