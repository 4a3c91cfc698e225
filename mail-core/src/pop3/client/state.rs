//! The transition table of the client: the outcome of each reply to each command.
//!
//! ```text
//! connect ──+OK──▶ STLS, if it must be ──+OK──▶ TLS handshake ──▶ CAPA
//!            └──────────────────────────────────────────────────▶ CAPA
//!                                                                  │any
//!                  ┌──────any─────── UTF8, where it is offered ◀───┘
//!                  ▼
//!          AUTHORIZATION ──▶ USER ──+OK──▶ PASS ──┐
//!             ▲    │  └────▶ AUTH ⇄ "+" ──────────┤+OK
//!             └────┼─ -ERR ───┴────────────────── ┤
//!                  │                              ▼
//!                  └──▶ QUIT ──any──▶ closed ◀─ TRANSACTION ◀─any─▶ commands
//! ```
//!
//! RFC 1939 sections 4 to 6, RFC 2449 section 5 (CAPA), RFC 2595 section 4 (STLS), RFC 5034 (AUTH), RFC 6856 (UTF8).

use crate::pop3::command::Command;

/// The state of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Before the first login: greeting, TLS, capabilities.
    Opening,
    /// STLS was accepted; the driver performs the handshake.
    Handshake,
    /// AUTHORIZATION: the client needs credentials, or QUIT.
    Authorization,
    /// Credentials were sent.
    LoggingIn,
    /// TRANSACTION: the maildrop is open.
    Transaction,
    Closed,
}

/// The command that a reply answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Awaited {
    Greeting,
    Command(Command),
    /// A response within AUTH.
    Response,
    /// The `*` that cancels an AUTH exchange.
    Cancel,
}

/// The status of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// `+OK`
    Ok,
    /// `-ERR`
    Err,
    /// `+ `: a challenge within AUTH.
    Continue,
}

/// The outcome of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Greeted,
    Rejected,
    Handshake,
    TlsRefused,
    /// Ready for credentials. CAPA and UTF8 are optional.
    Prepared,
    SendPassword,
    Challenged,
    LoggedIn,
    LoginRefused,
    /// The lines of a multi-line reply follow.
    ReadLines(Command),
    /// The message with this number follows.
    ReadMessage(u64),
    /// The reply is complete.
    Answered(Command),
    Refused(Command),
    Goodbye,
    /// Some marked messages were not removed. The session still ends (RFC 1939 section 6).
    QuitRefused,
}

/// The table. `None` means that the reply is not valid for the command.
pub(super) fn outcome(awaited: Awaited, status: Status) -> Option<Outcome> {
    use Awaited as A;
    use Command as C;
    use Outcome as O;
    use Status as S;
    Some(match (awaited, status) {
        (A::Greeting, S::Ok) => O::Greeted,
        (A::Greeting, S::Err) => O::Rejected,
        (A::Command(C::Stls), S::Ok) => O::Handshake,
        (A::Command(C::Stls), S::Err) => O::TlsRefused,
        (A::Command(C::Capa), S::Err) => O::Prepared,
        (A::Command(C::Utf8), S::Ok | S::Err) => O::Prepared,
        (A::Command(C::User(_)), S::Ok) => O::SendPassword,
        (A::Command(C::Auth { .. }) | A::Response, S::Continue) => O::Challenged,
        (A::Command(C::Pass(_) | C::Auth { .. }) | A::Response, S::Ok) => O::LoggedIn,
        (A::Command(C::User(_) | C::Pass(_) | C::Auth { .. }) | A::Response | A::Cancel, S::Err) => {
            O::LoginRefused
        }
        (A::Command(command @ (C::Capa | C::List(None) | C::Uidl(None))), S::Ok) => O::ReadLines(command),
        (A::Command(C::Retr(number) | C::Top { number, .. }), S::Ok) => O::ReadMessage(number),
        (A::Command(C::Quit), S::Ok) => O::Goodbye,
        (A::Command(C::Quit), S::Err) => O::QuitRefused,
        (A::Command(command), S::Ok) => O::Answered(command),
        (A::Command(command), S::Err) => O::Refused(command),
        (A::Cancel, S::Ok) | (_, S::Continue) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const COMMANDS: [Command; 14] = [
        Command::Auth { mechanism: None, initial_response: None },
        Command::Capa,
        Command::Stls,
        Command::Utf8,
        Command::Stat,
        Command::List(None),
        Command::List(Some(1)),
        Command::Uidl(None),
        Command::Uidl(Some(1)),
        Command::Retr(1),
        Command::Top { number: 1, lines: 0 },
        Command::Dele(1),
        Command::Noop,
        Command::Quit,
    ];

    #[test]
    fn every_command_can_be_rejected_and_only_auth_accepts_challenges() {
        for command in COMMANDS {
            let continued = matches!(command, Command::Auth { .. });
            let of = |status| outcome(Awaited::Command(command.clone()), status);
            assert!(of(Status::Ok).is_some() && of(Status::Err).is_some(), "{command}");
            assert_eq!(of(Status::Continue).is_some(), continued, "{command}");
        }
    }

    #[test]
    fn capa_and_utf8_are_optional() {
        for command in [Command::Capa, Command::Utf8] {
            assert_eq!(outcome(Awaited::Command(command), Status::Err), Some(Outcome::Prepared));
        }
    }

    #[test]
    fn cancelled_exchange_cannot_succeed() {
        assert_eq!(outcome(Awaited::Cancel, Status::Ok), None);
        assert_eq!(outcome(Awaited::Cancel, Status::Continue), None);
    }
}
