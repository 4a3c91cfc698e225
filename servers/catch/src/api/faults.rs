//! Faults at run time, and the sessions that have ended.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Api, ApiError, ok_json};

pub(super) async fn get(State(api): State<Arc<Api>>) -> Response {
    ok_json(&json!({ "faults": api.faults.entries() }))
}

/// The body is a list of entries, or an object with the key `faults`.
pub(super) async fn put(State(api): State<Arc<Api>>, body: Bytes) -> Result<Response, ApiError> {
    let invalid = |reason: String| ApiError::invalid("faults", reason);
    let body: Value =
        serde_json::from_slice(&body).map_err(|error| ApiError::invalid("body", error.to_string()))?;
    let entries = match body {
        Value::Object(mut object) => object.remove("faults").unwrap_or_default(),
        list => list,
    };
    let entries: Vec<Map<String, Value>> =
        serde_json::from_value(entries).map_err(|_| invalid("it is not a list of objects".to_owned()))?;
    api.faults.set(entries).map_err(invalid)?;
    Ok(ok_json(&json!({ "faults": api.faults.entries() })))
}

pub(super) async fn delete(State(api): State<Arc<Api>>) -> Response {
    let removed = api.faults.entries();
    api.faults.set(Vec::new()).expect("no entry is invalid");
    ok_json(&json!({ "faults": removed }))
}

pub(super) async fn sessions(State(api): State<Arc<Api>>) -> Response {
    let sessions = api.store().sessions();
    ok_json(&json!({ "sessions": sessions.iter().map(|session| &**session).collect::<Vec<_>>() }))
}
