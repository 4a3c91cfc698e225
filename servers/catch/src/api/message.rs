//! One message in Mailpit's shapes: details, header, source and parts; its text and its HTML for a browser.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::params::Params;
use super::shapes::{Details, canonical_name};
use super::{Api, ApiError, ok_json};
use crate::content::{Content, File};
use crate::store::Message;

/// Mail runs no scripts, is of an origin of its own, and loads only its own inline images.
const MAIL_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'",
);

/// Runs `read` on the octets of a message, outside the threads that serve connections.
async fn with_octets<T: Send + 'static>(
    api: &Api,
    message: &Arc<Message>,
    read: impl FnOnce(&Message, &[u8]) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let octets = api.octets(&message.id).await?;
    let message = Arc::clone(message);
    tokio::task::spawn_blocking(move || read(&message, &octets))
        .await
        .map_err(|error| ApiError::Internal(error.to_string()))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref())?;
    let details = with_octets(&api, &message, Details::of).await?;
    api.store().update(&message, |state| state.read = true);
    Ok(ok_json(&details))
}

pub(super) async fn headers(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref())?;
    let headers = with_octets(&api, &message, |_, octets| Content::parse(octets).raw_headers()).await?;
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        values.entry(canonical_name(&name)).or_default().push(value);
    }
    Ok(ok_json(&values))
}

pub(super) async fn raw(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref())?;
    let octets = api.octets(&message.id).await?;
    let mut response = ([(CONTENT_TYPE, "text/plain; charset=utf-8")], octets).into_response();
    if Params::parse(query.as_deref()).get("dl") == Some("1") {
        let disposition = format!("attachment; filename=\"{}.eml\"", message.id);
        response.headers_mut().insert(CONTENT_DISPOSITION, header_value(&disposition));
    }
    Ok(response)
}

pub(super) async fn part(
    State(api): State<Arc<Api>>,
    Path((id, part)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let message = api.find(&id, query.as_deref())?;
    let file = with_octets(&api, &message, move |_, octets| Content::parse(octets).part(&part)).await?;
    let File { name, media_type, octets, .. } = file.ok_or(ApiError::NotFound)?;
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    let headers = [
        (CONTENT_TYPE, header_value(&media_type)),
        (CONTENT_DISPOSITION, header_value(&format!("inline; filename=\"{}\"", name.replace('+', "%20")))),
        (CONTENT_SECURITY_POLICY, MAIL_POLICY),
    ];
    Ok((headers, octets).into_response())
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// `/view/ID.html` and `/view/ID.txt`.
pub(super) async fn view(
    State(api): State<Arc<Api>>,
    Path(file): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let (id, is_html) = match file.rsplit_once('.') {
        Some((id, "html")) => (id, true),
        Some((id, "txt")) => (id, false),
        _ => return Err(ApiError::NotFound),
    };
    let message = api.find(id, uri.query())?;
    let (text, html, files) = with_octets(&api, &message, |_, octets| {
        let content = Content::parse(octets);
        let (text, html) = content.texts();
        (text, html, content.files())
    })
    .await?;
    if !is_html {
        return Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    }
    if html.is_empty() {
        let text = "This message does not contain a HTML part";
        return Ok(super::error_response(StatusCode::NOT_FOUND, text, None));
    }
    let html = files.iter().filter(|file| !file.content_id.is_empty()).fold(html, |html, file| {
        let address = format!("/api/v1/message/{}/part/{}", message.id, file.part_id);
        html.replace(&format!("cid:{}", file.content_id), &address)
    });
    let headers: [(HeaderName, HeaderValue); 2] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, MAIL_POLICY),
    ];
    Ok((headers, html).into_response())
}
