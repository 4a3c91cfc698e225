//! The index file `.index`: offset, size and unique-id of every message, so that opening a maildrop reads a header, and a lookup
//! one entry. [`layout`] defines the format.
//!
//! The index is a cache. It can be deleted at any time and is never synced. It is valid while its header contains the mailbox's
//! [`Status`]: the same inode, length and ctime. An edit by another program invalidates it, and the next login rebuilds it with
//! one scan. Its invariants:
//!
//! - **Power failure.** Lost unsynced writes do not show in the status, so an index is valid for one boot of the host.
//! - **Killed processes.** The mailbox changes first, then entries and slots, the header last. If a change of the mailbox affects
//!   neither its length nor certainly its coarse ctime, the header is cleared before.
//! - **Locking.** Only the holder of the append lock writes: a delivery [appends](IndexAppend), the lease holder
//!   [rebuilds](refresh) and [removes](IndexRemoval). The lease holder reads without a lock, because the entries of its snapshot
//!   change only by its own removal.
//! - **Damage.** Header, entries and slots have checksums. A wrong checksum causes a new scan.
//!
//! If the file cannot be written, the index is built in memory.

use std::io;
use std::ops::{ControlFlow, Range};

use super::Folder;
use crate::disk::{Disk, DiskFile, Open, ReadMode, Status, read_exact};

mod build;
mod layout;
mod refresh;
mod update;

pub(super) use layout::{Entry, Header, IdSource, IndexValidity};
pub(super) use refresh::{Opened, open, scanned};
pub(super) use update::{IndexAppend, IndexRemoval};

use layout::{
    BLOCK_ENTRIES, ENTRY_OCTETS, HEADER_OCTETS, SECTION_BLOCKS, SLOT_OCTETS, decode_slot, entry_at, slot_at,
};

/// An index and its header as last read.
#[derive(Debug)]
pub(super) struct Index<F> {
    pages: Pages<F>,
    pub(super) header: Header,
}

/// Storage of an index.
#[derive(Debug)]
enum Pages<F> {
    File(F, IndexValidity),
    Memory(Vec<u8>),
}

/// An entry and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) ordinal: u64,
    pub(super) entry: Entry,
}

impl<F: DiskFile> Index<F> {
    /// An empty index in memory.
    pub(super) const fn in_memory() -> Self {
        let nothing = Status { identity: 0, length: 0, changed: 0 };
        Self { pages: Pages::Memory(Vec::new()), header: Header::new(nothing) }
    }

    /// The account's index, if it is valid for the mailbox.
    pub(super) fn open_valid<D: Disk<File = F>>(
        disk: &D,
        validity: Option<IndexValidity>,
        folder: &Folder,
        mailbox: Status,
    ) -> Option<Self> {
        let validity = validity?;
        let file = disk.open(&folder.index(), Open::Existing).ok()?;
        let pages = Pages::File(file, validity);
        let header = pages.header().filter(|header| header.mailbox == mailbox)?;
        Some(Self { pages, header })
    }

    /// Whether it covers the whole mailbox.
    pub(super) const fn is_complete(&self) -> bool {
        self.header.covered == self.header.mailbox.length
    }

    /// Offset of the first record for which the two differ.
    pub(super) fn difference(&self, other: &Self) -> io::Result<Option<u64>> {
        let entries = self.header.entries.min(other.header.entries);
        for first in (0..entries).step_by(BLOCK_ENTRIES as usize) {
            let block = first..entries.min(first + BLOCK_ENTRIES);
            let (ours, others) = (self.collect(block.clone())?, other.collect(block)?);
            if let Some((ours, other)) = ours.iter().zip(&others).find(|(ours, other)| ours != other) {
                return Ok(Some(ours.offset.min(other.offset)));
            }
        }
        Ok((self.header != other.header).then_some(self.header.mailbox.length))
    }

    fn collect(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.walk(range, |_, entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
        Ok(entries)
    }

    /// Up to `count` messages from number `from` on. Number 0 does not exist.
    pub(super) fn messages(&self, mode: ReadMode, from: u64, count: usize) -> io::Result<Vec<Found>> {
        let mut found = Vec::with_capacity(count.min(BLOCK_ENTRIES as usize));
        if from == 0 {
            return Ok(found);
        }
        let (start, mut before) = self.block_of(mode, from)?;
        self.walk_in(mode, start..self.header.entries, |ordinal, entry| {
            if found.len() == count {
                return ControlFlow::Break(());
            }
            if !entry.is_removed() {
                before += 1;
                if before >= from {
                    found.push(Found { ordinal, entry });
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// An ordinal to start a search for a message at, and the number of messages before it.
    fn block_of(&self, mode: ReadMode, number: u64) -> io::Result<(u64, u64)> {
        let Header { entries, removed, .. } = self.header;
        if removed == 0 {
            return Ok((entries.min(number - 1), number - 1));
        }
        let (mut before, mut slots) = (0, Vec::new());
        for block in 0..entries.div_ceil(BLOCK_ENTRIES) {
            let slot = (block % SECTION_BLOCKS) as usize;
            if slot == 0 {
                slots = vec![0; SECTION_BLOCKS as usize * SLOT_OCTETS];
                self.pages.read(mode, &mut slots, slot_at(block))?;
            }
            let removed =
                decode_slot(&slots[slot * SLOT_OCTETS..][..SLOT_OCTETS], block).ok_or_else(damaged)?;
            let start = block * BLOCK_ENTRIES;
            let live = BLOCK_ENTRIES.min(entries - start).checked_sub(removed).ok_or_else(damaged)?;
            if before + live >= number {
                return Ok((start, before));
            }
            before += live;
        }
        Ok((entries, before))
    }

    /// Passes the entries with these ordinals to `each`, until it breaks.
    pub(super) fn walk(
        &self,
        range: Range<u64>,
        each: impl FnMut(u64, Entry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.walk_in(ReadMode::Blocking, range, each)
    }

    fn walk_in(
        &self,
        mode: ReadMode,
        range: Range<u64>,
        mut each: impl FnMut(u64, Entry) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut octets = [0; ENTRY_OCTETS * BLOCK_ENTRIES as usize];
        let mut at = range.start;
        // Most lookups need only the next entries, not a whole block.
        let mut wanted = BLOCK_ENTRIES / 8;
        while at < range.end {
            let end = range.end.min(at + wanted).min((at / BLOCK_ENTRIES + 1) * BLOCK_ENTRIES);
            let piece = &mut octets[..(end - at) as usize * ENTRY_OCTETS];
            self.pages.read_exact(mode, piece, entry_at(at))?;
            for octets in piece.as_chunks().0 {
                let entry = Entry::decode(octets, at).ok_or_else(damaged)?;
                if each(at, entry).is_break() {
                    return Ok(());
                }
                at += 1;
            }
            wanted = BLOCK_ENTRIES;
        }
        Ok(())
    }

    /// Writes [`header`](Self::header).
    fn save(&mut self) -> io::Result<()> {
        match &self.pages {
            Pages::File(file, validity) => file.write_all_at(&self.header.encode(validity), 0),
            Pages::Memory(_) => Ok(()),
        }
    }
}

impl<F: DiskFile> Pages<F> {
    fn header(&self) -> Option<Header> {
        let Self::File(file, validity) = self else { return None };
        let mut octets = [0; HEADER_OCTETS];
        read_exact(file, &mut octets, 0).ok()?;
        Header::decode(&octets, validity)
    }

    /// Fills the buffer up to the end of the index.
    fn read(&self, mode: ReadMode, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::File(file, _) => {
                let mut read = 0;
                while read < buffer.len() {
                    match mode.read_at(file, &mut buffer[read..], at + read as u64)? {
                        0 => break,
                        more => read += more,
                    }
                }
                Ok(read)
            }
            Self::Memory(octets) => {
                let rest = &octets[octets.len().min(at as usize)..];
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
        }
    }

    fn read_exact(&self, mode: ReadMode, buffer: &mut [u8], at: u64) -> io::Result<()> {
        if self.read(mode, buffer, at)? == buffer.len() { Ok(()) } else { Err(damaged()) }
    }

    fn write(&mut self, octets: &[u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.write_all_at(octets, at),
            Self::Memory(memory) => {
                let (at, end) = (at as usize, at as usize + octets.len());
                memory.resize(memory.len().max(end), 0);
                memory[at..end].copy_from_slice(octets);
                Ok(())
            }
        }
    }

    fn clear(&mut self) -> io::Result<()> {
        match self {
            Self::File(file, _) => file.set_len(0),
            Self::Memory(memory) => {
                memory.clear();
                Ok(())
            }
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the index is damaged")
}

#[cfg(test)]
mod tests {
    use super::build::Builder;
    use super::*;
    use crate::disk::sim::SimFile;

    #[test]
    fn messages_are_found_across_blocks_and_sections() {
        let section = BLOCK_ENTRIES * SECTION_BLOCKS;
        let is_removed =
            |ordinal: u64| ordinal % 1_000 == 7 || (BLOCK_ENTRIES * 2..BLOCK_ENTRIES * 3).contains(&ordinal);
        let entry = |ordinal: u64| match is_removed(ordinal) {
            true => Entry::removed(ordinal * 10, 10),
            false => Entry::message(ordinal * 10, 10, 9, None),
        };
        let mut index: Index<SimFile> = Index::in_memory();
        // Three steps, like three logins, so that more than one fills a block.
        for end in [300, section - 1, section + 500] {
            let mut builder = Builder::new(&mut index);
            let from = builder.entries();
            (from..end).try_for_each(|ordinal| builder.push(&entry(ordinal))).unwrap();
            builder.finish().unwrap();
        }
        let live: Vec<u64> = (0..section + 500).filter(|ordinal| !is_removed(*ordinal)).collect();
        assert_eq!(index.header.messages(), live.len() as u64);
        assert_eq!(index.header.octets, live.len() as u64 * 9);
        let near_section = live.partition_point(|ordinal| *ordinal < section);
        for place in [0, 6, 7, 254, 255, 510, 511, 1_000, near_section - 2, near_section, live.len() - 1] {
            let found = index.messages(ReadMode::Blocking, place as u64 + 1, 3).unwrap();
            let ordinals: Vec<u64> = found.iter().map(|found| found.ordinal).collect();
            assert_eq!(ordinals, live[place..live.len().min(place + 3)]);
            assert!(found.iter().all(|found| found.entry == entry(found.ordinal)));
        }
        assert_eq!(index.messages(ReadMode::Blocking, live.len() as u64 + 1, 3).unwrap(), []);
    }
}
