//! Removal: mark, then blank or compact. At every moment each message is either all there or marked.

use std::io;
use std::ops::Range;

use mail_core::mailbox::Record;

use super::append::Writer;
use super::failed;
use super::mailbox::{read_exact, read_range, settle};
use super::maildrop::Snapshot;
use crate::disk::{Disk, DiskFile, Open};
use crate::store::StoreError;

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
    let records = numbers.iter().map(|number| {
        let (record, message) = snapshot.record(*number)?;
        snapshot.check_record(record, message)?;
        Ok(record)
    });
    let records: Vec<&Record> = records.collect::<Result<_, StoreError>>()?;
    let length = settle(&shared.disk, folder, mailbox, &shared.hostname)?.length;
    mark(mailbox, &records).map_err(|error| failed("write to", &path, error))?;

    // The messages are gone from here on; what follows only makes the file small and clean.
    let mut removed = snapshot.removed.clone();
    removed.extend(records.iter().map(|record| record.offset..record.end()));
    removed.sort_unstable_by_key(|range| range.start);
    let removed_octets: u64 = removed.iter().map(|range| range.end - range.start).sum();
    if length < shared.small_octets || removed_octets > length / 2 {
        match compact(snapshot, mailbox, &removed, length, records.len()) {
            Ok(()) => return Ok(()),
            Err(error) => {
                // What was written of it would only take room.
                let _ = shared.disk.remove(&folder.aside());
                tracing::warn!(mailbox = %path.display(), %error, "cannot compact; the file stays long");
            }
        }
    }
    if let Err(error) = records.iter().try_for_each(|record| blank(mailbox, record)) {
        tracing::warn!(mailbox = %path.display(), %error, "cannot blank out a removed message");
    }
    Ok(())
}

/// Makes the first byte of each record `#`; if that fails, makes it again what it was.
fn mark(mailbox: &impl DiskFile, records: &[&Record]) -> io::Result<()> {
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
fn compact<D: Disk>(
    snapshot: &Snapshot<D>,
    mailbox: &D::File,
    removed: &[Range<u64>],
    length: u64,
    count: usize,
) -> io::Result<()> {
    let (disk, folder) = (&snapshot.shared.disk, &snapshot.folder);
    let aside = disk.open(&folder.aside(), Open::OrCreate)?;
    aside.set_len(0)?;
    // Between removed records there may be a person's blank lines, which are not worth a file.
    let is_empty = count == snapshot.messages.len() && snapshot.broken == 0 && length == snapshot.length;
    let mut writer = Writer::new(&aside);
    let mut kept = 0;
    for end in removed.iter().chain([&(length..length)]).filter(|_| !is_empty) {
        read_range(mailbox, kept..end.start, |piece| writer.put(piece))?;
        kept = end.end;
    }
    writer.flush()?;
    aside.sync()?;
    disk.rename(&folder.aside(), &folder.mailbox())?;
    disk.sync_dir(&folder.path)
}
