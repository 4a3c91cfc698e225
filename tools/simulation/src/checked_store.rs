//! Wraps the text store to check that leases are exclusive, and optionally to inject a bug that the simulation must find.

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

/// A bug that is injected to verify that the simulation finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedBug {
    /// Syncs report success without effect.
    IgnoredSyncs,
    /// Failed deliveries are acknowledged.
    AcknowledgedFailure,
    /// Each message is stored twice.
    DuplicateDelivery,
    /// Removals are acknowledged without effect.
    SkippedRemoval,
    /// A removal also removes the next message.
    ExcessRemoval,
    /// Listed sizes are one octet too large.
    WrongOctets,
    /// Unique-ids are the message-numbers.
    ReusedUniqueIds,
    /// One octet of a message is lost.
    LostOctet,
}

/// Accounts with an open maildrop, in all processes.
pub(crate) type Leases = Arc<Mutex<BTreeSet<String>>>;
/// Violations found so far.
pub(crate) type Violations = Arc<Mutex<Vec<String>>>;

#[derive(Debug, Clone)]
pub(crate) struct CheckedStore {
    pub(crate) inner: TextStore<SimDisk, DeferredOffload>,
    pub(crate) leases: Leases,
    pub(crate) violations: Violations,
    pub(crate) bug: Option<InjectedBug>,
}

#[derive(Debug)]
pub(crate) struct CheckedIncoming {
    inner: TextIncoming<SimDisk, DeferredOffload>,
    /// The second copy for [`InjectedBug::DuplicateDelivery`].
    duplicate: Option<TextIncoming<SimDisk, DeferredOffload>>,
    bug: Option<InjectedBug>,
}

#[derive(Debug)]
pub(crate) struct CheckedMaildrop {
    inner: TextMaildrop<SimDisk, DeferredOffload>,
    bug: Option<InjectedBug>,
    lease: Lease,
}

/// An entry in [`Leases`]. It is dropped before the lease of the store.
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
        let duplicate = match self.bug {
            Some(InjectedBug::DuplicateDelivery) => Some(self.inner.begin(envelope).await?),
            _ => None,
        };
        Ok(CheckedIncoming { inner: self.inner.begin(envelope).await?, duplicate, bug: self.bug })
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
        Ok(CheckedMaildrop { inner, bug: self.bug, lease })
    }
}

impl IncomingMessage for CheckedIncoming {
    async fn write(&mut self, mut chunk: Bytes) -> Result<(), StoreError> {
        if self.bug == Some(InjectedBug::LostOctet) && chunk.len() > 200 {
            chunk = [&chunk[..100], &chunk[101..]].concat().into();
        }
        if let Some(duplicate) = &mut self.duplicate {
            duplicate.write(chunk.clone()).await?;
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
        if let Some(duplicate) = self.duplicate {
            duplicate.commit(trace).await?;
        }
        let committed = self.inner.commit(trace).await;
        if self.bug == Some(InjectedBug::AcknowledgedFailure) { Ok(()) } else { committed }
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
        entries.iter_mut().for_each(|entry| apply_bug(entry, self.bug));
        Ok(entries)
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        let mut entry = self.inner.entry(number).await?;
        apply_bug(&mut entry, self.bug);
        Ok(entry)
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<Self::Body, StoreError> {
        self.inner.body(number, extent).await
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        let Self { inner, bug, lease } = self;
        // The store releases its own lease during the call below.
        drop(lease);
        let mut numbers = numbers.to_vec();
        match bug {
            Some(InjectedBug::SkippedRemoval) => return Ok(()),
            Some(InjectedBug::ExcessRemoval) => numbers.extend(numbers.last().map(|last| last + 1)),
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

fn apply_bug(entry: &mut Entry, bug: Option<InjectedBug>) {
    match bug {
        Some(InjectedBug::WrongOctets) => entry.octets += 1,
        Some(InjectedBug::ReusedUniqueIds) => entry.unique_id = entry.number.to_string(),
        _ => {}
    }
}
