//! Formats the part of a report for programs (RFC 3464 section 2).

use std::fmt::Write as _;

use super::{DeliveryReport, RecipientStatus, line};
use crate::message::date;
use crate::smtp::dsn::{OriginalRecipient, write_unicode};

/// Characters of a line before it is folded: RFC 5322 section 2.1.1.
pub(super) const LINE_CHARS: usize = 78;

/// Octets of a value: with its name, a line of 998 octets is never exceeded (RFC 5322 section 2.1.1).
const VALUE_OCTETS_MAX: usize = 960;

/// The content of message/delivery-status, or with `utf8` of message/global-delivery-status (RFC 6533 section 4).
pub(super) fn format(report: &DeliveryReport, utf8: bool) -> String {
    let mut fields = Fields { text: String::new(), utf8 };
    if let Some(id) = &report.envelope_id {
        fields.add("Original-Envelope-Id", id);
    }
    fields.add("Reporting-MTA", &format!("dns; {}", report.reporting_mta));
    if let Some(time) = &report.arrival_date {
        fields.add("Arrival-Date", &date::rfc5322(time));
    }
    for recipient in &report.recipients {
        fields.text.push_str("\r\n");
        fields.add_recipient(recipient);
    }
    fields.text
}

/// One line of ASCII or, with `utf8`, of any characters. Others become question marks.
pub(super) fn printable(text: &str, utf8: bool) -> String {
    let text = line(text, VALUE_OCTETS_MAX);
    if utf8 || text.is_ascii() { text } else { text.replace(|c: char| !c.is_ascii(), "?") }
}

/// Appends words, and begins a new line with `indent` when a line is full.
pub(super) fn fold(out: &mut String, first: &str, words: &str, indent: &str) {
    out.push_str(first);
    let mut column = first.chars().count();
    for (index, word) in words.split(' ').enumerate() {
        let width = word.chars().count();
        if index > 0 && column + 1 + width > LINE_CHARS {
            out.push_str("\r\n");
            out.push_str(indent);
            column = indent.len();
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out.push_str("\r\n");
}

struct Fields {
    text: String,
    utf8: bool,
}

impl Fields {
    fn add_recipient(&mut self, recipient: &RecipientStatus) {
        if let Some(original) = &recipient.original_recipient {
            let address = self.original(original);
            self.add("Original-Recipient", &address);
        }
        let address = self.address(&recipient.final_recipient);
        self.add("Final-Recipient", &address);
        self.add("Action", recipient.action.keyword());
        self.add("Status", &recipient.status.to_string());
        if let Some(host) = &recipient.remote_mta {
            self.add("Remote-MTA", &format!("dns; {host}"));
        }
        if let Some(code) = &recipient.diagnostic_code {
            self.add("Diagnostic-Code", &format!("{}; {}", code.kind, code.text));
        }
        if let Some(time) = &recipient.last_attempt {
            self.add("Last-Attempt-Date", &date::rfc5322(time));
        }
        if let Some(time) = &recipient.will_retry_until {
            self.add("Will-Retry-Until", &date::rfc5322(time));
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        fold(&mut self.text, &format!("{name}: "), &printable(value, self.utf8), " ");
    }

    /// The value is not xtext (RFC 3464 section 2.3.1), but a UTF-8 address is encoded in a report of ASCII (RFC 6533
    /// section 4).
    fn original(&self, original: &OriginalRecipient) -> String {
        if original.kind().eq_ignore_ascii_case("utf-8") {
            self.unicode(original.address())
        } else {
            format!("{}; {}", original.kind(), original.address())
        }
    }

    fn address(&self, address: &str) -> String {
        if address.is_ascii() { format!("rfc822; {address}") } else { self.unicode(address) }
    }

    fn unicode(&self, address: &str) -> String {
        let mut text = "utf-8; ".to_owned();
        if self.utf8 {
            text.push_str(address);
        } else {
            write_unicode(&mut text, address).expect("writing to a String cannot fail");
        }
        text
    }
}

/// Appends a line of a header.
pub(super) fn header_line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    write!(out, "{name}: {value}\r\n").expect("writing to a String cannot fail");
}
