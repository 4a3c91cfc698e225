//! Every size and time that SMTP bounds, each with its source. What a configuration may change (message
//! size, number of recipients) is not here but in [`server::Config`](super::server::Config).

use crate::time::Duration;

// Sizes, in octets.

/// A command line, its CRLF included: RFC 5321 section 4.5.3.1.4, and the room that each extension adds to MAIL or
/// RCPT: SIZE 26 (RFC 1870 section 3), BODY 17 (RFC 6152 section 2), SMTPUTF8 10 (RFC 6531 section 3.1), AUTH 500
/// (RFC 4954 section 5), DSN 508 (RFC 3461 section 4, the larger of RCPT's and MAIL's).
pub const COMMAND_LINE_OCTETS_MAX: usize = 512 + 26 + 17 + 10 + 500 + 508;
/// A line of an authentication exchange, AUTH itself included: RFC 4954 section 4.
pub const AUTH_LINE_OCTETS_MAX: usize = 12_288;
/// A reply line that is sent, its CRLF included: RFC 5321 section 4.5.3.1.5.
pub const REPLY_LINE_OCTETS_MAX: usize = 512;
/// A reply line that is read; some servers write longer ones than they may.
pub const REPLY_LINE_OCTETS_READ_MAX: usize = 4_096;
/// Lines of one reply that is read. No RFC bounds it; the longest EHLO replies seen have about thirty.
pub const REPLY_LINES_MAX: usize = 100;
/// What follows HELO or EHLO: the length of a domain, RFC 5321 section 4.5.3.1.2.
pub const HELLO_OCTETS_MAX: usize = 255;
/// Recipients that a server must be able to take: RFC 5321 section 4.5.3.1.8. A limit of ours is never lower.
pub const RECIPIENTS_MIN: usize = 100;
/// Commands in a row that could not be carried out; no RFC bounds it, and a confused peer gains nothing by more.
pub const CONSECUTIVE_ERRORS_MAX: u32 = 20;
/// Commands between one message and the next, besides as many as a message may have recipients. RFC 5321 has no limit
/// but in section 7.8; the longest queue runs seen send some hundred.
pub const COMMANDS_MAX: usize = 10_000;
/// A chunk of so many octets is a piece of a message and no command more: the largest messages have many.
pub const CHUNK_OCTETS_MIN: u64 = 1_024;
/// A stretch of a message that has to come within [`MESSAGE_TIMEOUT`].
pub const MESSAGE_OCTETS_MIN: usize = 16 << 10;

// Times: how long a server waits.

/// For the next command, or more of the message: RFC 5321 section 4.5.3.2.7.
pub const SERVER_TIMEOUT: Duration = Duration::from_mins(5);
/// For each stretch of [`MESSAGE_OCTETS_MIN`], and for the last one: 28 octets a second, a tenth of what the oldest
/// modems do. Section 4.5.3.2 has no such limit; without one, an octet every five minutes would hold a message open for
/// a century.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_mins(10);

// Times: how long a client waits.

/// For the greeting: RFC 5321 section 4.5.3.2.1.
pub const GREETING_TIMEOUT: Duration = Duration::from_mins(5);
/// For the reply to MAIL, and to the commands that have no row of their own: section 4.5.3.2.2.
pub const MAIL_TIMEOUT: Duration = Duration::from_mins(5);
/// For the reply to RCPT: section 4.5.3.2.3.
pub const RCPT_TIMEOUT: Duration = Duration::from_mins(5);
/// For the 354 after DATA: section 4.5.3.2.4.
pub const DATA_INITIATION_TIMEOUT: Duration = Duration::from_mins(2);
/// For each block of the message to be taken off: section 4.5.3.2.5.
pub const DATA_BLOCK_TIMEOUT: Duration = Duration::from_mins(3);
/// For the reply to the final dot: section 4.5.3.2.6.
pub const DATA_TERMINATION_TIMEOUT: Duration = Duration::from_mins(10);
