//! A message's content as POP3 sends it: stretches of the file, read in chunks.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use mail_core::mailbox::{Author, LineEndMender, person_head};
use mail_core::pop3::TopLines;

use super::Offload;
use super::mailbox::read_exact;
use super::maildrop::Snapshot;
use crate::disk::Disk;
use crate::store::{Body, Extent, StoreError};

/// How much is read at once.
const CHUNK_OCTETS: usize = 64 << 10;

/// A message that the text store sends.
#[derive(Debug)]
pub struct TextBody<D: Disk, O: Offload> {
    snapshot: Arc<Snapshot<D>>,
    offload: O,
    /// A person's head, as it is served.
    head: Vec<u8>,
    /// What of the file is still to be sent.
    stretches: Vec<Range<u64>>,
    /// For a person's line ends.
    mender: Option<LineEndMender>,
    top: Option<TopLines>,
}

impl<D: Disk, O: Offload> TextBody<D, O> {
    pub(super) async fn open(
        snapshot: Arc<Snapshot<D>>,
        offload: O,
        number: u64,
        extent: Extent,
    ) -> Result<Self, StoreError> {
        let found = Arc::clone(&snapshot);
        let (head, stretches, mender) = offload
            .run(move || -> Result<_, StoreError> {
                let (record, message) = found.record(number)?;
                found.check_identity()?;
                let head = found.check_record(record, message)?;
                let stretches = record.stretches();
                Ok(match message.author() {
                    Author::Server => (Vec::new(), stretches, None),
                    Author::Person => {
                        let head = person_head(&head, !stretches.is_empty(), &found.shared.hostname);
                        (head, stretches, Some(LineEndMender::default()))
                    }
                })
            })
            .await?;
        let top = match extent {
            Extent::Whole => None,
            Extent::Top(lines) => Some(TopLines::new(lines)),
        };
        Ok(Self { snapshot, offload, head, stretches, mender, top })
    }
}

impl<D: Disk, O: Offload> Body for TextBody<D, O> {
    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.head.is_empty() && self.stretches.is_empty() {
            return Ok(None);
        }
        let mut chunk = std::mem::take(&mut self.head);
        let ranges = take_front(&mut self.stretches, CHUNK_OCTETS as u64);
        if !ranges.is_empty() {
            let snapshot = Arc::clone(&self.snapshot);
            let read = self.offload.run(move || snapshot.read_ranges(&ranges)).await?;
            match &mut self.mender {
                Some(mender) => mender.mend(&read, &mut chunk),
                None => chunk = read,
            }
        }
        if let Some(top) = &mut self.top {
            let wanted = top.take(&chunk);
            chunk.truncate(wanted);
            if top.is_done() {
                self.stretches.clear();
            }
        }
        Ok(if chunk.is_empty() { None } else { Some(chunk.into()) })
    }
}

impl<D: Disk> Snapshot<D> {
    fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<u8>, StoreError> {
        let file = self.mailbox()?;
        let mut bytes = vec![0; ranges.iter().map(length).sum()];
        let mut rest = &mut bytes[..];
        for range in ranges {
            let (part, behind) = rest.split_at_mut(length(range));
            read_exact(file, part, range.start).map_err(|error| self.unreadable(error))?;
            rest = behind;
        }
        Ok(bytes)
    }
}

/// Takes the first octets off the stretches, at most so many.
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
