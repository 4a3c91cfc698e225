//! Stored messages. Each message has two files, `ID.eml` with its octets and `ID.json` with its record; a summary stays in memory.
//! With a temporary directory, small messages are in memory only.
//!
//! Nothing is synced: the files need not survive a power failure. Sequence numbers and ids ascend in the order of storing, so that
//! `after` an id are the messages that were stored later, even if the one with that id is deleted.

mod files;
mod memory;
mod message;
mod search;
mod spool;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::num::NonZero;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, broadcast};
use tracing::warn;
use ulid::Ulid;

pub(crate) use self::files::Files;
pub(crate) use self::message::{Analysis, Message, State, initial_tags};
pub(crate) use self::search::{Field, Needle};
pub(crate) use self::spool::Spool;
use crate::options::Keep;
use crate::record::{Line, Record, Session};

/// Buffered changes of a slow subscriber.
const CHANGES_MAX: usize = 1_024;
/// Fewer messages are compared on one thread.
const PARALLEL_MESSAGES_MIN: usize = 10_000;
/// Ended sessions in memory.
const SESSIONS_MAX: usize = 200;

/// All caught messages.
#[derive(Debug)]
pub(crate) struct Store {
    files: Files,
    keep: Keep,
    index: Mutex<Index>,
    /// The last id. Locked from the assignment of an id until the message is in the list.
    last_id: Arc<AsyncMutex<u128>>,
    sessions: Mutex<VecDeque<Arc<EndedSession>>>,
    changes: broadcast::Sender<Change>,
    pub(crate) counters: Counters,
}

#[derive(Debug, Default)]
struct Index {
    messages: BTreeMap<u64, Arc<Message>>,
    by_id: HashMap<String, u64>,
    next: u64,
    totals: Totals,
}

/// Sums over all messages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) messages: usize,
    pub(crate) unread: usize,
    pub(crate) octets: u64,
    /// Each tag with the number of its messages.
    pub(crate) tags: BTreeMap<String, usize>,
}

/// A lock on the next id. Ids ascend in the order of storing.
pub(crate) type Turn = OwnedMutexGuard<u128>;

/// A message that is stored but not in the list yet. No other id is assigned meanwhile.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) id: String,
    _turn: Turn,
}

/// Totals since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: AtomicU64,
    pub(crate) accepted_octets: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) deleted: AtomicU64,
}

/// A change of the stored messages.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    New(Arc<Message>),
    /// Its read state or its tags.
    Updated(Arc<Message>),
    Deleted(Arc<Message>),
    /// All messages.
    Truncated,
}

/// A connection that has ended.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct EndedSession {
    #[serde(flatten)]
    pub(crate) session: Session,
    pub(crate) ended: DateTime<Utc>,
    /// Ids of the first stored messages.
    pub(crate) messages: Vec<String>,
    pub(crate) faults: Vec<String>,
    /// The lines of the dialogue after the last stored message.
    pub(crate) dialogue: Vec<Line>,
}

impl Store {
    /// Opens the store over `files` and reads the messages that are there.
    pub(crate) fn open(files: Files, keep: Keep) -> Self {
        let mut index = Index::default();
        let mut last = 0;
        for message in files.read_all() {
            last = Ulid::from_string(&message.id).map_or(last, |id| id.0);
            index.insert(message);
        }
        let store = Self {
            files,
            keep,
            index: Mutex::new(index),
            last_id: Arc::new(AsyncMutex::new(last)),
            sessions: Mutex::default(),
            changes: broadcast::channel(CHANGES_MAX).0,
            counters: Counters::default(),
        };
        store.prune();
        store
    }

    pub(crate) const fn files(&self) -> &Files {
        &self.files
    }

    pub(crate) async fn turn(&self) -> Turn {
        Arc::clone(&self.last_id).lock_owned().await
    }

    /// As [`turn`](Self::turn), outside an async task.
    pub(crate) fn blocking_turn(&self) -> Turn {
        Arc::clone(&self.last_id).blocking_lock_owned()
    }

    /// Assigns an id to a received message and stores the message under it.
    ///
    /// # Errors
    /// The file cannot be written or renamed.
    pub(crate) fn publish(&self, mut turn: Turn, spool: Spool, time: DateTime<Utc>) -> io::Result<Published> {
        let id = next_id(&mut turn, time);
        self.files.publish(spool, &id)?;
        Ok(Published { id, _turn: turn })
    }

    /// Adds a published message to the list. Its id replaces the record's.
    pub(crate) fn insert(
        &self,
        published: Published,
        analysis: Analysis,
        mut record: Record,
    ) -> Arc<Message> {
        record.id.clone_from(&published.id);
        self.files.write_record(&record);
        let message = self.index().insert(Message::new(analysis, &record));
        // Fails without subscribers.
        let _ = self.changes.send(Change::New(Arc::clone(&message)));
        drop(published);
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        self.counters.accepted_octets.fetch_add(record.size, Ordering::Relaxed);
        self.prune();
        message
    }

    /// The changes from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    pub(crate) fn message(&self, id: &str) -> Option<Arc<Message>> {
        let index = self.index();
        index.messages.get(index.by_id.get(id)?).cloned()
    }

    /// The messages that `matches` selects, newest first. Many messages are compared on all processors.
    pub(crate) fn newest(&self, matches: impl Fn(&Message) -> bool + Sync) -> Vec<Arc<Message>> {
        let messages = self.snapshot(Bound::Unbounded);
        let select = |part: &[Arc<Message>]| -> Vec<_> {
            part.iter().rev().filter(|message| matches(message)).map(Arc::clone).collect()
        };
        if messages.len() < PARALLEL_MESSAGES_MIN {
            return select(&messages);
        }
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| {
            let parts = messages.rchunks(messages.len().div_ceil(threads));
            let searches: Vec<_> = parts.map(|part| scope.spawn(move || select(part))).collect();
            searches
                .into_iter()
                .flat_map(|search| search.join().expect("a comparison does not panic"))
                .collect()
        })
    }

    /// The messages stored after the one with this id, oldest first. The message itself may be deleted.
    pub(crate) fn after(&self, id: Option<&str>) -> Vec<Arc<Message>> {
        let Some(id) = id else { return self.snapshot(Bound::Unbounded) };
        let sequence = self.index().by_id.get(id).copied();
        match sequence {
            Some(sequence) => self.snapshot(Bound::Excluded(sequence)),
            None => self.snapshot(Bound::Unbounded).into_iter().filter(|message| *message.id > *id).collect(),
        }
    }

    /// Copies the list, so that the lock is not held while messages are compared.
    fn snapshot(&self, from: Bound<u64>) -> Vec<Arc<Message>> {
        self.index()
            .messages
            .range((from, Bound::Unbounded))
            .map(|(_, message)| Arc::clone(message))
            .collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.index().totals.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.index().messages.len()
    }

    pub(crate) fn unread(&self) -> usize {
        self.index().totals.unread
    }

    /// Changes the read state or the tags of a message.
    pub(crate) fn update(&self, message: &Arc<Message>, change: impl FnOnce(&mut State)) {
        let state = {
            let mut index = self.index();
            let mut state = message.state();
            let before = state.clone();
            change(&mut state);
            if *state == before {
                return;
            }
            if index.messages.contains_key(&message.sequence) {
                index.totals.remove_state(&before);
                index.totals.add_state(&state);
            }
            state.clone()
        };
        self.files.update_record(&message.id, &state);
        let _ = self.changes.send(Change::Updated(Arc::clone(message)));
    }

    /// Deletes messages and returns those that existed.
    pub(crate) fn delete(&self, messages: &[Arc<Message>]) -> Vec<Arc<Message>> {
        let deleted: Vec<_> = {
            let mut index = self.index();
            messages.iter().filter_map(|message| index.remove(message.sequence)).collect()
        };
        self.deleted(&deleted);
        deleted
    }

    /// Deletes every message.
    pub(crate) fn clear(&self) {
        let messages = {
            let mut index = self.index();
            index.by_id.clear();
            index.totals = Totals::default();
            std::mem::take(&mut index.messages)
        };
        self.remove_files(messages.values());
        let _ = self.changes.send(Change::Truncated);
    }

    /// Deletes the messages over the limit of `--keep`.
    pub(crate) fn prune(&self) {
        let mut pruned = Vec::new();
        {
            let mut index = self.index();
            while let Some((sequence, message)) = index.messages.first_key_value() {
                let is_kept = match self.keep {
                    Keep::Count(count) => index.messages.len() <= count,
                    Keep::Age(age) => (Utc::now() - message.received).to_std().unwrap_or_default() < age,
                };
                if is_kept {
                    break;
                }
                let sequence = *sequence;
                pruned.extend(index.remove(sequence));
            }
        }
        self.deleted(&pruned);
    }

    /// Time between two calls of [`prune`](Self::prune), in addition to those at each message.
    pub(crate) fn prune_interval(&self) -> Option<Duration> {
        match self.keep {
            Keep::Count(_) => None,
            Keep::Age(age) => Some((age / 10).clamp(Duration::from_millis(100), Duration::from_secs(60))),
        }
    }

    fn deleted(&self, messages: &[Arc<Message>]) {
        self.remove_files(messages.iter());
        for message in messages {
            let _ = self.changes.send(Change::Deleted(Arc::clone(message)));
        }
    }

    fn remove_files<'a>(&self, messages: impl Iterator<Item = &'a Arc<Message>>) {
        for message in messages {
            self.counters.deleted.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = self.files.remove(&message.id) {
                warn!(id = %message.id, %error, "cannot delete the files of a message");
            }
        }
    }

    /// Adds an ended session and drops the oldest one over the limit.
    pub(crate) fn end_session(&self, session: EndedSession) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push_front(Arc::new(session));
        sessions.truncate(SESSIONS_MAX);
    }

    /// The ended sessions, newest first.
    pub(crate) fn sessions(&self) -> Vec<Arc<EndedSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A ULID greater than the last one, even within a millisecond and when the clock is set back.
fn next_id(last: &mut u128, time: DateTime<Utc>) -> String {
    *last = Ulid::from_datetime(time.into()).0.max(last.saturating_add(1));
    Ulid(*last).to_string()
}

impl Index {
    fn insert(&mut self, mut message: Message) -> Arc<Message> {
        message.sequence = self.next;
        self.next += 1;
        let message = Arc::new(message);
        self.by_id.insert(message.id.clone(), message.sequence);
        self.messages.insert(message.sequence, Arc::clone(&message));
        self.totals.messages += 1;
        self.totals.octets += message.size;
        self.totals.add_state(&message.state());
        message
    }

    fn remove(&mut self, sequence: u64) -> Option<Arc<Message>> {
        let message = self.messages.remove(&sequence)?;
        self.by_id.remove(&message.id);
        self.totals.messages -= 1;
        self.totals.octets -= message.size;
        self.totals.remove_state(&message.state());
        Some(message)
    }
}

impl Totals {
    fn add_state(&mut self, state: &State) {
        self.unread += usize::from(!state.read);
        for tag in &state.tags {
            *self.tags.entry(tag.clone()).or_default() += 1;
        }
    }

    fn remove_state(&mut self, state: &State) {
        self.unread -= usize::from(!state.read);
        for tag in &state.tags {
            let count = self.tags.get_mut(tag).map_or(0, |count| {
                *count -= 1;
                *count
            });
            if count == 0 {
                self.tags.remove(tag);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
