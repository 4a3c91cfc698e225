//! `POST /api/v1/send`: Mailpit's route that stores a message without SMTP.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_core::message::address::Address;
use mail_core::message::date;
use mail_service::context::Clock;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Api, ApiError, blocking, ok_json, with_json};
use crate::own_message;

/// Fields that the request's other keys set.
const OWN_FIELDS: [&str; 11] = [
    "To",
    "From",
    "Cc",
    "Bcc",
    "Reply-To",
    "Date",
    "Subject",
    "Content-Type",
    "Mime-Version",
    "Message-ID",
    "X-Tags",
];

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
struct SendRequest {
    from: Person,
    to: Vec<Person>,
    cc: Vec<Person>,
    /// Addresses without names.
    bcc: Vec<String>,
    reply_to: Vec<Person>,
    subject: String,
    text: String,
    #[serde(rename = "HTML")]
    html: String,
    attachments: Vec<Attached>,
    tags: Vec<String>,
    headers: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Person {
    name: String,
    email: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Attached {
    /// Base64.
    content: String,
    filename: String,
    content_type: String,
    #[serde(rename = "ContentID")]
    content_id: String,
}

pub(super) async fn send(State(api): State<Arc<Api>>, body: Bytes) -> Result<Response, ApiError> {
    let stored = blocking(&api, move |api| {
        // serde would also accept an array for a struct.
        let body = serde_json::from_slice::<Map<String, Value>>(&body);
        let request = body.and_then(|body| serde_json::from_value::<SendRequest>(Value::Object(body)));
        request.map_err(|error| error.to_string()).and_then(|request| request.store(api))
    });
    Ok(match stored.await? {
        Ok(id) => ok_json(&json!({ "ID": id })),
        // Mailpit's shape.
        Err(reason) => with_json(StatusCode::BAD_REQUEST, &json!({ "Error": reason })),
    })
}

impl SendRequest {
    fn store(&self, api: &Api) -> Result<String, String> {
        let octets = self.compose(api)?;
        let addresses = self.to.iter().chain(&self.cc).map(|person| person.email.clone());
        let envelope = (self.from.email.clone(), addresses.chain(self.bcc.iter().cloned()).collect());
        let stored = own_message::store(api.store(), &octets, envelope, api.shared.clock.utc(), "HTTP");
        stored.map(|message| message.id.clone()).map_err(|error| format!("cannot store the message: {error}"))
    }

    fn compose(&self, api: &Api) -> Result<Vec<u8>, String> {
        let now = api.shared.clock.utc();
        let mut builder = MessageBuilder::new()
            .header("From", mailboxes("From", std::slice::from_ref(&self.from))?)
            .header("Subject", Text::new(self.subject.as_str()))
            .header("Date", Raw::new(date::rfc5322(&now.fixed_offset())));
        for (name, people) in [("To", &self.to), ("Cc", &self.cc), ("Reply-To", &self.reply_to)] {
            if !people.is_empty() {
                builder = builder.header(name, mailboxes(name, people)?);
            }
        }
        for address in &self.bcc {
            Address::parse(address).map_err(|error| format!("invalid Bcc address: {address}: {error}"))?;
        }
        if !self.tags.is_empty() {
            builder = builder.header("X-Tags", Text::new(self.tags.join(", ")));
        }
        for (name, value) in &self.headers {
            if OWN_FIELDS.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return Err(format!("cannot overwrite header: \"{name}\""));
            }
            let is_name =
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
            if !is_name {
                return Err(format!("\"{name}\" is not the name of a header field"));
            }
            builder = builder.header(name.as_str(), Text::new(value.as_str()));
        }
        builder = builder.text_body(self.text.as_str());
        if !self.html.is_empty() {
            builder = builder.html_body(self.html.as_str());
        }
        for attached in &self.attachments {
            builder = attached.add_to(builder)?;
        }
        builder.write_to_vec().map_err(|error| format!("cannot build the message: {error}"))
    }
}

impl Attached {
    fn add_to<'a>(&'a self, builder: MessageBuilder<'a>) -> Result<MessageBuilder<'a>, String> {
        // JavaScript's readAsDataURL puts the media type and a comma before the content.
        let base64 = self.content.rsplit(',').next().unwrap_or_default();
        let octets = STANDARD
            .decode(base64)
            .map_err(|error| format!("error decoding base64 attachment \"{}\": {error}", self.filename))?;
        let media_type =
            if self.content_type.is_empty() { "application/octet-stream" } else { &self.content_type };
        Ok(if self.content_id.is_empty() {
            builder.attachment(media_type, self.filename.as_str(), octets)
        } else {
            builder.inline(media_type, self.content_id.as_str(), octets)
        })
    }
}

fn mailboxes<'a>(field: &str, people: &'a [Person]) -> Result<Mailbox<'a>, String> {
    let mailbox = |person: &'a Person| {
        let Person { name, email } = person;
        Address::parse(email).map_err(|error| format!("invalid {field} address: {email}: {error}"))?;
        Ok(Mailbox::new_address(Some(name.as_str()).filter(|name| !name.is_empty()), email.as_str()))
    };
    people.iter().map(mailbox).collect::<Result<Vec<_>, String>>().map(Mailbox::new_list)
}
