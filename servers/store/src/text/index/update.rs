//! Updates of an index when a server changes its mailbox. The caller holds the append lock.

use std::io;
use std::ops::ControlFlow;

use super::layout::{
    BLOCK_ENTRIES, ENTRY_OCTETS, HEADER_OCTETS, SECTION_BLOCKS, SLOT_OCTETS, decode_slot, encode_slot,
    entry_at, slot_at,
};
use super::refresh::LOCKED_OCTETS_MAX;
use super::{Entry, Found, Header, Index, IndexValidity, Pages, damaged};
use crate::disk::ReadMode;
use crate::disk::{Disk, DiskFile, Status};
use crate::text::{Folder, Shared};

/// A longer append is left for the next login to index.
const READ_BACK_OCTETS_MAX: u64 = 1 << 20;
// While a login scans without the lock, no delivery adds entries.
const _: () = assert!(READ_BACK_OCTETS_MAX < LOCKED_OCTETS_MAX);

/// The index of a mailbox that is about to be appended to.
#[derive(Debug)]
pub(in crate::text) struct IndexAppend<F>(Index<F>);

impl<F: DiskFile> IndexAppend<F> {
    /// The account's index, if it is valid for the mailbox before the append.
    pub(in crate::text) fn open<D: Disk<File = F>>(
        shared: &Shared<D>,
        folder: &Folder,
        mailbox: Status,
    ) -> Option<Self> {
        Index::open_valid(&shared.disk, shared.validity, folder, mailbox).map(Self)
    }

    /// Adds the appended records, which are durable. They are read back and scanned, as a login does.
    ///
    /// # Errors
    /// The index cannot be written. It is invalid then.
    pub(in crate::text) fn extend(self, mailbox: &F, hostname: &str) -> io::Result<()> {
        let Self(mut index) = self;
        let status = mailbox.status()?;
        index.header.mailbox = status;
        if status.length - index.header.covered <= READ_BACK_OCTETS_MAX {
            index.extend_to(mailbox, status.length, hostname)?;
        }
        index.save()
    }
}

/// The index of a mailbox from which messages are removed. It is invalid until it is saved.
#[derive(Debug)]
pub(in crate::text) struct IndexRemoval<'a, F> {
    index: &'a Index<F>,
    file: &'a F,
    validity: IndexValidity,
    header: Header,
    /// Only a scan can produce a correct index.
    needs_rebuild: bool,
}

impl<F: DiskFile> Index<F> {
    /// Clears the header, if it is valid for the mailbox before the change.
    pub(in crate::text) fn begin_removal(&self, mailbox: Status) -> io::Result<Option<IndexRemoval<'_, F>>> {
        let Pages::File(file, validity) = &self.pages else { return Ok(None) };
        let Some(header) = self.pages.header().filter(|header| header.mailbox == mailbox) else {
            return Ok(None);
        };
        file.write_all_at(&[0; HEADER_OCTETS], 0)?;
        Ok(Some(IndexRemoval { index: self, file, validity: *validity, header, needs_rebuild: false }))
    }
}

impl<F: DiskFile> IndexRemoval<'_, F> {
    /// Marks messages as removed. They are in the order of the file.
    pub(in crate::text) fn remove(&mut self, messages: &[Found]) -> io::Result<()> {
        for in_block in messages.chunk_by(|a, b| a.ordinal / BLOCK_ENTRIES == b.ordinal / BLOCK_ENTRIES) {
            for Found { ordinal, entry } in in_block {
                let removed = Entry::removed(entry.offset, entry.length);
                self.file.write_all_at(&removed.encode(*ordinal), entry_at(*ordinal))?;
                self.header.octets -= entry.octets;
                self.header.removed_octets += entry.length;
                // The other message with this id may now use it as unique-id.
                self.needs_rebuild |= entry.is_duplicate_id();
            }
            let block = in_block[0].ordinal / BLOCK_ENTRIES;
            let mut slot = [0; SLOT_OCTETS];
            self.index.pages.read_exact(ReadMode::Blocking, &mut slot, slot_at(block))?;
            let removed = decode_slot(&slot, block).ok_or_else(damaged)? + in_block.len() as u64;
            self.file.write_all_at(&encode_slot(removed as u32, block), slot_at(block))?;
            self.header.removed += in_block.len() as u64;
        }
        Ok(())
    }

    /// Removes the entries of removed records, as a compaction did with the records.
    pub(in crate::text) fn compact(&mut self) -> io::Result<()> {
        let mut retained = RetainedEntries { file: self.file, entries: 0, pending: Vec::new() };
        let (mut removed_octets, mut written) = (0, Ok(()));
        // Entries only move towards the start, so unread ones are not overwritten.
        self.index.walk(0..self.header.entries, |_, entry| {
            if entry.is_removed() {
                removed_octets += entry.length;
                return ControlFlow::Continue(());
            }
            written = retained.push(&entry.moved_back(removed_octets));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written.and_then(|()| retained.flush())?;
        let blocks = self.header.entries.div_ceil(BLOCK_ENTRIES);
        for first in (0..blocks).step_by(SECTION_BLOCKS as usize) {
            let slots = [0; SLOT_OCTETS * SECTION_BLOCKS as usize];
            let used = (blocks - first).min(SECTION_BLOCKS) as usize * SLOT_OCTETS;
            self.file.write_all_at(&slots[..used], slot_at(first))?;
        }
        self.file.set_len(entry_at(retained.entries))?;
        self.header.covered -= self.header.removed_octets;
        self.header.entries = retained.entries;
        (self.header.removed, self.header.removed_octets) = (0, 0);
        Ok(())
    }

    /// Removes all entries, for an empty mailbox.
    pub(in crate::text) fn empty(&mut self) -> io::Result<()> {
        self.header = Header::new(self.header.mailbox);
        self.needs_rebuild = false;
        self.file.set_len(0)
    }

    /// Makes the index valid for the changed mailbox.
    pub(in crate::text) fn save(mut self, mailbox: Status) -> io::Result<()> {
        if self.needs_rebuild {
            return Ok(());
        }
        self.header.mailbox = mailbox;
        self.file.write_all_at(&self.header.encode(&self.validity), 0)
    }
}

/// Entries that a compaction retains, written a block at a time.
struct RetainedEntries<'a, F> {
    file: &'a F,
    entries: u64,
    pending: Vec<u8>,
}

impl<F: DiskFile> RetainedEntries<'_, F> {
    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        self.pending.extend_from_slice(&entry.encode(self.entries));
        self.entries += 1;
        if self.entries.is_multiple_of(BLOCK_ENTRIES) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let first = self.entries - (self.pending.len() / ENTRY_OCTETS) as u64;
        self.file.write_all_at(&self.pending, entry_at(first))?;
        self.pending.clear();
        Ok(())
    }
}
