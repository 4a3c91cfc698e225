//! The SMTP server's machine.
//!
//! | file | what it decides |
//! |---|---|
//! | `state.rs` | which command may come when, and what follows from it: the table and its diagram |
//! | `replies.rs` | every reply, word for word |
//! | `connection.rs` | which bytes are commands, which a message; the events and their answers |
//! | `connection/message.rs` | the message itself: DATA's text, BDAT's chunks |
//! | `connection/pace.rs` | how fast it has to come |
//! | `connection/authentication.rs` | the lines of an exchange that AUTH begins |
//!
//! It knows no account and no mailbox: who may send what to whom is asked of the policy above, by [`Event`]s.
//! Implements RFC 5321 and the extensions that it lists in its reply to EHLO; the dialogue of a session opened with
//! HELO is that of RFC 821, and has no enhanced status codes.

mod connection;
pub mod replies;
mod state;

use bytes::Bytes;

pub use self::connection::Server;
use crate::message::address::{ForwardPath, ReversePath};
use crate::sasl;
pub use crate::sasl::AuthOffer;

/// What the connections of a server have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name in the greeting.
    pub hostname: String,
    /// Octets of the largest message that is taken.
    pub message_size_max: u64,
    /// Recipients of one transaction; not less than [`RECIPIENTS_MIN`](super::limits::RECIPIENTS_MIN) outside tests.
    pub recipients_max: usize,
    /// Whether STARTTLS is offered, until TLS is established.
    pub starttls: bool,
    /// When AUTH is offered.
    pub auth: AuthOffer,
    /// Whether mail is taken from those who have signed in only (RFC 6409 section 4.3).
    pub submission: bool,
}

/// What the machine tells, or asks, the policy. A question is answered by [`Server::accept`] or [`Server::reject`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A question: are these credentials right? Rejected, for instance, with 535 5.7.8.
    Authenticate(sasl::Credentials),
    /// A question: may this transaction begin?
    Mail(Mail),
    /// A question: does this recipient receive?
    Recipient(ForwardPath),
    /// A question: may the message begin? At least one recipient is accepted.
    Data,
    /// More of the message, its dots unstuffed. No answer.
    Chunk(Bytes),
    /// A question: is the message, now whole, accepted for delivery? Either answer ends the transaction.
    EndOfData,
    /// The transaction that had begun is over without delivery: RSET, a new EHLO, QUIT, a message that was malformed
    /// or too large, a refused chunk, a closed connection. No answer.
    Reset,
}

/// What MAIL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who is told when delivery fails.
    pub reverse_path: ReversePath,
    /// Octets of the message by the client's own estimate.
    pub size: Option<u64>,
    /// Whether the body may have octets above 127 (RFC 6152).
    pub eight_bit: bool,
    /// Whether addresses and header fields may be UTF-8 (RFC 6531).
    pub utf8: bool,
}
