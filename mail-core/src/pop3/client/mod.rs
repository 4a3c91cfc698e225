//! The POP3 client state machine.
//!
//! RFC 1939, with CAPA and pipelining (RFC 2449), response codes (RFC 3206), STLS (RFC 2595), AUTH PLAIN (RFC 5034)
//! and UTF8 (RFC 6856). APOP is not supported.
//!
//! `state` has the transition table, `connection` the framing, and [`Session`] is the machine.

mod connection;
mod session;
mod state;

use bytes::Bytes;

use super::command::{Command, CommandError};
use super::reply::Reply;
use crate::machine::ApiMisuse;

pub use session::Session;

/// Whether STLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// No STLS: plaintext or implicit TLS.
    #[default]
    Never,
    /// STLS. If the server rejects it, the session ends before any password is sent.
    Required,
}

/// The login method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// USER and PASS (RFC 1939 section 7), or AUTH PLAIN if CAPA lists SASL PLAIN but not USER (RFC 2449 section 6.3).
    #[default]
    UserPass,
    /// AUTH PLAIN (RFC 4616).
    AuthPlain,
}

/// Configuration of a session.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionConfig {
    /// Whether to use STLS.
    pub tls: Tls,
    /// The login method.
    pub method: Method,
}

/// The reason [`Session::login`] failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The name or the password is empty, too long, or contains a CR, an LF or a NUL.
    #[error("the name or the password cannot be sent: {0}")]
    Credentials(#[from] CommandError),
    /// A login is in progress or complete, or the session is over.
    #[error(transparent)]
    Order(#[from] ApiMisuse),
}

/// An event of a [`Session`]. Replies are in the order of the commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server's greeting.
    Greeting(Reply),
    /// The server rejected the client in place of a greeting. The session closes.
    Rejected(Reply),
    /// STLS is required and the server rejected it. The session closes.
    TlsRefused(Reply),
    /// The maildrop is open.
    LoggedIn(Reply),
    /// The credentials were rejected, or the maildrop is in use. Call [`Session::login`] to try again.
    LoginRefused(Reply),
    /// The reply to STAT.
    Stat {
        /// Number of messages.
        count: u64,
        /// Total octets.
        octets: u64,
    },
    /// One line of a scan listing.
    ListItem {
        /// The message-number.
        number: u64,
        /// Octets of the message.
        octets: u64,
    },
    /// The end of the scan listing of all messages. Not sent for LIST with a number.
    ListEnd,
    /// One line of a unique-id listing.
    UniqueId {
        /// The message-number.
        number: u64,
        /// The message's unique-id.
        id: String,
    },
    /// The end of the unique-ids of all messages. Not sent for UIDL with a number.
    UniqueIdEnd,
    /// RETR or TOP succeeded; [`Event::Body`] follows.
    BodyStart {
        /// The message-number.
        number: u64,
        /// The first line, which often states the size.
        reply: Reply,
    },
    /// Part of the message, without dot-stuffing, split off the input without a copy.
    Body(Bytes),
    /// The message is complete.
    BodyEnd,
    /// The message is marked.
    Deleted(u64),
    /// NOOP or RSET succeeded.
    Ok(Command, Reply),
    /// A command failed. The session continues unless the command was QUIT; then some marked messages were not removed.
    Refused {
        /// The command.
        command: Command,
        /// The server's reply.
        reply: Reply,
    },
    /// The server closes the session. The marked messages were removed only if this follows [`Session::quit`].
    Goodbye(Reply),
}
