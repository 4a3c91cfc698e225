//! What every reply means to a client: all of its transitions, as a table.
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
//! Nothing here touches a byte.

use crate::pop3::command::Command;

/// Where the session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Before the first login: greeting, TLS, capabilities.
    Opening,
    /// STLS is granted; the driver does the handshake.
    Handshake,
    /// The server waits for credentials, or for QUIT.
    Authorization,
    /// Credentials are on their way.
    LoggingIn,
    /// The maildrop is open.
    Transaction,
    Closed,
}

/// What a reply is the reply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Awaited {
    Greeting,
    Command(Command),
    /// A response within AUTH.
    Response,
    /// The `*` that ends an AUTH exchange which the client cannot go on with.
    Cancel,
}

/// The first line of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// `+OK`
    Ok,
    /// `-ERR`
    Err,
    /// `+ `, which asks for the next response within AUTH.
    Continue,
}

/// What the client does about a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Greeted,
    Rejected,
    Handshake,
    TlsRefused,
    /// All is known but the credentials. A server without CAPA or UTF8 is used as it is.
    Prepared,
    SendPassword,
    Challenged,
    LoggedIn,
    LoginRefused,
    /// The lines of the answer follow.
    ReadLines(Command),
    /// The message of that number follows.
    ReadMessage(u64),
    /// The answer is this one line.
    Answered(Command),
    Refused(Command),
    Goodbye,
    /// Not all that was marked is gone; the session is over all the same (RFC 1939 section 6).
    QuitRefused,
}

/// The table. `None`: a reply that this command cannot have.
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
    fn every_command_can_be_refused_and_only_auth_is_continued() {
        for command in COMMANDS {
            let continued = matches!(command, Command::Auth { .. });
            let of = |status| outcome(Awaited::Command(command.clone()), status);
            assert!(of(Status::Ok).is_some() && of(Status::Err).is_some(), "{command}");
            assert_eq!(of(Status::Continue).is_some(), continued, "{command}");
        }
    }

    #[test]
    fn a_server_without_capa_or_utf8_is_used_as_it_is() {
        for command in [Command::Capa, Command::Utf8] {
            assert_eq!(outcome(Awaited::Command(command), Status::Err), Some(Outcome::Prepared));
        }
    }

    #[test]
    fn a_cancelled_exchange_cannot_succeed() {
        assert_eq!(outcome(Awaited::Cancel, Status::Ok), None);
        assert_eq!(outcome(Awaited::Cancel, Status::Continue), None);
    }
}
