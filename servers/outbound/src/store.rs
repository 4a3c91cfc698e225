//! The storage of the queue, as the agent uses it: entries, their logs and contents.
//!
//! The text queue is delivered by one process. A database is delivered by several: each entry is claimed by one of them, for as
//! long as its lease lasts.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use mail_core::queue::{Entry, EntryError, LogLine, Progress, QueueId};
use mail_store::StoreError;

/// Entries of one [`QueueStore::arrivals`].
pub const ARRIVALS_MAX: usize = 1_000;

/// A failure to read an entry.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The entry was delivered, returned or removed.
    #[error("the queue has no message {0}")]
    NotFound(QueueId),
    /// The entry was damaged or edited. `place` is its file or row.
    #[error("{place}: {reason}; correct or remove it")]
    Invalid { place: String, reason: EntryError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An entry and its state.
#[derive(Debug)]
pub struct Queued<C> {
    pub entry: Entry,
    pub progress: Progress,
    /// Octets of the message.
    pub octets: u64,
    /// Whether this process may deliver the entry.
    pub is_claimed: bool,
    /// The message: see [`QueueStore::body`].
    pub content: C,
}

/// An entry and its state, without its message.
pub type QueuedState = (QueueId, Result<(Entry, Progress), QueueError>);

/// A message that is being read.
pub trait MessageBody: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Vec<u8>>>> + Send;
}

/// Entries and requests for this process.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Entries that this process delivers from now on. It may deliver some of them already.
    pub claimed: Vec<QueueId>,
    /// Entries of this process that the administrator wants to be attempted now.
    pub retried: Vec<QueueId>,
    /// Entries of this process that are no longer on hold.
    pub released: Vec<QueueId>,
    /// The administrator wants all entries to be attempted now.
    pub retries_all: bool,
}

/// A queue that an agent delivers.
pub trait QueueStore: Debug + Send + Sync + 'static {
    /// A handle of a message.
    type Content: Debug + Send + Sync;
    type Body: MessageBody;

    /// Whether `pennypost queue` sends its requests to the agent, because one process delivers the queue.
    const HAS_CONTROL_SOCKET: bool;

    /// Renews the lease on the entries of this process, without end.
    fn renew(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Waits for entries and requests. A process that accepts a message into the text queue schedules it itself.
    fn arrivals(&self) -> impl Future<Output = Arrivals> + Send;

    /// The newest entries of all processes, newest first, at most `limit`.
    ///
    /// # Errors
    /// The queue cannot be read.
    fn newest(&self, limit: usize) -> impl Future<Output = Result<Vec<QueueId>, StoreError>> + Send;

    /// Reads an entry and its log.
    ///
    /// # Errors
    /// The entry does not exist, or is unreadable.
    fn read(&self, id: &QueueId) -> impl Future<Output = Result<Queued<Self::Content>, QueueError>> + Send;

    /// Reads entries and their logs, at most [`ARRIVALS_MAX`].
    fn read_states(&self, ids: Vec<QueueId>) -> impl Future<Output = Vec<QueuedState>> + Send;

    /// The message of an entry. Reading it fails when this process may no longer deliver it.
    fn body(&self, content: &Self::Content) -> Self::Body;

    /// Appends lines to the log of an entry, unless the entry was removed. They are on stable storage when this returns `Ok`.
    ///
    /// # Errors
    /// The log cannot be written.
    fn append(
        &self,
        id: &QueueId,
        lines: Arc<[LogLine]>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes an entry, if it exists, and its log. The removal survives a power failure.
    ///
    /// # Errors
    /// The entry cannot be removed.
    fn remove(&self, id: &QueueId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Gives the entries of this process to others, at its end.
    fn release(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// The beginning of a message, at most `octets_max` octets.
///
/// # Errors
/// The message cannot be read.
pub(crate) async fn read_beginning<Q: QueueStore>(
    queue: &Q,
    content: &Q::Content,
    octets_max: usize,
) -> Result<Vec<u8>, StoreError> {
    let (mut octets, mut body) = (Vec::new(), queue.body(content));
    while octets.len() < octets_max {
        let piece = body.next().await;
        let piece = piece.map_err(|error| StoreError::Failed(format!("cannot read the message: {error}")))?;
        let Some(piece) = piece else { break };
        octets.extend_from_slice(&piece);
    }
    octets.truncate(octets_max);
    Ok(octets)
}
