//! The SMTP client state machine: submits messages to a server.
//!
//! RFC 5321 and RFC 6409, with PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
//! STARTTLS (RFC 3207), AUTH (RFC 4954), DSN (RFC 3461) and REQUIRETLS (RFC 8689). It uses one connection: no MX look-up and no retries. BDAT is not used.
//!
//! `state` has the transition table, `connection` the framing, and [`Submission`] is the machine.

mod connection;
mod envelope;
mod state;
mod submission;

use super::command::HelloName;
use super::dsn::{EnvelopeId, Ret};
use super::extension::Extensions;
use super::parameter::Recipient;
use super::reply::Reply;
use crate::machine::ApiMisuse;
use crate::message::address::ReversePath;
use crate::sasl::Credentials;

pub use submission::Submission;

/// Whether STARTTLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// No STARTTLS: plaintext or implicit TLS.
    #[default]
    Never,
    /// STARTTLS if the server offers it (RFC 7435: opportunistic security).
    IfOffered,
    /// STARTTLS. If the server does not support it, the session ends before any password or mail is sent.
    Required,
}

/// Configuration of a session.
#[derive(Debug, Clone)]
pub struct SubmissionConfig {
    /// The argument of EHLO and HELO.
    pub hello: HelloName,
    /// Whether to use STARTTLS.
    pub tls: Tls,
    /// Credentials for servers that offer AUTH. Without TLS, the password is sent in clear.
    pub credentials: Option<Credentials>,
    /// Whether mail is sent only after authentication.
    pub auth_required: bool,
}

/// The envelope of a message, and its properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub reverse_path: ReversePath,
    /// The recipients; at least one. Their parameters are sent only if the server offers DSN.
    pub recipients: Vec<Recipient>,
    /// Message size in octets, if known or estimated.
    pub size: Option<u64>,
    /// Whether the message has octets that are not ASCII.
    pub eight_bit: bool,
    /// Whether the header has UTF-8. A UTF-8 address requires SMTPUTF8 in any case.
    pub utf8: bool,
    /// The part of the message that a failure notification returns. Sent only if the server offers DSN.
    pub ret: Option<Ret>,
    /// The sender's identifier of the transaction. Sent only if the server offers DSN.
    pub envid: Option<EnvelopeId>,
    /// Whether the server must support REQUIRETLS. The driver uses TLS and verifies the server's
    /// certificate (RFC 8689 section 4.2.1).
    pub require_tls: bool,
}

/// The step at which a rejection occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection itself.
    Greeting,
    /// EHLO and HELO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// MAIL.
    Mail,
    /// RCPT, for all recipients.
    Recipients,
    /// DATA.
    Data,
    /// The message.
    Body,
}

/// A capability that the server lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MissingCapability {
    /// STARTTLS, with [`Tls::Required`].
    #[error("the server does not offer encryption (STARTTLS), and nothing is sent without it")]
    StartTls,
    /// AUTH with a supported mechanism, if authentication is required.
    #[error("the server does not offer a way to sign in (AUTH PLAIN or AUTH LOGIN)")]
    Auth,
    /// SMTPUTF8 (RFC 6531 section 3.1).
    #[error("the server does not accept addresses or header fields that are not ASCII (SMTPUTF8)")]
    SmtpUtf8,
    /// 8BITMIME (RFC 6152 section 3).
    #[error("the server does not accept messages that are not ASCII (8BITMIME)")]
    EightBitMime,
    /// REQUIRETLS over TLS (RFC 8689 section 4.2.1).
    #[error("the server does not promise to send the message over encrypted connections only (REQUIRETLS)")]
    RequireTls,
    /// The message exceeds the SIZE limit.
    #[error("the message is too large: the server accepts at most {0} octets")]
    Size(u64),
}

/// The reason [`Submission::body`] rejected the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A NUL, which RFC 6152 section 3 forbids and which allows SMTP smuggling on servers that drop it. Call
    /// [`Submission::cancel`] to abandon the message.
    #[error("the message contains a NUL character, which is not allowed in mail")]
    Nul,
    /// The server did not ask for a body.
    #[error(transparent)]
    Order(#[from] ApiMisuse),
}

/// An event of a [`Submission`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server's greeting.
    Greeting(Reply),
    /// EHLO, TLS and AUTH are complete; envelopes are sent next.
    Ready {
        /// The server's extensions.
        extensions: Extensions,
        /// Whether the client is authenticated.
        authenticated: bool,
    },
    /// Authentication is required and there are no credentials: call [`Submission::login`].
    LoginRequired,
    /// The credentials were rejected. Call [`Submission::login`] with others.
    LoginRefused(Reply),
    /// The server rejected the client before it was ready. The session closes.
    Rejected {
        /// The step.
        stage: Stage,
        /// The server's reply.
        reply: Reply,
    },
    /// The server lacks a capability. For [`MissingCapability::StartTls`] and [`MissingCapability::Auth`] the session
    /// closes; otherwise only the envelope is dropped, before any of it was sent.
    MissingCapability(MissingCapability),
    /// One recipient was rejected. The message is sent to the others.
    RecipientRefused {
        /// The index in [`Envelope::recipients`].
        index: usize,
        /// The server's reply.
        reply: Reply,
    },
    /// The server is ready for the body: call [`Submission::body`], then [`Submission::body_end`].
    SendBody,
    /// The server accepted the message for all recipients that it did not reject.
    Sent(Reply),
    /// The message was rejected for all recipients. The session continues unless [`Event::Goodbye`] follows.
    Refused {
        /// The step.
        stage: Stage,
        /// The server's reply.
        reply: Reply,
    },
    /// The server closes the session. Queued envelopes were not sent.
    Goodbye(Reply),
}
