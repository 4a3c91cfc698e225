//! Every transition of a POP3 server session: [`State::command`] says what a command does where,
//! [`State::response`] what a line of a SASL exchange does, [`State::answer`] what the policy's answer leads to.
//!
//! ```text
//!             greeting
//!                v        STLS              handshake done
//!   +----> AUTHORIZATION -------> Handshake ---------------> AUTHORIZATION, all forgotten
//!   |        |       |
//!   |        |       +---- AUTH ----> Exchange
//!   |   USER, PASS                       | last response
//!   |        v                           v
//!   +----- the policy opens the maildrop, or refuses
//! refused                | opened
//!                        v
//!                   TRANSACTION --- QUIT ---> the policy removes the marked (UPDATE) ---> Closed
//! ```
//!
//! RFC 1939 sections 3 to 7, RFC 2449 section 5, RFC 2595 section 4, RFC 5034 section 4, RFC 6856 section 2.1.
//! Only QUIT leads from TRANSACTION to UPDATE: a lost connection, a timeout, a mistake too many, and a
//! shutdown lead to Closed, and nothing is removed.

use super::replies;
use crate::pop3::command::Command;
use crate::pop3::maildrop::Maildrop;
use crate::pop3::reply::Reply;
use crate::sasl::{self, Credentials, Mechanism, Progress, SaslError, ServerExchange};
use crate::secret::Secret;

/// What the machine asks its policy. Every event is a question, and the machine waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Is there such a user? [`accept`](super::Server::accept) or [`reject`](super::Server::reject).
    User(String),
    /// Are these good, and can the maildrop be had? [`opened`](super::Server::opened) or
    /// [`reject`](super::Server::reject).
    Authenticate(Credentials),
    /// The scan listings of all messages: [`begin`](super::Server::begin), then
    /// [`item`](super::Server::item) for each, then [`finish`](super::Server::finish); or
    /// [`reject`](super::Server::reject). Marked messages may be given: they are left out.
    List,
    /// The unique-ids of all messages: [`begin`](super::Server::begin), then
    /// [`unique_id`](super::Server::unique_id) for each, then [`finish`](super::Server::finish); or
    /// [`reject`](super::Server::reject). Marked messages may be given: they are left out.
    UniqueIds,
    /// One message is looked up: [`entry`](super::Server::entry) or [`reject`](super::Server::reject).
    Lookup {
        /// The number of a message that is there and not marked.
        number: u64,
        /// What for.
        purpose: Lookup,
    },
    /// A message is sent: [`begin_body`](super::Server::begin_body), then what is to be transmitted and the
    /// message itself are written, then [`finish`](super::Server::finish); or
    /// [`reject`](super::Server::reject).
    Retrieve {
        /// The number of a message that is there and not marked.
        number: u64,
    },
    /// As [`Retrieve`](Self::Retrieve), but the header, the blank line and `lines` lines of the body
    /// ([`TopLimiter`](crate::pop3::TopLimiter) counts them).
    Top {
        /// The number of a message that is there and not marked.
        number: u64,
        /// How many lines of the body.
        lines: u64,
    },
    /// The client is done: remove the marked messages, which may be none, and let go of the maildrop.
    /// [`removed`](super::Server::removed) or [`reject`](super::Server::reject); the session is over then.
    Quit {
        /// The marked message-numbers, in ascending order.
        marked: Vec<u64>,
    },
}

/// What a single look-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// `LIST n`
    ListEntry,
    /// `UIDL n`
    UniqueId,
    /// `DELE n`
    Delete,
}

/// Where the session stands.
#[derive(Debug)]
pub(super) enum State {
    /// Nobody has signed in. After an accepted USER its name waits for PASS.
    Authorization { named: Option<String> },
    /// The next line is a response of the client's.
    Exchange(ServerExchange),
    /// STLS is answered, and nothing more is read before TLS.
    Handshake,
    /// A maildrop is open.
    Transaction { user: String, maildrop: Maildrop },
    /// It is over.
    Closed,
}

/// What this connection lets a client do before it has signed in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) sign_in: bool,
    pub(super) stls: bool,
}

/// What a command leads to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is carried out, or there is nothing to carry it out on.
    Reply(Reply),
    /// It was a mistake, and mistakes are counted.
    Mistake(Reply),
    /// The policy has to decide.
    Ask(Event),
    /// A list of the server's own follows.
    Capabilities,
    Mechanisms,
    /// A SASL exchange goes on.
    Challenge(&'static str),
    /// From here on the client understands UTF-8.
    Utf8,
}

/// An unanswered [`Event`], as much of it as its answer needs.
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
    /// The first line is sent, and this follows it.
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

/// What an answer leads to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The command is done with.
    Reply(Reply),
    /// The same, and it counts as a mistake.
    Mistake(Reply),
    /// The first line of a multi-line reply, and what goes on behind it.
    Begun(Reply, Question),
    /// The line with the single dot.
    End,
}

impl State {
    pub(super) const fn authorization() -> Self {
        Self::Authorization { named: None }
    }

    /// What a command does here.
    pub(super) fn command(&mut self, command: Command, offer: Offer) -> Verdict {
        match self {
            _ if command == Command::Capa => Verdict::Capabilities,
            Self::Authorization { .. } => self.command_in_authorization(command, offer),
            Self::Transaction { maildrop, .. } => command_in_transaction(command, maildrop),
            Self::Exchange(_) | Self::Handshake | Self::Closed => {
                unreachable!("what arrives in these states is not read as a command")
            }
        }
    }

    /// RFC 1939 sections 4 and 7.
    fn command_in_authorization(&mut self, command: Command, offer: Offer) -> Verdict {
        use Command::{Auth, Pass, Quit, Stls, User, Utf8};
        match command {
            User(_) | Pass(_) | Auth { .. } if !offer.sign_in => {
                Verdict::Mistake(if offer.stls { replies::TLS_FIRST } else { replies::NO_SIGN_IN })
            }
            User(name) => Verdict::Ask(Event::User(name.into_string())),
            Pass(password) => match std::mem::replace(self, Self::authorization()) {
                Self::Authorization { named: Some(name) } => {
                    Verdict::Ask(Event::Authenticate(Credentials::new(name, password.expose().as_str())))
                }
                _ => Verdict::Mistake(replies::USER_FIRST),
            },
            Auth { mechanism: None, .. } => Verdict::Mechanisms,
            Auth { mechanism: Some(name), initial_response } => match Mechanism::parse(name.as_bytes()) {
                Some(mechanism) => self.exchange(start(mechanism, initial_response)),
                None => Verdict::Mistake(replies::NO_SUCH_MECHANISM),
            },
            Stls if offer.stls => {
                *self = Self::Handshake;
                Verdict::Reply(replies::BEGIN_TLS)
            }
            Stls => Verdict::Mistake(replies::NO_TLS),
            Utf8 => Verdict::Utf8,
            Quit => {
                *self = Self::Closed;
                Verdict::Reply(replies::GOODBYE)
            }
            _ => Verdict::Mistake(replies::SIGN_IN_FIRST),
        }
    }

    /// What a line does that answers a challenge; `None` is a line that was too long.
    pub(super) fn response(&mut self, line: Option<&[u8]>) -> Verdict {
        let Self::Exchange(exchange) = std::mem::replace(self, Self::authorization()) else {
            unreachable!("only an exchange has challenges");
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
            Err(SaslError::Cancelled) => Verdict::Mistake(replies::CANCELLED),
            Err(SaslError::NotBase64 | SaslError::Malformed) => Verdict::Mistake(replies::BAD_RESPONSE),
        }
    }

    /// What the policy's answer leads to; `None` when it is the answer to another question.
    pub(super) fn answer(&mut self, question: Question, answer: Answer<'_>) -> Option<Outcome> {
        Some(match (question, answer, &mut *self) {
            (Question::User(name), Answer::Accept, _) => {
                *self = Self::Authorization { named: Some(name) };
                Outcome::Reply(replies::SEND_PASSWORD)
            }
            (Question::User(_) | Question::Login(_), Answer::Reject(reply), _) => {
                *self = Self::authorization();
                Outcome::Mistake(reply)
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
        _ => Verdict::Mistake(replies::SIGNED_IN_ALREADY),
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

    /// A table's cell: the reply, or what happens.
    fn cell(mut state: State, line: &str, offer: Offer) -> String {
        match state.command(Command::parse(line.as_bytes()).unwrap(), offer) {
            Verdict::Reply(reply) => reply.to_string(),
            Verdict::Mistake(reply) => format!("error: {}", reply.text()),
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

    /// Every command before USER, behind USER, and behind signing in.
    #[test]
    fn the_table_of_commands() {
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
            let offer = Offer { sign_in: true, stls: true };
            let row = [State::authorization(), named(), transaction()].map(|state| cell(state, line, offer));
            assert_eq!(row, expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused() {
        for line in ["USER ag", "PASS secret", "AUTH", "AUTH PLAIN", "AUTH PLAIN AGFnAHg="] {
            let cell = |stls| cell(named(), line, Offer { sign_in: false, stls });
            assert_eq!(cell(true), "error: login requires TLS: send STLS first", "{line}");
            assert!(cell(false).starts_with("error: login is not possible on this connection: "), "{line}");
        }
        let without_tls = Offer { sign_in: true, stls: false };
        let refused = "error: TLS is not available or already active";
        assert_eq!(cell(named(), "STLS", without_tls), refused);
    }

    /// Every question takes its own answers and no other.
    #[test]
    fn the_table_of_answers() {
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
            let takes =
                |answer: fn() -> Answer<'static>| transaction().answer(question.clone(), answer()).is_some();
            let row: String = answers.iter().map(|answer| if takes(*answer) { 'x' } else { '.' }).collect();
            assert_eq!(row, expected, "{question:?}");
        }
    }
}
