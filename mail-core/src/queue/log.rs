//! The lines of an entry's log.

use std::fmt::{self, Display};

use chrono::{DateTime, Utc};

use super::entry::{format_time, parse_time};
use crate::message::address::{Address, ForwardPath};
use crate::message::printable::printable_line;

/// Longest detail of a line, in characters. Longer than a reply of one line (RFC 5321 section 4.5.3.1.5).
const DETAIL_CHARS_MAX: usize = 600;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The time of the event, in seconds.
    pub time: DateTime<Utc>,
    /// The event.
    pub event: LogEvent,
    /// The remote host and its reply, or the reason of a failure; one line of printable text.
    pub detail: String,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// The result of an attempt for one recipient, or a report about it.
    Recipient(Address, Outcome),
    /// The administrator suspends delivery.
    Held,
    /// The administrator resumes delivery.
    Released,
}

/// The result of an attempt, or a report about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The remote host is responsible for the message now.
    Delivered,
    /// As [`Delivered`](Self::Delivered); the remote host does not send reports (RFC 3461 section 5.2.2).
    Relayed,
    /// Another attempt follows.
    Deferred,
    /// The sender has received a report about the delay (RFC 3461 section 4.1, DELAY).
    DelayReported,
    /// No further attempt.
    Failed,
    /// The sender has received a report about the result, or does not want one.
    Reported,
}

const OUTCOMES: [(&str, Outcome); 6] = [
    ("delivered", Outcome::Delivered),
    ("relayed", Outcome::Relayed),
    ("deferred", Outcome::Deferred),
    ("delay-reported", Outcome::DelayReported),
    ("failed", Outcome::Failed),
    ("reported", Outcome::Reported),
];

impl LogLine {
    /// A line about one recipient. Control characters of `detail` are replaced, and a long text is truncated.
    #[must_use]
    pub fn recipient(time: DateTime<Utc>, recipient: &Address, outcome: Outcome, detail: &str) -> Self {
        let detail: String = printable_line(detail).chars().take(DETAIL_CHARS_MAX).collect();
        Self {
            time,
            event: LogEvent::Recipient(recipient.clone(), outcome),
            detail: detail.trim().to_owned(),
        }
    }

    /// A line about the entry.
    #[must_use]
    pub const fn entry(time: DateTime<Utc>, event: LogEvent) -> Self {
        Self { time, event, detail: String::new() }
    }

    /// Parses a line without its line end; `None` if it is not a line of a log.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (time, rest) = text.split_once(' ')?;
        let time = parse_time(time)?;
        if let Some(event) = rest.strip_prefix("* ") {
            let event = match event {
                "held" => LogEvent::Held,
                "released" => LogEvent::Released,
                _ => return None,
            };
            return Some(Self::entry(time, event));
        }
        let (path, rest) = ForwardPath::parse(rest.as_bytes()).ok()?;
        let ForwardPath::Address(address) = path else { return None };
        let rest = str::from_utf8(rest).ok()?.strip_prefix(' ')?;
        let (outcome, detail) = rest.split_once(' ').unwrap_or((rest, ""));
        let (_, outcome) = OUTCOMES.into_iter().find(|(name, _)| *name == outcome)?;
        Some(Self { time, event: LogEvent::Recipient(address, outcome), detail: detail.to_owned() })
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = OUTCOMES.iter().find(|(_, outcome)| outcome == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// Formats the line without its line end.
impl Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = format_time(self.time);
        match &self.event {
            LogEvent::Recipient(address, outcome) if self.detail.is_empty() => {
                write!(f, "{time} <{address}> {outcome}")
            }
            LogEvent::Recipient(address, outcome) => {
                write!(f, "{time} <{address}> {outcome} {}", self.detail)
            }
            LogEvent::Held => write!(f, "{time} * held"),
            LogEvent::Released => write!(f, "{time} * released"),
        }
    }
}

/// The lines of a log. Lines that are not valid are skipped, and so is a last line without a line end.
pub fn lines(octets: &[u8]) -> impl Iterator<Item = LogLine> {
    octets
        .split_inclusive(|octet| *octet == b'\n')
        .filter_map(|line| LogLine::parse(str::from_utf8(line.strip_suffix(b"\n")?).ok()?))
}
