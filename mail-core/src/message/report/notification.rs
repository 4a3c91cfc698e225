//! The message that reports to the sender: a text for people, the fields for programs, and the original message or its header.

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, FixedOffset};
use memchr::memmem;
use sha2::{Digest, Sha256};

use super::fields::{self, fold, header_line, printable};
use super::{Action, DeliveryReport, RecipientStatus};
use crate::line::LineNormaliser;
use crate::message::address::{Address, Domain};
use crate::message::date;
use crate::message::header;
use crate::message::id::MessageId;
use crate::smtp::dsn::Ret;

/// Octets of a message that is returned completely. Of a larger one, only the header is returned.
pub const FULL_OCTETS_MAX: usize = 100 << 10;
/// Octets of a returned header.
const HEADER_OCTETS_MAX: usize = 64 << 10;
/// Recipients of each outcome that the text names. The fields name all of them.
const RECIPIENTS_SHOWN: usize = 50;

/// A report and the message that it is about.
///
/// Send the formatted message with the null reverse-path and without NOTIFY (RFC 3461 section 6.1). It needs SMTPUTF8 only for a
/// sender whose address is not ASCII, and 8BITMIME if it is not ASCII. A message from the null reverse-path has no sender, so
/// that no report about a report can be made.
#[derive(Debug, Clone, Copy)]
pub struct Notification<'a> {
    /// The report.
    pub report: &'a DeliveryReport,
    /// The reverse-path of the original message, which receives the report.
    pub sender: &'a Address,
    /// The host name after `mailer-daemon@`.
    pub host: &'a Domain,
    /// The time of the report.
    pub date: &'a DateTime<FixedOffset>,
    /// The identifier of the report; it must be new.
    pub id: &'a MessageId,
    /// The original message, or its header alone.
    pub original: &'a [u8],
    /// The sender's choice of what is returned. Only [`Ret::Full`] returns a message, only after a failure, and only up to
    /// [`FULL_OCTETS_MAX`].
    pub ret: Option<Ret>,
    /// Whether the original message was sent with SMTPUTF8, so that its sender can read UTF-8 (RFC 6533).
    pub utf8: bool,
}

/// A part of the report.
struct Part<'a> {
    description: &'static str,
    media_type: &'static str,
    encoding: &'static str,
    content: Cow<'a, [u8]>,
}

impl Notification<'_> {
    /// The complete message, with CRLF line ends.
    #[must_use]
    pub fn format(&self) -> Vec<u8> {
        let parts = [self.text_part(), self.fields_part(), self.original_part()];
        let is_eight_bit = parts.iter().any(|part| part.encoding == "8bit");
        let boundary = boundary(self.id, &parts);
        let mut message = self.header(&boundary, is_eight_bit).into_bytes();
        for part in &parts {
            let mut head = format!("\r\n--{boundary}\r\n");
            header_line(&mut head, "Content-Description", part.description);
            header_line(&mut head, "Content-Type", part.media_type);
            header_line(&mut head, "Content-Transfer-Encoding", part.encoding);
            message.extend_from_slice(head.as_bytes());
            message.extend_from_slice(b"\r\n");
            message.extend_from_slice(&part.content);
        }
        message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        message
    }

    fn header(&self, boundary: &str, is_eight_bit: bool) -> String {
        let mut header = String::new();
        let from = format_args!("Mail Delivery System <mailer-daemon@{}>", self.host.ascii());
        header_line(&mut header, "From", from);
        header_line(&mut header, "To", format_args!("<{}>", self.sender));
        header_line(&mut header, "Subject", self.subject());
        header_line(&mut header, "Date", date::rfc5322(self.date));
        header_line(&mut header, "Message-ID", self.id);
        if let Some(id) = original_id(self.original) {
            header_line(&mut header, "In-Reply-To", &id);
            header_line(&mut header, "References", &id);
        }
        // RFC 3834 section 5
        header_line(&mut header, "Auto-Submitted", "auto-replied");
        header_line(&mut header, "MIME-Version", "1.0");
        let kind = if self.utf8 { "global-delivery-status" } else { "delivery-status" };
        let report = format_args!("multipart/report; report-type={kind};\r\n boundary=\"{boundary}\"");
        header_line(&mut header, "Content-Type", report);
        if is_eight_bit {
            header_line(&mut header, "Content-Transfer-Encoding", "8bit");
        }
        header
    }

    fn has(&self, action: Action) -> bool {
        self.report.recipients.iter().any(|recipient| recipient.action == action)
    }

    fn subject(&self) -> &'static str {
        if self.has(Action::Failed) {
            "Mail not delivered"
        } else if self.has(Action::Delayed) {
            "Mail delayed"
        } else {
            "Mail delivered"
        }
    }

    fn text_part(&self) -> Part<'static> {
        let text = self.text();
        let (media_type, encoding) = match (text.is_ascii(), self.utf8) {
            (true, _) => ("text/plain; charset=us-ascii", "7bit"),
            (false, true) => ("text/plain; charset=utf-8", "8bit"),
            (false, false) => ("text/plain; charset=utf-8", "base64"),
        };
        let content = if encoding == "base64" { base64_lines(&text) } else { text };
        Part { description: "Notification", media_type, encoding, content: content.into_bytes().into() }
    }

    fn fields_part(&self) -> Part<'static> {
        let fields = fields::format(self.report, self.utf8);
        let media_type = if self.utf8 { "message/global-delivery-status" } else { "message/delivery-status" };
        let encoding = if fields.is_ascii() { "7bit" } else { "8bit" };
        Part { description: "Delivery report", media_type, encoding, content: fields.into_bytes().into() }
    }

    fn original_part(&self) -> Part<'static> {
        let is_full = self.ret == Some(Ret::Full)
            && self.has(Action::Failed)
            && self.original.len() <= FULL_OCTETS_MAX
            && !header::split(self.original).1.is_empty();
        let mut content = Vec::new();
        let returned = if is_full { self.original } else { returned_header(self.original) };
        LineNormaliser::default().normalise(returned, &mut content);
        content.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'?');
        let (description, media_type) = match (is_full, self.utf8) {
            (true, false) => ("Original message", "message/rfc822"),
            (true, true) => ("Original message", "message/global"),
            (false, false) => ("Header of the original message", "text/rfc822-headers"),
            (false, true) => ("Header of the original message", "message/global-headers"),
        };
        let encoding = if content.is_ascii() { "7bit" } else { "8bit" };
        Part { description, media_type, encoding, content: content.into() }
    }

    /// The text for people.
    fn text(&self) -> String {
        let mut text = format!("This is the mail system at {}.\r\n", self.host.ascii());
        for action in Action::ALL {
            let recipients = || self.report.recipients.iter().filter(|recipient| recipient.action == action);
            let count = recipients().count();
            if count == 0 {
                continue;
            }
            write!(text, "\r\n{}\r\n", introduction(action)).expect("writing to a String cannot fail");
            recipients().take(RECIPIENTS_SHOWN).for_each(|recipient| self.describe(recipient, &mut text));
            if let Some(more @ 1..) = count.checked_sub(RECIPIENTS_SHOWN) {
                write!(text, "\r\n    and {more} more\r\n").expect("writing to a String cannot fail");
            }
            text.push_str("\r\n");
            text.push_str(&conclusion(action, recipients()));
        }
        text
    }

    fn describe(&self, recipient: &RecipientStatus, text: &mut String) {
        const INDENT: &str = "    ";
        text.push_str("\r\n");
        // The address may be UTF-8, which the text can always have.
        fold(text, INDENT, &printable(&recipient.final_recipient, true), INDENT);
        if let Some(original) = &recipient.original_recipient
            && original.address() != recipient.final_recipient
        {
            fold(text, INDENT, &printable(&format!("(sent to {})", original.address()), true), INDENT);
        }
        if let Some(reason) = recipient.reason() {
            let (first, rest) = reason.split_at(1);
            let reason = format!("{}{rest} ({}).", first.to_uppercase(), recipient.status);
            fold(text, INDENT, &reason, INDENT);
        }
        if let Some(diagnostic) = recipient.diagnostic() {
            let said = match &recipient.remote_mta {
                Some(host) if recipient.is_server_reply() => format!("{host} said: {diagnostic}"),
                _ => diagnostic.to_owned(),
            };
            fold(text, INDENT, &printable(&said, self.utf8), INDENT);
        }
    }
}

const fn introduction(action: Action) -> &'static str {
    match action {
        Action::Failed => "Your message was not delivered to:",
        Action::Delayed => "Your message was not delivered yet to:",
        Action::Delivered => "Your message was delivered to:",
        Action::Relayed => {
            "Your message was relayed to a mail server that sends no delivery reports.\r\nDelivery is not confirmed for:"
        }
        Action::Expanded => "Your message was delivered and passed on to other addresses for:",
    }
}

/// The next step of the host or the sender.
fn conclusion<'a>(action: Action, mut recipients: impl Iterator<Item = &'a RecipientStatus>) -> String {
    match action {
        Action::Failed => "The mail system will not try again. If you can correct the reason, send\r\n\
             the message again to these addresses.\r\n"
            .to_owned(),
        Action::Delayed => match recipients.find_map(|recipient| recipient.will_retry_until) {
            Some(until) => format!(
                "The mail system keeps trying until {}.\r\nYou do not need to send the message again.\r\n",
                date::rfc5322(&until)
            ),
            None => "The mail system keeps trying. You do not need to send the message again.\r\n".to_owned(),
        },
        Action::Delivered | Action::Relayed | Action::Expanded => String::new(),
    }
}

/// The header, cut at the end of a line.
fn returned_header(original: &[u8]) -> &[u8] {
    let (header, _) = header::split(original);
    if header.len() <= HEADER_OCTETS_MAX {
        return header;
    }
    let cut = &header[..HEADER_OCTETS_MAX];
    &cut[..memchr::memrchr(b'\n', cut).map_or(0, |at| at + 1)]
}

fn original_id(original: &[u8]) -> Option<MessageId> {
    let field = header::first(header::split(original).0, "Message-ID")?;
    MessageId::parse(str::from_utf8(field.value).ok()?)
}

/// A line has 76 characters, which encode 57 octets (RFC 2045 section 6.8).
fn base64_lines(text: &str) -> String {
    text.as_bytes().chunks(57).map(|line| STANDARD.encode(line) + "\r\n").collect()
}

/// A boundary that no part contains.
fn boundary(id: &MessageId, parts: &[Part<'_>]) -> String {
    let candidate = |attempt: u32| {
        let digest = Sha256::new().chain_update(id.as_str()).chain_update(attempt.to_be_bytes()).finalize();
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("=_{hex}")
    };
    let is_free = |boundary: &String| {
        parts.iter().all(|part| memmem::find(&part.content, boundary.as_bytes()).is_none())
    };
    (0..).map(candidate).find(is_free).expect("a message of finite length does not contain every boundary")
}
