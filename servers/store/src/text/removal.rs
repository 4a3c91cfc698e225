//! Removal of messages: mark their records, then blank or compact. At any time a message is either intact or marked.

use std::io;
use std::ops::ControlFlow;

use mail_core::mailbox::Record;

use super::append::Writer;
use super::append_lock;
use super::index::{Found, Index, IndexRemoval};
use super::mailbox::repair_tail;
use super::snapshot::Snapshot;
use crate::StoreError;
use crate::disk::{Disk, DiskFile, Open, ReadMode, failed, ignore_missing, read_exact, read_range};

/// Messages per index lookup.
const MESSAGES_AT_ONCE: usize = 256;

/// Removes the messages durably. After an error all of them remain.
pub(super) fn remove<D: Disk>(snapshot: &Snapshot<D>, numbers: &[u64]) -> Result<(), StoreError> {
    if numbers.is_empty() {
        return Ok(());
    }
    let Snapshot { shared, folder, .. } = snapshot;
    let path = folder.mailbox();
    let _append_lock = append_lock(&shared.disk, folder)?;
    let mailbox = snapshot.mailbox()?;
    snapshot.check_identity()?;
    let messages = find(snapshot, numbers)?;
    let records = messages.iter().map(|found| Ok(snapshot.read_record(ReadMode::Blocking, &found.entry)?.0));
    let records: Vec<Record> = records.collect::<Result<_, StoreError>>()?;
    let fail = |error| failed("write to", &path, error);
    let status = mailbox.status().map_err(fail)?;
    let length = repair_tail(&shared.disk, folder, mailbox, status, &shared.hostname)?.status.length;
    let index = snapshot.index();
    let mut index_removal = begin_index_removal(snapshot, &index).map_err(fail)?;
    mark(mailbox, &records).map_err(fail)?;

    // The removal is durable. The next steps save space and update the index; a failure is only logged.
    let removed_octets: u64 =
        index.header.removed_octets + records.iter().map(|record| record.length).sum::<u64>();
    let mut indexed = index_removal.as_mut().map_or(Ok(()), |removal| removal.remove(&messages));
    let mut compacted = None;
    if length < shared.small_octets || removed_octets > length / 2 {
        match compact(snapshot, &messages, length) {
            Ok(file) => {
                // An open descriptor would keep the old file's space allocated.
                shared.open_files.forget(&path);
                compacted = Some(file);
            }
            Err(error) => {
                // An incomplete compaction only wastes space.
                let _ = shared.disk.remove(&folder.temp_path());
                tracing::warn!(mailbox = %path.display(), %error, "cannot compact the mailbox; it keeps its size");
            }
        }
    }
    if compacted.is_none()
        && let Err(error) = records.iter().try_for_each(|record| blank(mailbox, record))
    {
        tracing::warn!(mailbox = %path.display(), %error, "cannot blank a removed message");
    }
    if let Some(removal) = index_removal {
        indexed = indexed
            .and_then(|()| update_index(removal, compacted.as_ref().unwrap_or(mailbox), compacted.is_some()));
    }
    if let Err(error) = indexed {
        tracing::warn!(index = %folder.index().display(), %error, "cannot update the index; the next login rebuilds it");
    }
    Ok(())
}

/// Invalidates the index before the mailbox changes, or deletes it if it cannot be updated.
fn begin_index_removal<'a, D: Disk>(
    snapshot: &Snapshot<D>,
    index: &'a Index<D::File>,
) -> io::Result<Option<IndexRemoval<'a, D::File>>> {
    let mailbox = snapshot.shared.disk.status(&snapshot.folder.mailbox())?;
    match index.begin_removal(mailbox) {
        Ok(Some(removal)) => Ok(Some(removal)),
        Ok(None) | Err(_) => {
            ignore_missing(snapshot.shared.disk.remove(&snapshot.folder.index()))?;
            Ok(None)
        }
    }
}

/// Finds the index entries of these numbers.
fn find<D: Disk>(snapshot: &Snapshot<D>, numbers: &[u64]) -> Result<Vec<Found>, StoreError> {
    let mut messages = Vec::with_capacity(numbers.len());
    let mut pending = numbers;
    while let Some(first) = pending.first() {
        let found = snapshot.messages(*first, MESSAGES_AT_ONCE)?;
        if found.is_empty() {
            return Err(StoreError::Failed(format!("there is no message {first}")));
        }
        let in_batch = pending.partition_point(|number| number - first < found.len() as u64);
        messages.extend(pending[..in_batch].iter().map(|number| found[(number - first) as usize]));
        pending = &pending[in_batch..];
    }
    Ok(messages)
}

/// Makes the index valid for the changed mailbox.
fn update_index<F: DiskFile>(
    mut removal: IndexRemoval<'_, F>,
    mailbox: &F,
    is_compacted: bool,
) -> io::Result<()> {
    let status = mailbox.status()?;
    match status.length {
        0 => removal.empty()?,
        _ if is_compacted => removal.compact()?,
        _ => {}
    }
    removal.save(status)
}

/// Sets the first byte of each record to `#`; restores it after an error.
fn mark(mailbox: &impl DiskFile, records: &[Record]) -> io::Result<()> {
    let mut first_bytes = vec![0; records.len()];
    for (byte, record) in first_bytes.iter_mut().zip(records) {
        read_exact(mailbox, std::slice::from_mut(byte), record.offset)?;
    }
    let marked = records
        .iter()
        .try_for_each(|record| mailbox.write_all_at(b"#", record.offset))
        .and_then(|()| mailbox.sync());
    let Err(error) = marked else { return Ok(()) };
    let restored = first_bytes
        .iter()
        .zip(records)
        .try_for_each(|(byte, record)| mailbox.write_all_at(std::slice::from_ref(byte), record.offset))
        .and_then(|()| mailbox.sync());
    if let Err(error) = restored {
        tracing::error!(%error, "cannot undo the failed removal");
    }
    Err(error)
}

/// Overwrites a marked record with spaces, except for the line end before its final dot line.
fn blank(mailbox: &impl DiskFile, record: &Record) -> io::Result<()> {
    let mut end = [0; 2];
    read_exact(mailbox, &mut end, record.text_end() - 2)?;
    let end = record.text_end() - if end == *b"\r\n" { 2 } else { 1 };
    let spaces = [b' '; 64 << 10];
    let mut at = record.offset + 1;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(spaces.len());
        mailbox.write_all_at(&spaces[..length], at)?;
        at += length as u64;
    }
    Ok(())
}

/// Copies everything that is not removed to a new file, and replaces the mailbox by it.
fn compact<D: Disk>(snapshot: &Snapshot<D>, messages: &[Found], length: u64) -> io::Result<D::File> {
    let (disk, folder) = (&snapshot.shared.disk, &snapshot.folder);
    let Some((mailbox, _)) = &snapshot.file else { return Err(io::ErrorKind::NotFound.into()) };
    let file = disk.open(&folder.temp_path(), Open::OrCreate)?;
    file.set_len(0)?;
    let index = snapshot.index();
    let header = index.header;
    // Blank lines that a person left between removed records are dropped.
    let is_empty = messages.len() as u64 == snapshot.count && header.broken == 0 && length == snapshot.length;
    if !is_empty {
        let mut writer = Writer::at(&file, 0);
        let mut messages = messages.iter().peekable();
        let (mut copied_to, mut copied) = (0, Ok(()));
        index.walk(0..header.entries, |ordinal, entry| {
            let is_removed = messages.next_if(|found| found.ordinal == ordinal).is_some();
            if is_removed || entry.is_removed() {
                copied = read_range(mailbox, copied_to..entry.offset, |piece| writer.put(piece));
                copied_to = entry.end();
            }
            if copied.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        copied?;
        read_range(mailbox, copied_to..length, |piece| writer.put(piece))?;
        writer.flush()?;
    }
    file.sync()?;
    disk.rename(&folder.temp_path(), &folder.mailbox())?;
    disk.sync_dir(&folder.path)?;
    Ok(file)
}
