//! The state of an entry, replayed from its log.

use chrono::{DateTime, Utc};

use super::{Entry, LogEvent, LogLine, Outcome};

/// The state of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// In the order of [`Entry::recipients`].
    pub recipients: Vec<RecipientProgress>,
    /// Whether the administrator has suspended delivery.
    pub is_held: bool,
}

/// The state of a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecipientProgress {
    /// Whether the result is final and reported.
    pub status: Status,
    /// Number of attempts.
    pub attempts: u32,
    /// The last attempt.
    pub last_attempt: Option<DateTime<Utc>>,
    /// The remote host and its reply in the last attempt.
    pub detail: String,
    /// Whether the sender knows of the delay.
    pub delay_reported: bool,
    /// Whether the message was passed to a host without reports.
    pub is_relayed: bool,
}

/// The status of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Not delivered yet; further attempts follow.
    #[default]
    Pending,
    /// Final result; the report to the sender is pending.
    Unreported,
    /// Nothing is left to do.
    Done,
}

impl Progress {
    /// Applies the lines of the log in order. Lines about other addresses are ignored.
    #[must_use]
    pub fn replay(entry: &Entry, lines: impl IntoIterator<Item = LogLine>) -> Self {
        let recipients = vec![RecipientProgress::default(); entry.recipients.len()];
        let mut progress = Self { recipients, is_held: false };
        for line in lines {
            progress.apply(entry, line);
        }
        progress
    }

    fn apply(&mut self, entry: &Entry, LogLine { time, event, detail }: LogLine) {
        let (address, outcome) = match event {
            LogEvent::Held => return self.is_held = true,
            LogEvent::Released => return self.is_held = false,
            LogEvent::Recipient(address, outcome) => (address, outcome),
        };
        let named = entry.recipients.iter().zip(&mut self.recipients);
        for (_, recipient) in named.filter(|(recipient, _)| recipient.address == address) {
            recipient.apply(time, outcome, &detail);
        }
    }

    /// Whether nothing is left to do for any recipient.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.recipients.iter().all(|recipient| recipient.status == Status::Done)
    }
}

impl RecipientProgress {
    fn apply(&mut self, time: DateTime<Utc>, outcome: Outcome, detail: &str) {
        match outcome {
            Outcome::Delivered | Outcome::Relayed | Outcome::Deferred | Outcome::Failed => {
                self.attempts += 1;
                self.last_attempt = Some(time);
                self.detail = detail.to_owned();
            }
            Outcome::DelayReported => self.delay_reported = true,
            Outcome::Reported => {}
        }
        self.is_relayed |= outcome == Outcome::Relayed;
        self.status = match outcome {
            Outcome::Delivered | Outcome::Reported => Status::Done,
            Outcome::Failed | Outcome::Relayed if self.status == Status::Pending => Status::Unreported,
            _ => self.status,
        };
    }
}
