//! The sidecar index `.index`: where every message of a mailbox stands, its octets and its unique-id, so that opening
//! a maildrop reads a header, and a look-up one entry. How it is laid out stands in [`layout`].
//!
//! A cache, never the truth. It can be deleted at any time, and it is never synced. It is believed as long as its
//! header fits the mailbox's [`Status`]: the same file, of the same length, not changed since a server changed it last.
//! So an edit from outside makes it worthless, and the next login makes another by one scan. What keeps that sound:
//!
//! - **Power cuts.** What was lost of unsynced writes shows in no status, so a header holds for one boot of the host.
//! - **Killed processes.** The mailbox is changed first, then entries and slots, the header last; where a change of the
//!   mailbox shows neither in its length nor surely in its coarse time, the header is taken away before.
//! - **Everybody writes it** who has the mailbox's append lock, and nobody else: a delivery [carries it along](Chain),
//!   the lease's holder [makes it](refresh) and [removes from it](Change). The lease's holder reads it without a lock:
//!   until he removes something himself, the entries that he has seen stay what they are.
//! - **Damage.** Header, entries and slots have checksums; what does not fit is a reason to scan the mailbox again.
//!
//! Where it cannot be written, the same index is made in memory.

use std::io;
use std::ops::{ControlFlow, Range};

use super::Folder;
use super::mailbox::{ReadMode, read_exact};
use crate::disk::{Disk, DiskFile, Open, Status};

mod build;
mod change;
mod layout;
mod refresh;

pub(super) use change::{Chain, Change};
pub(super) use layout::{Entry, Environment, Header, IdSource};
pub(super) use refresh::{Opened, open, scanned};

use layout::{
    BLOCK_ENTRIES, ENTRY_OCTETS, HEADER_OCTETS, SECTION_BLOCKS, SLOT_OCTETS, decode_slot, entry_at, slot_at,
};

/// An index, and the header that its owner has seen.
#[derive(Debug)]
pub(super) struct Index<F> {
    pages: Pages<F>,
    pub(super) header: Header,
}

/// What an index is kept in.
#[derive(Debug)]
enum Pages<F> {
    File(F, Environment),
    Memory(Vec<u8>),
}

/// A message's entry and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) ordinal: u64,
    pub(super) entry: Entry,
}

impl<F: DiskFile> Index<F> {
    /// An empty index in memory, of a mailbox that is empty or not read yet.
    pub(super) const fn in_memory() -> Self {
        let nothing = Status { identity: 0, length: 0, changed: 0 };
        Self { pages: Pages::Memory(Vec::new()), header: Header::new(nothing) }
    }

    /// The account's index, if it fits the mailbox.
    pub(super) fn fitting<D: Disk<File = F>>(
        disk: &D,
        environment: Option<Environment>,
        folder: &Folder,
        mailbox: Status,
    ) -> Option<Self> {
        let environment = environment?;
        let file = disk.open(&folder.index(), Open::Existing).ok()?;
        let pages = Pages::File(file, environment);
        let header = pages.header().filter(|header| header.mailbox == mailbox)?;
        Some(Self { pages, header })
    }

    /// Whether it tells of the whole mailbox.
    pub(super) const fn is_complete(&self) -> bool {
        self.header.covered == self.header.mailbox.length
    }

    /// Where in the mailbox the first record stands that the two tell different things of.
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

    /// Up to `count` messages from number `from` on; there is no number 0.
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

    /// A place to look for a message from, and how many messages stand before it.
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

    /// Gives the entries with these ordinals to `each`, until it breaks.
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
        // Many who ask for little want what stands next, not a whole block.
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

    /// Makes what [`header`](Self::header) says the truth.
    fn save(&mut self) -> io::Result<()> {
        match &self.pages {
            Pages::File(file, environment) => file.write_all_at(&self.header.encode(environment), 0),
            Pages::Memory(_) => Ok(()),
        }
    }
}

impl<F: DiskFile> Pages<F> {
    fn header(&self) -> Option<Header> {
        let Self::File(file, environment) = self else { return None };
        let mut octets = [0; HEADER_OCTETS];
        read_exact(file, &mut octets, 0).ok()?;
        Header::decode(&octets, environment)
    }

    /// Fills the buffer as far as there is something to read.
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
    fn messages_are_found_by_their_numbers_across_blocks_and_sections() {
        let section = BLOCK_ENTRIES * SECTION_BLOCKS;
        let is_removed =
            |ordinal: u64| ordinal % 1_000 == 7 || (BLOCK_ENTRIES * 2..BLOCK_ENTRIES * 3).contains(&ordinal);
        let entry = |ordinal: u64| match is_removed(ordinal) {
            true => Entry::removed(ordinal * 10, 10),
            false => Entry::message(ordinal * 10, 10, 9, None, false),
        };
        let mut index: Index<SimFile> = Index::in_memory();
        // In three steps, as logins do, so that a block is filled by more than one.
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
