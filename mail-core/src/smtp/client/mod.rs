//! The SMTP client: hands mail to a server, for the terminal and for the page alike.
//!
//! RFC 5321 and RFC 6409, with PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
//! STARTTLS (RFC 3207) and AUTH (RFC 4954). It does not look for a domain's servers and it does not retry: a message is
//! handed to the one server that the driver connected to. BDAT is not used, as DATA does all that is needed here.
//!
//! What decides stands in `state`, bytes are moved in `connection`, and [`Submission`] is the machine.

mod connection;
mod envelope;
mod state;
mod submission;

use super::command::HelloName;
use super::extension::Extensions;
use super::reply::Reply;
use crate::machine::ApiMisuse;
use crate::message::address::{ForwardPath, ReversePath};
use crate::sasl::Credentials;

pub use submission::Submission;

/// What encrypts the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Nothing, or TLS that began before the greeting.
    #[default]
    Never,
    /// STARTTLS; where it is not to be had the session ends before any password or mail is sent. There is no falling
    /// back.
    Required,
}

/// How to open a session.
#[derive(Debug, Clone)]
pub struct SubmissionConfig {
    /// What the client calls itself in EHLO and HELO.
    pub hello: HelloName,
    /// Whether STARTTLS encrypts the session.
    pub tls: Tls,
    /// Who signs in, where the server offers AUTH. Without TLS the password can be read on the way.
    pub credentials: Option<Credentials>,
    /// Whether nothing is sent to a server that does not offer AUTH, or before it has let the client in.
    pub auth_required: bool,
}

/// From whom, to whom, and what kind of message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Whom failures are reported to.
    pub reverse_path: ReversePath,
    /// Who receives the message; at least one.
    pub recipients: Vec<ForwardPath>,
    /// The octets of the message, where they are known or can be estimated.
    pub size: Option<u64>,
    /// Whether the message holds octets that are not ASCII.
    pub eight_bit: bool,
    /// Whether its header holds UTF-8. An envelope with an address in UTF-8 needs SMTPUTF8 in any case.
    pub utf8: bool,
}

/// At which step something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The connection itself.
    Greeting,
    /// EHLO and HELO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// The reverse-path.
    Mail,
    /// Every one of the recipients.
    Recipients,
    /// DATA.
    Data,
    /// The message.
    Body,
}

/// What a server does not offer, as a sentence for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MissingCapability {
    /// STARTTLS, with [`Tls::Required`].
    #[error("the server does not offer encryption (STARTTLS), and nothing is sent without it")]
    StartTls,
    /// AUTH with a mechanism that is spoken here, where it is required.
    #[error("the server does not offer a way to sign in (AUTH PLAIN or AUTH LOGIN)")]
    Auth,
    /// SMTPUTF8 (RFC 6531 section 3.1).
    #[error("the server does not take addresses or header fields that are not ASCII (SMTPUTF8)")]
    SmtpUtf8,
    /// 8BITMIME: without it nothing but ASCII may be sent "under any circumstances" (RFC 6152 section 3).
    #[error("the server does not take messages that are not ASCII (8BITMIME)")]
    EightBitMime,
    /// A SIZE that is less than the message's.
    #[error("the message is too large: the server takes {0} octets at most")]
    Size(u64),
}

/// Why [`Submission::body`] took nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// A NUL. RFC 6152 section 3 forbids it, and servers that drop it have been made to see a false end of the
    /// message. The way out is [`Submission::cancel`]: a message that has begun can be ended or abandoned.
    #[error("the message holds a NUL character, which mail cannot carry")]
    Nul,
    /// The server has not asked for a body.
    #[error(transparent)]
    Order(#[from] ApiMisuse),
}

/// What a [`Submission`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server's first words.
    Greeting(Reply),
    /// Hello, TLS and AUTH are done: envelopes are sent from now on.
    Ready {
        /// What the server offers.
        extensions: Extensions,
        /// Whether the server knows who is signed in.
        authenticated: bool,
    },
    /// The configuration asks for AUTH and has no credentials: [`Submission::login`].
    LoginRequired,
    /// The credentials were refused. [`Submission::login`] tries others.
    LoginRefused(Reply),
    /// The server turned the client away before it was ready; the session closes.
    Rejected {
        /// At which step.
        stage: Stage,
        /// Why.
        reply: Reply,
    },
    /// The server lacks what the session or the envelope needs. For [`MissingCapability::StartTls`] and [`MissingCapability::Auth`] the session
    /// closes; for the others the envelope is dropped, no word of it having been sent, and the session goes on.
    MissingCapability(MissingCapability),
    /// One recipient was refused; the message still goes to the others, if there are any.
    RecipientRefused {
        /// The index in [`Envelope::recipients`].
        index: usize,
        /// Why.
        reply: Reply,
    },
    /// The server waits for the body: [`Submission::body`], then [`Submission::body_end`].
    SendBody,
    /// The server has taken over the message, for every recipient that it did not refuse.
    Sent(Reply),
    /// The message was refused for everybody. The session goes on, unless a [`Event::Goodbye`] follows.
    Refused {
        /// At which step.
        stage: Stage,
        /// Why.
        reply: Reply,
    },
    /// The server's last words; the session closes. Envelopes that were still queued have not been sent.
    Goodbye(Reply),
}
