//! The lease of a maildrop.

use std::sync::Arc;
use std::time::Duration;

use mail_core::users::Username;

use super::index::Found;
use super::snapshot::{self, Snapshot, entry_of};
use super::{Folder, Shared, TextBody, removal};
use crate::disk::{Disk, ReadMode};
use crate::offload::Offload;
use crate::{Entry, Extent, Maildrop, StoreError};

/// Entries of one batch.
const ENTRIES_AT_ONCE: usize = 512;
/// Entries read ahead, because clients usually fetch messages in order.
const ENTRIES_READ_AHEAD: usize = 24;

/// A lease of the text store.
#[derive(Debug)]
pub struct TextMaildrop<D: Disk, O: Offload> {
    snapshot: Arc<Snapshot<D>>,
    offload: O,
    /// Consecutive messages, and the number of the first.
    known: (u64, Vec<Found>),
}

impl<D: Disk, O: Offload> TextMaildrop<D, O> {
    pub(super) async fn open(
        shared: Arc<Shared<D>>,
        offload: O,
        account: &Username,
    ) -> Result<Self, StoreError> {
        let folder = Folder::new(account);
        let snapshot = offload.run(move || Snapshot::take(shared, folder)).await?;
        Ok(Self { snapshot: Arc::new(snapshot), offload, known: (0, Vec::new()) })
    }

    async fn with_snapshot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<D>) -> T + Send + 'static,
    ) -> T {
        let snapshot = Arc::clone(&self.snapshot);
        self.offload.run(move || work(&snapshot)).await
    }

    /// The index entry of a message.
    async fn find(&mut self, number: u64) -> Result<Found, StoreError> {
        let (first, known) = &self.known;
        let index = number.checked_sub(*first).and_then(|index| usize::try_from(index).ok());
        if let Some(found) = index.and_then(|index| known.get(index)) {
            return Ok(*found);
        }
        let read = move |snapshot: &Snapshot<D>, mode| match mode {
            ReadMode::NonBlocking => snapshot.try_messages(number, ENTRIES_READ_AHEAD),
            ReadMode::Blocking => Ok(snapshot.messages(number, ENTRIES_READ_AHEAD)?),
        };
        let known = snapshot::read(&self.snapshot, &self.offload, read).await?;
        let found =
            *known.first().ok_or_else(|| StoreError::Failed(format!("there is no message {number}")))?;
        self.known = (number, known);
        Ok(found)
    }
}

impl<D: Disk, O: Offload> Maildrop for TextMaildrop<D, O> {
    type Body = TextBody<D, O>;

    fn count(&self) -> u64 {
        self.snapshot.count
    }

    fn octets(&self) -> u64 {
        self.snapshot.octets
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        self.with_snapshot(move |snapshot| {
            let from = from.max(1);
            let found = snapshot.messages(from, ENTRIES_AT_ONCE)?;
            (from..).zip(&found).map(|(number, found)| snapshot.describe(number, found)).collect()
        })
        .await
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        let found = self.find(number).await?;
        match entry_of(number, &found) {
            Some(entry) => Ok(entry),
            None => self.with_snapshot(move |snapshot| snapshot.describe(number, &found)).await,
        }
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<TextBody<D, O>, StoreError> {
        let found = self.find(number).await?;
        TextBody::open(Arc::clone(&self.snapshot), self.offload.clone(), found.entry, extent).await
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        let Self { snapshot, offload, .. } = self;
        let numbers = numbers.to_vec();
        offload.run(move || removal::remove(&snapshot, &numbers)).await
    }

    /// A flock lasts as long as the process.
    fn lease_lifetime(&self) -> Option<Duration> {
        None
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}
