//! Attempts: the messages sent over a connection.

use std::time::Duration;

use mail_core::message::address::{Address, ForwardPath, Host};
use mail_core::queue::{self, Entry, QueueId, Status};
use mail_core::smtp::client::Envelope;
use mail_core::smtp::parameter::Recipient;
use tokio::time::{Instant, sleep, timeout};
use tracing::error;

use super::connect::{Outgoing, QUIT_TIMEOUT};
use super::{AgentState, ReportTarget};
use crate::schedule::{Destination, QueueItem};
use crate::session::{Accepted, Failure, Session, TlsNeed, Transaction};
use crate::store::{QueueError, QueueStore, Queued};

/// Messages per connection. The limit gives other clients of the host a turn and lets a load balancer move the connection.
const MESSAGES_MAX: usize = 100;
/// A connection stays open for this time without a message.
const IDLE_TIME: Duration = Duration::from_secs(2);
/// Every host accepts this number of recipients (RFC 5321 section 4.5.3.1.8).
const RECIPIENTS_MAX: usize = 100;
/// The block time stops growing after this number of failures, so that new mail does not wait for hours.
const BLOCKING_FAILURES_MAX: u32 = 3;
/// Delay before an entry that could not be read is read again.
const READ_RETRY_DELAY: Duration = Duration::from_secs(60);
/// Delay before another connection to a host that limits them.
const BUSY_RETRY_DELAY: Duration = Duration::from_secs(30);

impl<Q: QueueStore, R: ReportTarget> AgentState<Q, R> {
    /// Uses one connection to a destination: sends `item` and the messages that wait behind it.
    pub(super) async fn deliver(&self, item: QueueItem) {
        let destination = item.destination.clone();
        self.deliver_all(item).await;
        self.schedule.lock().close(&destination);
        self.schedule.notify();
    }

    async fn deliver_all(&self, item: QueueItem) {
        let destination = item.destination.clone();
        let (mut session, mut next) = (None, Some(item.id));
        for _ in 0..MESSAGES_MAX {
            let next_id = match next.take().or_else(|| self.next(&destination)) {
                None if session.is_some() => self.wait_for_next(&destination).await,
                next_id => next_id,
            };
            let Some(id) = next_id else { break };
            let item = QueueItem { id, destination: destination.clone() };
            let Some((queued, recipients)) = self.pending(&item).await else { continue };
            let (results, open) = match self.attempt(session.take(), &queued, &recipients).await {
                Ok(attempt) => attempt,
                // The host limits its connections.
                Err(failure)
                    if !failure.is_permanent && self.schedule.lock().has_other_connections(&destination) =>
                {
                    self.schedule.lock().slow_down(&destination);
                    return self.postpone(item, &queued);
                }
                // It is sent after the next start, as if there had been no attempt.
                Err(_) if self.is_stopping() => return,
                Err(failure) => {
                    self.block(&destination, &failure);
                    let results = vec![Err(failure); recipients.len()];
                    return self.record_results(item, queued, recipients, results).await;
                }
            };
            match results.iter().any(Result::is_ok) {
                true => self.schedule.lock().succeeded(&destination),
                false if open.is_none() => self.schedule.lock().slow_down(&destination),
                false => {}
            }
            self.record_results(item, queued, recipients, results).await;
            session = open;
        }
        if let Some(session) = session {
            let _ = timeout(QUIT_TIMEOUT, session.quit()).await;
        }
    }

    /// The next message for an open connection; `None` during shutdown.
    fn next(&self, destination: &Destination) -> Option<QueueId> {
        if self.is_stopping() { None } else { self.schedule.lock().take(destination) }
    }

    /// Keeps an open connection for a message that arrives soon.
    async fn wait_for_next(&self, destination: &Destination) -> Option<QueueId> {
        let mut next = self.schedule.lock().wait(destination)?;
        tokio::select! {
            biased;
            id = &mut next => return id.ok(),
            () = sleep(IDLE_TIME) => {}
            () = self.stopped() => {}
        }
        // A message may have been passed on in this moment. During shutdown it stays in the queue.
        next.close();
        next.try_recv().ok().filter(|_| !self.is_stopping())
    }

    /// Sends a message over an open session or a new one. Returns the results and the session if it is still open. A session that the
    /// host ends between two messages, because it limits their number, is replaced at once.
    ///
    /// # Errors
    /// No host of the destination accepts a connection.
    async fn attempt(
        &self,
        session: Option<Session>,
        queued: &Queued<Q::Content>,
        recipients: &[usize],
    ) -> Result<(Vec<Result<Accepted, Failure>>, Option<Session>), Failure> {
        let envelope = envelope(queued, recipients);
        let need = need(&queued.entry);
        let (session, unsuitable) = match session {
            Some(open) if !open.suits(&envelope, need) => (None, Some(open)),
            session => (session, None),
        };
        if let Some(unsuitable) = unsuitable {
            let _ = timeout(QUIT_TIMEOUT, unsuitable.quit()).await;
        }
        if let Some(mut open) = session {
            let Transaction { results, is_open, has_sent_body } =
                self.send(&mut open, queued, envelope.clone()).await;
            let is_refused =
                results.iter().flat_map(|result| result.as_ref().err()).any(|failure| failure.is_permanent);
            if is_open || has_sent_body || is_refused {
                return Ok((results, is_open.then_some(open)));
            }
        }
        let recipient = &queued.entry.recipients[recipients[0]].address;
        let message = Outgoing { envelope: &envelope, need };
        let mut open = tokio::select! {
            biased;
            open = self.connect(recipient, message) => open?,
            () = self.stopped() => return Err(Failure::temporary("4.3.2", "this host is shutting down")),
        };
        let Transaction { results, is_open, .. } = self.send(&mut open, queued, envelope).await;
        Ok((results, is_open.then_some(open)))
    }

    /// The entry, and the indexes of the item's recipients that are due. `None` if there is nothing to send.
    async fn pending(&self, item: &QueueItem) -> Option<(Queued<Q::Content>, Vec<usize>)> {
        // `queue release` cannot come between the check and the removal from the schedule.
        let lock = self.lock_of(&item.id).lock().await;
        let queued = match self.queue.read(&item.id).await {
            Ok(queued) if queued.is_claimed && !queued.progress.is_held => queued,
            // `queue release` schedules a held entry again, the next claim one of another node.
            Ok(_) | Err(QueueError::NotFound(_)) => {
                self.schedule.lock().finish(item);
                return None;
            }
            Err(error) => {
                self.give_up(item, &error);
                return None;
            }
        };
        drop(lock);
        let recipients = self.due_recipients(item, &queued);
        if recipients.is_empty() {
            // Only a report is pending.
            self.record_results(item.clone(), queued, recipients, Vec::new()).await;
            return None;
        }
        Some((queued, recipients))
    }

    /// Removes an item with an invalid entry from the schedule. An entry that cannot be read now is attempted later.
    pub(super) fn give_up(&self, item: &QueueItem, error: &QueueError) {
        if let QueueError::Store(error) = error {
            error!(id = %item.id, %error, "cannot read a queued message; retrying in 60 s");
            let again = Instant::now() + READ_RETRY_DELAY;
            self.schedule.lock().retry(item.clone(), again, again);
        } else {
            error!(id = %item.id, %error, "a queued message is invalid; correct it, then run `pennypost queue release`");
            self.schedule.lock().finish(item);
        }
    }

    /// The recipients of one transaction: those that are due, or all if delivery was requested before the time. Recipients that need
    /// SMTPUTF8 have transactions of their own, because a host without it refuses all recipients of a transaction.
    fn due_recipients(&self, item: &QueueItem, queued: &Queued<Q::Content>) -> Vec<usize> {
        let pending: Vec<usize> = self
            .recipients_of(item, queued)
            .filter(|index| queued.progress.recipients[*index].status == Status::Pending)
            .collect();
        let is_due = |index: &usize| self.delay_until_due(&queued.progress.recipients[*index]).is_zero();
        let due: Vec<usize> = pending.iter().copied().filter(is_due).collect();
        let recipients = if due.is_empty() { pending } else { due };
        let needs_utf8 = |index: &usize| !wire_address(&queued.entry.recipients[*index].address).is_ascii();
        let first = recipients.first().is_some_and(needs_utf8);
        recipients.into_iter().filter(|index| needs_utf8(index) == first).take(RECIPIENTS_MAX).collect()
    }

    /// Returns an item whose destination accepts no further connection now.
    fn postpone(&self, item: QueueItem, queued: &Queued<Q::Content>) {
        let report_at = self.report_at(queued.entry.received, &queued.progress);
        let delay = BUSY_RETRY_DELAY.min(self.config.retry_after(1));
        self.schedule.lock().retry(item, Instant::now() + delay, report_at);
        self.schedule.notify();
    }

    /// Defers an item whose destination is blocked, and sends the report that is due.
    pub(super) async fn defer_blocked(&self, item: QueueItem, failure: &str) {
        // Each has an open file.
        let _permit = self.report_permits.acquire().await;
        if let Some((queued, recipients)) = self.pending(&item).await {
            let failure = Failure { is_permanent: false, text: failure.to_owned() };
            let results = vec![Err(failure); recipients.len()];
            self.record_results(item, queued, recipients, results).await;
        }
    }

    fn block(&self, destination: &Destination, failure: &Failure) {
        // The other messages of a destination with a permanent failure have the same failure, each at its own attempt.
        if !failure.is_permanent {
            let backoff = |failures: u32| self.config.retry_after(failures.min(BLOCKING_FAILURES_MAX));
            self.schedule.lock().block(destination, &failure.text, Instant::now(), backoff);
        }
    }

    async fn send(
        &self,
        session: &mut Session,
        queued: &Queued<Q::Content>,
        envelope: Envelope,
    ) -> Transaction {
        let mut body = self.queue.body(&queued.content);
        session.send(envelope, &mut body).await
    }
}

fn envelope<C>(queued: &Queued<C>, recipients: &[usize]) -> Envelope {
    let entry = &queued.entry;
    let recipient = |index: &usize| {
        let queue::Recipient { address, parameters } = &entry.recipients[*index];
        Recipient { path: ForwardPath::Address(wire_address(address)), parameters: parameters.clone() }
    };
    Envelope {
        reverse_path: entry.reverse_path.clone(),
        recipients: recipients.iter().map(recipient).collect(),
        size: Some(queued.octets),
        eight_bit: entry.eight_bit,
        utf8: entry.utf8,
        ret: entry.ret,
        envid: entry.envid.clone(),
        require_tls: entry.require_tls,
    }
}

/// REQUIRETLS takes precedence over the header field (RFC 8689 section 4.1).
const fn need(entry: &Entry) -> TlsNeed {
    match (entry.require_tls, entry.tls_optional) {
        (true, _) => TlsNeed::Required,
        (false, true) => TlsNeed::Optional,
        (false, false) => TlsNeed::Default,
    }
}

/// The address in an envelope. A domain in UTF-8 becomes A-labels, so that only the local part can need SMTPUTF8.
fn wire_address(address: &Address) -> Address {
    match &address.host {
        Host::Domain(domain) if !domain.is_ascii() => {
            Address::parse(&format!("{}@{}", address.local, domain.ascii()))
                .unwrap_or_else(|_| address.clone())
        }
        _ => address.clone(),
    }
}
