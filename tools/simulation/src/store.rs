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
use mail_store::{Entry, Extent, Incoming, MailStore, Maildrop, Recipient, StoreError};

use crate::executor::Later;

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
pub(crate) type Complaints = Arc<Mutex<Vec<String>>>;

#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) inner: TextStore<SimDisk, Later>,
    pub(crate) leases: Leases,
    pub(crate) complaints: Complaints,
    pub(crate) sabotage: Option<Sabotage>,
}

#[derive(Debug)]
pub(crate) struct WatchedIncoming {
    inner: TextIncoming<SimDisk, Later>,
    /// The second copy of [`Sabotage::TwoCopies`].
    twin: Option<TextIncoming<SimDisk, Later>>,
    sabotage: Option<Sabotage>,
}

#[derive(Debug)]
pub(crate) struct WatchedMaildrop {
    inner: TextMaildrop<SimDisk, Later>,
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

impl MailStore for Watched {
    type Incoming = WatchedIncoming;
    type Maildrop = WatchedMaildrop;

    async fn begin(&self) -> Result<WatchedIncoming, StoreError> {
        let twin = match self.sabotage {
            Some(Sabotage::TwoCopies) => Some(self.inner.begin().await?),
            _ => None,
        };
        Ok(WatchedIncoming { inner: self.inner.begin().await?, twin, sabotage: self.sabotage })
    }

    async fn open(&self, account: &Username) -> Result<WatchedMaildrop, StoreError> {
        let inner = self.inner.open(account).await?;
        let lease = Lease { account: account.as_str().to_owned(), leases: Arc::clone(&self.leases) };
        if !self.leases.lock().unwrap_or_else(PoisonError::into_inner).insert(lease.account.clone()) {
            let complaint = format!("two sessions have the maildrop of {account}");
            self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
        }
        Ok(WatchedMaildrop { inner, sabotage: self.sabotage, lease })
    }
}

impl Incoming for WatchedIncoming {
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

    async fn commit(self, trace: &Trace, recipients: &[Recipient]) -> Result<(), StoreError> {
        if let Some(twin) = self.twin {
            twin.commit(trace, recipients).await?;
        }
        let done = self.inner.commit(trace, recipients).await;
        if self.sabotage == Some(Sabotage::HastyAnswer) { Ok(()) } else { done }
    }
}

impl Maildrop for WatchedMaildrop {
    type Body = TextBody<SimDisk, Later>;

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

    fn lifetime(&self) -> Option<Duration> {
        self.inner.lifetime()
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
