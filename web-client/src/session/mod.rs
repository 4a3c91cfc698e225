//! Conversations with the servers: the core's client machines, driven over a stream of bytes.
//!
//! POP3 sessions are short: log in, do one thing, QUIT. A session that stayed open would show no new mail and would
//! keep every other program out of the maildrop. Nothing here knows of a browser; the stream is a [`Link`].

mod backoff;
mod dialogue;
mod link;
pub(crate) mod pop3;
pub(crate) mod smtp;
#[cfg(test)]
mod testing;

pub(crate) use backoff::Backoff;
pub(crate) use link::{Broken, Link, Received};

use dialogue::Dialogue;
use mail_core::machine::ProtocolError;

/// Why a session did not do what it was for, in a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// There is no connection, or there is none any more.
    #[error("There is no connection to the mail server.")]
    Lost,
    #[error("The mail server cannot be understood: {0}.")]
    Protocol(ProtocolError),
    /// The credentials are wrong.
    #[error("{0}")]
    Credentials(String),
    /// The login is refused without a code that says why: most likely the credentials are wrong.
    #[error("{0}")]
    Unexplained(String),
    /// Another session has the maildrop, or has had it too shortly ago, or something else is in the way for a while.
    #[error("{0}")]
    Later(String),
    /// The server's words.
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    /// Whether it may be gone by itself after a while.
    pub(crate) const fn passes(&self) -> bool {
        matches!(self, Self::Lost | Self::Later(_))
    }
}

impl From<ProtocolError> for Trouble {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::UnexpectedEof | ProtocolError::TimedOut => Self::Lost,
            error => Self::Protocol(error),
        }
    }
}

impl From<Broken> for Trouble {
    fn from(Broken: Broken) -> Self {
        Self::Lost
    }
}
