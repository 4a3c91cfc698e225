//! The trace fields of a record.
//!
//! RFC 5321 section 4.4 (trace fields), RFC 3848 and RFC 6531 section 4.3 (the keyword after `with`), RFC 9228 (Delivered-To).

use std::net::IpAddr;

use chrono::{DateTime, Utc};

use crate::message::address::{Address, ReversePath};
use crate::message::date;

/// The contents of the trace fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The argument of MAIL.
    pub reverse_path: ReversePath,
    /// The client's argument of HELO or EHLO.
    pub hello: String,
    /// The client's IP address.
    pub peer: Option<IpAddr>,
    /// The receiving host.
    pub by: String,
    /// The protocol: `SMTP`, `ESMTP`, `ESMTPSA`, `UTF8SMTP`...
    pub with: &'static str,
    /// The TLS version and cipher suite.
    pub tls: Option<String>,
    /// Globally unique; 1 to 70 of `!` to `~`. It becomes the message's unique-id in POP3.
    pub id: String,
    /// The time of receipt.
    pub time: DateTime<Utc>,
    /// An Authentication-Results field with its CRLF, which follows the trace fields (RFC 8601 section 4.1).
    pub authentication_results: Option<String>,
    /// Whether a Delivered-To field (RFC 9228) names the address that led to the mailbox.
    pub delivered_to: bool,
}

impl Trace {
    /// Formats Return-Path, Delivered-To, Received and Authentication-Results. A comment lists the added fields.
    pub(super) fn write(&self, recipient: &Address, added: &[&str], out: &mut Vec<u8>) {
        self.write_return_path(out);
        if self.delivered_to {
            write_delivered_to(recipient, out);
        }
        out.extend_from_slice(self.received(added).as_bytes());
        self.write_results(out);
    }

    /// Formats the trace fields of all recipients' copies: Return-Path and Received, or only Received if Delivered-To is between them.
    pub(super) fn write_shared(&self, added: &[&str], out: &mut Vec<u8>) {
        if !self.delivered_to {
            self.write_return_path(out);
        }
        out.extend_from_slice(self.received(added).as_bytes());
    }

    /// Formats Return-Path and Delivered-To of one recipient's copy, which precede a [`WireHead`](super::WireHead); `None` without
    /// Delivered-To.
    #[must_use]
    pub fn delivery_fields(&self, recipient: &Address) -> Option<Vec<u8>> {
        self.delivered_to.then(|| {
            let mut out = Vec::with_capacity(128);
            self.write_return_path(&mut out);
            write_delivered_to(recipient, &mut out);
            out
        })
    }

    fn write_return_path(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("Return-Path: {}\r\n", self.reverse_path).as_bytes());
    }

    pub(super) fn write_results(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.authentication_results.as_deref().unwrap_or_default().as_bytes());
    }

    /// Formats Received with its CRLF. A comment lists the added fields.
    #[must_use]
    pub fn received(&self, added: &[&str]) -> String {
        // Every part has a maximum length, so the line stays under 998 octets without folding (RFC 5322 section 2.1.1).
        let hello = atom(&self.hello, 255);
        let peer = match self.peer {
            Some(IpAddr::V4(address)) => format!(" ([{address}])"),
            Some(IpAddr::V6(address)) => format!(" ([IPv6:{address}])"),
            None => String::new(),
        };
        let tls = self.tls.as_ref().map_or(String::new(), |tls| format!(" ({})", atom(tls, 100)));
        let added = if added.is_empty() { String::new() } else { format!(" (added {})", added.join(" ")) };
        format!(
            "Received: from {hello}{peer} by {} with {}{tls} id {}{added}; {}\r\n",
            atom(&self.by, 255),
            self.with,
            atom(&self.id, 70),
            date::rfc5322(&self.time.fixed_offset()),
        )
    }
}

fn write_delivered_to(recipient: &Address, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("Delivered-To: {recipient}\r\n").as_bytes());
}

/// Makes a text one atom of a trace field, in which no comment, field or line can begin or end.
pub(super) fn atom(text: &str, octets_max: usize) -> String {
    let safe = |c: char| match c {
        '(' | ')' | '\\' | ';' | '"' => '?',
        c if c.is_whitespace() || c.is_control() => '_',
        c => c,
    };
    let mut atom: String = text.chars().map(safe).collect();
    atom.truncate(atom.floor_char_boundary(octets_max));
    if atom.is_empty() {
        atom.push('?');
    }
    atom
}

#[cfg(test)]
mod tests {
    use super::super::write::testing::{record_in_steps as record, trace};
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn client_text_cannot_break_the_trace_field() {
        let hostile = Trace {
            hello: "a) id x (added From); \r\nSubject: é".into(),
            tls: Some("TLSv1.3 (added To) id y;".into()),
            peer: None,
            ..trace()
        };
        assert!(record(b"", 1, &hostile).contains(
            "Received: from a?_id_x_?added_From??___Subject:_é by iitkgp.edu with SMTP \
             (TLSv1.3_?added_To?_id_y?) id 01JD8W (added From To Subject); Sun"
        ));
        let long = Trace {
            hello: "é".repeat(1_000),
            by: "b".repeat(1_000),
            tls: Some("t".repeat(1_000)),
            ..trace()
        };
        assert!(record(b"", 1, &long).lines().all(|line| line.len() <= 998));
    }
}
