//! Reads the part of a report for programs (RFC 3464 section 2).
//!
//! Tolerates: reports outside of multipart/report, fields of the message and of a recipient in one block, several recipients
//! without an empty line between them, comments and words after a status, missing types and actions, local names of actions.

use memchr::memchr;

use super::{Action, DeliveryReport, Diagnostic, RecipientStatus, TEXT_OCTETS_MAX, line};
use crate::message::mime;
use crate::smtp::dsn::{OriginalRecipient, decode_unicode};
use crate::smtp::reply::EnhancedCode;

/// Octets of the part that are read.
const STATUS_OCTETS_MAX: usize = 1 << 20;
/// Recipients of a report. A message may have that many; others are ignored.
const RECIPIENTS_MAX: usize = 1_000;
/// Octets of a name or an address.
const NAME_OCTETS_MAX: usize = 320;

impl DeliveryReport {
    /// Finds and reads the report of a message. `None` if it has none, or one without a recipient.
    #[must_use]
    pub fn find(message: &mime::Message<'_>) -> Option<Self> {
        let is_report = |part: &&mime::Part<'_>| {
            let media_type = part.media_type();
            matches!(&*media_type, "message/delivery-status" | "message/global-delivery-status")
        };
        Self::parse(&message.parts().iter().find(is_report)?.bytes())
    }

    /// Parses the content of message/delivery-status or message/global-delivery-status. `None` if there is no recipient.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        let mut report = Self::default();
        for block in blocks(&content[..content.len().min(STATUS_OCTETS_MAX)]) {
            let mut recipient = Block::default();
            for field in mime::fields(block) {
                if field.is("Final-Recipient") && recipient.final_recipient.is_some() {
                    report.push(std::mem::take(&mut recipient));
                }
                if !report.set(field) {
                    recipient.set(field);
                }
            }
            report.push(recipient);
        }
        (!report.recipients.is_empty()).then_some(report)
    }

    /// Reads a field about the message. The first of each name counts.
    fn set(&mut self, field: mime::Field<'_>) -> bool {
        if field.is("Reporting-MTA") {
            if self.reporting_mta.is_empty() {
                self.reporting_mta = host(field);
            }
        } else if field.is("Original-Envelope-Id") {
            self.envelope_id = self.envelope_id.take().or_else(|| non_empty(text(field)));
        } else if field.is("Arrival-Date") {
            self.arrival_date = self.arrival_date.or_else(|| mime::date(&text(field)));
        } else {
            return false;
        }
        true
    }

    fn push(&mut self, recipient: Block) {
        if self.recipients.len() < RECIPIENTS_MAX {
            self.recipients.extend(recipient.into_status());
        }
    }
}

/// The fields about one recipient.
#[derive(Default)]
struct Block {
    original_recipient: Option<OriginalRecipient>,
    final_recipient: Option<String>,
    /// X-Actual-Recipient of Exim and Exchange.
    actual_recipient: Option<String>,
    action: Option<Action>,
    status: Option<EnhancedCode>,
    remote_mta: Option<String>,
    diagnostic_code: Option<Diagnostic>,
    last_attempt: Option<chrono::DateTime<chrono::FixedOffset>>,
    will_retry_until: Option<chrono::DateTime<chrono::FixedOffset>>,
}

impl Block {
    fn set(&mut self, field: mime::Field<'_>) {
        if field.is("Original-Recipient") {
            let (kind, address) = address(field);
            let kind = if kind.is_empty() { "rfc822" } else { &kind };
            self.original_recipient =
                self.original_recipient.take().or_else(|| OriginalRecipient::new(kind, &address));
        } else if field.is("Final-Recipient") {
            self.final_recipient = Some(address(field).1);
        } else if field.is("X-Actual-Recipient") {
            self.actual_recipient = non_empty(address(field).1);
        } else if field.is("Action") {
            self.action = self.action.or_else(|| action(&text(field)));
        } else if field.is("Status") {
            self.status = self.status.or_else(|| status(&text(field)));
        } else if field.is("Remote-MTA") {
            self.remote_mta = self.remote_mta.take().or_else(|| non_empty(host(field)));
        } else if field.is("Diagnostic-Code") {
            self.diagnostic_code = self.diagnostic_code.take().or_else(|| Some(diagnostic(&text(field))));
        } else if field.is("Last-Attempt-Date") {
            self.last_attempt = self.last_attempt.or_else(|| mime::date(&text(field)));
        } else if field.is("Will-Retry-Until") {
            self.will_retry_until = self.will_retry_until.or_else(|| mime::date(&text(field)));
        }
    }

    /// `None` if the outcome is unknown.
    fn into_status(self) -> Option<RecipientStatus> {
        let (action, status) = match (self.action, self.status) {
            (Some(action), Some(status)) => (action, status),
            (None, Some(status)) => (usual_action(status), status),
            (Some(action), None) => (action, usual_status(action)),
            (None, None) => return None,
        };
        let original = || self.original_recipient.as_ref().map(|original| original.address().to_owned());
        let final_recipient =
            self.final_recipient.and_then(non_empty).or(self.actual_recipient).or_else(original);
        Some(RecipientStatus {
            final_recipient: final_recipient.unwrap_or_default(),
            action,
            status,
            original_recipient: self.original_recipient,
            remote_mta: self.remote_mta,
            diagnostic_code: self.diagnostic_code,
            last_attempt: self.last_attempt,
            will_retry_until: self.will_retry_until,
        })
    }
}

/// The blocks of fields between lines of white space.
fn blocks(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        while end < rest.len() {
            let next = memchr(b'\n', &rest[end..]).map_or(rest.len(), |at| end + at + 1);
            if rest[end..next].trim_ascii().is_empty() {
                let (block, tail) = (&rest[..end], &rest[next..]);
                rest = tail;
                return Some(block);
            }
            end = next;
        }
        Some(std::mem::take(&mut rest))
    })
}

/// The value on one line.
fn text(field: mime::Field<'_>) -> String {
    line(&String::from_utf8_lossy(&mime::unfold_text(field.value)), 2 * TEXT_OCTETS_MAX)
}

/// The type before the semicolon, and the rest. Without a type, all of it is the rest.
fn typed(text: &str) -> (&str, &str) {
    match text.split_once(';') {
        Some((kind, rest)) if is_atom(kind.trim()) => (kind.trim(), rest.trim()),
        _ => ("", text),
    }
}

fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/".contains(&b))
}

/// The name of a host, without the comment that some systems add.
fn host(field: mime::Field<'_>) -> String {
    let text = text(field);
    let name = typed(&text).1.split([' ', '(']).next().unwrap_or_default();
    line(name.trim_end_matches('.'), NAME_OCTETS_MAX)
}

/// The type and the address, without angle brackets.
fn address(field: mime::Field<'_>) -> (String, String) {
    let text = text(field);
    let (kind, address) = typed(&text);
    let address = address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address);
    // RFC 6533 section 3
    let decoded = if kind.eq_ignore_ascii_case("utf-8") { decode_unicode(address) } else { None };
    (kind.to_owned(), line(decoded.as_deref().unwrap_or(address), NAME_OCTETS_MAX))
}

fn action(text: &str) -> Option<Action> {
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next()?.to_ascii_lowercase();
    let known = Action::ALL.into_iter().find(|action| action.keyword() == word);
    known.or(match &*word {
        "failure" | "expired" => Some(Action::Failed),
        "deliverable" => Some(Action::Delivered),
        _ => None,
    })
}

fn status(text: &str) -> Option<EnhancedCode> {
    EnhancedCode::parse(text.split([' ', '(']).next()?)
}

fn diagnostic(text: &str) -> Diagnostic {
    let (kind, text) = typed(text);
    Diagnostic::new(kind, text)
}

/// The action of a report without one.
const fn usual_action(status: EnhancedCode) -> Action {
    match status.class() {
        2 => Action::Delivered,
        4 => Action::Delayed,
        _ => Action::Failed,
    }
}

/// The status of a report without one.
const fn usual_status(action: Action) -> EnhancedCode {
    match action {
        Action::Failed => EnhancedCode::new(5, 0, 0),
        Action::Delayed => EnhancedCode::new(4, 0, 0),
        Action::Delivered | Action::Relayed | Action::Expanded => EnhancedCode::new(2, 0, 0),
    }
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
