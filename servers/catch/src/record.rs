//! The record of a message: envelope, connection, dialogue, timings and findings. The API returns it; the store writes it to a file.

use std::net::SocketAddr;

use chrono::{DateTime, Utc};
use mail_core::smtp::server::{DialogueContent, DialogueLine};
use mail_core::time::Instant;
use serde::{Deserialize, Serialize};

/// Record of a stored message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Set by the store.
    pub(crate) id: String,
    pub(crate) received: DateTime<Utc>,
    /// Octets of the message as sent.
    pub(crate) size: u64,
    pub(crate) read: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) envelope: Envelope,
    pub(crate) session: Session,
    pub(crate) dialogue: Vec<Line>,
    pub(crate) timings: Timings,
    pub(crate) lint: Vec<Finding>,
    /// Faults that were injected into the message's transaction.
    pub(crate) faults: Vec<String>,
}

/// MAIL and RCPT of a message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// The reverse-path without angle brackets; empty for `<>`.
    pub(crate) from: String,
    /// Every accepted recipient, in order, as the client wrote it.
    pub(crate) to: Vec<String>,
    /// `SIZE` of MAIL.
    pub(crate) size: Option<u64>,
    /// `BODY=8BITMIME` of MAIL.
    pub(crate) eight_bit: bool,
    /// `SMTPUTF8` of MAIL.
    pub(crate) utf8: bool,
}

/// The connection that a message came from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) client: Option<SocketAddr>,
    pub(crate) connected: DateTime<Utc>,
    /// The argument of HELO or EHLO.
    pub(crate) hello: String,
    /// As after `with` in a Received field: SMTP, ESMTPSA...
    pub(crate) protocol: String,
    /// TLS version, such as `TLSv1.3`.
    pub(crate) tls: Option<String>,
    pub(crate) cipher: Option<String>,
    /// The user name of AUTH.
    pub(crate) user: Option<String>,
}

/// Milliseconds since the connection was opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Timings {
    pub(crate) mail: f64,
    pub(crate) data: f64,
    /// The final dot arrived.
    pub(crate) end: f64,
    /// The message was stored.
    pub(crate) stored: f64,
}

/// A line of the dialogue. One of the last three fields is set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Milliseconds since the connection was opened.
    pub(crate) at: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// Octets of a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) octets: Option<u64>,
}

/// A defect of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    /// A short name, such as `missing-date`.
    pub(crate) rule: String,
    /// Whether `--strict` rejects the message, as other servers do.
    pub(crate) is_error: bool,
    /// One sentence.
    pub(crate) text: String,
    /// Number of the line in the message, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
}

impl Line {
    pub(crate) fn new(line: DialogueLine, connected: Instant) -> Self {
        let at = milliseconds(connected, line.at);
        match line.content {
            DialogueContent::Client(text) => Self { at, client: Some(text), ..Self::default() },
            DialogueContent::Server(text) => Self { at, server: Some(text), ..Self::default() },
            DialogueContent::Message(octets) => Self { at, octets: Some(octets), ..Self::default() },
        }
    }
}

/// Milliseconds between two times, rounded to microseconds.
pub(crate) fn milliseconds(from: Instant, to: Instant) -> f64 {
    (to.saturating_duration_since(from).as_secs_f64() * 1e6).round() / 1e3
}
