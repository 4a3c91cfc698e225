//! `GET /api/v1/wait`: returns when a message has arrived.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::mail::{details, summary};
use super::params::{Filter, Params};
use super::{Api, ApiError, blocking, with_json};
use crate::store::{Change, Message};

/// Messages in the list of what arrived instead.
const ARRIVED_MAX: usize = 100;

/// Returns the first matching message after `after`. Without `after`, the newest matching one that is stored already, else the
/// first to arrive. A client that disconnects ends the wait.
pub(super) async fn wait(
    State(api): State<Arc<Api>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let params = Params::parse(query.as_deref());
    params.allow(&[&Filter::NAMES[..], &["timeout"]].concat())?;
    let filter = Arc::new(Filter::parse(&params)?);
    let deadline = Instant::now() + params.timeout()?;
    let mut shutdown = api.shutdown.clone();
    // The subscription precedes the search, so that no message is missed between them.
    let mut changes = api.store().changes();
    let mut found = find_stored(&api, &filter).await?;
    while found.is_none() {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = sleep_until(deadline) => return Ok(timed_out(&api, &filter)),
            _ = shutdown.wait_for(|shutdown| *shutdown) => return Err(ApiError::ShuttingDown),
        };
        found = match change {
            Ok(Change::New(message)) => {
                if is_match(&api, &filter, &message).await? {
                    Some(message)
                } else {
                    None
                }
            }
            Ok(_) => None,
            Err(RecvError::Lagged(_)) => find_stored(&api, &filter).await?,
            Err(RecvError::Closed) => return Err(ApiError::ShuttingDown),
        };
    }
    details(&api, found.ok_or(ApiError::NotFound)?).await
}

/// Comparisons in memory take microseconds, so they run on the async thread.
async fn is_match(api: &Arc<Api>, filter: &Arc<Filter>, message: &Arc<Message>) -> Result<bool, ApiError> {
    if !filter.may_read_files() {
        return Ok(filter.matches(message, api.store().files()));
    }
    let (filter, message) = (Arc::clone(filter), Arc::clone(message));
    blocking(api, move |api| filter.matches(&message, api.store().files())).await
}

async fn find_stored(api: &Arc<Api>, filter: &Arc<Filter>) -> Result<Option<Arc<Message>>, ApiError> {
    let filter = Arc::clone(filter);
    blocking(api, move |api| stored(api, &filter)).await
}

fn stored(api: &Api, filter: &Filter) -> Option<Arc<Message>> {
    let store = api.store();
    let after = store.after(filter.after.as_deref());
    let mut matching = after.into_iter().filter(|message| filter.matches(message, store.files()));
    if filter.after.is_some() { matching.next() } else { matching.next_back() }
}

fn timed_out(api: &Api, filter: &Filter) -> Response {
    let after = api.store().after(filter.after.as_deref());
    let arrived: Vec<_> = after.iter().rev().take(ARRIVED_MAX).map(|message| summary(message)).collect();
    let text = format!("no message matched in time; {} others are stored", after.len());
    with_json(StatusCode::REQUEST_TIMEOUT, &json!({ "error": text, "arrived": arrived }))
}
