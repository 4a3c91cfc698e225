//! A message's content as POP3 sends it: ranges of the mailbox file, read in chunks.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mail_core::mailbox::{Author, LfToCrlf, wire_head};
use mail_core::pop3::TopLimiter;

use super::index::Entry;
use super::mailbox::ReadError;
use super::snapshot::{self, Snapshot};
use crate::disk::{Disk, ReadMode};
use crate::offload::Offload;
use crate::{Body, Extent, StoreError};

/// Size of one read.
const CHUNK_OCTETS: usize = 64 << 10;

/// A message that the text store sends.
#[derive(Debug)]
pub struct TextBody<D: Disk, O: Offload> {
    snapshot: Arc<Snapshot<D>>,
    offload: O,
    rest: Rest,
    top: Option<TopLimiter>,
}

/// The part that is not sent yet.
#[derive(Debug, Default)]
struct Rest {
    /// Octets in memory: a short message, or the converted head of a person's record.
    ready: Vec<u8>,
    /// Ranges of the file that follow.
    stretches: Vec<Range<u64>>,
    /// Converts the line ends of a person's record.
    converter: Option<LfToCrlf>,
}

impl<D: Disk, O: Offload> TextBody<D, O> {
    pub(super) async fn open(
        snapshot: Arc<Snapshot<D>>,
        offload: O,
        entry: Entry,
        extent: Extent,
    ) -> Result<Self, StoreError> {
        let read = move |snapshot: &Snapshot<D>, mode| Rest::read(snapshot, mode, &entry);
        let rest = snapshot::read(&snapshot, &offload, read).await?;
        let top = match extent {
            Extent::Whole => None,
            Extent::Top(lines) => Some(TopLimiter::new(lines)),
        };
        Ok(Self { snapshot, offload, rest, top })
    }
}

impl Rest {
    fn read<D: Disk>(snapshot: &Snapshot<D>, mode: ReadMode, entry: &Entry) -> Result<Self, ReadError> {
        snapshot.check_identity()?;
        let (record, start) = snapshot.read_record(mode, entry)?;
        let message = record.message().expect("a record that was found again is a message");
        let stretches = record.wire_ranges();
        let mut rest = match message.author() {
            Author::Server => Self { stretches, ..Self::default() },
            Author::Human => {
                let head = &start[..message.head_length() as usize];
                let ready = wire_head(head, !stretches.is_empty(), &snapshot.shared.hostname);
                Self { ready, stretches, converter: Some(LfToCrlf::default()) }
            }
        };
        if start.len() as u64 == record.length {
            rest.ready.reserve(start.len());
            for stretch in std::mem::take(&mut rest.stretches) {
                let within = stretch.start - record.offset..stretch.end - record.offset;
                rest.take(&start[within.start as usize..within.end as usize]);
            }
        }
        Ok(rest)
    }

    /// Appends octets of the file to the octets in memory.
    fn take(&mut self, octets: &[u8]) {
        match &mut self.converter {
            Some(converter) => converter.convert(octets, &mut self.ready),
            None => self.ready.extend_from_slice(octets),
        }
    }
}

impl<D: Disk, O: Offload> Body for TextBody<D, O> {
    /// Mailbox records have the dot-stuffing of SMTP.
    fn is_dot_stuffed(&self) -> bool {
        true
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let ranges = match &self.rest.ready {
            ready if ready.len() < CHUNK_OCTETS => take_front(&mut self.rest.stretches, CHUNK_OCTETS as u64),
            _ => Vec::new(),
        };
        if !ranges.is_empty() {
            let read = move |snapshot: &Snapshot<D>, mode| snapshot.read_ranges(mode, &ranges);
            let read = snapshot::read(&self.snapshot, &self.offload, read).await?;
            if self.rest.ready.is_empty() && self.rest.converter.is_none() {
                self.rest.ready = read;
            } else {
                self.rest.take(&read);
            }
        }
        let mut chunk = std::mem::take(&mut self.rest.ready);
        if let Some(top) = &mut self.top {
            let wanted = top.take(&chunk);
            chunk.truncate(wanted);
            if top.is_done() {
                self.rest.stretches.clear();
            }
        }
        Ok(if chunk.is_empty() { None } else { Some(chunk.into()) })
    }
}

impl<D: Disk> Snapshot<D> {
    fn read_ranges(&self, mode: ReadMode, ranges: &[Range<u64>]) -> Result<Vec<u8>, ReadError> {
        let file = self.mailbox()?;
        let mut bytes = vec![0; ranges.iter().map(length).sum()];
        let mut rest = &mut bytes[..];
        for range in ranges {
            let (part, behind) = rest.split_at_mut(length(range));
            mode.read_exact(file, part, range.start).map_err(|error| self.read_error(error))?;
            rest = behind;
        }
        Ok(bytes)
    }
}

/// Removes up to `octets` from the front of the ranges.
fn take_front(stretches: &mut Vec<Range<u64>>, mut octets: u64) -> Vec<Range<u64>> {
    let mut taken = Vec::new();
    while let Some(first) = stretches.first_mut().filter(|_| octets > 0) {
        let end = first.end.min(first.start + octets);
        taken.push(first.start..end);
        octets -= end - first.start;
        first.start = end;
        if first.is_empty() {
            stretches.remove(0);
        }
    }
    taken
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).expect("a range is at most CHUNK_OCTETS long")
}
