//! The SMTP server state machine.
//!
//! | file | contents |
//! |---|---|
//! | `state.rs` | the state table: which command is allowed in which phase |
//! | `replies.rs` | all reply texts |
//! | `connection.rs` | framing of commands and messages; events and their answers |
//! | `connection/message.rs` | receiving a message: DATA and BDAT |
//! | `connection/pace.rs` | the minimum rate of a message |
//! | `connection/refusal.rs` | reports of refused commands and messages |
//! | `connection/authentication.rs` | the AUTH exchange |
//! | `connection/inspection.rs` | command events, replaced replies, recording of the dialogue |
//! | `dialogue.rs` | the recorded dialogue |
//!
//! Implements RFC 5321 and the extensions in its reply to EHLO. A session opened with HELO follows RFC 821, without
//! enhanced status codes. The machine does not know accounts or mailboxes: the policy above it answers [`Event`]s.

mod connection;
mod dialogue;
pub mod replies;
mod state;

use bytes::Bytes;

pub use self::connection::Server;
pub use self::dialogue::{DIALOGUE_LINES_MAX, DialogueContent, DialogueLine};
use crate::message::address::ReversePath;
use crate::sasl;
pub use crate::sasl::AuthOffer;
use crate::smtp::dsn::{EnvelopeId, Ret};
use crate::smtp::parameter::Recipient;
use crate::smtp::reply::Reply;

/// Configuration shared by the connections of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The host name in the greeting.
    pub hostname: String,
    /// Maximum message size in octets.
    pub message_size_max: u64,
    /// Maximum recipients per transaction; at least [`RECIPIENTS_MIN`](super::limits::RECIPIENTS_MIN) in production.
    pub recipients_max: usize,
    /// Whether to offer STARTTLS on plaintext connections.
    pub starttls: bool,
    /// Connections on which AUTH is offered.
    pub auth: AuthOffer,
    /// Whether MAIL requires authentication (RFC 6409 section 4.3).
    pub submission: bool,
    /// Whether to accept messages and command lines with bare LF, bare CR or NUL. A server that relays mail must reject them:
    /// another server may read a part of such a message as a second message (SMTP smuggling).
    pub bare_line_ends: bool,
    /// Whether to ask the policy about the connection and about HELO, EHLO, STARTTLS and QUIT: [`Event::Command`].
    pub command_events: bool,
    /// Whether to offer DSN. The policy above then sends the notifications that the parameters request.
    pub dsn: bool,
    /// Whether to offer REQUIRETLS over TLS (RFC 8689). The policy above then sends the message over verified TLS only.
    pub require_tls: bool,
}

/// An event for the policy. Answer a question with [`Server::accept`] or [`Server::reject`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Question, only with [`Config::command_events`]: may the command be carried out? A rejected connection is closed.
    Command(SessionCommand),
    /// Question: are the credentials valid? The usual rejection is 535 5.7.8.
    Authenticate(sasl::Credentials),
    /// Question: may the transaction begin?
    Mail(Mail),
    /// Question: is the recipient accepted?
    Recipient(Recipient),
    /// Question: may the message begin? At least one recipient was accepted.
    Data,
    /// The next part of the message, without dot-stuffing. Needs no answer.
    Chunk(Bytes),
    /// Question: is the complete message accepted for delivery? Either answer ends the transaction.
    EndOfData,
    /// The transaction ended without delivery: RSET, EHLO, QUIT, a malformed or oversized message, a rejected chunk
    /// or a closed connection. Needs no answer.
    Reset,
    /// A step of a transaction was refused without a question; the reply is queued. Needs no answer.
    Refused(Refusal),
}

/// A MAIL, RCPT, DATA or BDAT command, or a complete message, that the machine refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The command line; `None` for the content of a message.
    pub command: Option<Bytes>,
    /// The reply.
    pub reply: Reply,
}

/// The arguments of MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub reverse_path: ReversePath,
    /// The client's estimate of the message size in octets.
    pub size: Option<u64>,
    /// Whether the client declared BODY=8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// Whether the client declared SMTPUTF8 (RFC 6531).
    pub utf8: bool,
    /// The part of the message that a failure notification returns (RFC 3461).
    pub ret: Option<Ret>,
    /// The client's identifier of the transaction (RFC 3461).
    pub envid: Option<EnvelopeId>,
    /// Whether the client declared REQUIRETLS (RFC 8689).
    pub require_tls: bool,
}

/// A command outside of transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionCommand {
    /// The connection itself, before the greeting.
    Connect,
    /// HELO or EHLO, with its argument.
    Hello(String),
    /// STARTTLS.
    StartTls,
    /// QUIT.
    Quit,
}
