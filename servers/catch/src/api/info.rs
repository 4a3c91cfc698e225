//! Mailpit's information about the program, its chaos triggers, and the probes.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{Api, ApiError, ok_json};
use crate::faults::Chaos;
use crate::release::Release;

/// The program's version. The suffix distinguishes it from Mailpit's.
pub(super) const VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), " (pennypost)");

pub(super) async fn livez() -> &'static str {
    "ok"
}

pub(super) async fn readyz(State(api): State<Arc<Api>>) -> (StatusCode, &'static str) {
    if *api.shutdown.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down")
    } else {
        (StatusCode::OK, "ok")
    }
}

pub(super) async fn info(State(api): State<Arc<Api>>) -> Response {
    let store = api.store();
    let totals = store.totals();
    let counters = &store.counters;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    ok_json(&json!({
        "Version": VERSION,
        "LatestVersion": "disabled",
        "Database": store.files().root(),
        "DatabaseSize": totals.octets,
        "Messages": totals.messages,
        "Unread": totals.unread,
        "Tags": totals.tags,
        "RuntimeStats": {
            "Uptime": api.start.elapsed().as_secs(),
            "Memory": resident_bytes(),
            "MessagesDeleted": count(&counters.deleted),
            "SMTPAccepted": count(&counters.accepted),
            "SMTPAcceptedSize": count(&counters.accepted_octets),
            "SMTPRejected": count(&counters.rejected),
            "SMTPIgnored": 0,
        },
    }))
}

/// 0 if /proc is not available.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1_024
}

pub(super) async fn webui(State(api): State<Arc<Api>>) -> Response {
    let release = api.release.as_ref();
    // Mailpit has a regular expression here; this is the list of --release-to.
    let allowed = release.map(|release| release.allowed().join(", ")).unwrap_or_default();
    ok_json(&json!({
        "Label": "",
        "MessageRelay": {
            "Enabled": release.is_some(),
            "SMTPServer": release.map(Release::smarthost).unwrap_or_default(),
            "ReturnPath": "",
            "AllowedRecipients": allowed,
            "BlockedRecipients": "",
            "OverrideFrom": "",
            "PreserveMessageIDs": true,
            "RecipientAllowlist": allowed,
        },
        "SpamAssassin": false,
        "ChaosEnabled": true,
        "DuplicatesIgnored": false,
        "HideDeleteAllButton": false,
    }))
}

pub(super) async fn chaos(State(api): State<Arc<Api>>) -> Response {
    ok_json(&api.faults.chaos())
}

pub(super) async fn set_chaos(State(api): State<Arc<Api>>, body: Bytes) -> Result<Response, ApiError> {
    let body: Map<String, Value> =
        serde_json::from_slice(&body).map_err(|error| ApiError::invalid("body", error.to_string()))?;
    // serde would also accept an array for a struct.
    if let Some((name, _)) = body.iter().find(|(_, trigger)| trigger.is_array()) {
        return Err(ApiError::invalid("body", format!("`{name}` is not an object")));
    }
    let chaos: Chaos = serde_json::from_value(Value::Object(body))
        .map_err(|error| ApiError::invalid("body", error.to_string()))?;
    api.faults
        .set_chaos(chaos)
        .map(|chaos| ok_json(&chaos))
        .map_err(|reason| ApiError::invalid("body", reason))
}
