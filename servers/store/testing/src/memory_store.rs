//! Mail in memory, with a lease that expires.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mail_core::mailbox::Trace;
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_store::{
    Body, DeliveryTarget, Destination, Entry, Envelope, Extent, IncomingMessage, MailboxAdmin, MailboxReport,
    Maildrop, MaildropStore, StoreError,
};

/// Octets of one chunk of a body.
const CHUNK_OCTETS: usize = 16 << 10;
/// Entries of one batch of a listing.
const BATCH_ENTRIES: usize = 7;

/// A store in memory. A clone has the same mail.
#[derive(Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    lease_lifetime: Duration,
    now: Arc<dyn Fn() -> Instant + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    /// By account name in lower case.
    mailboxes: HashMap<String, Mailbox>,
    last_id: u64,
}

#[derive(Debug, Default)]
struct Mailbox {
    messages: Vec<Message>,
    lease: Option<Lease>,
}

#[derive(Debug, Clone)]
struct Message {
    id: u64,
    text: Bytes,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    id: u64,
    expires: Instant,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("lease_lifetime", &self.lease_lifetime).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store, whose leases expire by the clock `now`.
    pub fn new(lease_lifetime: Duration, now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self { state: Arc::default(), lease_lifetime, now: Arc::new(now) }
    }

    /// Ends the lease of an account as if it had expired.
    pub fn expire_lease(&self, account: &Username) {
        self.with_mailbox(account, |mailbox| mailbox.lease = None);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_mailbox<T>(&self, account: &Username, act: impl FnOnce(&mut Mailbox) -> T) -> T {
        act(self.state().mailboxes.entry(account.as_str().to_ascii_lowercase()).or_default())
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl DeliveryTarget for MemoryStore {
    type Incoming = MemoryIncoming;

    async fn begin(&self, envelope: &Envelope) -> Result<MemoryIncoming, StoreError> {
        let account = |destination: &Destination| match destination {
            Destination::Mailbox { account, .. } => Ok(account.clone()),
            Destination::Remote(address) => Err(StoreError::Failed(format!("{address} has no mailbox here"))),
        };
        let recipients = envelope.recipients.iter().map(account).collect::<Result<_, _>>()?;
        Ok(MemoryIncoming { store: self.clone(), recipients, text: BytesMut::new() })
    }
}

/// A message that [`MemoryStore`] receives.
#[derive(Debug)]
pub struct MemoryIncoming {
    store: MemoryStore,
    recipients: Vec<Username>,
    text: BytesMut,
}

impl IncomingMessage for MemoryIncoming {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.text.extend_from_slice(&chunk);
        Ok(())
    }

    /// Messages are the store's content, not a buffer.
    fn memory(&self) -> usize {
        0
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(self, _trace: &Trace) -> Result<(), StoreError> {
        let Self { store, recipients, text } = self;
        let text = text.freeze();
        for account in recipients {
            let id = store.state().next_id();
            store.with_mailbox(&account, |mailbox| mailbox.messages.push(Message { id, text: text.clone() }));
        }
        Ok(())
    }
}

impl MaildropStore for MemoryStore {
    type Maildrop = MemoryMaildrop;

    async fn open(&self, account: &Username) -> Result<MemoryMaildrop, StoreError> {
        let now = (self.now)();
        let id = self.state().next_id();
        let lease = Lease { id, expires: now + self.lease_lifetime };
        let messages = self.with_mailbox(account, |mailbox| {
            if mailbox.lease.is_some_and(|lease| lease.expires > now) {
                return Err(StoreError::InUse);
            }
            mailbox.lease = Some(lease);
            Ok(mailbox.messages.clone())
        })?;
        Ok(MemoryMaildrop { store: self.clone(), account: account.clone(), lease: id, messages })
    }
}

/// A lease of [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryMaildrop {
    store: MemoryStore,
    account: Username,
    lease: u64,
    messages: Vec<Message>,
}

impl MemoryMaildrop {
    /// Acts on the mailbox while the lease is valid.
    fn with_lease<T>(&self, act: impl FnOnce(&mut Mailbox) -> T) -> Result<T, StoreError> {
        let now = (self.store.now)();
        self.store.with_mailbox(&self.account, |mailbox| match mailbox.lease {
            Some(lease) if lease.id == self.lease && lease.expires > now => Ok(act(mailbox)),
            _ => Err(StoreError::Lost("the lease has expired".into())),
        })
    }

    fn message(&self, number: u64) -> Result<&Message, StoreError> {
        let index = number.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let message = index.and_then(|index| self.messages.get(index));
        message.ok_or_else(|| StoreError::Failed(format!("there is no message {number}")))
    }
}

impl Drop for MemoryMaildrop {
    fn drop(&mut self) {
        let _ = self.with_lease(|mailbox| mailbox.lease = None);
    }
}

fn entry(number: u64, message: &Message) -> Entry {
    Entry { number, octets: message.text.len() as u64, unique_id: format!("memory-{}", message.id) }
}

impl Maildrop for MemoryMaildrop {
    type Body = MemoryBody;

    fn count(&self) -> u64 {
        self.messages.len() as u64
    }

    fn octets(&self) -> u64 {
        self.messages.iter().map(|message| message.text.len() as u64).sum()
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        self.with_lease(|_| ())?;
        let numbered = (1..).zip(&self.messages).skip_while(|(number, _)| *number < from);
        Ok(numbered.take(BATCH_ENTRIES).map(|(number, message)| entry(number, message)).collect())
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        self.with_lease(|_| ())?;
        Ok(entry(number, self.message(number)?))
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<MemoryBody, StoreError> {
        self.with_lease(|_| ())?;
        let text = &self.message(number)?.text;
        Ok(MemoryBody(match extent {
            Extent::Whole => text.clone(),
            Extent::Top(lines) => text.slice(..top_length(text, lines)),
        }))
    }

    async fn remove(self, numbers: &[u64]) -> Result<(), StoreError> {
        let removed = numbers.iter().map(|number| self.message(*number).map(|message| message.id));
        let removed = removed.collect::<Result<Vec<_>, _>>()?;
        self.with_lease(|mailbox| mailbox.messages.retain(|message| !removed.contains(&message.id)))
    }

    fn lease_lifetime(&self) -> Option<Duration> {
        Some(self.store.lease_lifetime)
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        let lease = Lease { id: self.lease, expires: (self.store.now)() + self.store.lease_lifetime };
        self.with_lease(|mailbox| mailbox.lease = Some(lease))
    }
}

/// Octets of the header, the blank line and the first lines of the body.
fn top_length(text: &[u8], lines: u64) -> usize {
    let (mut length, mut body_lines) = (0, None);
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        if body_lines == Some(lines) {
            break;
        }
        length += line.len();
        body_lines = match body_lines {
            Some(count) => Some(count + 1),
            None => (line == b"\r\n").then_some(0),
        };
    }
    length
}

/// A message that [`MemoryStore`] sends, without dot-stuffing.
#[derive(Debug)]
pub struct MemoryBody(Bytes);

impl Body for MemoryBody {
    fn is_dot_stuffed(&self) -> bool {
        false
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let length = self.0.len().min(CHUNK_OCTETS);
        Ok(if length == 0 { None } else { Some(self.0.split_to(length)) })
    }
}

impl MailboxAdmin for MemoryStore {
    async fn check(&self, account: &Username) -> Result<MailboxReport, StoreError> {
        Ok(self.with_mailbox(account, |mailbox| MailboxReport {
            messages: mailbox.messages.len() as u64,
            octets: mailbox.messages.iter().map(|message| message.text.len() as u64).sum(),
            ..MailboxReport::default()
        }))
    }

    /// A mailbox in memory has no file format; its messages are written one after the other.
    async fn copy(&self, account: &Username, out: &mut (dyn Write + Send)) -> Result<u64, StoreError> {
        self.with_mailbox(account, |mailbox| {
            let failed = |error: std::io::Error| StoreError::Failed(error.to_string());
            mailbox.messages.iter().try_fold(0, |octets, message| {
                out.write_all(&message.text).map_err(failed)?;
                Ok(octets + message.text.len() as u64)
            })
        })
    }

    async fn purge(&self, account: &Username) -> Result<(), StoreError> {
        self.with_mailbox(account, |mailbox| mailbox.messages.clear());
        Ok(())
    }

    async fn rename(&self, account: &Username, new: &Username) -> Result<(), StoreError> {
        let messages = self.with_mailbox(account, |mailbox| std::mem::take(&mut mailbox.messages));
        self.with_mailbox(new, |mailbox| mailbox.messages = messages);
        Ok(())
    }

    fn location(&self, account: &Username) -> String {
        format!("memory of {account}")
    }
}
