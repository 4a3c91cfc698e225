//! All replies of the POP3 server, with their RFC sections.

use bytes::BytesMut;

use crate::pop3::command::CommandError;
use crate::pop3::listing::{DropListing, ScanListing, UniqueIdListing};
use crate::pop3::reply::{Reply, ResponseCode};

/// The greeting (RFC 1939 section 4).
pub const GREETING: Reply = ok("POP3 server ready");
/// USER, whether or not the user exists (RFC 1939 section 7).
pub const SEND_PASSWORD: Reply = ok("send PASS");
/// NOOP (RFC 1939 section 5).
pub const NOTHING_DONE: Reply = ok("nothing done");
/// DELE (RFC 1939 section 5).
pub const DELETED: Reply = ok("message deleted");
/// TOP (RFC 1939 section 7).
pub const TOP_FOLLOWS: Reply = ok("top of message follows");
/// UIDL (RFC 1939 section 7).
pub const UNIQUE_IDS_FOLLOW: Reply = ok("unique-id listing follows");
/// CAPA (RFC 2449 section 5).
pub const CAPABILITIES_FOLLOW: Reply = ok("capability list follows");
/// AUTH without a mechanism.
pub const MECHANISMS_FOLLOW: Reply = ok("mechanisms follow");
/// STLS (RFC 2595 section 4).
pub const BEGIN_TLS: Reply = ok("begin TLS negotiation");
/// UTF8 (RFC 6856 section 2.1).
pub const UTF8_ENABLED: Reply = ok("UTF8 enabled");
/// QUIT (RFC 1939 sections 4 and 6).
pub const GOODBYE: Reply = ok("goodbye");

/// A message-number that does not exist or is marked (RFC 1939 section 5).
pub const NO_SUCH_MESSAGE: Reply = err("no such message");
/// QUIT, if a marked message could not be removed (RFC 1939 section 6).
pub const NOT_REMOVED: Reply = err("some deleted messages not removed");
/// USER, if the policy reveals which users exist (RFC 1939 section 7).
pub const UNKNOWN_USER: Reply = err("no mailbox for that name here");
/// A wrong name or password (RFC 3206 section 4).
pub const WRONG_CREDENTIALS: Reply = coded(ResponseCode::Auth, "wrong username or password");
/// Login throttled after too many failures (RFC 3206 section 4).
pub const TOO_MANY_FAILURES: Reply = coded(ResponseCode::SysTemp, "too many failed logins; try again later");
/// The policy cannot verify passwords (RFC 3206 section 4).
pub const CANNOT_AUTHENTICATE: Reply =
    coded(ResponseCode::SysTemp, "temporary authentication failure; try again later");
/// Sent instead of the greeting (RFC 3206 section 4).
pub const TOO_BUSY: Reply = coded(ResponseCode::SysTemp, "too many connections; try again later");
/// Sent instead of the greeting if the limit per address is reached.
pub const TOO_MANY_CONNECTIONS: Reply =
    coded(ResponseCode::SysTemp, "too many connections from your address; try again later");
/// Another session has locked the maildrop (RFC 2449 section 8.1.2).
pub const IN_USE: Reply =
    coded(ResponseCode::InUse, "another session has this maildrop open; try again later");
/// Too soon after the last login (RFC 2449 section 8.1.1).
pub const LOGIN_DELAY: Reply =
    coded(ResponseCode::LoginDelay, "too soon after the last login; try again later");
/// A temporary failure of the store (RFC 3206 section 4).
pub const STORE_FAILED: Reply = coded(ResponseCode::SysTemp, "cannot read the maildrop now; try again later");

/// Login on a plaintext connection that offers STLS (RFC 2595 section 4).
pub(super) const TLS_FIRST: Reply = err("login requires TLS: send STLS first");
/// Login on a plaintext connection without STLS.
pub(super) const LOGIN_UNAVAILABLE: Reply =
    err("login is not possible on this connection: connect over TLS, or from the server's own machine");
/// STLS if it is not offered or TLS is active (RFC 2595 section 4).
pub(super) const NO_TLS: Reply = err("TLS is not available or already active");
/// PASS without an accepted USER before it (RFC 1939 section 7).
pub(super) const USER_FIRST: Reply = err("send USER first");
/// A command of the TRANSACTION state in the AUTHORIZATION state (RFC 1939 section 3).
pub(super) const LOGIN_FIRST: Reply = err("log in first");
/// A command of the AUTHORIZATION state in the TRANSACTION state (RFC 1939 section 3).
pub(super) const ALREADY_AUTHENTICATED: Reply = err("already authenticated");
/// AUTH with an unsupported mechanism (RFC 5034 section 4).
pub(super) const UNSUPPORTED_MECHANISM: Reply = err("unsupported mechanism; use AUTH PLAIN or AUTH LOGIN");
/// `*` in an exchange (RFC 5034 section 4).
pub(super) const CANCELLED: Reply = err("authentication cancelled");
/// An invalid response in an exchange (RFC 5034 section 4).
pub(super) const BAD_RESPONSE: Reply = err("invalid response for this mechanism");
/// The session ends because of consecutive errors.
pub(super) const TOO_MANY_ERRORS: Reply = err("too many errors in a row, goodbye");
/// The session ends because of the command limit.
pub(super) const TOO_MANY_COMMANDS: Reply = err("too many commands in one session, goodbye");
/// Plaintext after STLS (RFC 2595 section 4, CVE-2011-0411).
pub(super) const INJECTED: Reply = err("plaintext after STLS, goodbye");
/// The server shuts down (RFC 3206 section 4).
pub(super) const SHUTTING_DOWN: Reply = coded(ResponseCode::SysTemp, "server is shutting down, goodbye");

/// An invalid command line (RFC 1939 section 3).
pub(super) const fn malformed(error: CommandError) -> Reply {
    err(match error {
        CommandError::Unknown => "unknown command",
        CommandError::NotImplemented => "command not implemented",
        CommandError::MissingArgument => "missing argument",
        CommandError::UnexpectedArgument => "too many arguments",
        CommandError::BadNumber => "not a number",
        CommandError::BadText => "invalid character in the argument",
        CommandError::TooLong => "line too long",
    })
}

/// A successful PASS or AUTH (RFC 1939 section 7).
pub(super) fn opened(maildrop: DropListing) -> Reply {
    Reply::ok(format!("maildrop has {}", in_words(maildrop)))
}

/// STAT (RFC 1939 section 5).
pub(super) fn stat(maildrop: DropListing) -> Reply {
    with(|text| maildrop.encode(text))
}

/// LIST (RFC 1939 section 5).
pub(super) fn scan_listing_follows(maildrop: DropListing) -> Reply {
    Reply::ok(in_words(maildrop))
}

/// LIST n (RFC 1939 section 5).
pub(super) fn scan_listing(number: u64, octets: u64) -> Reply {
    with(|text| ScanListing { number, octets }.encode(text))
}

/// UIDL n (RFC 1939 section 7).
pub(super) fn unique_id(number: u64, unique_id: &str) -> Reply {
    with(|text| UniqueIdListing { number, unique_id }.encode(text))
}

/// RETR (RFC 1939 section 5).
pub(super) fn message_follows(octets: u64) -> Reply {
    Reply::ok(format!("{octets} octets"))
}

/// RSET (RFC 1939 section 5).
pub(super) fn reset(maildrop: DropListing) -> Reply {
    opened(maildrop)
}

fn in_words(DropListing { count, octets }: DropListing) -> String {
    let messages = if count == 1 { "message" } else { "messages" };
    format!("{count} {messages} ({octets} octets)")
}

fn with(encode: impl FnOnce(&mut BytesMut)) -> Reply {
    let mut text = BytesMut::new();
    encode(&mut text);
    Reply::ok(String::from_utf8_lossy(&text).into_owned())
}

const fn ok(text: &'static str) -> Reply {
    Reply::fixed(true, None, text)
}

const fn err(text: &'static str) -> Reply {
    Reply::fixed(false, None, text)
}

const fn coded(code: ResponseCode, text: &'static str) -> Reply {
    Reply::fixed(false, Some(code), text)
}
