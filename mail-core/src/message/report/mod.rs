//! Delivery status notifications: multipart/report (RFC 6522) with message/delivery-status (RFC 3464), and their forms with
//! UTF-8 (RFC 6533).
//!
//! | file | contents |
//! |---|---|
//! | `notification.rs` | formats the message that reports a failure, a delay or a success to the sender |
//! | `fields.rs` | formats the part that programs read |
//! | `read.rs` | reads that part of a received message, tolerating what real mail systems write |
//! | `sentence.rs` | a report as sentences for a user |
//! | `status.rs` | the meaning of enhanced status codes |
//!
//! Replies of other servers are hostile input: their text is cut, and reduced to one line of printable characters.

mod fields;
mod notification;
mod read;
mod sentence;
mod status;

use chrono::{DateTime, FixedOffset};

pub use notification::{FULL_OCTETS_MAX, Notification};
pub use status::explanation;

use super::printable::{is_bidi_control, is_line_separator};
use crate::smtp::dsn::{Notify, OriginalRecipient};
use crate::smtp::reply::{EnhancedCode, Reply};

/// Octets of a text of another server. It fits into one line of a report.
pub const TEXT_OCTETS_MAX: usize = 900;
/// Octets of the type of such a text.
const KIND_OCTETS_MAX: usize = 40;

/// The outcome of a message for some of its recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The name of the host that reports. A received report may have none; then it is empty.
    pub reporting_mta: String,
    /// The sender's ENVID.
    pub envelope_id: Option<String>,
    /// The time at which the reporting host accepted the message.
    pub arrival_date: Option<DateTime<FixedOffset>>,
    /// At least one.
    pub recipients: Vec<RecipientStatus>,
}

/// The outcome for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientStatus {
    /// The sender's ORCPT.
    pub original_recipient: Option<OriginalRecipient>,
    /// The address to which delivery was attempted. A received report may have none; then it is empty.
    pub final_recipient: String,
    /// The outcome.
    pub action: Action,
    /// The reason.
    pub status: EnhancedCode,
    /// The name of the host that refused or accepted the message.
    pub remote_mta: Option<String>,
    /// The reply of that host, or the local error.
    pub diagnostic_code: Option<Diagnostic>,
    /// The time of the last attempt.
    pub last_attempt: Option<DateTime<FixedOffset>>,
    /// The time of the last retry, for a delayed message.
    pub will_retry_until: Option<DateTime<FixedOffset>>,
}

/// The outcome of a delivery (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The message will not be delivered.
    Failed,
    /// The message was not delivered yet; there will be further attempts.
    Delayed,
    /// The message was delivered.
    Delivered,
    /// The message was passed to a host that sends no reports.
    Relayed,
    /// The message was delivered and forwarded to several addresses.
    Expanded,
}

/// The text of a failure or success, for experts (RFC 3464 section 2.3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// `smtp` for the reply of a server. A received report may have none; then it is empty.
    pub kind: String,
    /// One line of printable characters, at most [`TEXT_OCTETS_MAX`] octets.
    pub text: String,
}

impl RecipientStatus {
    /// A status without the optional fields.
    #[must_use]
    pub fn new(final_recipient: impl Into<String>, action: Action, status: EnhancedCode) -> Self {
        Self {
            original_recipient: None,
            final_recipient: final_recipient.into(),
            action,
            status,
            remote_mta: None,
            diagnostic_code: None,
            last_attempt: None,
            will_retry_until: None,
        }
    }
}

impl Action {
    const ALL: [Self; 5] = [Self::Failed, Self::Delayed, Self::Relayed, Self::Expanded, Self::Delivered];

    /// The keyword of the Action field, such as `failed`.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }

    /// Whether the sender requested a report. The default without NOTIFY is failures and delays (RFC 3461 section 4.1).
    #[must_use]
    pub fn is_requested(self, notify: Option<Notify>) -> bool {
        let notify = notify.unwrap_or(Notify::DEFAULT);
        match self {
            Self::Failed => notify.failure,
            Self::Delayed => notify.delay,
            Self::Delivered | Self::Relayed | Self::Expanded => notify.success,
        }
    }
}

impl Diagnostic {
    /// The reply of a server.
    #[must_use]
    pub fn smtp(reply: &Reply) -> Self {
        Self::new("smtp", &reply.to_string())
    }

    /// An error without a reply, such as a timeout.
    #[must_use]
    pub fn local(text: &str) -> Self {
        Self::new("x-pennypost", text)
    }

    fn new(kind: &str, text: &str) -> Self {
        Self { kind: line(kind, KIND_OCTETS_MAX), text: line(text, TEXT_OCTETS_MAX) }
    }
}

/// One line of printable characters, cut after at most `octets_max` octets. White space and control characters become
/// single spaces.
fn line(text: &str, octets_max: usize) -> String {
    const CUT: &str = "...";
    let is_space = |c: char| c.is_whitespace() || c.is_control() || is_line_separator(c);
    let mut line = String::new();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().map(|c| if is_bidi_control(c) { char::REPLACEMENT_CHARACTER } else { c }));
        if line.len() > octets_max {
            line.truncate(line.floor_char_boundary(octets_max - CUT.len()));
            line.push_str(CUT);
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests;
