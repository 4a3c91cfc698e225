//! Size limits and timeouts of POP3, with their sources.

use crate::time::Duration;

// Sizes, in octets.

/// A command line including CRLF: RFC 2449 section 4.
pub const COMMAND_LINE_OCTETS_MAX: usize = 255;
/// An AUTH command or a SASL response including CRLF. RFC 5034 section 4 has no number; this is SMTP's (RFC 4954
/// section 4).
pub const AUTH_LINE_OCTETS_MAX: usize = 12_288;
/// The first line of a sent reply including CRLF: RFC 2449 section 4.
pub const REPLY_LINE_OCTETS_MAX: usize = 512;
/// The text of a sent reply, which leaves room for the status and the longest response code.
pub const REPLY_TEXT_OCTETS_MAX: usize = 480;
/// A received line. RFC 2449 section 4 limits only the first line, to 512 octets, and some servers exceed that.
pub const LINE_OCTETS_READ_MAX: usize = 4_096;
/// A unique-id: RFC 1939 section 7.
pub const UNIQUE_ID_OCTETS_MAX: usize = 70;

/// Capabilities that a client stores. No server has that many.
pub const CAPABILITIES_MAX: usize = 100;
/// Consecutive failed commands before the session ends. The RFCs have no limit.
pub const CONSECUTIVE_ERRORS_MAX: u32 = 20;
/// Commands per session, in addition to [`COMMANDS_PER_MESSAGE`] for each message. The RFCs have no limit.
pub const COMMANDS_MAX: u64 = 10_000;
/// LIST, UIDL, TOP, RETR and DELE of each message, twice.
pub const COMMANDS_PER_MESSAGE: u64 = 10;

// Timeouts.

/// The server's inactivity timeout: RFC 1939 section 3, which allows no less.
pub const AUTOLOGOUT: Duration = Duration::from_mins(10);
/// The client's timeout for a reply or the next part of a long one. RFC 1939 has none; this is the usual one of RFC
/// 5321 section 4.5.3.2.
pub const REPLY_TIMEOUT: Duration = Duration::from_mins(5);
