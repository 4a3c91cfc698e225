//! The spam filter Rspamd over its HTTP protocol: a request `POST /checkv2` with the message and its envelope, and a response in JSON.
//!
//! A filter that cannot be reached or does not answer in time never rejects mail. Large messages are not filtered.

use std::time::Duration;

use bytes::Bytes;
use config::SpamFilter;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mail_core::smtp::reply::Reply;
use mail_core::smtp::server::replies;
use mail_service::authentication::Sender;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Octets of a message that is filtered.
pub(crate) const MESSAGE_OCTETS_MAX: usize = 2 << 20;
/// Time for a request.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Octets of a response.
const RESPONSE_OCTETS_MAX: usize = 1 << 20;
/// Octets of a value in a request's head. Longer ones are left out.
const VALUE_OCTETS_MAX: usize = 1_024;

/// Counters of messages by verdict.
#[derive(Debug, Clone, Default)]
pub struct SpamMetrics(Family<[(&'static str, &'static str); 1], Counter>);

impl SpamMetrics {
    /// Registers the counters with the value 0.
    #[must_use]
    pub fn registered(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("spam_checks", "Messages passed to the spam filter, by result", metrics.0.clone());
        for result in ["accepted", "spam", "rejected", "deferred", "failed"] {
            let _ = metrics.0.get_or_create(&[("result", result)]);
        }
        metrics
    }

    pub(crate) fn count(&self, result: &Result<Spam, String>) {
        let result = match result {
            Ok(Spam::Accepted(fields)) if fields.contains("X-Spam: ") => "spam",
            Ok(Spam::Accepted(_)) => "accepted",
            Ok(Spam::Rejected(reply)) if reply.is_permanent() => "rejected",
            Ok(Spam::Rejected(_)) => "deferred",
            Err(_) => "failed",
        };
        self.0.get_or_create(&[("result", result)]).inc();
    }
}

/// The verdict of the filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spam {
    /// It is accepted, with these header fields.
    Accepted(String),
    Rejected(Reply),
}

/// The part of a response that counts.
#[derive(Debug, Deserialize)]
struct Response {
    action: String,
    #[serde(default)]
    score: f64,
    #[serde(default)]
    required_score: f64,
}

/// Asks the filter about a message.
///
/// # Errors
/// A phrase: there is no answer.
pub(crate) async fn check(
    filter: &SpamFilter,
    sender: &Sender,
    hostname: &str,
    message: Vec<u8>,
) -> Result<Spam, String> {
    let exchange = exchange(filter, sender, hostname, message);
    let body = timeout(TIMEOUT, exchange).await.map_err(|_| "no answer in time".to_owned())??;
    let response: Response =
        serde_json::from_slice(&body).map_err(|error| format!("the response is not readable: {error}"))?;
    Ok(verdict(&response))
}

/// <https://docs.rspamd.com/developers/protocol>
async fn exchange(
    filter: &SpamFilter,
    sender: &Sender,
    hostname: &str,
    message: Vec<u8>,
) -> Result<Bytes, String> {
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(filter.0).await.map_err(|error| failed(&error))?;
    let (mut connection, transport) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let mut request = Request::post("/checkv2").header("Host", filter.0.to_string());
    let from = sender.reverse_path.address().map(ToString::to_string).unwrap_or_default();
    let address = sender.address.to_string();
    let envelope = [("IP", &*address), ("Helo", &*sender.hello), ("From", &*from), ("MTA-Name", hostname)];
    let recipients = sender.recipients.iter().map(|recipient| ("Rcpt", recipient.as_str()));
    for (name, value) in envelope.into_iter().chain(recipients) {
        // A value that cannot be in a header is left out.
        if value.len() <= VALUE_OCTETS_MAX
            && let Ok(value) = HeaderValue::from_str(value)
        {
            request = request.header(name, value);
        }
    }
    let request = request.body(Full::new(Bytes::from(message))).map_err(|error| failed(&error))?;
    let answer = async {
        let response = connection.send_request(request).await.map_err(|error| failed(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("the response is {}", response.status()));
        }
        let body = Limited::new(response.into_body(), RESPONSE_OCTETS_MAX).collect().await;
        Ok(body.map_err(|error| failed(&*error))?.to_bytes())
    };
    // Moves octets while the exchange waits for them, and reports its errors there.
    let transport = async {
        let _ = transport.await;
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        body = answer => body,
        never = transport => match never {},
    }
}

/// Names of the fields that the verdict adds.
pub(crate) const FIELDS: [&str; 2] = ["X-Spam-Score", "X-Spam"];

/// The meaning of each action of Rspamd. An unknown one accepts the message.
fn verdict(response: &Response) -> Spam {
    let fields = |is_spam: bool| {
        let score = format!("{:.2} / {:.2}", response.score, response.required_score);
        let spam = if is_spam { "X-Spam: Yes\r\n" } else { "" };
        format!("X-Spam-Score: {score}\r\n{spam}")
    };
    match response.action.as_str() {
        "reject" => Spam::Rejected(replies::REJECTED_AS_SPAM),
        "greylist" | "soft reject" => Spam::Rejected(replies::DEFERRED_AS_SPAM),
        "add header" | "rewrite subject" => Spam::Accepted(fields(true)),
        _ => Spam::Accepted(fields(false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_become_replies_and_fields() {
        let verdict_of = |action: &str| {
            let text =
                format!(r#"{{"action": "{action}", "score": 7.123, "required_score": 15, "symbols": {{}}}}"#);
            verdict(&serde_json::from_str(&text).expect("a response"))
        };
        let score = "X-Spam-Score: 7.12 / 15.00\r\n";
        let spam = Spam::Accepted(format!("{score}X-Spam: Yes\r\n"));
        assert_eq!(verdict_of("no action"), Spam::Accepted(score.to_owned()));
        assert_eq!(verdict_of("add header"), spam);
        assert_eq!(verdict_of("rewrite subject"), spam);
        assert_eq!(verdict_of("greylist"), Spam::Rejected(replies::DEFERRED_AS_SPAM));
        assert_eq!(verdict_of("soft reject"), Spam::Rejected(replies::DEFERRED_AS_SPAM));
        assert_eq!(verdict_of("reject"), Spam::Rejected(replies::REJECTED_AS_SPAM));
    }
}
