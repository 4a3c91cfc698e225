//! Construction of an index.

use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;

use mail_core::mailbox::{Kind, Record};

use super::layout::{BLOCK_ENTRIES, ENTRY_OCTETS, encode_slot, entry_at, slot_at};
use super::{Entry, Index};
use crate::disk::DiskFile;

/// Appends entries to an index, block by block. Readers see them after the header is saved.
pub(super) struct Builder<'a, F> {
    index: &'a mut Index<F>,
    /// Entries of the last block that are not written.
    pending: Vec<u8>,
    /// Removed entries of the last block, if any.
    removed: Option<u64>,
    /// Hashes of the new entries' ids.
    ids: Vec<u64>,
    first: u64,
}

impl<'a, F: DiskFile> Builder<'a, F> {
    pub(super) const fn new(index: &'a mut Index<F>) -> Self {
        let first = index.header.entries;
        Self { index, pending: Vec::new(), removed: None, ids: Vec::new(), first }
    }

    /// Number of entries so far.
    #[cfg(test)]
    pub(super) const fn entries(&self) -> u64 {
        self.index.header.entries
    }

    /// Adds a scanned record.
    pub(super) fn add(&mut self, record: &Record) -> io::Result<()> {
        let Record { offset, length, .. } = *record;
        match &record.kind {
            Kind::Message(message) => {
                self.push(&Entry::message(offset, length, message.octets, message.id()))
            }
            Kind::Removed => self.push(&Entry::removed(offset, length)),
            Kind::Broken(_) | Kind::Torn => {
                self.index.header.broken += 1;
                Ok(())
            }
        }
    }

    pub(super) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let ordinal = self.index.header.entries;
        if entry.is_removed() {
            let removed = match self.removed {
                Some(removed) => removed,
                None => self.removed_before(ordinal)?,
            };
            self.removed = Some(removed + 1);
        }
        let header = &mut self.index.header;
        header.entries += 1;
        header.octets += entry.octets;
        if entry.is_removed() {
            header.removed += 1;
            header.removed_octets += entry.length;
        }
        self.pending.extend_from_slice(&entry.encode(ordinal));
        self.ids.extend(entry.id_hash());
        if (ordinal + 1).is_multiple_of(BLOCK_ENTRIES) { self.flush() } else { Ok(()) }
    }

    /// Number of removed entries among the written ones of this entry's block.
    fn removed_before(&self, ordinal: u64) -> io::Result<u64> {
        let mut removed = 0;
        let written = ordinal - (self.pending.len() / ENTRY_OCTETS) as u64;
        self.index.walk(ordinal / BLOCK_ENTRIES * BLOCK_ENTRIES..written, |_, entry| {
            removed += u64::from(entry.is_removed());
            ControlFlow::Continue(())
        })?;
        Ok(removed)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let Index { pages, header } = &mut *self.index;
        let first = header.entries - (self.pending.len() / ENTRY_OCTETS) as u64;
        pages.write(&self.pending, entry_at(first))?;
        if let Some(removed) = self.removed.take() {
            let block = first / BLOCK_ENTRIES;
            pages.write(&encode_slot(removed as u32, block), slot_at(block))?;
        }
        self.pending.clear();
        Ok(())
    }

    /// Writes the remaining entries. Entries with the same id get a hash as unique-id.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.ids.sort_unstable();
        let duplicates: HashSet<u64> =
            self.ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        if duplicates.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        self.index.walk(self.first..self.index.header.entries, |ordinal, entry| {
            if entry.id_hash().is_some_and(|hash| duplicates.contains(&hash)) {
                found.push((ordinal, entry.with_hashed_id()));
            }
            ControlFlow::Continue(())
        })?;
        found.iter().try_for_each(|(ordinal, entry)| {
            self.index.pages.write(&entry.encode(*ordinal), entry_at(*ordinal))
        })
    }
}
