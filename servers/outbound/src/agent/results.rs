//! Results of attempts: the log of the entry, reports to the sender, and the next attempt.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_core::message::report::FULL_OCTETS_MAX;
use mail_core::queue::{LogEvent, LogLine, Outcome, QueueId, RecipientProgress, Status};
use mail_core::smtp::dsn::{Notify, Ret};
use mail_store::StoreError;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::{AgentState, ReportTarget};
use crate::report::{self, Kind};
use crate::schedule::QueueItem;
use crate::session::{Accepted, Failure};
use crate::store::{QueueError, QueueStore, Queued, read_beginning};

/// Delay between attempts to write a log, for example while the disk is full.
const LOG_RETRY_DELAY: Duration = Duration::from_secs(10);
/// The part of the message's header that a report contains.
const HEADER_OCTETS_MAX: usize = 64 << 10;

impl<Q: QueueStore, R: ReportTarget> AgentState<Q, R> {
    /// Records the results of an attempt for some recipients of an entry, reports to its sender, and schedules what is left.
    pub(super) async fn record_results(
        &self,
        item: QueueItem,
        queued: Queued<Q::Content>,
        recipients: Vec<usize>,
        results: Vec<Result<Accepted, Failure>>,
    ) {
        let lines = self.lines(&item.id, &queued, &recipients, results);
        let is_delivered = |line: &LogLine| matches!(line.event, LogEvent::Recipient(_, Outcome::Delivered));
        let is_complete = recipients.len() == queued.entry.recipients.len() && lines.iter().all(is_delivered);
        drop(queued);
        let lock = self.lock_of(&item.id).lock().await;
        if is_complete && self.remove(&item.id).await {
            return self.schedule.lock().finish(&item);
        }
        let _lock = self.record(&item.id, lines, lock).await;
        let is_reported = self.report(&item.id).await;
        match self.queue.read(&item.id).await {
            // Another node continues.
            Ok(queued) if !queued.is_claimed => self.schedule.lock().finish(&item),
            Ok(queued) if queued.progress.is_complete() => {
                self.remove(&item.id).await;
                self.schedule.lock().finish(&item);
            }
            Ok(queued) => self.schedule_again(item, &queued, is_reported),
            // `queue drop` has removed it.
            Err(QueueError::NotFound(_)) => self.schedule.lock().finish(&item),
            Err(error) => self.give_up(&item, &error),
        }
    }

    fn schedule_again(&self, item: QueueItem, queued: &Queued<Q::Content>, is_reported: bool) {
        let now = Instant::now();
        let due = match self.due(&item, &queued.entry, &queued.progress) {
            Some(due) if is_reported => due,
            Some(_) => now + self.config.retry_after(1),
            None => return self.schedule.lock().finish(&item),
        };
        let report_at = self.report_at(queued.entry.received, &queued.progress);
        // A report does not wait for the next attempt, unless it has just failed.
        let due = if report_at > now { due.min(report_at) } else { due };
        self.schedule.lock().retry(item, due, report_at);
        self.schedule.notify();
    }

    /// The log lines for the results. Writes them to the server's log, too.
    fn lines(
        &self,
        id: &QueueId,
        queued: &Queued<Q::Content>,
        recipients: &[usize],
        results: Vec<Result<Accepted, Failure>>,
    ) -> Vec<LogLine> {
        let now = self.network.utc();
        let is_old = age(queued, now) >= Duration::from_secs(self.config.lifetime_seconds.into());
        // A clock that was wrong when the message arrived must not return it at once.
        let is_expired = |index: usize| is_old && queued.progress.recipients[index].attempts > 0;
        let lines = recipients.iter().zip(results).map(|(index, result)| {
            let (outcome, detail) = match result {
                Ok(Accepted { text, sends_reports }) => {
                    let notify = queued.entry.recipients[*index].parameters.notify;
                    let is_expected = notify.is_some_and(|notify| notify.success) && !sends_reports;
                    (if is_expected { Outcome::Relayed } else { Outcome::Delivered }, text)
                }
                Err(Failure { is_permanent: true, text }) => (Outcome::Failed, text),
                Err(Failure { text, .. }) if is_expired(*index) => {
                    let time = lifetime_text(self.config.lifetime_seconds);
                    (Outcome::Failed, format!("4.4.7 not delivered within {time}; the last attempt: {text}"))
                }
                Err(Failure { text, .. }) => (Outcome::Deferred, text),
            };
            let line = LogLine::recipient(now, &queued.entry.recipients[*index].address, outcome, &detail);
            self.log(id, &line, outcome, &queued.entry.recipients[*index].address);
            line
        });
        lines.collect()
    }

    fn log(&self, id: &QueueId, line: &LogLine, outcome: Outcome, to: &mail_core::message::address::Address) {
        let (counter, text) = match outcome {
            Outcome::Delivered | Outcome::Relayed => (&self.metrics.delivered, "sent"),
            Outcome::Deferred => (&self.metrics.deferred, "deferred"),
            _ => (&self.metrics.failed, "undeliverable"),
        };
        counter.inc();
        info!(%id, %to, reply = line.detail, "{text}");
    }

    /// Appends lines to the log of an entry. Tries until it succeeds, because without the lines a message would be sent twice. The
    /// lock of the entry is free during the delays.
    async fn record<'a>(
        &'a self,
        id: &QueueId,
        lines: Vec<LogLine>,
        mut lock: MutexGuard<'a, ()>,
    ) -> MutexGuard<'a, ()> {
        let lines: Arc<[LogLine]> = lines.into();
        while let Err(error) = self.append(id, &lines).await {
            error!(%id, %error, "cannot record the result of a delivery; retrying every 10 s; free disk space if the disk is full");
            drop(lock);
            sleep(LOG_RETRY_DELAY).await;
            lock = self.lock_of(id).lock().await;
        }
        lock
    }

    async fn append(&self, id: &QueueId, lines: &Arc<[LogLine]>) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.queue.append(id, Arc::clone(lines)).await
    }

    /// Sends the reports about an entry that are due. Returns `false` if one of them failed.
    async fn report(&self, id: &QueueId) -> bool {
        let Ok(queued) = self.queue.read(id).await else { return true };
        if !queued.is_claimed {
            return true;
        }
        let is_delayed =
            age(&queued, self.network.utc()) >= Duration::from_secs(self.config.delay_report_seconds.into());
        let select = |is_selected: &dyn Fn(&RecipientProgress) -> bool| -> Vec<usize> {
            (0..queued.entry.recipients.len())
                .filter(|index| is_selected(&queued.progress.recipients[*index]))
                .collect()
        };
        let finished = select(&|recipient| recipient.status == Status::Unreported);
        let delayed = select(&|recipient| {
            is_delayed
                && recipient.status == Status::Pending
                && recipient.attempts > 0
                && !recipient.delay_reported
        });
        let mut is_reported = true;
        for (kind, recipients, outcome) in
            [(Kind::Final, finished, Outcome::Reported), (Kind::Delayed, delayed, Outcome::DelayReported)]
        {
            let wants = |index: &usize| wants_report(&queued, *index, kind);
            let wanting: Vec<usize> = recipients.iter().copied().filter(wants).collect();
            let is_sent = self.send_report(id, &queued, kind, &wanting).await;
            let now = self.network.utc();
            let line = |index: &usize| {
                LogLine::recipient(now, &queued.entry.recipients[*index].address, outcome, "")
            };
            let lines = recipients.iter().map(line).collect();
            let recorded = match is_sent {
                Err(error) if age(&queued, now) > self.report_lifetime() => {
                    error!(%id, %error, "delivery report abandoned after two lifetimes; the sender is not notified");
                    self.append(id, &lines).await
                }
                Err(error) => Err(error),
                Ok(()) => self.append(id, &lines).await,
            };
            if let Err(error) = recorded {
                error!(%id, %error, "delivery report not stored; retrying");
                is_reported = false;
            }
        }
        is_reported
    }

    async fn send_report(
        &self,
        id: &QueueId,
        queued: &Queued<Q::Content>,
        kind: Kind,
        recipients: &[usize],
    ) -> Result<(), StoreError> {
        if recipients.is_empty() {
            return Ok(());
        }
        // Never a report about a report (RFC 5321 section 4.5.5).
        let Some(sender) = queued.entry.reverse_path.address() else {
            if kind == Kind::Final {
                warn!(%id, "undeliverable message with null reverse-path dropped");
            }
            return Ok(());
        };
        let original = self.original(queued).await?;
        let retry_until = queued.entry.received + Duration::from_secs(self.config.lifetime_seconds.into());
        let context = report::Context { hostname: &self.hostname, now: self.network.utc(), retry_until, id };
        let message = report::format(&context, kind, queued, recipients, sender, &original);
        self.reports.deliver(sender, message).await?;
        self.metrics.reports.inc();
        Ok(())
    }

    /// Age of a message whose reports are given up.
    fn report_lifetime(&self) -> Duration {
        2 * Duration::from_secs(self.config.lifetime_seconds.into())
    }

    /// The beginning of the message: its header, or as much as a report may return.
    async fn original(&self, queued: &Queued<Q::Content>) -> Result<Vec<u8>, StoreError> {
        let octets_max =
            if queued.entry.ret == Some(Ret::Full) { FULL_OCTETS_MAX + 1 } else { HEADER_OCTETS_MAX };
        read_beginning(&self.queue, &queued.content, octets_max).await
    }
}

/// Whether the sender wants a report about a recipient (RFC 3461 section 4.1).
fn wants_report<C>(queued: &Queued<C>, index: usize, kind: Kind) -> bool {
    let notify = queued.entry.recipients[index].parameters.notify.unwrap_or(Notify::DEFAULT);
    match kind {
        Kind::Final if queued.progress.recipients[index].is_relayed => notify.success,
        Kind::Final => notify.failure,
        Kind::Delayed => notify.delay,
    }
}

fn age<C>(queued: &Queued<C>, now: DateTime<Utc>) -> Duration {
    // A clock that was set back makes a message new.
    (now - queued.entry.received).to_std().unwrap_or_default()
}

/// `5 days`, `1 hour`, `90 minutes`, `10 seconds`
fn lifetime_text(seconds: u32) -> String {
    let units = [(24 * 3_600, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (unit, name) =
        units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit)).unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetime_is_written_in_its_largest_unit() {
        for (seconds, text) in [
            (432_000, "5 days"),
            (86_400, "1 day"),
            (5_400, "90 minutes"),
            (7_200, "2 hours"),
            (5, "5 seconds"),
        ] {
            assert_eq!(lifetime_text(seconds), text);
        }
    }
}
