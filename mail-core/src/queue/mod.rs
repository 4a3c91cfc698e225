//! The text formats of the outbound queue: an entry (envelope and message) and its log of delivery attempts.
//!
//! An entry is a file of envelope lines, each ending with LF, a blank line, and the message with CRLF line ends:
//!
//! ```text
//! received: 2026-11-29T17:11:49Z
//! from: <ag@example.org>
//! to: <gb@example.net>
//! to: <hc@example.com> NOTIFY=NEVER
//! content: 8bit utf8
//!
//! Received: from ...
//! ```
//!
//! Its log is a second file, to which one line is appended for each attempt and recipient:
//!
//! ```text
//! 2026-11-29T17:11:52Z <gb@example.net> delivered mx.example.net [192.0.2.1]: 250 2.0.0 OK
//! 2026-11-29T17:11:53Z <hc@example.com> deferred mx.example.com [192.0.2.2]: 451 4.7.1 Try again later
//! 2026-11-29T18:20:11Z * held
//! ```
//!
//! [`Progress::replay`] derives the state of the entry from both. A last line without its line end was torn by a crash and is
//! ignored.

mod entry;
mod log;
mod progress;

pub use entry::{Entry, EntryError, Recipient};
pub use log::{LogEvent, LogLine, Outcome, lines};
pub use progress::{Progress, RecipientProgress, Status};

use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::Arc;

/// Longest id, in octets.
const ID_OCTETS_MAX: usize = 70;

/// The id of an entry, which is its file name: letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(Arc<str>);

/// The text is not the id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of the queue consists of 1 to {ID_OCTETS_MAX} letters, digits and hyphens")]
pub struct InvalidId;

impl QueueId {
    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueueId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_valid = (1..=ID_OCTETS_MAX).contains(&text.len())
            && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if is_valid { Ok(Self(text.into())) } else { Err(InvalidId) }
    }
}

impl Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
