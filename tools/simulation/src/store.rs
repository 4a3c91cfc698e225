//! The store as the simulation has it: leases are watched, and a promise can be broken on purpose, to see that it is
//! found out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::users::Username;
use mail_store::disk::sim::SimDisk;
use mail_store::text::{TextBody, TextIncoming, TextMaildrop, TextStore};
use mail_store::{
    DeliveryTarget, Entry, Envelope, Extent, IncomingMessage, Maildrop, MaildropStore, StoreError,
};

use crate::executor::DeferredOffload;

/// A promise that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The disk says that it has synced, and has not.
    LyingDisk,
    /// A delivery that failed is acknowledged.
    HastyAnswer,
    /// Each message is stored twice.
    TwoCopies,
    /// A removal is acknowledged and not done.
    NoRemoval,
    /// A removal takes the next message along.
    OneMore,
    /// The octets of a listing are one too many.
    WrongOctets,
    /// Unique-ids are the message-numbers.
    ReusedIds,
    /// The last octets of a message are lost.
    ShortMessage,
}

/// Who has a maildrop, of all processes.
pub(crate) type Leases = Arc<Mutex<BTreeSet<String>>>;
/// What was found to be wrong.
pub(crate) type Violations = Arc<Mutex<Vec<String>>>;

#[derive(Debug, Clone)]
pub(crate) struct CheckedStore {
    pub(crate) inner: TextStore<SimDisk, DeferredOffload>,
    pub(crate) leases: Leases,
    pub(crate) violations: Violations,
    pub(crate) sabotage: Option<Sabotage>,
}

#[derive(Debug)]
pub(crate) struct CheckedIncoming {
    inner: TextIncoming<SimDisk, DeferredOffload>,
    /// The second copy of [`Sabotage::TwoCopies`].
    twin: Option<TextIncoming<SimDisk, DeferredOffload>>,
    sabotage: Option<Sabotage>,
}

#[derive(Debug)]
pub(crate) struct CheckedMaildrop {
    inner: TextMaildrop<SimDisk, DeferredOffload>,
    sabotage: Option<Sabotage>,
    lease: Lease,
}

/// Says that the lease is given back, in the moment before the store's own is dropped.
#[derive(Debug)]
struct Lease {
    account: String,
    leases: Leases,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}

impl DeliveryTarget for CheckedStore {
    type Incoming = CheckedIncoming;

    async fn begin(&self, envelope: &Envelope) -> Result<CheckedIncoming, StoreError> {
        let twin = match self.sabotage {
            Some(Sabotage::TwoCopies) => Some(self.inner.begin(envelope).await?),
            _ => None,
        };
        Ok(CheckedIncoming { inner: self.inner.begin(envelope).await?, twin, sabotage: self.sabotage })
    }
}

impl MaildropStore for CheckedStore {
    type Maildrop = CheckedMaildrop;

    async fn open(&self, account: &Username) -> Result<CheckedMaildrop, StoreError> {
        let inner = self.inner.open(account).await?;
        let lease = Lease { account: account.as_str().to_owned(), leases: Arc::clone(&self.leases) };
        if !self.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(lease.account.clone()) {
            let violation = format!("two sessions have the maildrop of {account}");
            self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
        }
        Ok(CheckedMaildrop { inner, sabotage: self.sabotage, lease })
    }
}

impl IncomingMessage for CheckedIncoming {
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), StoreError> {
        if self.sabotage == Some(Sabotage::ShortMessage) && chunk.len() > 200 {
            chunk = [&chunk[..100], &chunk[101..]].concat().into();
        }
        if let Some(twin) = &mut self.twin {
            twin.write(chunk.clone()).await?;
        }
        self.inner.write(chunk).await
    }

    fn memory(&self) -> usize {
        self.inner.memory()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        self.inner.release_memory().await
    }

    async fn commit(self, trace: &Trace) -> Result<(), StoreError> {
        if let Some(twin) = self.twin {
            twin.commit(trace).await?;
        }
        let done = self.inner.commit(trace).await;
        if self.sabotage == Some(Sabotage::HastyAnswer) { Ok(()) } else { done }
    }
}

impl Maildrop for CheckedMaildrop {
    type Body = TextBody<SimDisk, DeferredOffload>;

    fn count(&self) -> u64 {
        self.inner.count()
    }

    fn octets(&self) -> u64 {
        self.inner.octets()
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        let mut entries = self.inner.entries(from).await?;
        entries.iter_mut().for_each(|entry| falsify(entry, self.sabotage));
        Ok(entries)
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        let mut entry = self.inner.entry(number).await?;
        falsify(&mut entry, self.sabotage);
        Ok(entry)
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<Self::Body, StoreError> {
        self.inner.body(number, extent).await
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        let Self { inner, sabotage, lease } = self;
        // The store gives its own back within the call.
        drop(lease);
        let mut numbers = numbers.to_vec();
        match sabotage {
            Some(Sabotage::NoRemoval) => return Ok(()),
            Some(Sabotage::OneMore) => numbers.extend(numbers.last().map(|last| last + 1)),
            _ => {}
        }
        numbers.retain(|number| *number <= inner.count());
        inner.remove(&numbers).await
    }

    fn lease_lifetime(&self) -> Option<Duration> {
        self.inner.lease_lifetime()
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        self.inner.renew().await
    }
}

fn falsify(entry: &mut Entry, sabotage: Option<Sabotage>) {
    match sabotage {
        Some(Sabotage::WrongOctets) => entry.octets += 1,
        Some(Sabotage::ReusedIds) => entry.unique_id = entry.number.to_string(),
        _ => {}
    }
}
