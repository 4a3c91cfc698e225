//! The host's file system.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, IoSliceMut};
use std::num::NonZero;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{Disk, DiskFile, Open, Status};
use crate::descriptors;

/// A directory of the host's file system. It creates directories with mode 0700 and files with mode 0600.
#[derive(Debug, Clone)]
pub struct RealDisk {
    root: Arc<Path>,
    boot_id: Option<Arc<str>>,
    open_files_max: usize,
}

/// One in this many descriptors may be an open mailbox; the others are for connections.
const OPEN_FILES_SHARE: u64 = 4;
/// Each open file pins kernel memory. With more mailboxes than this, the next delivery rarely hits an open one.
const OPEN_FILES_MAX: u64 = 16 << 10;

impl RealDisk {
    /// The file system below `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        // Read before the process is confined to its data directory.
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        if boot_id.is_none() {
            tracing::info!("no boot id available: every login reads its whole mailbox");
        }
        let open_files_max = (descriptors::limit() / OPEN_FILES_SHARE).min(OPEN_FILES_MAX) as usize;
        Self { root: root.into().into(), boot_id: boot_id.map(Arc::from), open_files_max }
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

/// A lock on an open file (flock(2)), which the kernel releases when the process ends.
#[derive(Debug)]
pub struct FileLock(File);

impl Drop for FileLock {
    /// Closing the file is not enough: a process that inspects /proc/PID/fd can keep it open a moment longer.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "cannot unlock; the lock is released when its file is closed");
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

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(self.root.join(path))
    }

    fn display_path(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    fn boot_id(&self) -> Option<String> {
        self.boot_id.as_deref().map(String::from)
    }
}

fn status(metadata: &Metadata) -> Status {
    let nanoseconds = metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec());
    Status { identity: metadata.ino(), length: metadata.len(), changed: nanoseconds.cast_unsigned() }
}

impl DiskFile for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        retry_interrupted(|| FileExt::read_at(self, buffer, offset))
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        retry_interrupted(|| {
            match preadv2(self, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
                // EAGAIN: not in the page cache. The others: this file system or kernel does not support the flag.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::WouldBlock.into()),
                read => Ok(read?),
            }
        })
    }

    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, data, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    /// On Linux, DONTNEED starts writing dirty pages; they stay in the page cache until they are clean.
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

fn retry_interrupted(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use std::time::Duration;

    #[test]
    fn files_are_private_and_locks_are_exclusive() {
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
        assert_eq!(disk.boot_id(), RealDisk::new("elsewhere").boot_id());
        for (name, mode) in [("data/ag", 0o700), ("data/ag/MyMailBox.txt", 0o600)] {
            let metadata = fs::metadata(root.path().join(name)).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode);
        }
        let lock = disk.try_lock(Path::new("ag/.maildrop.lock")).unwrap();
        assert!(lock.is_some());
        assert!(disk.try_lock(Path::new("ag/.maildrop.lock")).unwrap().is_none());
        let timed_out =
            super::super::lock_within(&disk, Path::new("ag/.maildrop.lock"), Duration::from_millis(3));
        assert_eq!(timed_out.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let duplicate = lock.as_ref().map(|lock| lock.0.try_clone().unwrap());
        drop(lock);
        disk.lock(Path::new("ag/.maildrop.lock")).unwrap();
        drop(duplicate);
        disk.sync_dir(Path::new("ag")).unwrap();
        disk.rename(path, Path::new("ag/other")).unwrap();
        assert_ne!(disk.open(path, Open::New).unwrap().identity().unwrap(), file.identity().unwrap());
        disk.remove(path).unwrap();
        let mut names = disk.list(Path::new("ag")).unwrap();
        names.sort();
        assert_eq!(names, [Path::new(".maildrop.lock"), Path::new("other")]);
    }

    #[test]
    fn try_read_at_reads_cached_octets_and_never_waits() {
        // Beside the sources, because not every temporary file system supports RWF_NOWAIT.
        let cached = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        DiskFile::write_all_at(&cached, b"0123456789", 0).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(cached.try_read_at(&mut buffer, 1).unwrap(), 4);
        assert_eq!(&buffer, b"1234");
        // procfs does not support RWF_NOWAIT.
        let unsupported = File::open("/proc/self/status").unwrap();
        let error = unsupported.try_read_at(&mut buffer, 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(DiskFile::read_at(&unsupported, &mut buffer, 1).unwrap(), 4);
    }
}
