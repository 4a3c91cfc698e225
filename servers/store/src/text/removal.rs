//! Removal: mark, then blank or compact. At every moment each message is either all there or marked.

use std::io;
use std::ops::ControlFlow;

use mail_core::mailbox::Record;

use super::append::Writer;
use super::index::{Change, Found, Index};
use super::mailbox::{ReadMode, read_exact, read_range, settle};
use super::snapshot::Snapshot;
use super::{failed, ignore_missing};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, Open};

/// How many messages are looked up at once.
const MESSAGES_AT_ONCE: usize = 256;

/// Removes the messages, durably, or leaves all of them.
pub(super) fn remove<D: Disk>(snapshot: &Snapshot<D>, numbers: &[u64]) -> Result<(), StoreError> {
    if numbers.is_empty() {
        return Ok(());
    }
    let Snapshot { shared, folder, .. } = snapshot;
    let path = folder.mailbox();
    let _append_lock =
        shared.disk.lock(&folder.append_lock()).map_err(|error| failed("lock", &path, error))?;
    let mailbox = snapshot.mailbox()?;
    snapshot.check_identity()?;
    let messages = find(snapshot, numbers)?;
    let records = messages.iter().map(|found| Ok(snapshot.read_record(ReadMode::Blocking, &found.entry)?.0));
    let records: Vec<Record> = records.collect::<Result<_, StoreError>>()?;
    let fail = |error| failed("write to", &path, error);
    let status = mailbox.status().map_err(fail)?;
    let length = settle(&shared.disk, folder, mailbox, status, &shared.hostname)?.status.length;
    let index = snapshot.index();
    let mut change = begin_change(snapshot, &index).map_err(fail)?;
    mark(mailbox, &records).map_err(fail)?;

    // The messages are gone from here on; what follows only makes the file small and clean, and the index fit it.
    let removed_octets: u64 =
        index.header.removed_octets + records.iter().map(|record| record.length).sum::<u64>();
    let mut indexed = change.as_mut().map_or(Ok(()), |change| change.remove(&messages));
    let mut compacted = None;
    if length < shared.small_octets || removed_octets > length / 2 {
        match compact(snapshot, &messages, length) {
            Ok(aside) => {
                // Kept open for the next delivery, the old file would keep its room.
                shared.open_files.forget(&path);
                compacted = Some(aside);
            }
            Err(error) => {
                // What was written of it would only take room.
                let _ = shared.disk.remove(&folder.aside());
                tracing::warn!(mailbox = %path.display(), %error, "cannot compact; the file stays long");
            }
        }
    }
    if compacted.is_none()
        && let Err(error) = records.iter().try_for_each(|record| blank(mailbox, record))
    {
        tracing::warn!(mailbox = %path.display(), %error, "cannot blank out a removed message");
    }
    if let Some(change) = change {
        indexed = indexed
            .and_then(|()| carry_along(change, compacted.as_ref().unwrap_or(mailbox), compacted.is_some()));
    }
    if let Err(error) = indexed {
        tracing::warn!(index = %folder.index().display(), %error, "the index cannot follow a removal; it will be made again");
    }
    Ok(())
}

/// Sees to it that no index tells of the messages when they are gone: it is changed with the mailbox, or goes.
fn begin_change<'a, D: Disk>(
    snapshot: &Snapshot<D>,
    index: &'a Index<D::File>,
) -> io::Result<Option<Change<'a, D::File>>> {
    let mailbox = snapshot.shared.disk.status(&snapshot.folder.mailbox())?;
    match index.change(mailbox) {
        Ok(Some(change)) => Ok(Some(change)),
        Ok(None) | Err(_) => {
            ignore_missing(snapshot.shared.disk.remove(&snapshot.folder.index()))?;
            Ok(None)
        }
    }
}

/// Where the messages with these numbers stand.
fn find<D: Disk>(snapshot: &Snapshot<D>, numbers: &[u64]) -> Result<Vec<Found>, StoreError> {
    let mut messages = Vec::with_capacity(numbers.len());
    let mut left = numbers;
    while let Some(first) = left.first() {
        let found = snapshot.messages(*first, MESSAGES_AT_ONCE)?;
        if found.is_empty() {
            return Err(StoreError::Failed(format!("there is no message {first}")));
        }
        let here = left.partition_point(|number| number - first < found.len() as u64);
        messages.extend(left[..here].iter().map(|number| found[(number - first) as usize]));
        left = &left[here..];
    }
    Ok(messages)
}

/// Makes the index fit the mailbox again.
fn carry_along<F: DiskFile>(mut change: Change<'_, F>, mailbox: &F, is_compacted: bool) -> io::Result<()> {
    let status = mailbox.status()?;
    match status.length {
        0 => change.empty()?,
        _ if is_compacted => change.compact()?,
        _ => {}
    }
    change.save(status)
}

/// Makes the first byte of each record `#`; if that fails, makes it again what it was.
fn mark(mailbox: &impl DiskFile, records: &[Record]) -> io::Result<()> {
    let mut first = vec![0; records.len()];
    for (byte, record) in first.iter_mut().zip(records) {
        read_exact(mailbox, std::slice::from_mut(byte), record.offset)?;
    }
    let marked = records
        .iter()
        .try_for_each(|record| mailbox.write_all_at(b"#", record.offset))
        .and_then(|()| mailbox.sync());
    let Err(error) = marked else { return Ok(()) };
    let restored = first
        .iter()
        .zip(records)
        .try_for_each(|(byte, record)| mailbox.write_all_at(std::slice::from_ref(byte), record.offset))
        .and_then(|()| mailbox.sync());
    if let Err(error) = restored {
        tracing::error!(%error, "cannot take the failed removal back");
    }
    Err(error)
}

/// Overwrites a marked record with spaces, up to the line end before its line with the dot.
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

/// Writes all that is not removed aside, and puts it in the mailbox's place.
fn compact<D: Disk>(snapshot: &Snapshot<D>, messages: &[Found], length: u64) -> io::Result<D::File> {
    let (disk, folder) = (&snapshot.shared.disk, &snapshot.folder);
    let Some((mailbox, _)) = &snapshot.file else { return Err(io::ErrorKind::NotFound.into()) };
    let aside = disk.open(&folder.aside(), Open::OrCreate)?;
    aside.set_len(0)?;
    let index = snapshot.index();
    let header = index.header;
    // Between removed records there may be a person's blank lines, which are not worth a file.
    let is_empty = messages.len() as u64 == snapshot.count && header.broken == 0 && length == snapshot.length;
    if !is_empty {
        let mut writer = Writer::behind(&aside, 0);
        let mut messages = messages.iter().peekable();
        let (mut kept, mut copied) = (0, Ok(()));
        index.walk(0..header.entries, |ordinal, entry| {
            let goes = messages.next_if(|found| found.ordinal == ordinal).is_some();
            if goes || entry.is_removed() {
                copied = read_range(mailbox, kept..entry.offset, |piece| writer.put(piece));
                kept = entry.end();
            }
            if copied.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        copied?;
        read_range(mailbox, kept..length, |piece| writer.put(piece))?;
        writer.flush()?;
    }
    aside.sync()?;
    disk.rename(&folder.aside(), &folder.mailbox())?;
    disk.sync_dir(&folder.path)?;
    Ok(aside)
}
