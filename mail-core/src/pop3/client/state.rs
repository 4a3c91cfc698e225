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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Greeted,
    Rejected,
    Handshake,
    TlsRefused,
    ReadCapabilities,
    /// There is no CAPA: the server has what RFC 1939 has.
    NoCapabilities,
    /// All is settled but the credentials.
    Prepared,
    SendPassword,
    Challenged,
    LoggedIn,
    LoginRefused,
    /// A multi-line answer follows.
    ReadLines,
    ReadMessage,
    /// The answer is this one line.
    Answered,
    Refused,
    Goodbye,
    /// Not all that was marked is gone; the session is over all the same (RFC 1939 section 6).
    QuitRefused,
}

/// The table. `None`: a reply that this command cannot have.
pub(super) const fn outcome(awaited: &Awaited, status: Status) -> Option<Outcome> {
    use Command as C;
    use Outcome as O;
    use Status as S;
    let command = match awaited {
        Awaited::Greeting => {
            return match status {
                S::Ok => Some(O::Greeted),
                S::Err => Some(O::Rejected),
                S::Continue => None,
            };
        }
        Awaited::Cancel => return if matches!(status, S::Err) { Some(O::LoginRefused) } else { None },
        Awaited::Response => &C::Auth { mechanism: None, initial_response: None },
        Awaited::Command(command) => command,
    };
    Some(match (command, status) {
        (C::Stls, S::Ok) => O::Handshake,
        (C::Stls, S::Err) => O::TlsRefused,
        (C::Capa, S::Ok) => O::ReadCapabilities,
        (C::Capa, S::Err) => O::NoCapabilities,
        (C::Utf8, S::Ok | S::Err) => O::Prepared,
        (C::User(_), S::Ok) => O::SendPassword,
        (C::Pass(_) | C::Auth { .. }, S::Ok) => O::LoggedIn,
        (C::Auth { .. }, S::Continue) => O::Challenged,
        (C::User(_) | C::Pass(_) | C::Auth { .. }, S::Err) => O::LoginRefused,
        (C::List(None) | C::Uidl(None), S::Ok) => O::ReadLines,
        (C::Retr(_) | C::Top { .. }, S::Ok) => O::ReadMessage,
        (C::Quit, S::Ok) => O::Goodbye,
        (C::Quit, S::Err) => O::QuitRefused,
        (_, S::Ok) => O::Answered,
        (_, S::Err) => O::Refused,
        (_, S::Continue) => return None,
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
            let awaited = Awaited::Command(command);
            assert!(outcome(&awaited, Status::Ok).is_some(), "{awaited:?}");
            assert!(outcome(&awaited, Status::Err).is_some(), "{awaited:?}");
            assert_eq!(outcome(&awaited, Status::Continue).is_some(), continued, "{awaited:?}");
        }
    }

    #[test]
    fn a_server_without_capa_or_utf8_is_used_as_it_is() {
        assert_eq!(outcome(&Awaited::Command(Command::Capa), Status::Err), Some(Outcome::NoCapabilities));
        assert_eq!(outcome(&Awaited::Command(Command::Utf8), Status::Err), Some(Outcome::Prepared));
    }
}
