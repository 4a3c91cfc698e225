//! `mail-client queue`: the user's own messages that wait for delivery to other hosts, over the page's listener.

use chrono::{DateTime, Local};
use mail_core::sasl::Credentials;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connection::Server;
use crate::error::Error;
use crate::http;
use crate::output;

/// The part of the response that is shown.
#[derive(Deserialize)]
struct Queue {
    messages: Vec<Message>,
    complete: bool,
}

#[derive(Deserialize)]
struct Message {
    id: String,
    subject: String,
    received: String,
    recipients: Vec<Recipient>,
    more_recipients: u64,
}

#[derive(Deserialize)]
struct Recipient {
    address: String,
    state: String,
    next_attempt: Option<String>,
    reply: String,
}

/// Lists the messages.
///
/// # Errors
/// The server refuses the user, or cannot be reached.
pub(crate) fn run(web: &Server, credentials: &Credentials, as_json: bool) -> Result<(), Error> {
    let sign_in = json!({
        "user": credentials.authentication_id,
        "password": credentials.password.expose(),
    });
    let session = request(web, "/account/session", &sign_in)?;
    let list = request(web, "/account/queue", &json!({ "token": session["token"] }))?;
    if as_json {
        return output::json(&list);
    }
    let Queue { messages, complete } = Queue::deserialize(list)
        .map_err(|error| Error::Failed(format!("{web} sent an unknown response: {error}")))?;
    for message in &messages {
        print(message)?;
    }
    if !complete {
        output::line("There may be more messages, which `pennypost queue list` shows to the administrator.")?;
    } else if messages.is_empty() {
        output::line("no message waits to be sent")?;
    }
    Ok(())
}

fn request(web: &Server, path: &str, body: &Value) -> Result<Value, Error> {
    let response = http::post(web, path, body)?;
    match response.status {
        200 => serde_json::from_str(&response.body)
            .map_err(|error| Error::Failed(format!("{web} sent an unknown response: {error}"))),
        300..=399 => Err(Error::Failed(format!("{web} accepts TLS only; pass --tls implicit"))),
        404 | 405 => Err(Error::Failed(format!(
            "{web} cannot list queued messages; name the page's listener of `pennypost serve` with --web"
        ))),
        status => Err(Error::Failed(match response.reason() {
            "" => format!("not listed: {web} answered {status}"),
            reason => format!("not listed: {reason}"),
        })),
    }
}

fn print(message: &Message) -> Result<(), Error> {
    let Message { id, subject, received, recipients, more_recipients } = message;
    output::line(&format!("{id}  {}  {subject}", minute(received)))?;
    for recipient in recipients {
        output::line(&format!("    {}", recipient.sentence()))?;
    }
    match more_recipients {
        0 => Ok(()),
        1 => output::line("    And 1 more recipient."),
        more => output::line(&format!("    And {more} more recipients.")),
    }
}

impl Recipient {
    /// `Waiting to be sent to x@example.net: next attempt at 2026-11-29 14:10 (451 4.7.1 Try again later)`
    fn sentence(&self) -> String {
        let Self { address, state, next_attempt, reply } = self;
        let state = match (state.as_str(), next_attempt) {
            ("held", _) => format!("On hold, not sent to {address}: the administrator releases it"),
            ("undeliverable", _) => format!("Not delivered to {address}: a report follows"),
            (_, Some(next)) => format!("Waiting to be sent to {address}: next attempt at {}", minute(next)),
            (_, None) => format!("Being sent to {address}"),
        };
        if reply.is_empty() { state } else { format!("{state} ({reply})") }
    }
}

/// A time of RFC 3339 as local time, such as `2026-11-29 14:10`.
fn minute(time: &str) -> String {
    DateTime::parse_from_rfc3339(time)
        .map(|time| time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_else(|_| time.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_names_the_next_attempt_and_the_last_reply() {
        let next = "2026-11-29T14:10:59Z";
        let sentence = |state: &str, next_attempt: Option<&str>, reply: &str| {
            let (state, reply) = (state.to_owned(), reply.to_owned());
            let next_attempt = next_attempt.map(str::to_owned);
            Recipient { address: "x@example.net".to_owned(), state, next_attempt, reply }.sentence()
        };
        let local = DateTime::parse_from_rfc3339(next).expect("a time").with_timezone(&Local);
        assert_eq!(
            sentence("waiting", Some(next), "451 4.7.1 Try again later"),
            format!(
                "Waiting to be sent to x@example.net: next attempt at {} (451 4.7.1 Try again later)",
                local.format("%Y-%m-%d %H:%M")
            )
        );
        assert_eq!(sentence("waiting", None, ""), "Being sent to x@example.net");
        assert!(sentence("held", None, "").starts_with("On hold, not sent to x@example.net"));
        assert!(sentence("undeliverable", None, "550 no").ends_with("a report follows (550 no)"));
    }
}
