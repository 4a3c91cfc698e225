//! The delivery agent: opens connections for the messages that are due, and records the results.

mod attempt;
mod connect;
mod control;
mod metrics;
mod results;
mod tls;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use config::Outbound;
use mail_core::message::address::{Address, Domain};
use mail_core::queue::{Entry, Progress, QueueId, Recipient, RecipientProgress, Status};
use mail_core::sasl::Credentials;
use mail_store::StoreError;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info};

use crate::dns::Dns;
use crate::network::{Network, SystemNetwork};
use crate::policy::Policies;
use crate::queue::DIRECTORY;
use crate::schedule::{QueueItem, SharedSchedule, Work};
use crate::store::{Arrivals, QueueError, QueueStore, Queued};

use control::ControlSocket;
pub use control::{ControlError, Request, request};
pub use metrics::Metrics;

/// Time for connections to finish the messages that they have begun to send at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);
/// Reports without an attempt that are made at the same time.
const REPORTS_AT_ONCE: usize = 16;
/// Locks of entries; an entry uses one of them.
const LOCKS: usize = 64;
/// Delay before arrived entries that could not be read are read again.
const ARRIVAL_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Delivers reports to senders.
pub trait ReportTarget: Send + Sync + 'static {
    /// Delivers a message with the null reverse-path. A sender without a mailbox is not an error.
    fn deliver(
        &self,
        sender: &Address,
        report: Vec<u8>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// See the module.
#[derive(Debug)]
pub struct Agent<Q, R> {
    shared: Arc<AgentState<Q, R>>,
    control: Option<ControlSocket>,
}

/// Configuration, queue and schedule, shared by the tasks of the agent.
#[derive(Debug)]
struct AgentState<Q, R> {
    queue: Q,
    schedule: Arc<SharedSchedule>,
    config: Outbound,
    hostname: Domain,
    network: Arc<dyn Network>,
    dns: Dns,
    /// The MTA-STS policies of other domains; `None`: they are not obeyed.
    policies: Option<Policies>,
    tls: tls::ClientConfigs,
    credentials: Option<Credentials>,
    reports: R,
    metrics: Metrics,
    /// For reports about messages of unreachable hosts.
    report_permits: Semaphore,
    /// True at shutdown: connections take no further message, and those that are being opened end.
    stopping: watch::Sender<bool>,
    /// Changes of an entry's files and state are made under its lock.
    locks: Vec<Mutex<()>>,
}

impl<Q: QueueStore, R: ReportTarget> Agent<Q, R> {
    /// Prepares delivery. Reads the smarthost's password and the system's certificates. `data` is the host's path of the
    /// data directory, for MTA-STS policies and requests of `pennypost queue`.
    ///
    /// # Errors
    /// A sentence that names the setting or file.
    pub fn new(
        queue: Q,
        schedule: Arc<SharedSchedule>,
        config: Outbound,
        hostname: Domain,
        reports: R,
        metrics: Metrics,
        data: Option<&Path>,
    ) -> Result<Self, String> {
        let control = data.filter(|_| Q::HAS_CONTROL_SOCKET).map(|data| {
            let path = data.join(DIRECTORY);
            ControlSocket::bind(&path)
                .map_err(|error| format!("cannot create the control socket in {}: {error}", path.display()))
        });
        let tls = tls::ClientConfigs::load(&config)?;
        let policies = match (data, &tls.verified) {
            (Some(data), Some(verified)) if config.mta_sts => Some(Policies::new(&config, data, verified)),
            _ => None,
        };
        let shared = AgentState {
            queue,
            schedule,
            network: Arc::new(SystemNetwork),
            dns: Dns::new(&config)?,
            policies,
            tls,
            credentials: credentials(&config)?,
            config,
            hostname,
            reports,
            metrics,
            report_permits: Semaphore::new(REPORTS_AT_ONCE),
            stopping: watch::Sender::new(false),
            locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        };
        Ok(Self { shared: Arc::new(shared), control: control.transpose()? })
    }

    /// Uses another network for mail. The DNS and MTA-STS policies come from the system's.
    #[must_use]
    pub fn with_network(mut self, network: Arc<dyn Network>) -> Self {
        Arc::get_mut(&mut self.shared).expect("no task shares it before `run`").network = network;
        self
    }

    /// Delivers until `shutdown` turns true.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let Self { shared, control } = self;
        let mut tasks = JoinSet::new();
        let control = async {
            match control.map(ControlSocket::listen) {
                Some(Ok(listener)) => Arc::clone(&shared).serve_control(listener).await,
                Some(Err(error)) => {
                    error!(%error, "cannot listen on queue/.control; `pennypost queue` commands will fail")
                }
                None => {}
            }
            std::future::pending::<()>().await;
        };
        let mut control = std::pin::pin!(control);
        let mut arrivals = std::pin::pin!(shared.take_arrivals());
        let mut renewal = std::pin::pin!(shared.queue.renew());
        loop {
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    error!(%error, "delivery task panicked; its message is retried after a restart");
                }
            }
            let (Work { connect, report, next }, waiting) = {
                let mut schedule = shared.schedule.lock();
                (schedule.poll(Instant::now()), schedule.len())
            };
            shared.metrics.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
            for item in connect {
                let shared = Arc::clone(&shared);
                tasks.spawn(async move { shared.deliver(item).await });
            }
            for (item, failure) in report {
                let shared = Arc::clone(&shared);
                tasks.spawn(async move { shared.defer_blocked(item, &failure).await });
            }
            tokio::select! {
                // A run of the simulation is repeatable. No branch starves, because the first three after `shutdown` never end.
                biased;
                _ = shutdown.wait_for(|shutdown| *shutdown) => break,
                () = &mut control => {}
                () = &mut arrivals => {}
                () = &mut renewal => {}
                () = shared.schedule.changed() => {}
                () = wait_until(next) => {}
            }
        }
        shared.stopping.send_replace(true);
        let drained = async { while tasks.join_next().await.is_some() {} };
        // The others still run: one of them may hold the lock of an entry, and the lease must not expire.
        let is_finished = tokio::select! {
            drained = timeout(SHUTDOWN_TIMEOUT, drained) => drained.is_ok(),
            () = &mut arrivals => false,
            () = &mut renewal => false,
        };
        if !is_finished {
            info!("outbound connections were closed; their messages are sent again after the next start");
            tasks.shutdown().await;
        }
        shared.queue.release().await;
    }
}

async fn wait_until(next: Option<Instant>) {
    match next {
        Some(next) => sleep_until(next).await,
        None => std::future::pending().await,
    }
}

/// The password of the smarthost.
fn credentials(config: &Outbound) -> Result<Option<Credentials>, String> {
    let Some(smarthost) = &config.smarthost else { return Ok(None) };
    let (Some(user), Some(path)) = (&smarthost.user, &smarthost.password_file) else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|error: io::Error| {
        format!("cannot read the smarthost's password in {}: {error}", path.display())
    })?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(format!("{}: the first line, the smarthost's password, is empty", path.display()));
    }
    Ok(Some(Credentials::new(user, password)))
}

impl<Q: QueueStore, R: ReportTarget> AgentState<Q, R> {
    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until shutdown.
    async fn stopped(&self) {
        let _ = self.stopping.subscribe().wait_for(|is_stopping| *is_stopping).await;
    }

    /// Schedules the entries that this process delivers from now on, and answers requests about others.
    async fn take_arrivals(&self) {
        let (mut unread, mut retry_at) = (Vec::new(), Instant::now());
        loop {
            // Polled to its end: it may be changing the database.
            let mut arrivals = std::pin::pin!(self.queue.arrivals());
            let Arrivals { claimed, retried, released, retries_all } = loop {
                tokio::select! {
                    biased;
                    () = sleep_until(retry_at), if !unread.is_empty() => {
                        unread = self.schedule_entries(std::mem::take(&mut unread)).await;
                        retry_at = Instant::now() + ARRIVAL_RETRY_DELAY;
                    }
                    arrivals = &mut arrivals => break arrivals,
                }
            };
            if unread.is_empty() {
                retry_at = Instant::now() + ARRIVAL_RETRY_DELAY;
            }
            unread.extend(self.schedule_entries(claimed).await);
            for id in &released {
                let _lock = self.lock_of(id).lock().await;
                self.schedule.lock().remove(id);
            }
            unread.extend(self.schedule_entries(released).await);
            if retries_all || !retried.is_empty() {
                // An invalid entry that was corrected is not scheduled yet.
                unread.extend(self.schedule_entries(retried.clone()).await);
                let retried: HashSet<_> = retried.into_iter().collect();
                self.schedule.lock().make_due(|id| retries_all || retried.contains(id), Instant::now());
                self.schedule.notify();
            }
        }
    }

    /// Adds the items of entries that are not scheduled, and removes complete entries. Returns the entries that cannot be read
    /// at the moment.
    async fn schedule_entries(&self, ids: Vec<QueueId>) -> Vec<QueueId> {
        if ids.is_empty() {
            return ids;
        }
        let mut unread = Vec::new();
        for (id, read) in self.queue.read_states(ids).await {
            if let Err(QueueError::Store(error)) = read {
                error!(%id, %error, "cannot read a queued message; retrying in 10 s");
                unread.push(id);
                continue;
            }
            // An item that is scheduled, of an earlier claim, is not removed meanwhile.
            let _lock = self.lock_of(&id).lock().await;
            self.schedule_entry(&id, read).await;
        }
        self.schedule.notify();
        unread
    }

    /// Schedules an entry again that was on hold. The caller holds its lock.
    async fn reschedule(&self, id: &QueueId) {
        self.schedule.lock().remove(id);
        let read = self.queue.read(id).await;
        self.schedule_entry(id, read.map(|Queued { entry, progress, .. }| (entry, progress))).await;
        self.schedule.notify();
    }

    async fn schedule_entry(&self, id: &QueueId, read: Result<(Entry, Progress), QueueError>) {
        match read {
            Ok((_, progress)) if progress.is_held => {}
            Ok((_, progress)) if progress.is_complete() => _ = self.remove(id).await,
            Ok((entry, progress)) => {
                let report_at = self.report_at(entry.received, &progress);
                for destination in self.schedule.destinations(&entry) {
                    let item = QueueItem { id: id.clone(), destination };
                    if let Some(due) = self.due(&item, &entry, &progress) {
                        self.schedule.lock().add(item, due, report_at);
                    }
                }
            }
            Err(QueueError::NotFound(_)) => {}
            Err(error) => {
                error!(%id, %error, "a queued message is invalid; correct it, then run `pennypost queue release`")
            }
        }
    }

    /// The time of the next attempt for the recipients of an item; `None` if there is nothing left to do for them.
    fn due(&self, item: &QueueItem, entry: &Entry, progress: &Progress) -> Option<Instant> {
        let open =
            entry.recipients.iter().zip(&progress.recipients).filter(|(recipient, progress)| {
                progress.status != Status::Done && self.is_for(item, recipient)
            });
        let delay = open.map(|(_, progress)| self.delay_until_due(progress)).min()?;
        Some(Instant::now() + delay)
    }

    /// Whether a recipient belongs to the destination of an item.
    fn is_for(&self, item: &QueueItem, recipient: &Recipient) -> bool {
        self.schedule.grouping().destination(&recipient.address) == item.destination
    }

    /// The time until the next attempt for a recipient.
    fn delay_until_due(&self, recipient: &RecipientProgress) -> Duration {
        let (Some(last), Status::Pending) = (recipient.last_attempt, recipient.status) else {
            return Duration::ZERO;
        };
        // A clock that was set back must not extend the delay.
        let elapsed = (self.network.utc() - last).to_std().unwrap_or_default();
        self.config.retry_after(recipient.attempts).saturating_sub(elapsed)
    }

    /// The time of the next report to the sender: about the delay, or about the failure.
    fn report_at(&self, received: DateTime<Utc>, progress: &Progress) -> Instant {
        let lifetime = self.config.lifetime_seconds;
        let delay = self.config.delay_report_seconds;
        let is_reported = progress
            .recipients
            .iter()
            .all(|recipient| recipient.delay_reported || recipient.status != Status::Pending);
        let age_limit = if is_reported || delay >= lifetime { lifetime } else { delay };
        let age = (self.network.utc() - received).to_std().unwrap_or_default();
        Instant::now() + Duration::from_secs(age_limit.into()).saturating_sub(age)
    }

    /// The indexes of an item's recipients.
    fn recipients_of<'a>(
        &'a self,
        item: &'a QueueItem,
        queued: &'a Queued<Q::Content>,
    ) -> impl Iterator<Item = usize> + 'a {
        let recipients = queued.entry.recipients.iter().enumerate();
        recipients.filter(|(_, recipient)| self.is_for(item, recipient)).map(|(index, _)| index)
    }

    /// Removes an entry for which nothing is left to do. Returns whether it is gone.
    async fn remove(&self, id: &QueueId) -> bool {
        let removed = self.queue.remove(id).await;
        removed.inspect_err(|error| error!(%id, %error, "cannot remove a delivered message from the queue; the next start tries again")).is_ok()
    }

    fn lock_of(&self, id: &QueueId) -> &Mutex<()> {
        let sum =
            id.as_str().bytes().fold(0_usize, |sum, octet| sum.wrapping_mul(31).wrapping_add(octet.into()));
        &self.locks[sum % LOCKS]
    }
}
