//! Retrieval: the exclusive lease of an account's maildrop (RFC 1939 section 4).

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use mail_core::users::Username;

use crate::StoreError;

/// Opens maildrops.
pub trait MaildropStore: Send + Sync {
    type Maildrop: Maildrop;

    /// Takes the exclusive lease of an account's maildrop, with a snapshot of its messages. `account` is spelled as the
    /// directory spells it.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another session, of this or another process, has the lease.
    fn open(&self, account: &Username) -> impl Future<Output = Result<Self::Maildrop, StoreError>> + Send;
}

/// The lease of a maildrop and its snapshot. Messages that arrive during the lease are not part of the snapshot. Dropping it
/// removes nothing and releases the lease, or begins to: then an [`open`](MaildropStore::open) waits until the lease is free.
pub trait Maildrop: Send + Debug {
    type Body: Body;

    /// Number of messages in the snapshot.
    fn count(&self) -> u64;

    /// Sum of the messages' octets.
    fn octets(&self) -> u64;

    /// A batch of entries from number `from` on, in order; empty after the last message.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if the lease has expired or the mailbox was changed from outside.
    fn entries(&mut self, from: u64) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// The entry of a message.
    ///
    /// # Errors
    /// As [`entries`](Self::entries); [`StoreError::Failed`] if there is no such number.
    fn entry(&mut self, number: u64) -> impl Future<Output = Result<Entry, StoreError>> + Send;

    /// Opens a message's content.
    ///
    /// # Errors
    /// As [`entry`](Self::entry).
    fn body(
        &mut self,
        number: u64,
        extent: Extent,
    ) -> impl Future<Output = Result<Self::Body, StoreError>> + Send;

    /// Removes messages durably and releases the lease. `numbers` are ascending.
    ///
    /// # Errors
    /// Messages that are not removed are intact and appear in the next session.
    fn remove(self, numbers: &[u64]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Releases the lease and removes nothing. It is free on return, if the store can be reached.
    fn release(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        async { drop(self) }
    }

    /// Lifetime of the lease without [`renew`](Self::renew); `None` if it lasts as long as the value.
    fn lease_lifetime(&self) -> Option<Duration>;

    /// Extends the lease by another lifetime.
    ///
    /// # Errors
    /// [`StoreError::Lost`] if it has expired.
    fn renew(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A message's content, lines ending with CRLF, without the final line with a dot.
pub trait Body: Send + Debug {
    /// Whether lines that begin with a dot have another one in front (RFC 1939 section 3). A store that keeps messages in
    /// transfer form need not convert them twice.
    fn is_dot_stuffed(&self) -> bool;

    /// The next part, or `None` after the last.
    ///
    /// # Errors
    /// The content cannot be read to its end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;
}

/// Scan listing and unique-id of a message. Numbers start at 1 and keep their meaning during a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    /// Octets as RETR sends them, without dot-stuffing (RFC 1939 section 11).
    pub octets: u64,
    /// 1 to 70 characters from `!` to `~` (RFC 1939 section 7).
    pub unique_id: String,
}

/// The requested part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it (RETR).
    Whole,
    /// The header, the blank line and this many lines of the body (TOP).
    Top(u64),
}
