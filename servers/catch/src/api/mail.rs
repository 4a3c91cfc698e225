//! Own routes for messages: envelope, headers, content, dialogue and lint findings.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

use super::params::{Filter, Params};
use super::shapes::time;
use super::{Api, ApiError, LATEST, blocking, ok_json};
use crate::content::{Content, codes, links};
use crate::store::{Message, Store};

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    params.allow(&[&Filter::NAMES[..], &["start", "limit"]].concat())?;
    let (start, limit) = params.page()?;
    let filter = Filter::parse(&params)?;
    blocking(&api, move |api| {
        let selected = select(api, &filter);
        let messages: Vec<_> =
            selected.iter().skip(start).take(limit).map(|message| summary(message)).collect();
        ok_json(&json!({ "count": selected.len(), "messages": messages }))
    })
    .await
}

/// Deletes the selected messages, and returns those that this request deleted.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    params.allow(&Filter::NAMES)?;
    let filter = Filter::parse(&params)?;
    blocking(&api, move |api| {
        let deleted = api.store().delete(&select(api, &filter));
        let messages: Vec<_> = deleted.iter().map(|message| summary(message)).collect();
        ok_json(&json!({ "count": messages.len(), "messages": messages }))
    })
    .await
}

/// Maximum number of listed recipients.
const RECIPIENTS_MAX: usize = 1_000;

/// Newest first.
fn select(api: &Api, filter: &Filter) -> Vec<Arc<Message>> {
    let store = api.store();
    let after = store.after(filter.after.as_deref());
    after.into_iter().rev().filter(|message| filter.matches(message, store.files())).collect()
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    params.allow(&Filter::NAMES)?;
    let filter = Filter::parse(&params)?;
    let found = blocking(&api, move |api| {
        if id == LATEST {
            return select(api, &filter).into_iter().next();
        }
        let store = api.store();
        store.message(&id).filter(|message| filter.matches(message, store.files()))
    });
    details(&api, found.await?.ok_or(ApiError::NotFound)?).await
}

pub(super) async fn details(api: &Arc<Api>, message: Arc<Message>) -> Result<Response, ApiError> {
    let details = blocking(api, move |api| read_details(api.store(), &message)).await?;
    details.map(|details| ok_json(&details)).ok_or(ApiError::NotFound)
}

/// `None` if the message was deleted. Without a record, its values are null.
fn read_details(store: &Store, message: &Message) -> Option<Value> {
    let octets = store.files().read(&message.id)?;
    let record = store.files().read_record(&message.id);
    let record = record.as_ref();
    let content = Content::parse(&octets);
    let (text, html) = content.texts();
    let headers: Vec<_> =
        content.headers().into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let attachments: Vec<_> = content
        .files()
        .into_iter()
        .map(|file| {
            json!({
                "part": file.part_id,
                "name": file.name,
                "type": file.media_type,
                "content_id": file.content_id,
                "inline": file.is_inline,
                "size": file.octets.len(),
                "url": format!("/api/v1/message/{}/part/{}", message.id, file.part_id),
            })
        })
        .collect();
    let state = message.state().clone();
    Some(json!({
        "id": message.id,
        "received": time(message.received),
        "size": message.size,
        "read": state.read,
        "tags": state.tags,
        "envelope": message.envelope,
        "subject": message.summary.subject,
        "headers": headers,
        "links": links(&text, &html),
        "codes": codes(&message.summary.subject, &text),
        "text": text,
        "html": html,
        "attachments": attachments,
        "session": record.map(|record| &record.session),
        "dialogue": record.map(|record| &record.dialogue),
        "timings": record.map(|record| &record.timings),
        "lint": record.map(|record| &record.lint),
        "faults": record.map(|record| &record.faults),
        "raw": format!("/api/v1/message/{}/raw", message.id),
    }))
}

/// A message in a list.
pub(super) fn summary(message: &Message) -> Value {
    let state = message.state().clone();
    let author = message.summary.from.as_ref();
    json!({
        "id": message.id,
        "received": time(message.received),
        "size": message.size,
        "read": state.read,
        "tags": state.tags,
        "envelope": message.envelope,
        "from": author.map(|author| json!({ "name": author.name, "address": author.address })),
        "subject": message.summary.subject,
        "snippet": message.summary.snippet,
        "attachments": message.summary.attachments,
    })
}

/// The recipients of the stored messages, those of the newest messages first.
pub(super) async fn recipients(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    blocking(&api, |api| {
        let mut recipients: Vec<Recipient> = Vec::new();
        let mut positions = HashMap::new();
        for message in api.store().newest(|_| true) {
            let is_unread = !message.state().read;
            let addresses: HashSet<_> = message.envelope.to.iter().map(|to| to.to_lowercase()).collect();
            for address in addresses {
                let position = *positions.entry(address.clone()).or_insert(recipients.len());
                if position == recipients.len() {
                    recipients.push(Recipient { address, messages: 0, unread: 0 });
                }
                recipients[position].messages += 1;
                recipients[position].unread += usize::from(is_unread);
            }
        }
        let count = recipients.len();
        recipients.truncate(RECIPIENTS_MAX);
        ok_json(&json!({ "count": count, "recipients": recipients }))
    })
    .await
}

/// A recipient of the envelope, in lower case.
#[derive(Debug, Serialize)]
struct Recipient {
    address: String,
    messages: usize,
    unread: usize,
}
