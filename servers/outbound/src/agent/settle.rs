//! Results of attempts: the log of the entry, reports to the sender, and the next attempt.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_core::queue::{LogLine, Outcome, QueueId, Status};
use mail_store::StoreError;
use mail_store::disk::{Disk, failed, read_exact};
use mail_store::offload::Offload;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::{ReportTarget, Shared};
use crate::queue::{QueueError, Queued};
use crate::report::{self, Kind};
use crate::schedule::Item;
use crate::session::Failure;

/// Pause between attempts to write a log, for example while the disk is full.
const LOG_PAUSE: Duration = Duration::from_secs(10);
/// The part of the message's header that a report contains.
const HEADER_OCTETS_MAX: u64 = 64 << 10;

impl<D: Disk, O: Offload, R: ReportTarget> Shared<D, O, R> {
    /// Records the results of an attempt for some recipients of an entry, reports to its sender, and schedules what is left.
    pub(super) async fn settle(
        &self,
        item: Item,
        queued: Queued<D::File>,
        recipients: Vec<usize>,
        results: Vec<Result<String, Failure>>,
    ) {
        let _lock = self.lock_of(&item.id).lock().await;
        let is_delivered =
            results.iter().all(Result::is_ok) && recipients.len() == queued.entry.recipients.len();
        let lines = self.lines(&item.id, &queued, &recipients, results);
        if is_delivered {
            self.remove(&item.id).await;
            return self.schedule.lock().finish(&item);
        }
        self.append(&item.id, lines).await;
        let is_reported = self.report(&item.id).await;
        match self.read(&item.id).await {
            Ok(queued) if queued.progress.is_complete() => {
                self.remove(&item.id).await;
                self.schedule.lock().finish(&item);
            }
            Ok(queued) => self.schedule_again(item, &queued, is_reported),
            Err(error) => {
                error!(%error, "a queued message is not delivered");
                self.schedule.lock().finish(&item);
            }
        }
    }

    fn schedule_again(&self, item: Item, queued: &Queued<D::File>, is_reported: bool) {
        let is_here = |index: usize| {
            self.schedule.grouping().destination(&queued.entry.recipients[index].address) == item.destination
        };
        let due = match self.due(&queued.progress, is_here) {
            Some(due) if is_reported => due,
            Some(_) => Instant::now() + self.config.retry_after(1),
            None => return self.schedule.lock().finish(&item),
        };
        let report_at = self.report_at(queued.entry.received, &queued.progress);
        self.schedule.lock().retry(item, due, report_at);
        self.schedule.notify();
    }

    /// The log lines for the results. Writes them to the server's log, too.
    fn lines(
        &self,
        id: &QueueId,
        queued: &Queued<D::File>,
        recipients: &[usize],
        results: Vec<Result<String, Failure>>,
    ) -> Vec<LogLine> {
        let now = Utc::now();
        let is_expired = age(queued, now) >= Duration::from_secs(self.config.lifetime_seconds.into());
        let lines = recipients.iter().zip(results).map(|(index, result)| {
            let (outcome, detail) = match result {
                Ok(detail) => (Outcome::Delivered, detail),
                Err(Failure { is_permanent: true, text }) => (Outcome::Failed, text),
                Err(Failure { text, .. }) if is_expired => {
                    let days = self.config.lifetime_seconds / (24 * 3_600);
                    (
                        Outcome::Failed,
                        format!("4.4.7 not delivered within {days} days; the last attempt: {text}"),
                    )
                }
                Err(Failure { text, .. }) => (Outcome::Deferred, text),
            };
            let line = LogLine::attempt(now, &queued.entry.recipients[*index].address, outcome, &detail);
            self.log(id, &line, outcome, &queued.entry.recipients[*index].address);
            line
        });
        lines.collect()
    }

    fn log(&self, id: &QueueId, line: &LogLine, outcome: Outcome, to: &mail_core::message::address::Address) {
        let (counter, text) = match outcome {
            Outcome::Delivered => (&self.metrics.delivered, "sent"),
            Outcome::Deferred => (&self.metrics.deferred, "deferred"),
            _ => (&self.metrics.failed, "undeliverable"),
        };
        counter.inc();
        info!(%id, %to, reply = line.detail, "{text}");
    }

    /// Appends lines to the log of an entry. Tries until it succeeds: without the lines, a message would be sent twice.
    async fn append(&self, id: &QueueId, lines: Vec<LogLine>) {
        if lines.is_empty() {
            return;
        }
        let lines: Arc<[LogLine]> = lines.into();
        loop {
            let (queue, id, lines) = (Arc::clone(&self.queue), id.clone(), Arc::clone(&lines));
            match self.offload.run(move || queue.append(&id, &lines)).await {
                Ok(()) => return,
                Err(error) => error!(%error, "the result of a delivery cannot be recorded; trying again"),
            }
            sleep(LOG_PAUSE).await;
        }
    }

    pub(super) async fn read(&self, id: &QueueId) -> Result<Queued<D::File>, QueueError> {
        let (queue, id) = (Arc::clone(&self.queue), id.clone());
        self.offload.run(move || queue.read(&id)).await
    }

    /// Sends the reports about an entry that are due. Returns `false` if one of them failed.
    async fn report(&self, id: &QueueId) -> bool {
        let Ok(queued) = self.read(id).await else { return true };
        let is_delayed =
            age(&queued, Utc::now()) >= Duration::from_secs(self.config.delay_report_seconds.into());
        let select = |is_selected: &dyn Fn(&mail_core::queue::RecipientProgress) -> bool| -> Vec<usize> {
            (0..queued.entry.recipients.len())
                .filter(|index| is_selected(&queued.progress.recipients[*index]))
                .collect()
        };
        let failed = select(&|recipient| recipient.status == Status::Unreported);
        let delayed = select(&|recipient| {
            is_delayed
                && recipient.status == Status::Pending
                && recipient.attempts > 0
                && !recipient.delay_reported
        });
        let mut is_reported = true;
        for (kind, recipients) in [(Kind::Failed, failed), (Kind::Delayed, delayed)] {
            if recipients.is_empty() {
                continue;
            }
            if let Err(error) = self.send_report(id, &queued, kind, &recipients).await {
                error!(%id, %error, "a report is not delivered; trying again later");
                is_reported = false;
                continue;
            }
            let outcome = match kind {
                Kind::Failed => Outcome::Reported,
                Kind::Delayed => Outcome::DelayReported,
            };
            let now = Utc::now();
            let line =
                |index: &usize| LogLine::attempt(now, &queued.entry.recipients[*index].address, outcome, "");
            self.append(id, recipients.iter().map(line).collect()).await;
        }
        is_reported
    }

    async fn send_report(
        &self,
        id: &QueueId,
        queued: &Queued<D::File>,
        kind: Kind,
        recipients: &[usize],
    ) -> Result<(), StoreError> {
        // Never a report about a report (RFC 5321 section 4.5.5).
        let Some(sender) = queued.entry.reverse_path.address() else {
            if kind == Kind::Failed {
                warn!(%id, "a message without a return path was not delivered; it is dropped");
            }
            return Ok(());
        };
        let header = self.header(queued).await?;
        let retry_until = queued.entry.received + Duration::from_secs(self.config.lifetime_seconds.into());
        let context = report::Context { hostname: &self.hostname, now: Utc::now(), retry_until, id };
        let message = report::format(&context, kind, queued, recipients, sender, &header);
        self.reports.deliver(sender, message).await?;
        self.metrics.reports.inc();
        Ok(())
    }

    /// The beginning of the message's header.
    async fn header(&self, queued: &Queued<D::File>) -> Result<Vec<u8>, StoreError> {
        let (file, start) = (Arc::clone(&queued.file), queued.message.start);
        let length = queued.octets().min(HEADER_OCTETS_MAX);
        let read = move || {
            let mut octets = vec![0; usize::try_from(length).unwrap_or_default()];
            read_exact(&*file, &mut octets, start).map(|()| octets)
        };
        let octets = self.offload.run(read).await;
        octets.map_err(|error| failed("read", std::path::Path::new(crate::queue::DIRECTORY), error))
    }
}

fn age<F>(queued: &Queued<F>, now: DateTime<Utc>) -> Duration {
    // A clock that was set back makes a message new.
    (now - queued.entry.received).to_std().unwrap_or_default()
}
