//! SMTP and POP3 sessions: the client machines of the core over a [`Connection`]. Independent of the browser.
//!
//! POP3 sessions are short: log in, do one job, QUIT. A session that stayed open would see no new mail (RFC 1939
//! section 4) and would lock other clients out of the maildrop.

mod connection;
mod driver;
pub(crate) mod pop3;
pub(crate) mod smtp;
#[cfg(test)]
mod testing;

pub(crate) use connection::{Connection, ConnectionLost, Received, Refusal};
pub(crate) use driver::Driver;

use mail_core::machine::ProtocolError;

/// The reason a session failed. `Display` is a sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("No connection to the mail server.")]
    ConnectionLost,
    /// The web server closed the connection for this reason.
    #[error("The connection was closed: {0}.")]
    Closed(String),
    #[error("Unexpected response from the mail server: {0}.")]
    Protocol(ProtocolError),
    #[error("{0}")]
    WrongCredentials(String),
    /// The login was refused without a response code. The credentials are probably wrong.
    #[error("{0}")]
    LoginRefused(String),
    /// The maildrop is in use, or another temporary condition (RFC 2449 section 8).
    #[error("{0}")]
    Temporary(String),
    /// Any other negative reply.
    #[error("{0}")]
    Refused(String),
    /// The server sent more data than it announced or than the page accepts.
    #[error("{0}")]
    LimitExceeded(String),
}

impl SessionError {
    /// Whether another attempt may succeed without any action of the user.
    pub(crate) const fn is_temporary(&self) -> bool {
        matches!(self, Self::ConnectionLost | Self::Closed(_) | Self::Temporary(_))
    }
}

impl From<ProtocolError> for SessionError {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::UnexpectedEof | ProtocolError::TimedOut => Self::ConnectionLost,
            error => Self::Protocol(error),
        }
    }
}

impl From<Refusal> for SessionError {
    fn from(Refusal { reason, is_temporary }: Refusal) -> Self {
        let text = format!("The web server refuses the connection: {reason}.");
        if is_temporary { Self::Temporary(text) } else { Self::Refused(text) }
    }
}

impl From<ConnectionLost> for SessionError {
    fn from(ConnectionLost: ConnectionLost) -> Self {
        Self::ConnectionLost
    }
}
