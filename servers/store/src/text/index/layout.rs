//! The format of `.index`. All numbers are little-endian.
//!
//! ```text
//! 0        header, 136 octets; the rest of the page is unused
//! 4,096    first section: a page of 512 slots, one per block; then 512 blocks of 256 entries of 64 octets
//! ...      next section
//! ```
//!
//! Header, entries and slots have checksums. Those of entries and slots include their position.

use crate::disk::{Disk, Status};

/// Magic number; a new format gets another one.
const MAGIC: [u8; 8] = *b"PNYIDX02";

pub(super) const HEADER_OCTETS: usize = 136;
pub(super) const ENTRY_OCTETS: usize = 64;
pub(super) const SLOT_OCTETS: usize = 8;
/// Entries per block.
pub(super) const BLOCK_ENTRIES: u64 = 256;
/// Slots per page, and blocks per section.
pub(super) const SECTION_BLOCKS: u64 = 512;
const PAGE_OCTETS: u64 = 4096;
const SECTION_OCTETS: u64 = PAGE_OCTETS + SECTION_BLOCKS * BLOCK_ENTRIES * ENTRY_OCTETS as u64;
/// The longest id that fits into an entry; Pennypost's ids have 26 octets.
const ID_OCTETS_MAX: usize = 32;

/// Offset of an entry.
pub(super) const fn entry_at(ordinal: u64) -> u64 {
    let section = ordinal / (BLOCK_ENTRIES * SECTION_BLOCKS);
    let within = ordinal % (BLOCK_ENTRIES * SECTION_BLOCKS);
    PAGE_OCTETS + section * SECTION_OCTETS + PAGE_OCTETS + within * ENTRY_OCTETS as u64
}

/// Offset of a block's slot.
pub(super) const fn slot_at(block: u64) -> u64 {
    let section = block / SECTION_BLOCKS;
    PAGE_OCTETS + section * SECTION_OCTETS + block % SECTION_BLOCKS * SLOT_OCTETS as u64
}

/// Identifies the boot of the host and the host name that an index is valid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) struct IndexValidity([u8; 32]);

impl IndexValidity {
    /// `None` if the disk has no boot id.
    pub(in crate::text) fn of(disk: &impl Disk, hostname: &str) -> Option<Self> {
        disk.boot_id().map(|boot_id| Self::new(&boot_id, hostname))
    }

    fn new(boot_id: &str, hostname: &str) -> Self {
        let mut octets = [0; 32];
        for (part, piece) in octets.chunks_mut(8).enumerate() {
            let boot_id = checksum(boot_id.as_bytes(), part as u64);
            piece.copy_from_slice(&checksum(hostname.as_bytes(), boot_id).to_le_bytes());
        }
        Self(octets)
    }
}

/// Summary of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) struct Header {
    /// The mailbox after a server's last change. Any other status means that another program changed it.
    pub(in crate::text) mailbox: Status,
    /// Octets of the mailbox that the entries describe. A server appended the rest.
    pub(in crate::text) covered: u64,
    /// Entries of messages and of removed records.
    pub(in crate::text) entries: u64,
    /// Entries of removed records.
    pub(in crate::text) removed: u64,
    /// Octets of all messages as RETR sends them.
    pub(in crate::text) octets: u64,
    /// Octets of removed records in the file.
    pub(in crate::text) removed_octets: u64,
    /// Unreadable parts of the file, which have no entries.
    pub(in crate::text) broken: u64,
}

impl Header {
    /// Header of an empty index.
    pub(in crate::text) const fn new(mailbox: Status) -> Self {
        Self { mailbox, covered: 0, entries: 0, removed: 0, octets: 0, removed_octets: 0, broken: 0 }
    }

    /// Number of messages.
    pub(in crate::text) const fn messages(&self) -> u64 {
        self.entries - self.removed
    }

    pub(super) fn encode(&self, validity: &IndexValidity) -> [u8; HEADER_OCTETS] {
        let mut octets = [0; HEADER_OCTETS];
        octets[..8].copy_from_slice(&MAGIC);
        octets[8..40].copy_from_slice(&validity.0);
        let Status { identity, length, changed } = self.mailbox;
        let Self { covered, entries, removed, octets: sum, removed_octets, broken, .. } = *self;
        let numbers =
            [identity, length, changed, covered, entries, removed, sum, removed_octets, broken, 0, 0];
        for (place, number) in octets[40..128].chunks_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let check = checksum(&octets[..128], 0);
        octets[128..].copy_from_slice(&check.to_le_bytes());
        octets
    }

    /// `None` unless [`encode`](Self::encode) made the octets with the same validity.
    pub(super) fn decode(octets: &[u8; HEADER_OCTETS], validity: &IndexValidity) -> Option<Self> {
        let mut numbers = octets[40..].chunks_exact(8).map(number);
        let mut next = || numbers.next().unwrap_or_default();
        let header = Self {
            mailbox: Status { identity: next(), length: next(), changed: next() },
            covered: next(),
            entries: next(),
            removed: next(),
            octets: next(),
            removed_octets: next(),
            broken: next(),
        };
        (header.encode(validity) == *octets).then_some(header)
    }
}

/// Description of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) struct Entry {
    /// Offset in the mailbox.
    pub(in crate::text) offset: u64,
    /// Octets in the mailbox.
    pub(in crate::text) length: u64,
    /// Octets as RETR sends them; 0 if removed.
    pub(in crate::text) octets: u64,
    id: [u8; ID_OCTETS_MAX],
    id_length: u8,
    flags: u8,
}

const REMOVED: u8 = 1;
/// The unique-id is a hash of the record's text: a person wrote the record, or its id is not unique.
const HASHED: u8 = 2;
/// The id is too long for the entry, which contains a hash of it.
const LONG: u8 = 4;

/// Source of a message's unique-id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) enum IdSource<'a> {
    Entry(&'a str),
    Record,
    Hash,
}

impl Entry {
    /// Entry of a message.
    pub(in crate::text) fn message(offset: u64, length: u64, octets: u64, id: Option<&str>) -> Self {
        let flags = if id.is_none() { HASHED } else { 0 };
        let (id, id_length, long) = packed(id);
        Self { offset, length, octets, id, id_length, flags: flags | long }
    }

    /// Entry of a removed record.
    pub(in crate::text) const fn removed(offset: u64, length: u64) -> Self {
        Self { offset, length, octets: 0, id: [0; ID_OCTETS_MAX], id_length: 0, flags: REMOVED }
    }

    pub(in crate::text) const fn end(&self) -> u64 {
        self.offset + self.length
    }

    pub(in crate::text) const fn is_removed(&self) -> bool {
        self.flags & REMOVED != 0
    }

    pub(in crate::text) fn id_source(&self) -> IdSource<'_> {
        match std::str::from_utf8(&self.id[..usize::from(self.id_length)]) {
            _ if self.flags & HASHED != 0 => IdSource::Hash,
            Ok(id) if self.flags & LONG == 0 => IdSource::Entry(id),
            _ => IdSource::Record,
        }
    }

    /// Whether the entry can describe a record with this id.
    pub(in crate::text) fn has_id(&self, id: Option<&str>) -> bool {
        let (id, id_length, long) = packed(id);
        (id, id_length, long) == (self.id, self.id_length, self.flags & LONG)
    }

    /// Hash of the record's id, if it has one.
    pub(super) fn id_hash(&self) -> Option<u64> {
        let has_id = self.id_length > 0 || self.flags & LONG != 0;
        has_id.then(|| checksum(&self.id, self.id_length.into()))
    }

    /// Whether another message had the same id when the entry was made.
    pub(in crate::text) fn is_duplicate_id(&self) -> bool {
        self.flags & HASHED != 0 && self.id_hash().is_some()
    }

    /// The same record with a hash as unique-id.
    pub(super) const fn with_hashed_id(self) -> Self {
        Self { flags: self.flags | HASHED, ..self }
    }

    /// The same record, moved towards the start of the mailbox.
    pub(super) const fn moved_back(self, octets: u64) -> Self {
        Self { offset: self.offset - octets, ..self }
    }

    pub(super) fn encode(&self, ordinal: u64) -> [u8; ENTRY_OCTETS] {
        let mut octets = [0; ENTRY_OCTETS];
        octets[..8].copy_from_slice(&self.offset.to_le_bytes());
        octets[8..16].copy_from_slice(&self.length.to_le_bytes());
        octets[16..24].copy_from_slice(&self.octets.to_le_bytes());
        octets[24..56].copy_from_slice(&self.id);
        octets[56..58].copy_from_slice(&[self.id_length, self.flags]);
        let check = checksum(&octets[..60], ordinal) as u32;
        octets[60..].copy_from_slice(&check.to_le_bytes());
        octets
    }

    pub(super) fn decode(octets: &[u8; ENTRY_OCTETS], ordinal: u64) -> Option<Self> {
        let mut id = [0; ID_OCTETS_MAX];
        id.copy_from_slice(&octets[24..56]);
        let entry = Self {
            offset: number(&octets[..8]),
            length: number(&octets[8..16]),
            octets: number(&octets[16..24]),
            id,
            id_length: octets[56].min(ID_OCTETS_MAX as u8),
            flags: octets[57],
        };
        (entry.encode(ordinal) == *octets).then_some(entry)
    }
}

fn packed(id: Option<&str>) -> ([u8; ID_OCTETS_MAX], u8, u8) {
    let mut packed = [0; ID_OCTETS_MAX];
    let id = id.unwrap_or_default().as_bytes();
    if let Some(place) = packed.get_mut(..id.len()) {
        place.copy_from_slice(id);
        (packed, id.len() as u8, 0)
    } else {
        packed[..8].copy_from_slice(&checksum(id, 0).to_le_bytes());
        (packed, 0, LONG)
    }
}

/// Encodes the number of removed entries of a block. A slot that was never written means 0.
pub(super) fn encode_slot(removed: u32, block: u64) -> [u8; SLOT_OCTETS] {
    let mut octets = [0; SLOT_OCTETS];
    octets[..4].copy_from_slice(&removed.to_le_bytes());
    let check = checksum(&removed.to_le_bytes(), block) as u32;
    octets[4..].copy_from_slice(&check.to_le_bytes());
    octets
}

pub(super) fn decode_slot(octets: &[u8], block: u64) -> Option<u64> {
    let removed = (number(octets) & u64::from(u32::MAX)) as u32;
    let is_right = octets == [0; SLOT_OCTETS] || octets == encode_slot(removed, block);
    is_right.then_some(removed.into())
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().rev().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

/// Detects errors of a disk, not forgery. Each step is invertible, so a change of any single word is detected.
fn checksum(octets: &[u8], seed: u64) -> u64 {
    let mix = |sum: u64, word: u64| {
        let mixed = (sum ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mixed ^ mixed >> 32
    };
    let (words, rest) = octets.as_chunks();
    let sum =
        words.iter().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    mix(sum, number(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_of_any_octet_is_detected() {
        let validity = IndexValidity::new("boot", "iitkgp.edu");
        let mailbox = Status { identity: 7, length: 99, changed: 1_795_374_907_000_000_000 };
        let header = Header { covered: 90, entries: 3, removed: 1, octets: 50, ..Header::new(mailbox) };
        let encoded = header.encode(&validity);
        assert_eq!(Header::decode(&encoded, &validity), Some(header));
        for other in [IndexValidity::new("next boot", "iitkgp.edu"), IndexValidity::new("boot", "iit.edu")] {
            assert_eq!(Header::decode(&encoded, &other), None);
        }
        for at in 0..encoded.len() {
            let mut bad = encoded;
            bad[at] ^= 1;
            assert_eq!(Header::decode(&bad, &validity), None, "{at}");
        }

        let entry = Entry::message(1, 2, 3, Some("01JD8W"));
        let encoded = entry.encode(5);
        assert_eq!(Entry::decode(&encoded, 5), Some(entry));
        assert_eq!(Entry::decode(&encoded, 6), None);
        for at in 0..encoded.len() {
            for bit in 0..8 {
                let mut bad = encoded;
                bad[at] ^= 1 << bit;
                assert_eq!(Entry::decode(&bad, 5), None, "{at}");
            }
        }

        let slot = encode_slot(9, 1);
        assert_eq!(decode_slot(&slot, 1), Some(9));
        assert_eq!(decode_slot(&slot, 2), None);
        assert_eq!(decode_slot(&[0; 8], 2), Some(0));
        assert_eq!(decode_slot(&[1, 0, 0, 0, 0, 0, 0, 0], 2), None);
    }

    #[test]
    fn id_source_depends_on_the_id() {
        let of = |id: Option<&str>| Entry::message(0, 9, 9, id);
        let (short, long) = ("x".repeat(32), "x".repeat(33));
        for (id, source) in [
            (Some("01JD8W"), IdSource::Entry("01JD8W")),
            (Some(short.as_str()), IdSource::Entry(&short)),
            (Some(long.as_str()), IdSource::Record),
            (None, IdSource::Hash),
        ] {
            assert_eq!(of(id).id_source(), source);
            assert!(of(id).has_id(id) && !of(id).has_id(Some("other")));
            assert_eq!(of(id).with_hashed_id().id_source(), IdSource::Hash);
            assert_eq!(of(id).id_hash().is_some(), id.is_some());
            assert!(of(id).with_hashed_id().has_id(id));
        }
        assert_ne!(of(Some(&long)).id_hash(), of(Some(&short)).id_hash());
    }

    #[test]
    fn slots_and_entries_do_not_overlap() {
        assert_eq!(slot_at(0) as usize, PAGE_OCTETS as usize);
        assert_eq!(slot_at(SECTION_BLOCKS - 1) + SLOT_OCTETS as u64, entry_at(0));
        let section = SECTION_BLOCKS * BLOCK_ENTRIES;
        assert_eq!(entry_at(section - 1) + ENTRY_OCTETS as u64, slot_at(SECTION_BLOCKS));
        assert_eq!(slot_at(SECTION_BLOCKS) + PAGE_OCTETS, entry_at(section));
    }
}
