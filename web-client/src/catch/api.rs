//! Requests to the catcher's HTTP API (`docs/catch.md`) and their answers.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use js_sys::Uint8Array;
use mail_core::message::printable::printable_line;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestInit, Response};

use super::compatibility::{Gap, ProgramSupport, programs_with};
use super::json::Json;
use super::state::{
    CaughtMessage, Details, DialogueLine, DialogueText, Filter, Finding, LinkStatus, List, Recipient,
};
use crate::model::fetched_message::FetchedMessage;
use crate::platform::{PLATFORM, location};

/// Octets of a message that the page loads.
const MESSAGE_OCTETS_MAX: u64 = 32 * 1_024 * 1_024;
/// Lines of a dialogue that are drawn.
const DIALOGUE_LINES_MAX: usize = 2_000;

const NO_ANSWER: &str = "The catcher does not answer.";

/// Path of a message's source, for a download.
pub(crate) fn source_path(id: &str) -> String {
    format!("/api/v1/message/{}/raw?dl=1", location::encode(id))
}

/// # Errors
/// A sentence.
pub(super) async fn list(filter: &Filter, limit: usize) -> Result<List, String> {
    let mail = json(&format!("/api/v1/mail?limit={limit}&{}", selection(filter))).await?;
    let recipients = json("/api/v1/recipients").await?;
    let info = json("/api/v1/info").await?;
    Ok(List {
        count: mail.count("count"),
        total: info.count("Messages"),
        unread: info.count("Unread"),
        messages: mail.list("messages").iter().map(|message| Rc::new(summary(message))).collect(),
        recipients: recipients.list("recipients").iter().map(recipient).collect(),
        recipient_count: recipients.count("count"),
        tags: info.get("Tags").names(),
    })
}

/// The message with its source.
///
/// # Errors
/// A sentence.
pub(super) async fn message(id: &str) -> Result<Details, String> {
    let id = location::encode(id);
    let mail = json(&format!("/api/v1/mail/{id}")).await?;
    let summary = summary(&mail);
    if summary.size > MESSAGE_OCTETS_MAX {
        return Err("The message is too large for this page. Save its source instead.".to_owned());
    }
    let raw = octets(&format!("/api/v1/message/{id}/raw")).await?;
    let message = FetchedMessage::parse(raw, PLATFORM);
    let gaps = if message.parsed.html.is_some() { gaps(&id).await } else { Ok(Vec::new()) };
    Ok(Details {
        envelope_from: mail.get("envelope").text("from"),
        links: mail.texts("links"),
        codes: mail.texts("codes"),
        session: session(&mail.get("session")),
        dialogue: mail.list("dialogue").iter().take(DIALOGUE_LINES_MAX).map(dialogue_line).collect(),
        lint: mail.list("lint").iter().map(finding).collect(),
        faults: mail.texts("faults"),
        gaps,
        message: Rc::new(message),
        summary,
    })
}

/// `id` is encoded.
///
/// # Errors
/// A sentence.
async fn gaps(id: &str) -> Result<Vec<Gap>, String> {
    let check = json(&format!("/api/v1/message/{id}/html-check")).await?;
    Ok(check.list("Warnings").iter().map(gap).collect())
}

/// Requests every link of a message.
///
/// # Errors
/// A sentence.
pub(super) async fn check_links(id: &str) -> Result<Vec<LinkStatus>, String> {
    let check = json(&format!("/api/v1/message/{}/link-check?follow=true", location::encode(id))).await?;
    let status = |link: &Json| LinkStatus {
        url: link.text("URL"),
        code: link.count("StatusCode"),
        text: printable_line(&link.text("Status")).into_owned(),
    };
    Ok(check.list("Links").iter().map(status).collect())
}

/// The addresses that messages may be released to; `None` if the catcher releases none.
///
/// # Errors
/// A sentence.
pub(super) async fn release_to() -> Result<Option<Rc<str>>, String> {
    let relay = json("/api/v1/webui").await?.get("MessageRelay");
    Ok(relay.flag("Enabled").then(|| relay.text("AllowedRecipients").into()))
}

/// Delivers a message to real addresses.
///
/// # Errors
/// A sentence.
pub(super) async fn release(id: &str, to: &[String]) -> Result<(), String> {
    let body = format!("{{\"To\":{}}}", list_of(to));
    let path = format!("/api/v1/message/{}/release", location::encode(id));
    request("POST", &path, Some(&body)).await.map(drop)
}

/// Sets the read state of a message, or of all.
///
/// # Errors
/// A sentence.
pub(super) async fn set_read(id: Option<&str>, is_read: bool) -> Result<(), String> {
    let ids = id.map(|id| format!("\"IDs\":[{}],", quoted(id))).unwrap_or_default();
    let body = format!("{{{ids}\"Read\":{is_read}}}");
    request("PUT", "/api/v1/messages", Some(&body)).await.map(drop)
}

/// # Errors
/// A sentence.
pub(super) async fn delete(ids: &[String]) -> Result<(), String> {
    let body = format!("{{\"IDs\":{}}}", list_of(ids));
    request("DELETE", "/api/v1/messages", Some(&body)).await.map(drop)
}

/// Deletes the messages that a filter selects.
///
/// # Errors
/// A sentence.
pub(super) async fn delete_selected(filter: &Filter) -> Result<(), String> {
    // Without a filter, this route sends one event instead of one for each message.
    let path = if filter.is_empty() {
        "/api/v1/messages".to_owned()
    } else {
        format!("/api/v1/mail?{}", selection(filter))
    };
    request("DELETE", &path, None).await.map(drop)
}

fn selection(filter: &Filter) -> String {
    let search = location::encode(filter.search.trim());
    let recipient = location::encode(filter.recipient.as_deref().unwrap_or_default());
    format!("query={search}&to={recipient}")
}

/// A JSON list of strings.
fn list_of(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(","))
}

/// A JSON string.
fn quoted(text: &str) -> String {
    js_sys::JSON::stringify(&text.into()).map_or_else(|_| "\"\"".to_owned(), Into::into)
}

async fn json(path: &str) -> Result<Json, String> {
    let response = request("GET", path, None).await?;
    let text = body_text(&response).await.ok_or(NO_ANSWER)?;
    Json::parse(&text).ok_or_else(|| NO_ANSWER.to_owned())
}

async fn octets(path: &str) -> Result<Vec<u8>, String> {
    let response = request("GET", path, None).await?;
    let body = async { JsFuture::from(response.array_buffer()?).await };
    body.await.map(|buffer| Uint8Array::new(&buffer).to_vec()).map_err(|_| NO_ANSWER.to_owned())
}

async fn body_text(response: &Response) -> Option<String> {
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}

/// A successful answer. The error of another one is its sentence.
async fn request(method: &str, path: &str, body: Option<&str>) -> Result<Response, String> {
    let options = RequestInit::new();
    options.set_method(method);
    if let Some(body) = body {
        options.set_body(&body.into());
    }
    let fetched = async {
        let window = web_sys::window().ok_or(JsValue::NULL)?;
        JsFuture::from(window.fetch_with_str_and_init(path, &options)).await?.dyn_into::<Response>()
    };
    let response = fetched.await.map_err(|_| NO_ANSWER)?;
    if response.ok() {
        return Ok(response);
    }
    let error = body_text(&response).await.and_then(|text| Json::parse(&text)?.optional_text("error"));
    Err(error.unwrap_or_else(|| format!("The catcher answered with status {}.", response.status())))
}

fn summary(mail: &Json) -> CaughtMessage {
    let (author, envelope) = (mail.get("from"), mail.get("envelope"));
    let names = [author.text("name"), author.text("address"), envelope.text("from")];
    let line = |text: &str| printable_line(text).into_owned();
    CaughtMessage {
        id: mail.text("id"),
        received: time(&mail.text("received")),
        size: mail.count("size") as u64,
        is_read: mail.flag("read"),
        tags: mail.texts("tags").iter().map(|tag| line(tag)).collect(),
        from: names.iter().find(|name| !name.is_empty()).map(|name| line(name)).unwrap_or_default(),
        to: envelope.texts("to").iter().map(|to| line(to)).collect(),
        subject: line(&mail.text("subject")),
        snippet: line(&mail.text("snippet")),
        attachments: mail.count("attachments"),
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

fn recipient(recipient: &Json) -> Recipient {
    Recipient {
        address: recipient.text("address"),
        messages: recipient.count("messages"),
        unread: recipient.count("unread"),
    }
}

/// Labels and values; missing ones are left out.
fn session(session: &Json) -> Vec<(&'static str, String)> {
    let rows = [
        ("Client", "client"),
        ("HELO or EHLO", "hello"),
        ("Protocol", "protocol"),
        ("TLS", "tls"),
        ("Cipher suite", "cipher"),
        ("AUTH user", "user"),
    ];
    let rows = rows.into_iter().filter_map(|(label, name)| Some((label, session.optional_text(name)?)));
    rows.filter(|(_, value)| !value.is_empty()).collect()
}

fn dialogue_line(line: &Json) -> DialogueLine {
    let text = match (line.optional_text("client"), line.optional_text("server")) {
        (Some(text), _) => DialogueText::Client(text),
        (None, Some(text)) => DialogueText::Server(text),
        (None, None) => DialogueText::Octets(line.count("octets") as u64),
    };
    DialogueLine { at: line.number("at").unwrap_or_default(), text }
}

fn gap(warning: &Json) -> Gap {
    let program = |result: &Json| ProgramSupport {
        family: result.text("Family"),
        name: result.text("Name"),
        support: result.text("Support"),
    };
    let programs: Vec<_> = warning.list("Results").iter().map(program).collect();
    Gap {
        feature: warning.text("Title"),
        found: warning.get("Score").count("Found"),
        unsupported: programs_with("no", &programs),
        partial: programs_with("partial", &programs),
    }
}

fn finding(finding: &Json) -> Finding {
    Finding {
        rule: finding.text("rule"),
        is_error: finding.flag("is_error"),
        text: finding.text("text"),
        line: finding.number("line").map(|_| finding.count("line")),
    }
}
