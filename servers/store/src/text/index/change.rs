//! Carrying an index along while a server changes its mailbox. Whoever does has the append lock.

use std::io;
use std::ops::ControlFlow;

use super::layout::{
    BLOCK_ENTRIES, ENTRY_OCTETS, HEADER_OCTETS, SECTION_BLOCKS, SLOT_OCTETS, decode_slot, encode_slot,
    entry_at, slot_at,
};
use super::refresh::LOCKED_OCTETS_MAX;
use super::{Entry, Environment, Found, Header, Index, Pages, damaged};
use crate::disk::{Disk, DiskFile, Status};
use crate::text::mailbox::ReadMode;
use crate::text::{Folder, Shared};

/// What is appended at once beyond this is left to the next login to read.
const READ_BACK_OCTETS_MAX: u64 = 1 << 20;
// While a login scans without the lock, no delivery enters anything.
const _: () = assert!(READ_BACK_OCTETS_MAX < LOCKED_OCTETS_MAX);

/// The index of a mailbox that is about to be appended to.
#[derive(Debug)]
pub(in crate::text) struct Chain<F>(Index<F>);

impl<F: DiskFile> Chain<F> {
    /// The account's index, if it fits the mailbox before the append.
    pub(in crate::text) fn open<D: Disk<File = F>>(
        shared: &Shared<D>,
        folder: &Folder,
        mailbox: Status,
    ) -> Option<Self> {
        Index::fitting(&shared.disk, shared.environment, folder, mailbox).map(Self)
    }

    /// Carries it along, when what was appended is whole and durable. The records are read back from the page
    /// cache and scanned, and so entered just as a login would.
    ///
    /// # Errors
    /// It cannot be written; then it does not fit the mailbox any more.
    pub(in crate::text) fn extend(self, mailbox: &F, hostname: &str) -> io::Result<()> {
        let Self(mut index) = self;
        let status = mailbox.status()?;
        index.header.mailbox = status;
        if status.length - index.header.covered <= READ_BACK_OCTETS_MAX {
            index.take_in(mailbox, status.length, hostname)?;
        }
        index.save()
    }
}

/// The index of a mailbox that is about to lose messages. It fits nothing until it is saved.
#[derive(Debug)]
pub(in crate::text) struct Change<'a, F> {
    index: &'a Index<F>,
    file: &'a F,
    environment: Environment,
    header: Header,
    /// Something happened that only a scan can put into an index.
    is_spoilt: bool,
}

impl<F: DiskFile> Index<F> {
    /// Takes the header away, if it fits the mailbox before the change.
    pub(in crate::text) fn change(&self, mailbox: Status) -> io::Result<Option<Change<'_, F>>> {
        let Pages::File(file, environment) = &self.pages else { return Ok(None) };
        let Some(header) = self.pages.header().filter(|header| header.mailbox == mailbox) else {
            return Ok(None);
        };
        file.write_all_at(&[0; HEADER_OCTETS], 0)?;
        Ok(Some(Change { index: self, file, environment: *environment, header, is_spoilt: false }))
    }
}

impl<F: DiskFile> Change<'_, F> {
    /// Marks messages as removed, which stand in the file's order.
    pub(in crate::text) fn remove(&mut self, messages: &[Found]) -> io::Result<()> {
        for in_block in messages.chunk_by(|a, b| a.ordinal / BLOCK_ENTRIES == b.ordinal / BLOCK_ENTRIES) {
            for Found { ordinal, entry } in in_block {
                let removed = Entry::removed(entry.offset, entry.length);
                self.file.write_all_at(&removed.encode(*ordinal), entry_at(*ordinal))?;
                self.header.octets -= entry.octets;
                self.header.removed_octets += entry.length;
                // The message that has the same id has it alone now.
                self.is_spoilt |= entry.is_doubled();
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

    /// Closes the gaps that removed records leave, as a compaction did in the mailbox.
    pub(in crate::text) fn compact(&mut self) -> io::Result<()> {
        let mut kept = Kept { file: self.file, entries: 0, pending: Vec::new() };
        let (mut gone, mut written) = (0, Ok(()));
        // An entry never moves back, so what is still to be read is not written over.
        self.index.walk(0..self.header.entries, |_, entry| {
            if entry.is_removed() {
                gone += entry.length;
                return ControlFlow::Continue(());
            }
            written = kept.push(&entry.moved_back(gone));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written.and_then(|()| kept.flush())?;
        let blocks = self.header.entries.div_ceil(BLOCK_ENTRIES);
        for first in (0..blocks).step_by(SECTION_BLOCKS as usize) {
            let slots = [0; SLOT_OCTETS * SECTION_BLOCKS as usize];
            let used = (blocks - first).min(SECTION_BLOCKS) as usize * SLOT_OCTETS;
            self.file.write_all_at(&slots[..used], slot_at(first))?;
        }
        self.file.set_len(entry_at(kept.entries))?;
        self.header.covered -= self.header.removed_octets;
        self.header.entries = kept.entries;
        (self.header.removed, self.header.removed_octets) = (0, 0);
        Ok(())
    }

    /// Forgets everything, as a mailbox does that nothing is left of.
    pub(in crate::text) fn empty(&mut self) -> io::Result<()> {
        self.header = Header::new(self.header.mailbox);
        self.is_spoilt = false;
        self.file.set_len(0)
    }

    /// Makes it fit the mailbox after the change.
    pub(in crate::text) fn save(mut self, mailbox: Status) -> io::Result<()> {
        if self.is_spoilt {
            return Ok(());
        }
        self.header.mailbox = mailbox;
        self.file.write_all_at(&self.header.encode(&self.environment), 0)
    }
}

/// Entries that a compaction keeps, written a block at a time.
struct Kept<'a, F> {
    file: &'a F,
    entries: u64,
    pending: Vec<u8>,
}

impl<F: DiskFile> Kept<'_, F> {
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
