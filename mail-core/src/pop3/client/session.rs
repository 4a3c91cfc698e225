//! The POP3 client's machine: what is asked, in which order, and what the answers are told as.
//!
//! RFC 1939. The transitions are the table in `state`.

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

use super::connection::{Connection, Heard};
use super::state::{Awaited, Outcome, State, Status, outcome};
use super::{Event, LoginError, Method, SessionConfig, Tls};

/// A POP3 session as a client.
///
/// The calling order:
///
/// 1. [`new`](Self::new), [`login`](Self::login) and any commands may be called at once: all of it waits for its turn.
/// 2. Turn the crank of [`Machine`]; the events come as the server answers. On [`Step::UpgradeTls`] do the handshake,
///    then call [`tls_established`](Self::tls_established).
/// 3. After [`Event::LoginRefused`] call [`login`](Self::login) again, or [`quit`](Self::quit).
/// 4. After [`Event::LoggedIn`] the commands run: one at a time, or pipelined where the server said that it can. More
///    may be added at any moment. [`quit`](Self::quit) is the last.
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
    /// The command whose multi-line answer is being read.
    answering: Option<Command>,
}

/// Credentials as they will be sent.
#[derive(Debug)]
enum Login {
    UserPass(Argument, Secret<Argument>),
    Sasl(ClientExchange),
}

impl Login {
    fn new(method: Method, credentials: &Credentials) -> Result<Self, LoginError> {
        let name = Argument::new(&credentials.authentication_id)?;
        let password = Argument::new(credentials.password.expose())?;
        Ok(match method {
            Method::UserPass => Self::UserPass(name, Secret::new(password)),
            Method::AuthPlain => Self::Sasl(ClientExchange::new(Mechanism::Plain, credentials)),
        })
    }
}

impl Session {
    /// A session on a fresh connection; the server speaks first.
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

    /// Logs in as soon as the server is ready for it.
    ///
    /// # Errors
    /// The credentials cannot be sent, or it is not the time for a login; nothing has happened then.
    pub fn login(&mut self, credentials: &Credentials) -> Result<(), LoginError> {
        let waiting = matches!(self.state, State::Opening | State::Handshake | State::Authorization);
        if self.login.is_some() || !waiting || self.quitting {
            return Err(ApiMisuse("a session logs in once, and again only after a refusal").into());
        }
        self.login = Some(Login::new(self.config.method, credentials)?);
        self.pump();
        Ok(())
    }

    /// STAT: how many messages and octets.
    ///
    /// # Errors
    /// After [`quit`](Self::quit), as for every command.
    pub fn stat(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Stat)
    }

    /// LIST: the length of one message or of all.
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

    /// TOP: the header of a message and so many lines of its body.
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

    /// RSET: takes all marks back.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn rset(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Rset)
    }

    /// QUIT: behind all commands that are queued, or at once where no login is done or asked for. If a login is then
    /// refused, there is no other: the session ends.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn quit(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Quit)?;
        self.quitting = true;
        Ok(())
    }

    /// The TLS handshake that [`Step::UpgradeTls`] asked for is done; how long it may take is the driver's to say. All
    /// that was said before it is forgotten (RFC 2595 section 4).
    ///
    /// # Errors
    /// No handshake was asked for.
    pub fn tls_established(&mut self) -> Result<(), ApiMisuse> {
        if self.state != State::Handshake {
            return Err(ApiMisuse("no TLS handshake was asked for"));
        }
        self.state = State::Opening;
        self.connection.send(Command::Capa);
        Ok(())
    }

    /// What the server can do, as far as it said before the login.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Commands that are not answered yet, and those that are not even sent.
    pub fn outstanding(&self) -> usize {
        self.connection.outstanding() + self.queue.len()
    }

    /// Octets that wait for [`Machine::poll_transmit`].
    pub fn pending_octets(&self) -> usize {
        self.connection.pending_octets()
    }

    fn queue(&mut self, command: Command) -> Result<(), ApiMisuse> {
        if self.quitting || self.state == State::Closed {
            return Err(ApiMisuse("a command after QUIT"));
        }
        self.queue.push_back(command);
        self.pump();
        Ok(())
    }

    /// Sends what may be sent now.
    fn pump(&mut self) {
        match self.state {
            State::Authorization if self.login.is_some() => self.begin_login(),
            State::Authorization if self.queue.back() == Some(&Command::Quit) => {
                // Nothing else can be asked without a login.
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
        self.connection.send(match &self.login {
            Some(Login::UserPass(name, _)) => Command::User(name.clone()),
            _ => {
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
            self.pump();
            self.connection.rearm(now)?;
            let Some(heard) = self.connection.hear(input)? else { return Ok(Step::NeedInput) };
            let step = match heard {
                Heard::Reply(awaited, status, reply) => {
                    let unexpected = || match status {
                        Status::Continue => ProtocolError::Unexpected("+".to_owned()),
                        _ => ProtocolError::Unexpected(excerpt(reply.to_string().as_bytes())),
                    };
                    let outcome = outcome(awaited, status).ok_or_else(unexpected)?;
                    self.act(outcome, reply, input)?
                }
                Heard::Farewell(reply) => Some(self.close(Event::Goodbye(reply))),
                Heard::Line(line) => self.line(&line)?.map(Step::Event),
                Heard::LinesEnd => self.lines_end().map(Step::Event),
                Heard::Text(text) => Some(Step::Event(Event::Body(text))),
                Heard::TextEnd => Some(Step::Event(Event::BodyEnd)),
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

    /// The next words of the login. A server that asks for more than there is to say is told so.
    fn respond(&mut self) {
        match &mut self.login {
            Some(Login::UserPass(_, password)) => self.connection.send(Command::Pass(password.clone())),
            Some(Login::Sasl(exchange)) => match exchange.respond() {
                Some(response) => self.connection.respond(Awaited::Response, response.expose()),
                None => self.connection.respond(Awaited::Cancel, "*"),
            },
            None => {}
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
                // Without it a message with addresses in UTF-8 could not be fetched (RFC 6856 section 2).
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

/// The event of an answer that is one line.
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
