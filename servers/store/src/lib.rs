//! Where mail is kept: the [`MailStore`] trait, and the text store that is the default.
//!
//! The trait knows accounts, messages and numbers; no path, no file offset, no SQL. What it promises:
//!
//! - **Durable on return.** When [`Incoming::commit`] or [`Maildrop::remove`] answers `Ok`, what it did
//!   survives a power cut.
//! - **One lease.** A [`Maildrop`] is held by one session at a time, between processes too (RFC 1939
//!   section 4); deliveries go on meanwhile and stay out of the session's snapshot.
//! - **Streams.** Bodies go in and come out in chunks; listings come in batches. Nothing grows with the
//!   size of a message or of a mailbox (but an index that the text store cannot write: 64 octets a message).

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::message::address::Address;
use mail_core::users::Username;

pub mod accounts;
pub mod disk;
pub mod generations;
pub mod text;

// A page has neither files nor threads; everything else in this crate compiles for it.
#[cfg(not(target_arch = "wasm32"))]
pub mod descriptors;
#[cfg(not(target_arch = "wasm32"))]
pub mod user_txt;

/// A place that keeps mail for accounts.
pub trait MailStore: Send + Sync {
    type Incoming: Incoming;
    type Maildrop: Maildrop;

    /// Starts to take in one message.
    fn begin(&self) -> impl Future<Output = Result<Self::Incoming, StoreError>> + Send;

    /// Takes the exclusive lease of an account's maildrop, with a snapshot of what is in it now.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another session has it.
    fn open(&self, account: &Username) -> impl Future<Output = Result<Self::Maildrop, StoreError>> + Send;
}

/// A message that is being received. Dropping it forgets it.
pub trait Incoming: Send + Debug {
    /// The next stretch of the message: as sent, without dot-stuffing, lines ending with CRLF.
    fn write(&mut self, chunk: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Octets of memory that it holds.
    fn memory(&self) -> usize;

    /// Moves to the disk, or wherever it goes, what need not be in memory.
    fn release_memory(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives every recipient's account its copy; all are on stable storage when this returns `Ok`. After an
    /// error some may be too: a retry can give somebody a second copy, and nobody none.
    fn commit(
        self,
        trace: &Trace,
        recipients: &[Recipient],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// One account's copy of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Whose maildrop it goes to. No account stands twice in a commit.
    pub account: Username,
    /// The address that led there, as the sender wrote it.
    pub address: Address,
}

/// One message of a listing. Numbers start at 1 and keep their meaning for the whole lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// RFC 1939 message-number.
    pub number: u64,
    /// Octets as RETR sends them, each line end counted as two, dot-stuffing not counted (RFC 1939
    /// section 11).
    pub octets: u64,
    /// RFC 1939 unique-id: 1 to 70 of `!` to `~`.
    pub unique_id: String,
    /// Received with SMTPUTF8 (RFC 6856 section 3.2 asks).
    pub utf8: bool,
}

/// How much of a message is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it (RETR).
    Whole,
    /// The header, the blank line and so many lines of the body (TOP).
    Top(u64),
}

/// The exclusive lease of a maildrop and its snapshot. Dropping it gives the lease back and removes nothing.
pub trait Maildrop: Send + Debug {
    type Body: Body;

    /// How many messages the snapshot holds.
    fn count(&self) -> u64;

    /// The sum of their octets.
    fn octets(&self) -> u64;

    /// Some of the messages from number `from` on, in order; empty when there are none.
    fn entries(&mut self, from: u64) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;

    /// One message by its number, which is at least 1 and at most [`count`](Self::count).
    fn entry(&mut self, number: u64) -> impl Future<Output = Result<Entry, StoreError>> + Send;

    /// A message's content as POP3 sends it.
    fn body(
        &mut self,
        number: u64,
        extent: Extent,
    ) -> impl Future<Output = Result<Self::Body, StoreError>> + Send;

    /// Removes these messages (in ascending order, each once), durably, and gives the lease back.
    ///
    /// # Errors
    /// What is not removed is whole and will be there in the next session.
    fn remove(self, numbers: &[u64]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// How long the lease holds without [`renew`](Self::renew); `None` where it holds as long as the value.
    fn lifetime(&self) -> Option<Duration>;

    /// Extends the lease by another lifetime.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it had run out; the session must end.
    fn renew(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A message's content in transfer form: dot-stuffed, lines ending with CRLF, without the final dot line.
pub trait Body: Send + Debug {
    /// The next stretch, or `None` at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;
}

/// What can go wrong in a store, sorted by what the session has to answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The maildrop is leased to another session: `-ERR [IN-USE]`.
    #[error("the maildrop is in use by another session")]
    InUse,
    /// The disk, or what stands for it, is full: 452 4.3.1.
    #[error("no room to store mail: {0}")]
    Full(String),
    /// The lease is gone, or the mailbox was changed from outside: `-ERR [SYS/TEMP]`.
    #[error("the maildrop was changed by somebody else: {0}")]
    Lost(String),
    /// Anything else that failed: 451 4.3.0, `-ERR [SYS/TEMP]`.
    #[error("{0}")]
    Failed(String),
}
