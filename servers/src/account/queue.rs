//! `POST /account/queue`: the user's own messages that wait for delivery to other hosts.
//!
//! ```json
//! {
//!   "messages": [{
//!     "id": "01KB…", "message_id": "<x@example.org>", "subject": "hello", "received": "2026-11-29T17:11:49Z",
//!     "recipients": [{
//!       "address": "gb@example.net", "state": "waiting", "attempts": 1, "next_attempt": "2026-11-29T17:16:52Z",
//!       "reply": "mx.example.net [192.0.2.1]: 451 4.7.1 Try again later"
//!     }],
//!     "more_recipients": 0
//!   }],
//!   "complete": true
//! }
//! ```
//!
//! The newest messages come first. `state` is `waiting`, `held` (suspended by the administrator) or `undeliverable` (the report
//! follows). Without `next_attempt`, an attempt is being made or is due. `complete` is false if the queue may contain more messages
//! of the user. A message is the user's own if reports about it reach the user.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::Uri;
use axum::http::header::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use config::Outbound;
use mail_core::message::address::Address;
use mail_core::users::Username;
use mail_outbound::store::QueueStore;
use mail_outbound::{SharedSchedule, WaitingMessage, WaitingRecipient, WaitingState, senders, waiting};
use mail_store::{Either, FanOut};
use serde::{Deserialize, Serialize};
use tracing::error;
use ws_bridge::Browser;

use super::{AccountApi, Refusal, json_response, parse};
use crate::context::Context;

/// Messages in a response.
const MESSAGES_MAX: usize = 50;
/// Recipients of each message in a response.
const RECIPIENTS_MAX: usize = 20;
/// The newest entries that are examined. Reading them takes a fraction of a second.
const ENTRIES_MAX: usize = 10_000;
/// Entries that are read at once.
const ENTRIES_AT_ONCE: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueRequest {
    token: String,
}

#[derive(Debug, Serialize)]
struct OwnQueue {
    messages: Vec<OwnMessage>,
    complete: bool,
}

#[derive(Debug, Serialize)]
struct OwnMessage {
    id: String,
    message_id: Option<String>,
    subject: String,
    received: String,
    recipients: Vec<OwnRecipient>,
    more_recipients: usize,
}

#[derive(Debug, Serialize)]
struct OwnRecipient {
    address: String,
    state: &'static str,
    attempts: u32,
    next_attempt: Option<String>,
    reply: String,
}

/// Axum handler.
pub(super) async fn own_queue(
    State(api): State<Arc<AccountApi>>,
    Extension(browser): Extension<Browser>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    api.check_access(&browser, &uri, &headers)?;
    let QueueRequest { token } = parse(&body)?;
    let token = api.tokens.find(&token, Instant::now()).ok_or(Refusal::Token)?;
    let own = match &api.outbound {
        Some(outbound) => {
            let _listing = api.listings.acquire().await.expect("the semaphore is never closed");
            list_configured(&api.context, outbound, &token.account).await?
        }
        // No mail leaves this host.
        None => OwnQueue::EMPTY,
    };
    let text = serde_json::to_string(&own).expect("plain values are always JSON");
    Ok(json_response(text))
}

async fn list_configured(
    context: &Context,
    outbound: &Outbound,
    account: &Username,
) -> Result<OwnQueue, Refusal> {
    match &context.store {
        Either::Left(FanOut { remote: Some(queue), .. }) => {
            let (queue, schedule) = queue.parts();
            list(context, &queue, &schedule, outbound, account).await
        }
        Either::Right(store) if let Some((queue, schedule)) = store.queue_parts() => {
            list(context, &queue, &schedule, outbound, account).await
        }
        // This process accepts no mail.
        _ => Ok(OwnQueue::EMPTY),
    }
}

async fn list(
    context: &Context,
    queue: &impl QueueStore,
    schedule: &SharedSchedule,
    outbound: &Outbound,
    account: &Username,
) -> Result<OwnQueue, Refusal> {
    let mut ids = queue.newest(ENTRIES_MAX + 1).await.map_err(|error| {
        error!(%error, "a user's queued messages cannot be listed");
        Refusal::Queue
    })?;
    let mut own = OwnQueue { complete: ids.len() <= ENTRIES_MAX, ..OwnQueue::EMPTY };
    ids.truncate(ENTRIES_MAX);
    let mut known: HashMap<Address, bool> = HashMap::new();
    for ids in ids.chunks(ENTRIES_AT_ONCE) {
        let mut senders = senders(queue, ids.to_vec()).await;
        for id in ids {
            let Some(sender) = senders.remove(id) else { continue };
            let is_own = match known.get(&sender) {
                Some(is_own) => *is_own,
                None => {
                    let is_own = context.may_send_as(account, &sender).await?;
                    known.insert(sender, is_own);
                    is_own
                }
            };
            if !is_own {
                continue;
            }
            if own.messages.len() == MESSAGES_MAX {
                own.complete = false;
                return Ok(own);
            }
            // Without those that have left the queue, and those that are unreadable, which `pennypost queue list` reports.
            let waiting = waiting(queue, schedule, id, outbound).await.ok().flatten();
            own.messages.extend(waiting.map(OwnMessage::from));
        }
    }
    Ok(own)
}

impl OwnQueue {
    const EMPTY: Self = Self { messages: Vec::new(), complete: true };
}

impl From<WaitingMessage> for OwnMessage {
    fn from(WaitingMessage { id, received, message_id, subject, recipients }: WaitingMessage) -> Self {
        Self {
            id: id.to_string(),
            message_id: message_id.map(|id| id.to_string()),
            subject,
            received: format_time(received),
            more_recipients: recipients.len().saturating_sub(RECIPIENTS_MAX),
            recipients: recipients.into_iter().take(RECIPIENTS_MAX).map(OwnRecipient::from).collect(),
        }
    }
}

impl From<WaitingRecipient> for OwnRecipient {
    fn from(WaitingRecipient { address, state, attempts, reply }: WaitingRecipient) -> Self {
        let (name, next_attempt) = match state {
            WaitingState::Due => ("waiting", None),
            WaitingState::Deferred(next) => ("waiting", Some(format_time(next))),
            WaitingState::Held => ("held", None),
            WaitingState::Undeliverable => ("undeliverable", None),
        };
        Self { address: address.to_string(), state: name, attempts, next_attempt, reply }
    }
}

fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
