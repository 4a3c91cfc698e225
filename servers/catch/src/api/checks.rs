//! Mailpit's checks of a message, and its release.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use mail_core::message::address::{Address, ReversePath};

use super::message::with_octets;
use super::params::{Object, Params};
use super::{Api, ApiError, error_response, ok_json, ok_text};
use crate::content::{Content, links};
use crate::html_check::HtmlCheck;

/// Recipients of a released message.
const RECIPIENTS_MAX: usize = 100;

pub(super) async fn html_check(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref()).await?;
    let check = with_octets(&api, &message, |_, octets| {
        let (_, html) = Content::parse(octets).texts();
        (!html.is_empty()).then(|| HtmlCheck::of(&html))
    });
    Ok(match check.await? {
        Some(check) => ok_json(&check),
        None => error_response(StatusCode::BAD_REQUEST, "message does not contain HTML", None),
    })
}

pub(super) async fn link_check(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref()).await?;
    let follows = matches!(Params::parse(query.as_deref()).get("follow"), Some("true" | "1"));
    let links = with_octets(&api, &message, |_, octets| {
        let (text, html) = Content::parse(octets).texts();
        links(&text, &html)
    });
    Ok(ok_json(&api.links.check(links.await?, follows).await))
}

/// Sends the message to the addresses in the body, `{"To": ["a@b.example"]}`, all of which must be permitted.
pub(super) async fn release(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref()).await?;
    let Some(release) = &api.release else {
        let text = "no message can be released: start the catcher with --config FILE, which has [outbound], and --release-to ADDRESS";
        return Ok(error_response(StatusCode::FORBIDDEN, text, None));
    };
    let recipients = recipients(&Object::parse(&headers, &body)?.strings("to")?)?;
    if let Some(address) = release.first_forbidden(&recipients) {
        let text = format!("{address} is not on the list of --release-to: {}", release.allowed().join(", "));
        return Ok(error_response(StatusCode::FORBIDDEN, &text, Some("to")));
    }
    let octets = with_octets(&api, &message, |_, octets| octets.to_vec()).await?;
    // A reverse-path that is no address, as that of a message from `send`, cannot get a report.
    let sender = Address::parse(&message.envelope.from).map_or(ReversePath::Null, ReversePath::Address);
    let sent = release.send(&octets, sender, &recipients).await;
    sent.map_err(|error| ApiError::Internal(format!("cannot release the message: {error}")))?;
    Ok(ok_text())
}

/// Addresses, each once, with or without a name.
fn recipients(texts: &[String]) -> Result<Vec<Address>, ApiError> {
    let mut recipients = Vec::new();
    for text in texts {
        let bare =
            text.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<')).map(|(_, address)| address);
        let address = Address::parse(bare.unwrap_or(text.trim()))
            .map_err(|error| ApiError::invalid("to", format!("`{text}` is not an address: {error}")))?;
        if !recipients.contains(&address) {
            recipients.push(address);
        }
    }
    if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
        return Err(ApiError::invalid("to", format!("name 1 to {RECIPIENTS_MAX} addresses")));
    }
    Ok(recipients)
}
