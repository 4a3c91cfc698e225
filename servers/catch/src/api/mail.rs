//! Messages with everything that is known about them.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::params::{Filter, Params};
use super::shapes::time;
use super::{Api, ApiError, ok_json};
use crate::content::{Content, codes, links};
use crate::store::{Message, Store};

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    params.allow(&[&Filter::NAMES[..], &["start", "limit"]].concat())?;
    let (start, limit) = params.page()?;
    let selected = select(&api, &params)?;
    let messages: Vec<_> = selected.iter().skip(start).take(limit).map(|message| summary(message)).collect();
    Ok(ok_json(&json!({ "count": selected.len(), "messages": messages })))
}

/// Deletes the selected messages, and returns those that this request deleted.
pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    params.allow(&Filter::NAMES)?;
    let deleted = api.store().delete(&select(&api, &params)?);
    let messages: Vec<_> = deleted.iter().map(|message| summary(message)).collect();
    Ok(ok_json(&json!({ "count": messages.len(), "messages": messages })))
}

/// Newest first.
fn select(api: &Api, params: &Params) -> Result<Vec<Arc<Message>>, ApiError> {
    let filter = Filter::parse(params)?;
    let store = api.store();
    let after = store.after(filter.after.as_deref());
    Ok(after.into_iter().rev().filter(|message| filter.matches(message, store.files())).collect())
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref())?;
    details(&api, &message).await
}

/// Reads the files of a message outside the threads that serve connections.
pub(super) async fn details(api: &Api, message: &Arc<Message>) -> Result<Response, ApiError> {
    let (store, message) = (Arc::clone(api.store()), Arc::clone(message));
    let details = tokio::task::spawn_blocking(move || read_details(&store, &message))
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))?;
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
    json!({
        "id": message.id,
        "received": time(message.received),
        "size": message.size,
        "envelope": message.envelope,
        "subject": message.summary.subject,
    })
}
