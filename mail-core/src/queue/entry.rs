//! The envelope lines of an entry.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use memchr::memmem;

use crate::message::address::{Address, ForwardPath, ReversePath};
use crate::smtp::dsn::{EnvelopeId, Ret};
use crate::smtp::parameter::{MailParameters, RcptParameters};

const EIGHT_BIT: &str = "8bit";
const UTF8: &str = "utf8";

/// The envelope of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The time of receipt. The message expires some days after it.
    pub received: DateTime<Utc>,
    /// The sender, which receives delivery failure reports.
    pub reverse_path: ReversePath,
    /// The part of the message that a failure report returns (RFC 3461).
    pub ret: Option<Ret>,
    /// The sender's identifier of the message (RFC 3461).
    pub envid: Option<EnvelopeId>,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// Whether the message has octets that are not ASCII (8BITMIME, RFC 6152).
    pub eight_bit: bool,
    /// Whether the header has UTF-8 (SMTPUTF8, RFC 6531).
    pub utf8: bool,
}

/// A recipient of a queued message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address on another host.
    pub address: Address,
    /// The events that are reported to the sender, and the address before an alias (RFC 3461).
    pub parameters: RcptParameters,
}

/// The reason an entry is unreadable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The file ends before the blank line.
    #[error("no blank line between the envelope and the message")]
    NoEnd,
    /// An envelope line is invalid. Lines count from 1.
    #[error("line {line}: {reason}")]
    Line {
        /// The number of the line.
        line: usize,
        /// The reason.
        reason: &'static str,
    },
    /// A required line is missing.
    #[error("the envelope has no line `{0}:`")]
    Missing(&'static str),
}

impl Entry {
    /// The position of the message in `octets`, the beginning of a file; `None` if `octets` ends before it.
    #[must_use]
    pub fn message_start(octets: &[u8]) -> Option<usize> {
        memmem::find(octets, b"\n\n").map(|at| at + 2)
    }

    /// Parses the envelope lines at the beginning of `octets`.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn parse(octets: &[u8]) -> Result<Self, EntryError> {
        let end = Self::message_start(octets).ok_or(EntryError::NoEnd)?;
        let (mut received, mut reverse_path, mut recipients) = (None, None, Vec::new());
        let (mut eight_bit, mut utf8) = (false, false);
        for (index, octets) in octets[..end - 2].split(|octet| *octet == b'\n').enumerate() {
            let error = |reason| EntryError::Line { line: index + 1, reason };
            let text = str::from_utf8(octets).map_err(|_| error("not UTF-8"))?;
            let (key, value) = text.split_once(": ").ok_or_else(|| error("expected `key: value`"))?;
            match key {
                "received" => {
                    received = Some(parse_time(value).ok_or_else(|| error("not an RFC 3339 time"))?)
                }
                "from" => {
                    let parsed = parse_sender(value).ok_or_else(|| error("not a reverse-path"))?;
                    reverse_path = Some(parsed);
                }
                "to" => {
                    let recipient = Recipient::parse(value).ok_or_else(|| error("not a forward-path"))?;
                    recipients.push(recipient);
                }
                "content" => {
                    eight_bit = value.split(' ').any(|word| word == EIGHT_BIT);
                    utf8 = value.split(' ').any(|word| word == UTF8);
                }
                _ => return Err(error("unknown key")),
            }
        }
        if recipients.is_empty() {
            return Err(EntryError::Missing("to"));
        }
        let (reverse_path, MailParameters { ret, envid, .. }) =
            reverse_path.ok_or(EntryError::Missing("from"))?;
        Ok(Self {
            received: received.ok_or(EntryError::Missing("received"))?,
            reverse_path,
            ret,
            envid,
            recipients,
            eight_bit,
            utf8,
        })
    }

    /// Formats the envelope lines and the blank line.
    #[must_use]
    pub fn format(&self) -> String {
        let parameters =
            MailParameters { ret: self.ret, envid: self.envid.clone(), ..MailParameters::default() };
        let (received, from) = (format_time(self.received), &self.reverse_path);
        let mut text = format!("received: {received}\nfrom: {from}{parameters}\n");
        for Recipient { address, parameters } in &self.recipients {
            let _ = writeln!(text, "to: <{address}>{parameters}");
        }
        let content = [(self.eight_bit, EIGHT_BIT), (self.utf8, UTF8)];
        let content: Vec<_> =
            content.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect();
        if !content.is_empty() {
            let _ = writeln!(text, "content: {}", content.join(" "));
        }
        text.push('\n');
        text
    }
}

impl Recipient {
    fn parse(value: &str) -> Option<Self> {
        let (path, rest) = ForwardPath::parse(value.as_bytes()).ok()?;
        match path {
            ForwardPath::Address(address) => {
                Some(Self { address, parameters: RcptParameters::parse(rest).ok()? })
            }
            ForwardPath::Postmaster => None,
        }
    }
}

fn parse_sender(value: &str) -> Option<(ReversePath, MailParameters)> {
    let (path, rest) = ReversePath::parse(value.as_bytes()).ok()?;
    Some((path, MailParameters::parse(rest).ok()?))
}

pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

pub(super) fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
