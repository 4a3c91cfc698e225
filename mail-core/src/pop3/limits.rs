//! Every size and time that POP3 bounds, each with its source.

use crate::time::Duration;

// Sizes, in octets.

/// A command line, its line end included: RFC 2449 section 4.
pub const COMMAND_LINE_OCTETS_MAX: usize = 255;
/// An AUTH command or a SASL response, its line end included. RFC 5034 section 4 asks for whatever the mechanisms need and
/// names no number; this is that of SMTP (RFC 4954 section 4).
pub const AUTH_LINE_OCTETS_MAX: usize = 12_288;
/// The first line of a reply that is sent, its line end included: RFC 2449 section 4.
pub const REPLY_LINE_OCTETS_MAX: usize = 512;
/// The text of a reply that is sent: what the longest status and code of ours leave of a line.
pub const REPLY_TEXT_OCTETS_MAX: usize = 480;
/// A line that is read. RFC 2449 section 4 allows first lines of 512 octets and says nothing of those that follow; there are
/// servers that say more.
pub const LINE_OCTETS_READ_MAX: usize = 4_096;
/// A unique-id: RFC 1939 section 7.
pub const UNIQUE_ID_OCTETS_MAX: usize = 70;

/// Capabilities that a client keeps. No server has as many.
pub const CAPABILITIES_MAX: usize = 100;
/// Commands in a row that could not be carried out; no RFC bounds it, and a confused peer gains nothing by more.
pub const CONSECUTIVE_ERRORS_MAX: u32 = 20;
/// Commands of a session, besides [`COMMANDS_PER_MESSAGE`] for each message of its maildrop. RFC 1939 has no limit; a client
/// that asks for nothing but its messages sends some ten more.
pub const COMMANDS_MAX: u64 = 10_000;
/// LIST, UIDL, TOP, RETR and DELE of each message, twice.
pub const COMMANDS_PER_MESSAGE: u64 = 10;

// Times.

/// The inactivity timer that ends a session: RFC 1939 section 3 allows no less.
pub const AUTOLOGOUT: Duration = Duration::from_mins(10);
/// For a reply, or the next part of a long one. RFC 1939 leaves this to the client; it is the time that RFC 5321 section
/// 4.5.3.2 gives most commands.
pub const REPLY_TIMEOUT: Duration = Duration::from_mins(5);
