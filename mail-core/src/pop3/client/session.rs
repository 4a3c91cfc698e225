//! The POP3 client state machine: queues commands and reports replies as events.
//!
//! RFC 1939. The transition table is in `state`.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::machine::{ApiMisuse, Machine, ProtocolError, Step};
use crate::pipeline::{PIPELINED_MAX, excerpt};
use crate::pop3::capability::Capability;
use crate::pop3::command::{Argument, Command};
use crate::pop3::limits::CAPABILITIES_MAX;
use crate::pop3::listing::{DropListing, ScanListing, UniqueIdListing};
use crate::pop3::reply::Reply;
use crate::sasl::{ClientExchange, Credentials, Mechanism};
use crate::secret::Secret;
use crate::time::Instant;

use super::connection::{Connection, Received};
use super::state::{Awaited, Outcome, State, Status, outcome};
use super::{Event, LoginError, Method, SessionConfig, Tls};

/// A POP3 session as a client.
///
/// Calling order:
///
/// 1. Call [`new`](Self::new). [`login`](Self::login) and commands may be called at any time; they are queued.
/// 2. Run [`pump`](crate::machine::pump). After a TLS handshake, call [`tls_established`](Self::tls_established).
/// 3. After [`Event::LoginRefused`], call [`login`](Self::login) again, or [`quit`](Self::quit).
/// 4. After [`Event::LoggedIn`], queued commands are sent, pipelined if the server supports it. [`quit`](Self::quit)
///    is the last command.
///
/// A message is removed only when [`quit`](Self::quit) is answered with [`Event::Goodbye`].
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    connection: Connection,
    state: State,
    capabilities: Vec<Capability>,
    login: Option<Login>,
    queue: VecDeque<Command>,
    quitting: bool,
    /// The command whose multi-line reply is being read.
    answering: Option<Command>,
}

/// Credentials for both login methods, and the method, which depends on the capabilities.
#[derive(Debug)]
struct Login {
    name: Argument,
    password: Secret<Argument>,
    exchange: ClientExchange,
    method: Method,
}

impl Login {
    fn new(method: Method, credentials: &Credentials) -> Result<Self, LoginError> {
        Ok(Self {
            name: Argument::new(&credentials.authentication_id)?,
            password: Secret::new(Argument::new(credentials.password.expose())?),
            exchange: ClientExchange::new(Mechanism::Plain, credentials),
            method,
        })
    }
}

/// Whether CAPA lists SASL PLAIN but not USER. A server without CAPA has USER.
fn requires_auth_plain(capabilities: &[Capability]) -> bool {
    let is_plain = |capability: &Capability| match capability {
        Capability::Sasl(mechanisms) => mechanisms.iter().any(|name| name == Mechanism::Plain.name()),
        _ => false,
    };
    !capabilities.contains(&Capability::User) && capabilities.iter().any(is_plain)
}

impl Session {
    /// A session on a new connection.
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        Self {
            config,
            connection: Connection::new(now),
            state: State::Opening,
            capabilities: Vec::new(),
            login: None,
            queue: VecDeque::new(),
            quitting: false,
            answering: None,
        }
    }

    /// Logs in as soon as the server is ready.
    ///
    /// # Errors
    /// The credentials are invalid, or a login is in progress or complete. The session is unchanged.
    pub fn login(&mut self, credentials: &Credentials) -> Result<(), LoginError> {
        let waiting = matches!(self.state, State::Opening | State::Handshake | State::Authorization);
        if self.login.is_some() || !waiting || self.quitting {
            return Err(ApiMisuse("login in progress or complete").into());
        }
        self.login = Some(Login::new(self.config.method, credentials)?);
        self.send_queued();
        Ok(())
    }

    /// STAT: the number of messages and octets.
    ///
    /// # Errors
    /// After [`quit`](Self::quit), as for every command.
    pub fn stat(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Stat)
    }

    /// LIST: the size of one message or of all.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn list(&mut self, number: Option<u64>) -> Result<(), ApiMisuse> {
        self.queue(Command::List(number))
    }

    /// UIDL: the unique-id of one message or of all.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn uidl(&mut self, number: Option<u64>) -> Result<(), ApiMisuse> {
        self.queue(Command::Uidl(number))
    }

    /// RETR: a whole message.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn retr(&mut self, number: u64) -> Result<(), ApiMisuse> {
        self.queue(Command::Retr(number))
    }

    /// TOP: the header of a message and `lines` lines of its body.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn top(&mut self, number: u64, lines: u64) -> Result<(), ApiMisuse> {
        self.queue(Command::Top { number, lines })
    }

    /// DELE: marks a message.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn dele(&mut self, number: u64) -> Result<(), ApiMisuse> {
        self.queue(Command::Dele(number))
    }

    /// NOOP.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn noop(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Noop)
    }

    /// RSET: removes all marks.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn rset(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Rset)
    }

    /// QUIT: after all queued commands, or immediately if there was no login. If a queued login is rejected, the
    /// session ends.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn quit(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Quit)?;
        self.quitting = true;
        Ok(())
    }

    /// Reports the TLS handshake, whose timeout is up to the driver. Discards all state from before it (RFC 2595
    /// section 4).
    ///
    /// # Errors
    /// No handshake was requested.
    pub fn tls_established(&mut self) -> Result<(), ApiMisuse> {
        if self.state != State::Handshake {
            return Err(ApiMisuse("no TLS handshake was requested"));
        }
        self.state = State::Opening;
        self.connection.send(Command::Capa);
        Ok(())
    }

    /// The capabilities that the server listed before login.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Number of unanswered commands, including queued ones.
    pub fn outstanding(&self) -> usize {
        self.connection.outstanding() + self.queue.len()
    }

    /// Octets queued for [`Machine::poll_transmit`].
    pub fn pending_octets(&self) -> usize {
        self.connection.pending_octets()
    }

    fn queue(&mut self, command: Command) -> Result<(), ApiMisuse> {
        if self.quitting || self.state == State::Closed {
            return Err(ApiMisuse("command after QUIT"));
        }
        self.queue.push_back(command);
        self.send_queued();
        Ok(())
    }

    /// Sends queued commands as far as the state and the pipeline allow.
    fn send_queued(&mut self) {
        match self.state {
            State::Authorization if self.login.is_some() => self.begin_login(),
            State::Authorization if self.queue.back() == Some(&Command::Quit) => {
                // The other commands require a login.
                self.queue.clear();
                self.connection.send(Command::Quit);
            }
            State::Transaction => {
                let pipelining = self.capabilities.contains(&Capability::Pipelining);
                let window = if pipelining { PIPELINED_MAX } else { 1 };
                while self.connection.outstanding() < window {
                    let Some(command) = self.queue.pop_front() else { break };
                    self.connection.send(command);
                }
            }
            _ => {}
        }
    }

    fn begin_login(&mut self) {
        self.state = State::LoggingIn;
        let Some(login) = &mut self.login else { return };
        if requires_auth_plain(&self.capabilities) {
            login.method = Method::AuthPlain;
        }
        self.connection.send(match login.method {
            Method::UserPass => Command::User(login.name.clone()),
            Method::AuthPlain => {
                Command::Auth { mechanism: Some(Mechanism::Plain.name().to_owned()), initial_response: None }
            }
        });
    }

    fn step(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        loop {
            match self.state {
                State::Closed => return Ok(Step::Closed),
                State::Handshake => return Ok(Step::Paused),
                _ => {}
            }
            self.send_queued();
            self.connection.rearm(now)?;
            let Some(received) = self.connection.next(input)? else { return Ok(Step::NeedInput) };
            let step = match received {
                Received::Reply(awaited, status, reply) => {
                    let unexpected = || match status {
                        Status::Continue => ProtocolError::Unexpected("+".to_owned()),
                        _ => ProtocolError::Unexpected(excerpt(reply.to_string().as_bytes())),
                    };
                    let outcome = outcome(awaited, status).ok_or_else(unexpected)?;
                    self.act(outcome, reply, input)?
                }
                Received::Closing(reply) => Some(self.close(Event::Goodbye(reply))),
                Received::Line(line) => self.line(&line)?.map(Step::Event),
                Received::LinesEnd => self.lines_end().map(Step::Event),
                Received::Text(text) => Some(Step::Event(Event::Body(text))),
                Received::TextEnd => Some(Step::Event(Event::BodyEnd)),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    fn act(
        &mut self,
        outcome: Outcome,
        reply: Reply,
        input: &BytesMut,
    ) -> Result<Option<Step<Event>>, ProtocolError> {
        let event = match outcome {
            Outcome::Greeted => {
                let required = self.config.tls == Tls::Required;
                self.connection.send(if required { Command::Stls } else { Command::Capa });
                Event::Greeting(reply)
            }
            Outcome::Rejected => return Ok(Some(self.close(Event::Rejected(reply)))),
            Outcome::TlsRefused => return Ok(Some(self.close(Event::TlsRefused(reply)))),
            Outcome::Handshake if !input.is_empty() => return Err(ProtocolError::InjectedBeforeTls),
            Outcome::Handshake => {
                self.state = State::Handshake;
                return Ok(Some(Step::UpgradeTls));
            }
            Outcome::Prepared => {
                self.state = State::Authorization;
                return Ok(None);
            }
            Outcome::SendPassword | Outcome::Challenged => {
                self.respond();
                return Ok(None);
            }
            Outcome::LoggedIn => {
                self.login = None;
                self.state = State::Transaction;
                Event::LoggedIn(reply)
            }
            Outcome::LoginRefused => {
                self.login = None;
                self.state = State::Authorization;
                Event::LoginRefused(reply)
            }
            Outcome::ReadLines(command) => {
                self.connection.read_lines();
                self.answering = Some(command);
                return Ok(None);
            }
            Outcome::ReadMessage(number) => {
                self.connection.read_message();
                Event::BodyStart { number, reply }
            }
            Outcome::Answered(command) => answer(command, reply)?,
            Outcome::Refused(command) => Event::Refused { command, reply },
            Outcome::Goodbye => return Ok(Some(self.close(Event::Goodbye(reply)))),
            Outcome::QuitRefused => {
                return Ok(Some(self.close(Event::Refused { command: Command::Quit, reply })));
            }
        };
        Ok(Some(Step::Event(event)))
    }

    /// Sends the next step of the login, or cancels if the mechanism has no more messages.
    fn respond(&mut self) {
        let Some(login) = &mut self.login else { return };
        match login.method {
            Method::UserPass => self.connection.send(Command::Pass(login.password.clone())),
            Method::AuthPlain => match login.exchange.respond() {
                Some(response) => self.connection.respond(Awaited::Response, response.expose()),
                None => self.connection.respond(Awaited::Cancel, "*"),
            },
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Event>, ProtocolError> {
        let malformed = || ProtocolError::MalformedReply(excerpt(line));
        let text = || str::from_utf8(line).map_err(|_| malformed());
        Ok(Some(match self.answering {
            Some(Command::List(_)) => list_item(text()?).ok_or_else(malformed)?,
            Some(Command::Uidl(_)) => unique_id(text()?).ok_or_else(malformed)?,
            _ if self.capabilities.len() < CAPABILITIES_MAX => {
                self.capabilities.push(Capability::parse(line));
                return Ok(None);
            }
            _ => return Err(malformed()),
        }))
    }

    fn lines_end(&mut self) -> Option<Event> {
        match self.answering.take() {
            Some(Command::List(_)) => Some(Event::ListEnd),
            Some(Command::Uidl(_)) => Some(Event::UniqueIdEnd),
            _ if self.capabilities.contains(&Capability::Utf8) => {
                // Without UTF8, the server may refuse messages with UTF-8 headers (RFC 6856 section 2).
                self.connection.send(Command::Utf8);
                None
            }
            _ => {
                self.state = State::Authorization;
                None
            }
        }
    }

    fn close(&mut self, last: Event) -> Step<Event> {
        self.state = State::Closed;
        self.connection.close();
        Step::Event(last)
    }
}

impl Machine for Session {
    type Event = Event;

    fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        let step = self.step(now, input);
        if step.is_err() {
            self.state = State::Closed;
            self.connection.close();
        }
        step
    }

    fn receive_eof(&mut self, _now: Instant) -> Result<Step<Event>, ProtocolError> {
        if self.state == State::Closed {
            return Ok(Step::Closed);
        }
        self.state = State::Closed;
        self.connection.close();
        Err(ProtocolError::UnexpectedEof)
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) {
        self.connection.transmit(out);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.connection.deadline()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
    }
}

/// The event for a reply of one line.
fn answer(command: Command, reply: Reply) -> Result<Event, ProtocolError> {
    let event = match command {
        Command::Stat => DropListing::parse(reply.text())
            .map(|DropListing { count, octets }| Event::Stat { count, octets }),
        Command::List(_) => list_item(reply.text()),
        Command::Uidl(_) => unique_id(reply.text()),
        Command::Dele(number) => Some(Event::Deleted(number)),
        command => return Ok(Event::Ok(command, reply)),
    };
    event.ok_or_else(|| ProtocolError::MalformedReply(excerpt(reply.to_string().as_bytes())))
}

fn list_item(text: &str) -> Option<Event> {
    ScanListing::parse(text).map(|ScanListing { number, octets }| Event::ListItem { number, octets })
}

fn unique_id(text: &str) -> Option<Event> {
    let UniqueIdListing { number, unique_id } = UniqueIdListing::parse(text)?;
    Some(Event::UniqueId { number, id: unique_id.to_owned() })
}
