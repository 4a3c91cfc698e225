//! Queued messages as their senders see them: what is waiting, until when, and why.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use config::Outbound;
use mail_core::message::address::Address;
use mail_core::message::id::MessageId;
use mail_core::message::parsed::Summary;
use mail_core::queue::{QueueId, RecipientProgress, Status};
use tokio::time::Instant;

use crate::schedule::SharedSchedule;
use crate::store::{QueueError, QueueStore, Queued, read_beginning};

/// The part of a message in which its Subject and Message-ID are looked for.
const HEADER_OCTETS_MAX: usize = 64 << 10;

/// A message with a recipient that has not received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingMessage {
    pub id: QueueId,
    pub received: DateTime<Utc>,
    pub message_id: Option<MessageId>,
    /// Decoded; it may contain control characters.
    pub subject: String,
    /// Without those that have received the message or a report about it.
    pub recipients: Vec<WaitingRecipient>,
}

/// A recipient that has not received a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRecipient {
    pub address: Address,
    pub state: WaitingState,
    pub attempts: u32,
    /// The remote host and its reply, or the reason of the failure; empty before the first attempt.
    pub reply: String,
}

/// The state of a recipient that has not received a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitingState {
    /// An attempt is being made, or is due.
    Due,
    /// The next attempt is at this time.
    Deferred(DateTime<Utc>),
    /// The administrator has suspended delivery.
    Held,
    /// Delivery has failed; the report to the sender follows.
    Undeliverable,
}

/// The senders of some entries, in no particular order. Entries without one, and those that are unreadable or gone, are left out.
pub async fn senders(queue: &impl QueueStore, ids: Vec<QueueId>) -> HashMap<QueueId, Address> {
    let states = queue.read_states(ids).await.into_iter();
    states.filter_map(|(id, state)| Some((id, state.ok()?.0.reverse_path.address()?.clone()))).collect()
}

/// An entry; `None` if no recipient is waiting. `schedule` knows the unreachable hosts.
///
/// # Errors
/// The entry is unreadable.
pub async fn waiting(
    queue: &impl QueueStore,
    schedule: &SharedSchedule,
    id: &QueueId,
    config: &Outbound,
) -> Result<Option<WaitingMessage>, QueueError> {
    let queued = match queue.read(id).await {
        Err(QueueError::NotFound(_)) => return Ok(None),
        read => read?,
    };
    let summary = Summary::parse(&read_beginning(queue, &queued.content, HEADER_OCTETS_MAX).await?);
    let Queued { entry, progress, .. } = queued;
    let recipients = entry.recipients.into_iter().zip(progress.recipients);
    let waiting = recipients.filter(|(_, progress)| progress.status != Status::Done);
    let recipients: Vec<_> = waiting
        .map(|(recipient, attempted)| {
            waiting_recipient(schedule, recipient.address, attempted, progress.is_held, config)
        })
        .collect();
    let message = WaitingMessage {
        id: id.clone(),
        received: entry.received,
        message_id: summary.message_id,
        subject: summary.subject,
        recipients,
    };
    Ok(Some(message).filter(|message| !message.recipients.is_empty()))
}

fn waiting_recipient(
    schedule: &SharedSchedule,
    address: Address,
    progress: RecipientProgress,
    is_held: bool,
    config: &Outbound,
) -> WaitingRecipient {
    let RecipientProgress { status, attempts, last_attempt, detail, .. } = progress;
    let destination = schedule.grouping().destination(&address);
    let (now, instant) = (Utc::now(), Instant::now());
    let block = schedule.lock().block_of(&destination, instant);
    let state = match status {
        _ if is_held => WaitingState::Held,
        Status::Unreported | Status::Done => WaitingState::Undeliverable,
        Status::Pending => {
            let delta = |delay| TimeDelta::from_std(delay).unwrap_or_default();
            let due = last_attempt.map(|last| last + delta(config.retry_after(attempts)));
            let unblocked = block.as_ref().map(|(until, _)| now + delta(*until - instant));
            // `None` is before every time.
            match due.max(unblocked) {
                Some(next) if next > now => WaitingState::Deferred(next),
                _ => WaitingState::Due,
            }
        }
    };
    // Another message has found out that the destination is unreachable.
    let reply = match block {
        Some((_, failure)) if detail.is_empty() => failure.to_string(),
        _ => detail,
    };
    WaitingRecipient { address, state, attempts, reply }
}
