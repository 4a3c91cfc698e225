//! The state table of a POP3 session: RFC 1939 sections 3 to 7, RFC 2449 section 5, RFC 2595 section 4, RFC 5034
//! section 4, RFC 6856 section 2.1.
//!
//! # Theory of operation
//!
//! A session begins in the AUTHORIZATION state. The client authenticates with USER and PASS or with an AUTH exchange,
//! and the policy opens the maildrop or rejects the login. In the TRANSACTION state, STAT, NOOP, RSET and commands
//! about messages that do not exist are answered from the [`Maildrop`] alone. All other commands ask the policy,
//! because the store has the sizes, unique-ids and texts of messages.
//!
//! DELE only marks a message. QUIT in the TRANSACTION state asks the policy to remove the marked messages (the UPDATE
//! state) and then closes the session. No other way out removes anything: a lost connection, a timeout, too many
//! errors and a shutdown close the session and discard the marks.
//!
//! [`State::command`] handles a command, [`State::response`] a line of an AUTH exchange, and [`State::answer`] the
//! policy's answer to a question. Only one question is open at a time.
//!
//! ```text
//!             greeting
//!                v        STLS              handshake done
//!   +----> AUTHORIZATION -------> Handshake ---------------> AUTHORIZATION, state discarded
//!   |        |       |
//!   |        |       +---- AUTH ----> Exchange
//!   |   USER, PASS                       | last response
//!   |        v                           v
//!   +----- the policy opens the maildrop, or rejects
//! rejected               | opened
//!                        v
//!                   TRANSACTION --- QUIT ---> the policy removes marked messages (UPDATE) ---> Closed
//! ```

use super::replies;
use crate::pop3::command::Command;
use crate::pop3::maildrop::Maildrop;
use crate::pop3::reply::Reply;
use crate::sasl::{self, Credentials, Mechanism, Progress, SaslError, ServerExchange};
use crate::secret::Secret;

/// A question to the policy. The machine pauses until it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Is the username accepted? Answer with [`accept`](super::Server::accept) or [`reject`](super::Server::reject).
    User(String),
    /// Verify the credentials and open the maildrop. Answer with [`opened`](super::Server::opened) or
    /// [`reject`](super::Server::reject).
    Authenticate(Credentials),
    /// LIST. Answer with [`begin`](super::Server::begin), [`item`](super::Server::item) for each message and
    /// [`finish`](super::Server::finish), or [`reject`](super::Server::reject). Marked messages are filtered out.
    List,
    /// UIDL. Answer with [`begin`](super::Server::begin), [`unique_id`](super::Server::unique_id) for each message and
    /// [`finish`](super::Server::finish), or [`reject`](super::Server::reject). Marked messages are filtered out.
    UniqueIds,
    /// A command about one message. Answer with [`entry`](super::Server::entry) or [`reject`](super::Server::reject).
    Lookup {
        /// Message-number of an existing, unmarked message.
        number: u64,
        /// The command.
        purpose: Lookup,
    },
    /// RETR. Answer with [`begin_body`](super::Server::begin_body), write the machine's output and then the message,
    /// and call [`finish`](super::Server::finish); or [`reject`](super::Server::reject).
    Retrieve {
        /// Message-number of an existing, unmarked message.
        number: u64,
    },
    /// TOP. As [`Retrieve`](Self::Retrieve), but send only the part that [`TopLimiter`](crate::pop3::TopLimiter)
    /// allows.
    Top {
        /// Message-number of an existing, unmarked message.
        number: u64,
        /// Number of lines of the body.
        lines: u64,
    },
    /// QUIT. Remove the marked messages and release the maildrop. Answer with [`removed`](super::Server::removed) or
    /// [`reject`](super::Server::reject); both end the session.
    Quit {
        /// Marked message-numbers in ascending order; may be empty.
        marked: Vec<u64>,
    },
}

/// The command of an [`Event::Lookup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// `LIST n`
    ListEntry,
    /// `UIDL n`
    UniqueId,
    /// `DELE n`
    Delete,
}

/// The state of a session.
#[derive(Debug)]
pub(super) enum State {
    /// AUTHORIZATION, with the name of an accepted USER.
    Authorization { named: Option<String> },
    /// Within AUTH; the next line is a response.
    Exchange(ServerExchange),
    /// STLS was accepted; the TLS handshake follows.
    Handshake,
    /// TRANSACTION.
    Transaction { user: String, maildrop: Maildrop },
    /// The session is over.
    Closed,
}

/// Commands that are available before login.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) login: bool,
    pub(super) stls: bool,
}

/// The result of a command.
#[derive(Debug)]
pub(super) enum Verdict {
    /// A final reply.
    Reply(Reply),
    /// An error that counts towards the limit of consecutive errors.
    Error(Reply),
    /// A question to the policy.
    Ask(Event),
    /// The list of capabilities.
    Capabilities,
    /// The list of mechanisms.
    Mechanisms,
    /// The next challenge of an exchange.
    Challenge(&'static str),
    /// The client enabled UTF-8.
    Utf8,
}

/// An open question, without the data that its answer does not need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    User(String),
    Login(String),
    List,
    UniqueIds,
    Lookup {
        number: u64,
        purpose: Lookup,
    },
    Retrieve,
    Top,
    /// A multi-line reply in progress.
    ScanListings,
    UniqueIdListings,
    Body,
    Quit,
}

/// The policy's answer.
#[derive(Debug)]
pub(super) enum Answer<'a> {
    Accept,
    Reject(Reply),
    Opened { count: u64, octets: u64 },
    Begin,
    BeginBody { octets: u64 },
    Finish,
    Entry { octets: u64, unique_id: &'a str },
    Removed,
}

/// The result of an answer.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A final reply.
    Reply(Reply),
    /// An error that counts towards the limit of consecutive errors.
    Error(Reply),
    /// The first line of a multi-line reply, and its continuation.
    Begun(Reply, Question),
    /// The end of a multi-line reply.
    End,
}

impl State {
    pub(super) const fn authorization() -> Self {
        Self::Authorization { named: None }
    }

    /// Handles a command.
    pub(super) fn command(&mut self, command: Command, offer: Offer) -> Verdict {
        match self {
            _ if command == Command::Capa => Verdict::Capabilities,
            Self::Authorization { .. } => self.command_in_authorization(command, offer),
            Self::Transaction { maildrop, .. } => command_in_transaction(command, maildrop),
            Self::Exchange(_) | Self::Handshake | Self::Closed => {
                unreachable!("the connection reads no commands in these states")
            }
        }
    }

    /// RFC 1939 sections 4 and 7.
    fn command_in_authorization(&mut self, command: Command, offer: Offer) -> Verdict {
        use Command::{Auth, Pass, Quit, Stls, User, Utf8};
        match command {
            User(_) | Pass(_) | Auth { .. } if !offer.login => {
                Verdict::Error(if offer.stls { replies::TLS_FIRST } else { replies::LOGIN_UNAVAILABLE })
            }
            User(name) => Verdict::Ask(Event::User(name.into_string())),
            Pass(password) => match std::mem::replace(self, Self::authorization()) {
                Self::Authorization { named: Some(name) } => {
                    Verdict::Ask(Event::Authenticate(Credentials::new(name, password.expose().as_str())))
                }
                _ => Verdict::Error(replies::USER_FIRST),
            },
            Auth { mechanism: None, .. } => Verdict::Mechanisms,
            Auth { mechanism: Some(name), initial_response } => match Mechanism::parse(name.as_bytes()) {
                Some(mechanism) => self.exchange(start(mechanism, initial_response)),
                None => Verdict::Error(replies::UNSUPPORTED_MECHANISM),
            },
            Stls if offer.stls => {
                *self = Self::Handshake;
                Verdict::Reply(replies::BEGIN_TLS)
            }
            Stls => Verdict::Error(replies::NO_TLS),
            Utf8 => Verdict::Utf8,
            Quit => {
                *self = Self::Closed;
                Verdict::Reply(replies::GOODBYE)
            }
            _ => Verdict::Error(replies::LOGIN_FIRST),
        }
    }

    /// Handles a response of an exchange. `None` means a line that is too long.
    pub(super) fn response(&mut self, line: Option<&[u8]>) -> Verdict {
        let Self::Exchange(exchange) = std::mem::replace(self, Self::authorization()) else {
            unreachable!("the connection reads responses only within an exchange");
        };
        self.exchange(line.map_or(Err(SaslError::Malformed), |line| exchange.respond(line)))
    }

    /// RFC 5034 section 4.
    fn exchange(&mut self, progress: Result<Progress, SaslError>) -> Verdict {
        *self = Self::authorization();
        match progress {
            Ok(Progress::Continue(exchange)) => {
                let challenge = exchange.challenge();
                *self = Self::Exchange(exchange);
                Verdict::Challenge(challenge)
            }
            Ok(Progress::Done(credentials)) => Verdict::Ask(Event::Authenticate(credentials)),
            Err(SaslError::Cancelled) => Verdict::Error(replies::CANCELLED),
            Err(SaslError::NotBase64 | SaslError::Malformed) => Verdict::Error(replies::BAD_RESPONSE),
        }
    }

    /// Handles the policy's answer. `None` if it does not fit the question.
    pub(super) fn answer(&mut self, question: Question, answer: Answer<'_>) -> Option<Outcome> {
        Some(match (question, answer, &mut *self) {
            (Question::User(name), Answer::Accept, _) => {
                *self = Self::Authorization { named: Some(name) };
                Outcome::Reply(replies::SEND_PASSWORD)
            }
            (Question::User(_) | Question::Login(_), Answer::Reject(reply), _) => {
                *self = Self::authorization();
                Outcome::Error(reply)
            }
            (Question::Login(user), Answer::Opened { count, octets }, _) => {
                let maildrop = Maildrop::new(count, octets);
                let reply = replies::opened(maildrop.drop_listing());
                *self = Self::Transaction { user, maildrop };
                Outcome::Reply(reply)
            }
            (Question::List, Answer::Begin, Self::Transaction { maildrop, .. }) => {
                Outcome::Begun(replies::scan_listing_follows(maildrop.drop_listing()), Question::ScanListings)
            }
            (Question::UniqueIds, Answer::Begin, _) => {
                Outcome::Begun(replies::UNIQUE_IDS_FOLLOW, Question::UniqueIdListings)
            }
            (Question::Retrieve, Answer::BeginBody { octets }, _) => {
                Outcome::Begun(replies::message_follows(octets), Question::Body)
            }
            (Question::Top, Answer::BeginBody { .. }, _) => {
                Outcome::Begun(replies::TOP_FOLLOWS, Question::Body)
            }
            (Question::ScanListings | Question::UniqueIdListings | Question::Body, Answer::Finish, _) => {
                Outcome::End
            }
            (
                Question::Lookup { number, purpose },
                Answer::Entry { octets, unique_id },
                Self::Transaction { maildrop, .. },
            ) => Outcome::Reply(match purpose {
                Lookup::ListEntry => replies::scan_listing(number, octets),
                Lookup::UniqueId => replies::unique_id(number, unique_id),
                Lookup::Delete => {
                    maildrop.mark(number, octets);
                    replies::DELETED
                }
            }),
            (Question::Quit, Answer::Removed, _) => {
                *self = Self::Closed;
                Outcome::Reply(replies::GOODBYE)
            }
            (Question::Quit, Answer::Reject(reply), _) => {
                *self = Self::Closed;
                Outcome::Reply(reply)
            }
            (
                Question::List
                | Question::UniqueIds
                | Question::Lookup { .. }
                | Question::Retrieve
                | Question::Top,
                Answer::Reject(reply),
                _,
            ) => Outcome::Reply(reply),
            _ => return None,
        })
    }
}

/// RFC 1939 sections 5 and 7.
fn command_in_transaction(command: Command, maildrop: &mut Maildrop) -> Verdict {
    use Command::{Dele, List, Noop, Quit, Retr, Rset, Stat, Top, Uidl};
    match command {
        Stat => Verdict::Reply(replies::stat(maildrop.drop_listing())),
        List(None) => Verdict::Ask(Event::List),
        Uidl(None) => Verdict::Ask(Event::UniqueIds),
        List(Some(number)) | Uidl(Some(number)) | Dele(number) | Retr(number) | Top { number, .. }
            if !maildrop.contains(number) =>
        {
            Verdict::Reply(replies::NO_SUCH_MESSAGE)
        }
        List(Some(number)) => look(number, Lookup::ListEntry),
        Uidl(Some(number)) => look(number, Lookup::UniqueId),
        Dele(number) => look(number, Lookup::Delete),
        Retr(number) => Verdict::Ask(Event::Retrieve { number }),
        Top { number, lines } => Verdict::Ask(Event::Top { number, lines }),
        Noop => Verdict::Reply(replies::NOTHING_DONE),
        Rset => {
            maildrop.reset();
            Verdict::Reply(replies::reset(maildrop.drop_listing()))
        }
        Quit => Verdict::Ask(Event::Quit { marked: maildrop.marked() }),
        _ => Verdict::Error(replies::ALREADY_AUTHENTICATED),
    }
}

fn start(mechanism: Mechanism, initial_response: Option<Secret<String>>) -> Result<Progress, SaslError> {
    let initial = initial_response.map(|text| sasl::decode_initial(text.expose().as_bytes())).transpose()?;
    ServerExchange::start(mechanism, initial.as_ref())
}

fn look(number: u64, purpose: Lookup) -> Verdict {
    Verdict::Ask(Event::Lookup { number, purpose })
}

impl From<&Event> for Question {
    fn from(event: &Event) -> Self {
        match event {
            Event::User(name) => Self::User(name.clone()),
            Event::Authenticate(credentials) => Self::Login(credentials.authentication_id.clone()),
            Event::List => Self::List,
            Event::UniqueIds => Self::UniqueIds,
            Event::Lookup { number, purpose } => Self::Lookup { number: *number, purpose: *purpose },
            Event::Retrieve { .. } => Self::Retrieve,
            Event::Top { .. } => Self::Top,
            Event::Quit { .. } => Self::Quit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// The result of a command as text.
    fn cell(mut state: State, line: &str, offer: Offer) -> String {
        match state.command(Command::parse(line.as_bytes()).unwrap(), offer) {
            Verdict::Reply(reply) => reply.to_string(),
            Verdict::Error(reply) => format!("error: {}", reply.text()),
            Verdict::Ask(_) => "asks".to_owned(),
            Verdict::Capabilities | Verdict::Mechanisms => "lists".to_owned(),
            Verdict::Challenge(_) => "challenges".to_owned(),
            Verdict::Utf8 => "utf8".to_owned(),
        }
    }

    fn named() -> State {
        State::Authorization { named: Some("ag".to_owned()) }
    }

    /// Two messages of 30 octets, the first of them marked.
    fn transaction() -> State {
        let mut maildrop = Maildrop::new(2, 30);
        maildrop.mark(1, 10);
        State::Transaction { user: "ag".to_owned(), maildrop }
    }

    /// Columns: before USER, after USER, after login.
    #[test]
    fn command_table_depends_on_the_state() {
        let (first, already) = ("error: log in first", "error: already authenticated");
        let none = "-ERR no such message";
        for (line, expected) in [
            ("CAPA", ["lists", "lists", "lists"]),
            ("QUIT", ["+OK goodbye", "+OK goodbye", "asks"]),
            ("USER ag", ["asks", "asks", already]),
            ("PASS secret", ["error: send USER first", "asks", already]),
            ("AUTH", ["lists", "lists", already]),
            ("AUTH PLAIN", ["challenges", "challenges", already]),
            ("AUTH PLAIN AGFnAHg=", ["asks", "asks", already]),
            ("STLS", ["+OK begin TLS negotiation", "+OK begin TLS negotiation", already]),
            ("UTF8", ["utf8", "utf8", already]),
            ("NOOP", [first, first, "+OK nothing done"]),
            ("STAT", [first, first, "+OK 1 20"]),
            ("RSET", [first, first, "+OK maildrop has 2 messages (30 octets)"]),
            ("LIST", [first, first, "asks"]),
            ("UIDL", [first, first, "asks"]),
            ("LIST 1", [first, first, none]),
            ("UIDL 1", [first, first, none]),
            ("RETR 1", [first, first, none]),
            ("DELE 1", [first, first, none]),
            ("TOP 1 0", [first, first, none]),
            ("LIST 2", [first, first, "asks"]),
            ("UIDL 2", [first, first, "asks"]),
            ("RETR 2", [first, first, "asks"]),
            ("DELE 2", [first, first, "asks"]),
            ("TOP 2 0", [first, first, "asks"]),
        ] {
            let offer = Offer { login: true, stls: true };
            let row = [State::authorization(), named(), transaction()].map(|state| cell(state, line, offer));
            assert_eq!(row, expected, "{line}");
        }
    }

    #[test]
    fn commands_that_are_not_offered_are_rejected() {
        for line in ["USER ag", "PASS secret", "AUTH", "AUTH PLAIN", "AUTH PLAIN AGFnAHg="] {
            let cell = |stls| cell(named(), line, Offer { login: false, stls });
            assert_eq!(cell(true), "error: login requires TLS: send STLS first", "{line}");
            assert!(cell(false).starts_with("error: login is not possible on this connection: "), "{line}");
        }
        let without_tls = Offer { login: true, stls: false };
        let refused = "error: TLS is not available or already active";
        assert_eq!(cell(named(), "STLS", without_tls), refused);
    }

    /// A row for each question; `x` marks the valid answers.
    #[test]
    fn answer_table_accepts_fitting_answers_only() {
        let answers: [fn() -> Answer<'static>; 8] = [
            || Answer::Accept,
            || Answer::Opened { count: 1, octets: 1 },
            || Answer::Begin,
            || Answer::BeginBody { octets: 1 },
            || Answer::Entry { octets: 1, unique_id: "x" },
            || Answer::Finish,
            || Answer::Removed,
            || Answer::Reject(replies::STORE_FAILED),
        ];
        for (question, expected) in [
            (Question::User("ag".to_owned()), "x......x"),
            (Question::Login("ag".to_owned()), ".x.....x"),
            (Question::List, "..x....x"),
            (Question::UniqueIds, "..x....x"),
            (Question::Retrieve, "...x...x"),
            (Question::Top, "...x...x"),
            (Question::Lookup { number: 2, purpose: Lookup::Delete }, "....x..x"),
            (Question::ScanListings, ".....x.."),
            (Question::UniqueIdListings, ".....x.."),
            (Question::Body, ".....x.."),
            (Question::Quit, "......xx"),
        ] {
            let is_valid =
                |answer: fn() -> Answer<'static>| transaction().answer(question.clone(), answer()).is_some();
            let row: String =
                answers.iter().map(|answer| if is_valid(*answer) { 'x' } else { '.' }).collect();
            assert_eq!(row, expected, "{question:?}");
        }
    }
}
