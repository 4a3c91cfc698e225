//! The POP3 client's machine: what is asked, in which order, and what the answers are told as.
//!
//! RFC 1939. The transitions are the table in `state`.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::flight::{PIPELINED_MAX, quoted};
use crate::machine::{ApiMisuse, Machine, ProtocolError, Step};
use crate::pop3::capability::Capability;
use crate::pop3::command::{Argument, Command, CommandError};
use crate::pop3::listing::{DropListing, ScanListing, UniqueIdListing};
use crate::pop3::reply::Reply;
use crate::sasl::{self, Credentials};
use crate::secret::Secret;
use crate::time::Instant;

use super::connection::{Connection, Heard};
use super::state::{Awaited, Outcome, State, outcome};
use super::{Event, Method, SessionConfig, Tls};

/// No server has as many capabilities. It bounds what a hostile one can make the client keep.
const CAPABILITIES_MAX: usize = 100;

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
    secure: bool,
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
    /// The response of PLAIN, in base64.
    AuthPlain(Secret<String>),
}

impl Session {
    /// A session on a fresh connection; the server speaks first.
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        Self {
            config,
            connection: Connection::new(now),
            state: State::Opening,
            secure: false,
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
    /// The credentials cannot be sent: empty, too long, or with a CR, an LF or a NUL in them. Nothing has happened
    /// then.
    ///
    /// # Panics
    /// When a login is under way or done.
    pub fn login(&mut self, credentials: &Credentials) -> Result<(), CommandError> {
        assert!(
            self.login.is_none() && matches!(self.state, State::Opening | State::Handshake | State::Authorization),
            "a session logs in once, and again only after a refusal"
        );
        self.login = Some(match self.config.method {
            Method::UserPass => Login::UserPass(
                Argument::new(&credentials.authentication)?,
                Secret::new(Argument::new(credentials.password.expose())?),
            ),
            Method::AuthPlain => Login::AuthPlain(sasl::plain(credentials)),
        });
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

    /// QUIT: behind all commands that are queued, or at once where no login is done or asked for.
    ///
    /// # Errors
    /// As for [`stat`](Self::stat).
    pub fn quit(&mut self) -> Result<(), ApiMisuse> {
        self.queue(Command::Quit)?;
        self.quitting = true;
        Ok(())
    }

    /// The TLS handshake that [`Step::UpgradeTls`] asked for is done. All that was said before it is forgotten
    /// (RFC 2595 section 4).
    ///
    /// # Panics
    /// When no handshake was asked for.
    pub fn tls_established(&mut self) {
        assert!(self.state == State::Handshake, "STLS comes first");
        self.secure = true;
        self.state = State::Opening;
        self.connection.send(Command::Capa);
    }

    /// What the server can do, as far as it said before the login.
    pub fn capabilities(&self) -> &[Capability] {
        &self.capabilities
    }

    /// Commands that are not answered yet, and those that are not even sent.
    pub fn outstanding(&self) -> usize {
        self.connection.outstanding() + self.queue.len()
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
            _ => Command::Auth { mechanism: Some("PLAIN".to_owned()), initial_response: None },
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
            self.connection.tick(now)?;
            let Some(heard) = self.connection.hear(input)? else { return Ok(Step::NeedInput) };
            let step = match heard {
                Heard::Reply(awaited, status, reply) => match outcome(&awaited, status) {
                    Some(outcome) => self.act(outcome, awaited, reply, input)?,
                    None => return Err(ProtocolError::Unexpected(quoted(reply.to_string().as_bytes()))),
                },
                Heard::Challenge(awaited, line) => self.challenge(awaited, line)?,
                Heard::Farewell(reply) => self.close(Event::Goodbye(reply)),
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
}
