//! Group commit: deliveries that arrive during a transaction share the next one.
//!
//! A lane has a few writers. A waiting delivery is taken by the first writer that is idle, together with the others that wait.
//! Large messages have a lane of their own, so they do not delay small ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_store::StoreError;
use mail_store::disk::Disk;
use mail_store::disk::RealDisk;
use mail_store::spool::Spooled;
use tokio::sync::oneshot;
use tracing::warn;

use crate::database::Database;
use crate::failure::{Failure, repeat};

mod pieces;
mod transaction;

pub(crate) use pieces::PIECE_OCTETS;

/// A message up to this size is one value of a row; a larger one is stored in pieces.
pub(crate) const INLINE_OCTETS_MAX: u64 = 64 << 10;

/// Attempts of a transaction. The client's timeout is ten minutes (RFC 5321 section 4.5.3.2.6).
const COMMIT_LIMIT: Duration = Duration::from_secs(60);
/// With more writers, groups are smaller.
const WRITERS_PER_LANE: usize = 2;
/// Deliveries of one transaction.
const GROUP_MAX: usize = 256;
/// Octets of one transaction's deliveries, which are one request to the server.
const GROUP_OCTETS_MAX: u64 = 4 << 20;
/// Waiting deliveries of a lane. More would wait longer than their clients.
const WAITING_MAX: usize = 4_096;

/// A message for its recipients' maildrops and the outbound queue.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) unique_id: String,
    pub(crate) received: DateTime<Utc>,
    /// Length of the content.
    pub(crate) octets: u64,
    pub(crate) trace_length: usize,
    pub(crate) front_length: usize,
    /// Each account once, in order.
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) content: Content,
    /// For recipients on other hosts.
    pub(crate) queued: Option<QueuedDelivery>,
}

/// An entry of the outbound queue. Its message is `head` and the delivery's content from `body_start` on.
#[derive(Debug)]
pub(crate) struct QueuedDelivery {
    pub(crate) envelope: String,
    pub(crate) head: Vec<u8>,
    pub(crate) body_start: u64,
    /// Length of the message.
    pub(crate) octets: u64,
}

#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) account: String,
    pub(crate) front: Option<Vec<u8>>,
    /// They precede the content.
    pub(crate) delivery_fields: Option<Vec<u8>>,
}

impl Recipient {
    fn delivery_fields_length(&self) -> usize {
        self.delivery_fields.as_ref().map_or(0, Vec::len)
    }
}

/// The message as POP3 sends it, without dot-stuffing.
#[derive(Debug)]
pub(crate) enum Content {
    Inline(Vec<u8>),
    Spooled { head: Vec<u8>, rest: Arc<Spooled<<RealDisk as Disk>::File>> },
}

impl Delivery {
    const fn is_large(&self) -> bool {
        matches!(self.content, Content::Spooled { .. })
    }

    /// Rows that refer to the content.
    fn references(&self) -> usize {
        self.recipients.len() + usize::from(self.queued.is_some())
    }

    /// Whether the content is in table body: it is, unless it is small and in one row.
    fn has_body(&self) -> bool {
        self.is_large() || self.references() > 1
    }
}

/// The deliveries that wait for a transaction.
#[derive(Debug)]
pub(crate) struct Commits {
    database: Database,
    small: Lane,
    large: Lane,
}

#[derive(Debug)]
struct Lane(Mutex<LaneState>);

#[derive(Debug)]
struct LaneState {
    waiting: VecDeque<Waiting>,
    idle: Vec<Writer>,
}

#[derive(Debug)]
struct Waiting {
    delivery: Arc<Delivery>,
    outcome: oneshot::Sender<Result<(), StoreError>>,
}

/// A writer has one transaction at a time. `last_group` is the number of its last one.
#[derive(Debug)]
struct Writer {
    id: String,
    last_group: i64,
}

impl Lane {
    fn new() -> Self {
        let writer = |_| Writer { id: ulid::Ulid::generate().to_string(), last_group: 0 };
        let idle = (0..WRITERS_PER_LANE).map(writer).collect();
        Self(Mutex::new(LaneState { waiting: VecDeque::new(), idle }))
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next group. If there is none, the writer becomes idle.
    fn next_group(&self, writer: Writer) -> Option<(Writer, Vec<Waiting>)> {
        let mut state = self.lock();
        let (mut group, mut octets) = (Vec::new(), 0);
        while let Some(next) = state.waiting.front() {
            octets += next.delivery.octets;
            let is_full = group.len() == GROUP_MAX || octets > GROUP_OCTETS_MAX || next.delivery.is_large();
            if is_full && !group.is_empty() {
                break;
            }
            group.extend(state.waiting.pop_front());
        }
        if group.is_empty() {
            state.idle.push(writer);
            return None;
        }
        Some((writer, group))
    }
}

impl Commits {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, small: Lane::new(), large: Lane::new() }
    }

    /// Stores the message durably. Once it waits, it is stored even if the future is dropped.
    pub(crate) async fn deliver(self: &Arc<Self>, delivery: Delivery) -> Result<(), StoreError> {
        let is_large = delivery.is_large();
        let lane = self.lane(is_large);
        let (outcome, answer) = oneshot::channel();
        let writer = {
            let mut state = lane.lock();
            if state.waiting.len() >= WAITING_MAX {
                return Err(StoreError::Failed("too many deliveries wait for the database".into()));
            }
            state.waiting.push_back(Waiting { delivery: Arc::new(delivery), outcome });
            state.idle.pop()
        };
        if let Some(writer) = writer {
            let commits = Arc::clone(self);
            tokio::spawn(async move { commits.write(writer, is_large).await });
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Failed("the delivery was abandoned".into())))
    }

    const fn lane(&self, is_large: bool) -> &Lane {
        if is_large { &self.large } else { &self.small }
    }

    /// Stores group after group until none waits.
    async fn write(&self, mut writer: Writer, is_large: bool) {
        while let Some((current, group)) = self.lane(is_large).next_group(writer) {
            writer = current;
            let (deliveries, outcomes): (Vec<_>, Vec<_>) =
                group.into_iter().map(|Waiting { delivery, outcome }| (delivery, outcome)).unzip();
            match self.commit(&mut writer, &deliveries).await {
                Err(Failure::Permanent(failure)) if deliveries.len() > 1 => {
                    warn!(%failure, "a group of deliveries was refused; storing each for itself");
                    for (delivery, outcome) in deliveries.iter().zip(outcomes) {
                        let stored = self.commit(&mut writer, std::slice::from_ref(delivery)).await;
                        // The client may be gone.
                        let _ = outcome.send(stored.map_err(StoreError::from));
                    }
                }
                stored => {
                    let stored = stored.map_err(StoreError::from);
                    for outcome in outcomes {
                        let _ = outcome.send(stored.clone());
                    }
                }
            }
        }
    }

    /// Stores a group in one transaction. All attempts have the same number, so that at most one takes effect.
    async fn commit(&self, writer: &mut Writer, group: &[Arc<Delivery>]) -> Result<(), Failure> {
        writer.last_group += 1;
        let (writer, number) = (&writer.id, writer.last_group);
        repeat(COMMIT_LIMIT, || transaction::commit(&self.database, writer, number, group)).await
    }
}
