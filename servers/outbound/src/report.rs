//! Delivery status notifications (RFC 3464).

use chrono::{DateTime, Utc};
use mail_core::message::address::{Address, Domain};
use mail_core::queue::QueueId;

use crate::queue::Queued;

/// What a report tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Failed,
    Delayed,
}

/// The circumstances of a report.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) hostname: &'a Domain,
    pub(crate) now: DateTime<Utc>,
    pub(crate) retry_until: DateTime<Utc>,
    pub(crate) id: &'a QueueId,
}

pub(crate) fn write<F>(
    context: &Context<'_>,
    kind: Kind,
    queued: &Queued<F>,
    recipients: &[usize],
    sender: &Address,
    header: &[u8],
) -> Vec<u8> {
    let _ = (context, kind, queued, recipients, sender, header);
    Vec::new()
}
