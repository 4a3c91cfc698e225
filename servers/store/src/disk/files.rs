//! Reading files of a [`Disk`](super::Disk), and the meaning of its errors.

use std::io;
use std::ops::Range;
use std::path::Path;

use super::{Disk, DiskFile, Open};
use crate::StoreError;

/// Size of one read or copy.
pub(crate) const WINDOW_OCTETS: usize = 256 << 10;

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadMode {
    Blocking,
    /// Fails with `WouldBlock` instead of waiting.
    NonBlocking,
}

impl ReadMode {
    pub(crate) fn read_at(self, file: &impl DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Blocking => file.read_at(buffer, offset),
            Self::NonBlocking => file.try_read_at(buffer, offset),
        }
    }

    /// Fills the buffer.
    pub(crate) fn read_exact(
        self,
        file: &impl DiskFile,
        mut buffer: &mut [u8],
        mut offset: u64,
    ) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(file, buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
            }
        }
        Ok(())
    }
}

/// Fills the buffer.
///
/// # Errors
/// The file is shorter, or cannot be read.
pub fn read_exact(file: &impl DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    ReadMode::Blocking.read_exact(file, buffer, offset)
}

/// Passes a range of the file to `put`, in pieces.
///
/// # Errors
/// As [`read_exact`], or as `put`.
pub fn read_range(
    file: &impl DiskFile,
    range: Range<u64>,
    mut put: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer =
        vec![0; WINDOW_OCTETS.min(usize::try_from(range.end - range.start).unwrap_or(usize::MAX))];
    let mut at = range.start;
    while at < range.end {
        let length = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        read_exact(file, &mut buffer[..length], at)?;
        put(&buffer[..length])?;
        at += length as u64;
    }
    Ok(())
}

/// Classifies an I/O error by the reply that a session gives.
#[must_use]
pub fn failed(what: &str, path: &Path, error: io::Error) -> StoreError {
    let text = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full(text)
        }
        _ => StoreError::Failed(text),
    }
}

/// Opens a file; `None` if it does not exist.
///
/// # Errors
/// The file cannot be opened.
pub fn open_existing<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<D::File>> {
    match disk.open(path, Open::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Accepts that a file does not exist.
///
/// # Errors
/// Any other failure.
pub fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
