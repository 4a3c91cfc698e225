//! The transition table of the client: the outcome of each reply to each command.
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
//! Only the first digit of a reply matters (RFC 5321 section 4.2.1), except for 421, which closes the session in any
//! state (section 3.8).

use crate::smtp::limits;
use crate::smtp::reply::Reply;
use crate::time::Duration;

use super::Stage;

/// The state of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Greeting, EHLO or HELO, STARTTLS.
    Opening,
    /// STARTTLS was accepted; the driver is not informed yet.
    TlsGranted,
    /// The driver performs the handshake.
    Handshake,
    LoggingIn,
    /// The client needs credentials, or QUIT.
    LoginRequired,
    /// Between transactions.
    Ready,
    /// From MAIL to the reply to DATA.
    Envelope,
    /// The body is being sent.
    Body,
    /// The final dot was sent.
    FinalReply,
    Quitting,
    Closed,
}

/// The command that a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    /// The `*` that cancels an AUTH exchange.
    AuthCancel,
    Mail,
    /// With the index in the envelope.
    Recipient(usize),
    Data,
    FinalDot,
    Reset,
    Quit,
}

/// The outcome of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    SendEhlo,
    SendHelo,
    /// EHLO succeeded: continue with TLS, AUTH or messages, as configured.
    Extended,
    /// HELO succeeded: continue without extensions.
    Plain,
    TlsGranted,
    Challenged,
    LoggedIn,
    LoginRefused,
    SenderAccepted,
    RecipientAccepted,
    RecipientRefused(usize),
    /// 354: send the body, or an empty one if no recipient was accepted (RFC 2920 section 3.1).
    BodyExpected,
    Sent,
    /// The transaction failed; the session continues.
    TransactionRefused(Stage),
    /// The session is unusable: send QUIT.
    SessionRefused(Stage),
    /// RSET was answered. A failure would show in the reply to the next MAIL.
    ResetDone,
    /// 421 or the reply to QUIT, with the stage of an interrupted transaction.
    Closed(Stage),
}

/// The table. `None` means that the reply is not valid for the command.
pub(super) const fn outcome(awaited: Awaited, code: u16) -> Option<Outcome> {
    use Awaited as A;
    use Outcome as O;
    Some(match (awaited, code / 100) {
        _ if code == 421 => O::Closed(stage(awaited)),
        (A::Greeting, 2) => O::SendEhlo,
        (A::Greeting, 4 | 5) => O::SessionRefused(Stage::Greeting),
        (A::Ehlo, 2) => O::Extended,
        (A::Helo, 2) => O::Plain,
        (A::Ehlo, 5) => O::SendHelo,
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

/// The timeout for the reply (RFC 5321 section 4.5.3.2).
pub(super) const fn timeout(awaited: Awaited) -> Duration {
    match awaited {
        Awaited::Greeting => limits::GREETING_TIMEOUT,
        Awaited::Recipient(_) => limits::RCPT_TIMEOUT,
        Awaited::Data => limits::DATA_INITIATION_TIMEOUT,
        Awaited::FinalDot => limits::DATA_TERMINATION_TIMEOUT,
        // RFC 5321 has no timeout for the other commands.
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

/// The progress of a mail transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Progress {
    recipient_count: usize,
    mail_sent: bool,
    recipients_sent: usize,
    recipients_answered: usize,
    recipients_accepted: usize,
    data_sent: bool,
    /// The final dot was sent, after which the server clears the envelope (RFC 5321 section 4.1.1.4).
    pub(super) ended: bool,
    /// The first rejection, which made the transaction fail.
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

    /// The next command of the envelope, which counts as sent. `None` if the client must wait for replies. Without
    /// pipelining, call it only when no reply is outstanding; then DATA follows only if a recipient was accepted.
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

    /// Records a rejected recipient. Returns false if the rejection is a consequence of an earlier one.
    pub(super) fn recipient_refused(&mut self, reply: &Reply) -> bool {
        self.recipients_answered += 1;
        let is_new = self.refusal.is_none();
        if is_new && self.recipients_answered == self.recipient_count && self.recipients_accepted == 0 {
            self.refusal = Some((Stage::Recipients, reply.clone()));
        }
        is_new
    }

    /// Records a rejection unless there was an earlier one.
    pub(super) fn refused(&mut self, stage: Stage, reply: Reply) {
        self.refusal.get_or_insert((stage, reply));
    }

    pub(super) const fn has_recipients(&self) -> bool {
        self.recipients_accepted > 0
    }

    /// Whether the server still has an envelope, so that RSET is necessary before the next MAIL.
    pub(super) fn needs_reset(&self) -> bool {
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
    fn every_command_can_be_rejected_and_421_always_closes() {
        for awaited in ALL {
            assert_eq!(outcome(awaited, 421), Some(Outcome::Closed(stage(awaited))));
            for code in [450, 550] {
                assert!(outcome(awaited, code).is_some(), "{awaited:?} {code}");
            }
            assert_eq!(outcome(awaited, 150), None, "{awaited:?}: no command has a preliminary reply");
        }
    }

    #[test]
    fn only_auth_and_data_accept_3yz_replies() {
        for awaited in ALL {
            let expected = matches!(awaited, Awaited::Auth | Awaited::Data);
            assert_eq!(outcome(awaited, 354).is_some(), expected, "{awaited:?}");
        }
        assert_eq!(outcome(Awaited::Data, 250), None, "250 is not a valid reply to DATA");
    }

    #[test]
    fn progress_sends_mail_recipients_and_data_in_order() {
        let mut progress = Progress::new(2);
        let commands: Vec<_> = std::iter::from_fn(|| progress.next_command()).collect();
        assert_eq!(commands, [Awaited::Mail, Awaited::Recipient(0), Awaited::Recipient(1), Awaited::Data]);
    }
}
