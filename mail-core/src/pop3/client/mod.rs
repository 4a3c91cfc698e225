//! The POP3 client: fetches and removes mail, for the terminal and for the page alike.
//!
//! RFC 1939, with CAPA and pipelining (RFC 2449), response codes (RFC 3206), STLS (RFC 2595), AUTH PLAIN (RFC 5034)
//! and UTF8 (RFC 6856). APOP is not here: it needs passwords kept in clear on the server.
//!
//! What decides stands in `state`, bytes are moved in `connection`, and [`Session`] is the machine.

mod connection;
mod session;
mod state;

use bytes::Bytes;

use super::command::{Command, CommandError};
use super::reply::Reply;
use crate::machine::ApiMisuse;

pub use session::Session;

/// What encrypts the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Nothing, or TLS that began before the greeting.
    #[default]
    Never,
    /// STLS; where it is refused the session ends before any password is sent. There is no falling back.
    Required,
}

/// How credentials are presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// USER and PASS (RFC 1939 section 7).
    #[default]
    UserPass,
    /// AUTH PLAIN (RFC 4616).
    AuthPlain,
}

/// How to open a session.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionConfig {
    /// Whether STLS encrypts the session.
    pub tls: Tls,
    /// How [`Session::login`] presents the credentials.
    pub method: Method,
}

/// Why [`Session::login`] did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The name or the password cannot be sent: it is empty, too long, or has a CR, an LF or a NUL in it.
    #[error("the name or the password cannot be sent: {0}")]
    Credentials(#[from] CommandError),
    /// A login is under way or done, or the session is over.
    #[error(transparent)]
    Order(#[from] ApiMisuse),
}

/// What a [`Session`] tells. Answers come in the order of the commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server's first line.
    Greeting(Reply),
    /// The server turned the client away at once; the session closes.
    Rejected(Reply),
    /// TLS is required and the server has none; the session closes.
    TlsRefused(Reply),
    /// The maildrop is open.
    LoggedIn(Reply),
    /// The credentials were refused, or the maildrop is in use. [`Session::login`] tries again.
    LoginRefused(Reply),
    /// The answer to STAT.
    Stat {
        /// How many messages.
        count: u64,
        /// How long all of them are together.
        octets: u64,
    },
    /// One line of a scan listing.
    ListItem {
        /// The message-number.
        number: u64,
        /// The message's length.
        octets: u64,
    },
    /// The end of the scan listing of all messages. LIST with a number has no end.
    ListEnd,
    /// One line of a unique-id listing.
    UniqueId {
        /// The message-number.
        number: u64,
        /// The message's unique-id.
        id: String,
    },
    /// The end of the unique-ids of all messages. UIDL with a number has no end.
    UniqueIdEnd,
    /// [`Event::Body`] brings this message now, or the top of it.
    BodyStart {
        /// The message-number.
        number: u64,
        /// The first line, in which many a server tells the length.
        reply: Reply,
    },
    /// A stretch of the message, without its dot-stuffing, split off the input without a copy.
    Body(Bytes),
    /// The message is complete.
    BodyEnd,
    /// The message is marked.
    Deleted(u64),
    /// NOOP or RSET is done.
    Ok(Command, Reply),
    /// A command was refused. The session goes on, unless it was QUIT: then not all marked messages are gone.
    Refused {
        /// The command.
        command: Command,
        /// Why.
        reply: Reply,
    },
    /// The server's last words; the session closes. Only behind a [`Session::quit`] do they mean that the marked
    /// messages are gone.
    Goodbye(Reply),
}
