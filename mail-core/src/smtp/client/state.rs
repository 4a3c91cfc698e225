//! What every reply means to a client: all of its transitions, as a table.
//!
//! ```text
//! connect ──220──▶ EHLO ──5yz──▶ HELO
//!                   │250          │250
//!     ┌─────────────┤             │
//!     │  STARTTLS ──220──▶ TLS handshake ──▶ EHLO again
//!     │             ▼             ▼
//!     └─────────▶ AUTH ◀─334─▶ response ──4yz,5yz──▶ waits for other credentials
//!                   │235
//!                   ▼
//!                 idle ──▶ MAIL ──▶ RCPT... ──▶ DATA ──354──▶ body ──▶ "." ──250──▶ idle
//!                   │        └────────┴──────────┴──refused──▶ RSET ──any──▶ idle
//!                   └──▶ QUIT ──any──▶ closed
//! ```
//!
//! Only the first digit of a reply decides (RFC 5321 section 4.2.1), apart from 421, which closes from anywhere
//! (section 3.8). Nothing here touches a byte.

use crate::smtp::limits;
use crate::smtp::reply::Reply;
use crate::time::Duration;

use super::Stage;

/// Where the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Greeting, EHLO or HELO, STARTTLS.
    Opening,
    /// STARTTLS is granted, and the driver is to be told.
    TlsGranted,
    /// The driver does the handshake.
    Handshake,
    LoggingIn,
    /// The server waits for credentials, or for QUIT.
    LoginRequired,
    /// Between transactions.
    Ready,
    /// From MAIL to the answer to DATA.
    Envelope,
    /// The server waits for the body.
    Body,
    /// The body's end is sent.
    Verdict,
    Quitting,
    Closed,
}

/// What a reply is the reply to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    /// The `*` that ends an AUTH exchange which the client cannot go on with.
    AuthCancel,
    Mail,
    /// By its index in the envelope.
    Recipient(usize),
    Data,
    FinalDot,
    Reset,
    Quit,
}

/// What the client does about a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    SayEhlo,
    SayHelo,
    /// The extensions are known: TLS, AUTH or ready, as configured.
    Extended,
    /// The same, without any extension.
    Plain,
    TlsGranted,
    Challenged,
    LoggedIn,
    LoginRefused,
    SenderAccepted,
    RecipientAccepted,
    RecipientRefused(usize),
    /// 354: the body, or a lone dot when nobody is left to receive it (RFC 2920 section 3.1).
    BodyExpected,
    Sent,
    /// The transaction failed; the session goes on.
    TransactionRefused(Stage),
    /// The session cannot be used: QUIT.
    SessionRefused(Stage),
    /// RSET is answered, and what it answered does not matter: if it failed, the next MAIL will say so.
    ResetDone,
    /// 421, or the answer to QUIT. The stage is that of a transaction which it cuts short.
    Closed(Stage),
}

/// The table. `None`: a reply that this command cannot have.
pub(super) const fn outcome(awaited: Awaited, code: u16) -> Option<Outcome> {
    use Awaited as A;
    use Outcome as O;
    Some(match (awaited, code / 100) {
        _ if code == 421 => O::Closed(stage(awaited)),
        (A::Greeting, 2) => O::SayEhlo,
        (A::Greeting, 4 | 5) => O::SessionRefused(Stage::Greeting),
        (A::Ehlo, 2) => O::Extended,
        (A::Helo, 2) => O::Plain,
        (A::Ehlo, 5) => O::SayHelo,
        (A::Ehlo, 4) | (A::Helo, 4 | 5) => O::SessionRefused(Stage::Hello),
        (A::StartTls, 2) => O::TlsGranted,
        (A::StartTls, 4 | 5) => O::SessionRefused(Stage::StartTls),
        (A::Auth, 2) => O::LoggedIn,
        (A::Auth, 3) => O::Challenged,
        (A::Auth | A::AuthCancel, 4 | 5) => O::LoginRefused,
        (A::Mail, 2) => O::SenderAccepted,
        (A::Mail, 4 | 5) => O::TransactionRefused(Stage::Mail),
        (A::Recipient(_), 2) => O::RecipientAccepted,
        (A::Recipient(index), 4 | 5) => O::RecipientRefused(index),
        (A::Data, 3) => O::BodyExpected,
        (A::Data, 4 | 5) => O::TransactionRefused(Stage::Data),
        (A::FinalDot, 2) => O::Sent,
        (A::FinalDot, 4 | 5) => O::TransactionRefused(Stage::Body),
        (A::Reset, 2 | 4 | 5) => O::ResetDone,
        (A::Quit, 2 | 4 | 5) => O::Closed(stage(awaited)),
        _ => return None,
    })
}

/// How long the reply may take (RFC 5321 section 4.5.3.2).
pub(super) const fn allowance(awaited: Awaited) -> Duration {
    match awaited {
        Awaited::Greeting => limits::GREETING_TIMEOUT,
        Awaited::Recipient(_) => limits::RCPT_TIMEOUT,
        Awaited::Data => limits::DATA_INITIATION_TIMEOUT,
        Awaited::FinalDot => limits::DATA_TERMINATION_TIMEOUT,
        // RFC 5321 gives the other commands no time of their own.
        _ => limits::MAIL_TIMEOUT,
    }
}

const fn stage(awaited: Awaited) -> Stage {
    match awaited {
        Awaited::Mail => Stage::Mail,
        Awaited::Recipient(_) => Stage::Recipients,
        Awaited::Data => Stage::Data,
        _ => Stage::Body,
    }
}

/// One mail transaction: which of its commands have been sent, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    recipient_count: usize,
    mail_sent: bool,
    recipients_sent: usize,
    recipients_answered: usize,
    recipients_accepted: usize,
    data_sent: bool,
    /// The body's end was sent; a server forgets the envelope with it (RFC 5321 section 4.1.1.4).
    pub(super) ended: bool,
    /// What made the transaction fail.
    pub(super) refusal: Option<(Stage, Reply)>,
}

impl Progress {
    pub(super) const fn new(recipient_count: usize) -> Self {
        Self {
            recipient_count,
            mail_sent: false,
            recipients_sent: 0,
            recipients_answered: 0,
            recipients_accepted: 0,
            data_sent: false,
            ended: false,
            refusal: None,
        }
    }

    /// The next command of the envelope, now counted as sent; `None` when the next word is the server's. Without
    /// pipelining it must be asked for only when nothing is awaited, and then DATA follows accepted recipients only.
    pub(super) fn next_command(&mut self) -> Option<Awaited> {
        if !self.mail_sent {
            self.mail_sent = true;
            return Some(Awaited::Mail);
        }
        if self.refusal.is_some() || self.data_sent {
            return None;
        }
        if self.recipients_sent < self.recipient_count {
            self.recipients_sent += 1;
            return Some(Awaited::Recipient(self.recipients_sent - 1));
        }
        self.data_sent = true;
        Some(Awaited::Data)
    }

    pub(super) fn recipient_accepted(&mut self) {
        self.recipients_answered += 1;
        self.recipients_accepted += 1;
    }

    /// Whether the refusal is one of the recipient's own, rather than what follows from a refused MAIL.
    pub(super) fn recipient_refused(&mut self, reply: &Reply) -> bool {
        self.recipients_answered += 1;
        let own = self.refusal.is_none();
        if own && self.recipients_answered == self.recipient_count && self.recipients_accepted == 0 {
            self.refusal = Some((Stage::Recipients, reply.clone()));
        }
        own
    }

    /// Keeps the first refusal: those behind it follow from it.
    pub(super) fn refused(&mut self, stage: Stage, reply: Reply) {
        self.refusal.get_or_insert((stage, reply));
    }

    pub(super) const fn has_recipients(&self) -> bool {
        self.recipients_accepted > 0
    }

    /// Whether the server still holds an envelope that the next MAIL would stumble over.
    pub(super) fn leaves_envelope(&self) -> bool {
        !self.ended && !matches!(self.refusal, Some((Stage::Mail, _)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ALL: [Awaited; 12] = [
        Awaited::Greeting,
        Awaited::Ehlo,
        Awaited::Helo,
        Awaited::StartTls,
        Awaited::Auth,
        Awaited::AuthCancel,
        Awaited::Mail,
        Awaited::Recipient(3),
        Awaited::Data,
        Awaited::FinalDot,
        Awaited::Reset,
        Awaited::Quit,
    ];

    #[test]
    fn every_command_can_be_refused_and_421_closes_from_anywhere() {
        for awaited in ALL {
            assert_eq!(outcome(awaited, 421), Some(Outcome::Closed(stage(awaited))));
            for code in [450, 550] {
                assert!(outcome(awaited, code).is_some(), "{awaited:?} {code}");
            }
            assert_eq!(outcome(awaited, 150), None, "{awaited:?}: no command has a preliminary reply");
        }
    }

    #[test]
    fn only_auth_and_data_are_answered_by_3yz() {
        for awaited in ALL {
            let expected = matches!(awaited, Awaited::Auth | Awaited::Data);
            assert_eq!(outcome(awaited, 354).is_some(), expected, "{awaited:?}");
        }
        assert_eq!(
            outcome(Awaited::Data, 250),
            None,
            "a server that takes DATA without a body has lost its place"
        );
    }

    #[test]
    fn the_envelope_goes_out_in_order() {
        let mut progress = Progress::new(2);
        let commands: Vec<_> = std::iter::from_fn(|| progress.next_command()).collect();
        assert_eq!(commands, [Awaited::Mail, Awaited::Recipient(0), Awaited::Recipient(1), Awaited::Data]);
    }
}
