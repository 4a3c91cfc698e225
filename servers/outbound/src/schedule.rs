//! The schedule of the queue: which message is due, and which destination may have another connection.
//!
//! A message has one item for each destination of its recipients. An item is in the heap until its time, then in the list of its
//! destination, then with a connection. A destination without a working host is blocked: its items wait without attempts,
//! except for reports and returns that are due.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_core::message::address::{Address, Host};
use mail_core::queue::{Entry, QueueId};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Connections to one destination.
const CONNECTIONS_PER_DESTINATION: usize = 20;
/// Connections in total.
const CONNECTIONS_MAX: usize = 200;
/// Connections to a destination before the first delivery, and after a failure.
const CONNECTIONS_INITIAL: usize = 2;

/// The hosts that receive a message: those of a domain, or the smarthost.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Destination(Arc<str>);

/// Assigns recipients to destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// One destination for each domain.
    Domains,
    /// One destination for all mail.
    Smarthost,
}

impl Grouping {
    pub(crate) fn destination(self, recipient: &Address) -> Destination {
        Destination(match (self, &recipient.host) {
            (Self::Smarthost, _) => "smarthost".into(),
            (Self::Domains, Host::Domain(domain)) => domain.ascii().to_ascii_lowercase().into(),
            (Self::Domains, Host::Literal(literal)) => literal.to_string().into(),
        })
    }
}

/// A message and one of its destinations.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueueItem {
    pub(crate) id: QueueId,
    pub(crate) destination: Destination,
}

/// An item in the heap, ordered by time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ScheduledItem {
    due: Instant,
    /// The next report about the message; it does not wait for a blocked destination.
    report_at: Instant,
    item: QueueItem,
}

/// A message that waits for a connection.
#[derive(Debug)]
struct DueItem {
    id: QueueId,
    report_at: Instant,
}

#[derive(Debug)]
struct DestinationState {
    ready: VecDeque<DueItem>,
    connections: usize,
    /// Connections that wait for a message.
    idle: Vec<oneshot::Sender<QueueId>>,
    /// Maximum of `connections`.
    limit: usize,
    /// Failed connections since the last success.
    failures: u32,
    blocked_until: Option<Instant>,
    /// The reason for the block.
    failure: Arc<str>,
    /// Items in the heap, in `ready`, or with a connection.
    items: usize,
    /// Whether the destination is in [`Schedule::startable`].
    is_startable: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Schedule {
    heap: BinaryHeap<Reverse<ScheduledItem>>,
    destinations: HashMap<Destination, DestinationState>,
    /// Destinations that may have another connection, in the order of their turns.
    startable: VecDeque<Destination>,
    connections: usize,
    /// All items: in the heap, in the list of a destination, or with a connection.
    items: HashSet<QueueItem>,
}

/// Work that is due.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Connections to open, each with its first message. Each ends with [`Schedule::close`].
    pub(crate) connect: Vec<QueueItem>,
    /// Items of blocked destinations with a report that is due, and the reason for the block.
    pub(crate) report: Vec<(QueueItem, Arc<str>)>,
    /// The time of the next item.
    pub(crate) next: Option<Instant>,
}

impl Schedule {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            destinations: HashMap::new(),
            startable: VecDeque::new(),
            connections: 0,
            items: HashSet::new(),
        }
    }

    /// Number of items.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds an item, unless the schedule has it.
    pub(crate) fn add(&mut self, mut item: QueueItem, due: Instant, report_at: Instant) {
        // The items of a destination share its name.
        if let Some((name, _)) = self.destinations.get_key_value(&item.destination) {
            item.destination = name.clone();
        }
        if !self.items.insert(item.clone()) {
            return;
        }
        self.destinations.entry(item.destination.clone()).or_insert_with(DestinationState::new).items += 1;
        self.heap.push(Reverse(ScheduledItem { due, report_at, item }));
    }

    /// Returns a taken item after an attempt.
    pub(crate) fn retry(&mut self, item: QueueItem, due: Instant, report_at: Instant) {
        self.heap.push(Reverse(ScheduledItem { due, report_at, item }));
    }

    /// Removes a taken item.
    pub(crate) fn finish(&mut self, item: &QueueItem) {
        self.forget(item);
    }

    /// Removes the items of a message that are not taken.
    pub(crate) fn remove(&mut self, id: &QueueId) {
        let mut removed = Vec::new();
        self.heap.retain(|Reverse(ScheduledItem { item, .. })| {
            let is_kept = item.id != *id;
            removed.extend((!is_kept).then(|| item.clone()));
            is_kept
        });
        for (destination, state) in &mut self.destinations {
            let waiting = state.ready.len();
            state.ready.retain(|ready| ready.id != *id);
            let item = || QueueItem { id: id.clone(), destination: destination.clone() };
            removed.extend((state.ready.len() < waiting).then(item));
        }
        removed.iter().for_each(|item| self.forget(item));
    }

    /// Makes the items of some messages due, and unblocks their destinations.
    pub(crate) fn make_due(&mut self, is_due: impl Fn(&QueueId) -> bool, now: Instant) {
        let mut waiting = std::mem::take(&mut self.heap).into_vec();
        for Reverse(ScheduledItem { due, item, .. }) in &mut waiting {
            if is_due(&item.id) {
                *due = now;
                if let Some(state) = self.destinations.get_mut(&item.destination) {
                    state.blocked_until = None;
                }
            }
        }
        self.heap = waiting.into();
    }

    /// Collects the work that is due.
    pub(crate) fn poll(&mut self, now: Instant) -> Work {
        let mut work = Work::default();
        while let Some(Reverse(waiting)) = self.heap.peek() {
            if waiting.due > now {
                work.next = Some(waiting.due);
                break;
            }
            let Some(Reverse(waiting)) = self.heap.pop() else { break };
            self.make_ready(waiting, now, &mut work);
        }
        while self.connections < CONNECTIONS_MAX {
            let Some(destination) = self.startable.pop_front() else { break };
            let Some(state) = self.destinations.get_mut(&destination) else { continue };
            state.is_startable = false;
            if state.can_connect()
                && let Some(DueItem { id, .. }) = state.ready.pop_front()
            {
                state.connections += 1;
                self.connections += 1;
                self.mark_startable(&destination);
                work.connect.push(QueueItem { id, destination });
            }
        }
        work
    }

    fn make_ready(&mut self, waiting: ScheduledItem, now: Instant, work: &mut Work) {
        let ScheduledItem { report_at, item, .. } = waiting;
        let Some(state) = self.destinations.get_mut(&item.destination) else { return };
        match state.blocked_until {
            Some(until) if until > now && report_at <= now => {
                work.report.push((item, Arc::clone(&state.failure)));
            }
            Some(until) if until > now => {
                let due = until.min(report_at);
                self.heap.push(Reverse(ScheduledItem { due, report_at, item }));
            }
            _ => {
                state.blocked_until = None;
                let Some(id) = state.pass_to_idle(item.id) else { return };
                state.ready.push_back(DueItem { id, report_at });
                self.mark_startable(&item.destination);
            }
        }
    }

    fn mark_startable(&mut self, destination: &Destination) {
        if let Some(state) = self.destinations.get_mut(destination)
            && !state.is_startable
            && state.can_connect()
        {
            state.is_startable = true;
            self.startable.push_back(destination.clone());
        }
    }

    /// The next message for an open connection. Each message ends with [`retry`](Self::retry) or [`finish`](Self::finish).
    pub(crate) fn take(&mut self, destination: &Destination) -> Option<QueueId> {
        self.destinations.get_mut(destination)?.ready.pop_front().map(|ready| ready.id)
    }

    /// The next message for an open connection, as [`take`](Self::take), once there is one. `None` if another destination needs the
    /// connection.
    pub(crate) fn wait(&mut self, destination: &Destination) -> Option<oneshot::Receiver<QueueId>> {
        if self.connections >= CONNECTIONS_MAX {
            return None;
        }
        let state = self.destinations.get_mut(destination)?;
        state.idle.retain(|connection| !connection.is_closed());
        let (sender, receiver) = oneshot::channel();
        state.idle.push(sender);
        Some(receiver)
    }

    /// Counts a delivery: the destination may have twice as many connections.
    pub(crate) fn succeeded(&mut self, destination: &Destination) {
        if let Some(state) = self.destinations.get_mut(destination) {
            state.failures = 0;
            state.blocked_until = None;
            state.limit = (state.limit * 2).min(CONNECTIONS_PER_DESTINATION);
        }
        self.mark_startable(destination);
    }

    /// Counts a connection that the destination closed early or refused: it gets fewer of them.
    pub(crate) fn slow_down(&mut self, destination: &Destination) {
        if let Some(state) = self.destinations.get_mut(destination) {
            state.limit = (state.limit / 2).max(1);
        }
    }

    /// Blocks a destination without a working host. `backoff` gets the number of failures. The waiting items keep their number of
    /// attempts.
    pub(crate) fn block(
        &mut self,
        destination: &Destination,
        failure: &str,
        now: Instant,
        backoff: impl FnOnce(u32) -> Duration,
    ) {
        let Some(state) = self.destinations.get_mut(destination) else { return };
        if state.blocked_until.is_some_and(|until| until > now) {
            return;
        }
        state.failures += 1;
        state.limit = CONNECTIONS_INITIAL;
        state.failure = failure.into();
        let until = now + backoff(state.failures);
        state.blocked_until = Some(until);
        for DueItem { id, report_at } in state.ready.drain(..) {
            let item = QueueItem { id, destination: destination.clone() };
            self.heap.push(Reverse(ScheduledItem { due: until.min(report_at), report_at, item }));
        }
    }

    /// The end of a destination's block, and its reason; `None` if it is not blocked.
    pub(crate) fn block_of(&self, destination: &Destination, now: Instant) -> Option<(Instant, Arc<str>)> {
        let state = self.destinations.get(destination)?;
        let until = state.blocked_until.filter(|until| *until > now)?;
        Some((until, Arc::clone(&state.failure)))
    }

    /// Whether a destination has connections besides the caller's.
    pub(crate) fn has_other_connections(&self, destination: &Destination) -> bool {
        self.destinations.get(destination).is_some_and(|state| state.connections > 1)
    }

    /// Ends a connection.
    pub(crate) fn close(&mut self, destination: &Destination) {
        self.connections -= 1;
        if let Some(state) = self.destinations.get_mut(destination) {
            state.connections -= 1;
        }
        self.mark_startable(destination);
        self.forget_destination(destination);
    }

    fn forget(&mut self, item: &QueueItem) {
        if self.items.remove(item)
            && let Some(state) = self.destinations.get_mut(&item.destination)
        {
            state.items -= 1;
        }
        self.forget_destination(&item.destination);
    }

    fn forget_destination(&mut self, destination: &Destination) {
        if self.destinations.get(destination).is_some_and(|state| state.items == 0 && state.connections == 0)
        {
            self.destinations.remove(destination);
        }
    }
}

impl DestinationState {
    fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            connections: 0,
            idle: Vec::new(),
            limit: CONNECTIONS_INITIAL,
            failures: 0,
            blocked_until: None,
            failure: "".into(),
            items: 0,
            is_startable: false,
        }
    }

    /// Passes a message to a connection that waits. Returns it if there is none.
    fn pass_to_idle(&mut self, mut id: QueueId) -> Option<QueueId> {
        while let Some(connection) = self.idle.pop() {
            match connection.send(id) {
                Ok(()) => return None,
                Err(refused) => id = refused,
            }
        }
        Some(id)
    }

    fn can_connect(&self) -> bool {
        self.connections < self.limit && !self.ready.is_empty()
    }
}

/// The schedule, shared by sessions, connections and the agent.
#[derive(Debug)]
pub struct SharedSchedule {
    schedule: Mutex<Schedule>,
    changed: Notify,
    grouping: Grouping,
    delay_report: Duration,
}

impl SharedSchedule {
    /// `delay_report` is the age of a message whose sender receives a report about the delay.
    #[must_use]
    pub fn new(grouping: Grouping, delay_report: Duration) -> Self {
        Self { schedule: Mutex::new(Schedule::new()), changed: Notify::new(), grouping, delay_report }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn grouping(&self) -> Grouping {
        self.grouping
    }

    /// Adds a message that was accepted now.
    pub(crate) fn add(&self, id: QueueId, entry: &Entry) {
        let now = Instant::now();
        for destination in self.destinations(entry) {
            self.lock().add(QueueItem { id: id.clone(), destination }, now, now + self.delay_report);
        }
        self.notify();
    }

    /// The destinations of a message, each once.
    pub(crate) fn destinations(&self, entry: &Entry) -> BTreeSet<Destination> {
        entry.recipients.iter().map(|recipient| self.grouping.destination(&recipient.address)).collect()
    }

    /// Wakes the agent.
    pub(crate) fn notify(&self) {
        self.changed.notify_one();
    }

    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
mod tests;
