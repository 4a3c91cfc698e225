//! Size limits and timeouts of SMTP, with their sources. Configurable limits are in
//! [`server::Config`](super::server::Config).

use crate::time::Duration;

// Sizes, in octets.

/// A command line including CRLF: RFC 5321 section 4.5.3.1.4, plus the octets that extensions add to MAIL or RCPT: SIZE
/// 26 (RFC 1870 section 3), BODY 17 (RFC 6152 section 2), SMTPUTF8 10 (RFC 6531 section 3.1), AUTH 500 (RFC 4954
/// section 5), REQUIRETLS 11 (RFC 8689 section 2), DSN 508 (RFC 3461 section 4, the larger of RCPT and MAIL).
pub const COMMAND_LINE_OCTETS_MAX: usize = 512 + 26 + 17 + 10 + 500 + 11 + 508;
/// A line of an authentication exchange, including AUTH itself: RFC 4954 section 4.
pub const AUTH_LINE_OCTETS_MAX: usize = 12_288;
/// A sent reply line including CRLF: RFC 5321 section 4.5.3.1.5.
pub const REPLY_LINE_OCTETS_MAX: usize = 512;
/// A received reply line. Some servers exceed the limit of the RFC.
pub const REPLY_LINE_OCTETS_READ_MAX: usize = 4_096;
/// Lines of a received reply. The RFCs have no limit; EHLO replies have up to about thirty lines.
pub const REPLY_LINES_MAX: usize = 100;
/// The argument of HELO or EHLO, which has the length of a domain: RFC 5321 section 4.5.3.1.2.
pub const HELLO_OCTETS_MAX: usize = 255;
/// Recipients that every server must accept: RFC 5321 section 4.5.3.1.8.
pub const RECIPIENTS_MIN: usize = 100;
/// Consecutive failed commands before the session ends. The RFCs have no limit.
pub const CONSECUTIVE_ERRORS_MAX: u32 = 20;
/// Commands between two messages, in addition to the maximum number of recipients. RFC 5321 section 7.8 allows a limit;
/// queue runs send a few hundred.
pub const COMMANDS_MAX: usize = 10_000;
/// Chunks of at least this size do not count towards [`COMMANDS_MAX`], because large messages have many.
pub const CHUNK_OCTETS_MIN: u64 = 1_024;
/// Octets of a message that must arrive within [`MESSAGE_TIMEOUT`].
pub const MESSAGE_OCTETS_MIN: usize = 16 << 10;

// Server timeouts.

/// For the next command or more of the message: RFC 5321 section 4.5.3.2.7.
pub const SERVER_TIMEOUT: Duration = Duration::from_mins(5);
/// For each [`MESSAGE_OCTETS_MIN`] of a message and for the rest: 28 octets per second. The RFC has no such limit, but
/// without it a client could keep a message open for years by sending one octet every five minutes.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_mins(10);

// Client timeouts.

/// For the greeting: RFC 5321 section 4.5.3.2.1.
pub const GREETING_TIMEOUT: Duration = Duration::from_mins(5);
/// For the reply to MAIL, and to the commands without a timeout of their own: section 4.5.3.2.2.
pub const MAIL_TIMEOUT: Duration = Duration::from_mins(5);
/// For the reply to RCPT: section 4.5.3.2.3.
pub const RCPT_TIMEOUT: Duration = Duration::from_mins(5);
/// For the 354 after DATA: section 4.5.3.2.4.
pub const DATA_INITIATION_TIMEOUT: Duration = Duration::from_mins(2);
/// For sending each block of the message: section 4.5.3.2.5.
pub const DATA_BLOCK_TIMEOUT: Duration = Duration::from_mins(3);
/// For the reply to the final dot: section 4.5.3.2.6.
pub const DATA_TERMINATION_TIMEOUT: Duration = Duration::from_mins(10);
