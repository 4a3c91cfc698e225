//! Reading a mailbox file in windows, and repairing its end after a crash.

use std::io;
use std::ops::Range;

use mail_core::mailbox::{Kind, Record, Scanner};

use super::Folder;
use crate::StoreError;
use crate::disk::{Disk, DiskFile, Open, Status, WINDOW_OCTETS, failed, read_exact, read_range};

/// Passes each record of a range to `each`. The range starts and ends at record boundaries.
pub(super) fn scan(
    file: &impl DiskFile,
    range: Range<u64>,
    hostname: &str,
    mut each: impl FnMut(Record),
) -> io::Result<()> {
    let mut scanner = Scanner::resume(hostname, range.start);
    let (mut window, mut start, mut end, mut read) = (Vec::new(), 0, 0, range.start);
    loop {
        let at_end = read == range.end;
        let (consumed, record) = scanner.scan(&window[start..end], at_end);
        start += consumed;
        match record {
            Some(record) => each(record),
            None if at_end => return Ok(()),
            None => {
                window.copy_within(start..end, 0);
                (start, end) = (0, end - start);
                let count = WINDOW_OCTETS.min(usize::try_from(range.end - read).unwrap_or(usize::MAX));
                if window.len() < end + count {
                    window.resize(end + count, 0);
                }
                read_exact(file, &mut window[end..end + count], read)?;
                read += count as u64;
                end += count;
            }
        }
    }
}

/// A failed read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// A non-blocking read would have to wait for the disk.
    WouldBlock,
    Failed(StoreError),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<ReadError> for StoreError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(error) => error,
            ReadError::WouldBlock => Self::Failed("a blocking read would block".into()),
        }
    }
}

/// The end of a mailbox without torn records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// Status of the file, which ends there.
    pub(super) status: Status,
    /// The missing end of the last line: a person may have ended the file with a dot.
    pub(super) line_end: &'static [u8],
}

/// Finds the end of the last record and moves an incomplete record after it to MyMailBox.torn. The caller holds the append lock
/// and has just read the status.
pub(super) fn repair_tail<D: Disk>(
    disk: &D,
    folder: &Folder,
    file: &D::File,
    status: Status,
    hostname: &str,
) -> Result<Tail, StoreError> {
    try_repair_tail(disk, folder, file, status, hostname)
        .map_err(|error| failed("find the end of", &folder.mailbox(), error))
}

fn try_repair_tail<D: Disk>(
    disk: &D,
    folder: &Folder,
    file: &D::File,
    status: Status,
    hostname: &str,
) -> io::Result<Tail> {
    let Status { length, .. } = status;
    let mut end = [0; 5];
    let length_read = end.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    let end = &mut end[..length_read];
    read_exact(file, end, length - length_read as u64)?;
    // These octets always end a record, so the file need not be scanned.
    if end.is_empty() || end == b"\r\n.\r\n" {
        return Ok(Tail { status, line_end: b"" });
    }
    let mut torn = None;
    scan(file, 0..length, hostname, |record| {
        if record.kind == Kind::Torn {
            torn = Some(record.offset);
        }
    })?;
    let Some(torn_offset) = torn else {
        let line_end: &[u8] = match end.last() {
            Some(b'\n') => b"",
            Some(b'\r') => b"\n",
            _ => b"\r\n",
        };
        return Ok(Tail { status, line_end });
    };
    quarantine_tail(disk, folder, file, torn_offset..length)?;
    tracing::warn!(
        mailbox = %folder.mailbox().display(),
        offset = torn_offset,
        octets = length - torn_offset,
        "incomplete record moved to {}",
        folder.torn().display()
    );
    // The remaining records are complete, but the last line may lack its end.
    try_repair_tail(disk, folder, file, file.status()?, hostname)
}

/// Moves the end of the file to MyMailBox.torn. The copy is durable before the file is truncated.
fn quarantine_tail<D: Disk>(disk: &D, folder: &Folder, file: &D::File, range: Range<u64>) -> io::Result<()> {
    let torn = disk.open(&folder.torn(), Open::OrCreate)?;
    let previous_length = torn.length()?;
    let mut at = previous_length;
    let copied = read_range(file, range.clone(), |piece| {
        torn.write_all_at(piece, at)?;
        at += piece.len() as u64;
        Ok(())
    });
    let durable = copied.and_then(|()| torn.sync()).and_then(|()| disk.sync_dir(&folder.path));
    if let Err(error) = durable {
        // Otherwise each further attempt would append another incomplete copy.
        torn.set_len(previous_length)?;
        return Err(error);
    }
    file.set_len(range.start)?;
    file.sync()
}
