//! One POP3 connection: framing, replies, the inactivity timeout and error counts.
//!
//! The transitions are in [`state`](super::state).

use std::sync::Arc;

use bytes::BytesMut;

use super::replies;
use super::state::{Answer, Event, Offer, Outcome, Question, State, Verdict};
use crate::line::{Line, LineReader};
use crate::machine::{Machine, OUTPUT_OCTETS_MAX, ProtocolError, Step};
use crate::pop3::capability::Capability;
use crate::pop3::command::{Command, CommandError};
use crate::pop3::limits::{
    AUTH_LINE_OCTETS_MAX, AUTOLOGOUT, COMMANDS_MAX, COMMANDS_PER_MESSAGE, CONSECUTIVE_ERRORS_MAX,
};
use crate::pop3::listing::{ScanListing, UniqueIdListing};
use crate::pop3::reply::{self, Reply};
use crate::sasl::{AuthOffer, Mechanism};
use crate::time::Instant;

/// Configuration shared by the connections of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether to offer STLS.
    pub stls: bool,
    /// Connections on which USER, PASS and AUTH are offered. All three send the password.
    pub auth: AuthOffer,
    /// Minimum seconds between two logins of a user, enforced by the policy.
    pub login_delay: Option<u32>,
    /// The IMPLEMENTATION capability.
    pub implementation: Option<String>,
}

/// The server side of one connection.
///
/// Drive it with [`pump`](crate::machine::pump). Every [`Event`] is a question. Until it is answered completely, the
/// machine is [`Step::Paused`] and no timeout runs. A listing or a message is answered in parts:
/// [`begin`](Self::begin) or [`begin_body`](Self::begin_body), the parts, then [`finish`](Self::finish).
/// [`poll_transmit`](Machine::poll_transmit) may be called between the parts.
///
/// An answer that does not fit the open question panics in debug builds and closes the connection in release builds.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    state: State,
    question: Option<Question>,
    lines: LineReader,
    out: BytesMut,
    secure: bool,
    tls: bool,
    /// `None` while a question is open and until the next call of `receive`.
    deadline: Option<Instant>,
    commands: u64,
    consecutive_errors: u32,
    failure: Option<ProtocolError>,
    shutting_down: bool,
}

impl Server {
    /// A new connection, with the greeting queued. `secure` means encrypted or local.
    pub fn new(config: Arc<Config>, secure: bool, now: Instant) -> Self {
        let mut server = Self {
            config,
            state: State::authorization(),
            question: None,
            lines: LineReader::new(AUTH_LINE_OCTETS_MAX),
            out: BytesMut::new(),
            secure,
            tls: false,
            deadline: Some(now + AUTOLOGOUT),
            commands: 0,
            consecutive_errors: 0,
            failure: None,
            shutting_down: false,
        };
        replies::GREETING.encode(&mut server.out);
        server
    }

    /// A new connection with implicit TLS (RFC 8314 section 3.2).
    #[must_use]
    pub fn over_tls(config: Arc<Config>, now: Instant) -> Self {
        Self { tls: true, ..Self::new(config, true, now) }
    }

    /// The name from USER or, after login, the authenticated user.
    pub fn user(&self) -> Option<&str> {
        match &self.state {
            State::Authorization { named } => named.as_deref(),
            State::Transaction { user, .. } => Some(user),
            State::Exchange(_) | State::Handshake | State::Closed => None,
        }
    }

    /// Accepts [`Event::User`].
    pub fn accept(&mut self) {
        self.answer(Answer::Accept);
    }

    /// Rejects any event. After [`Event::Quit`], the session still ends.
    pub fn reject(&mut self, reply: Reply) {
        self.answer(Answer::Reject(reply));
    }

    /// Accepts [`Event::Authenticate`]. The session has the maildrop, with this many messages and octets.
    pub fn opened(&mut self, count: u64, octets: u64) {
        self.answer(Answer::Opened { count, octets });
    }

    /// Begins the answer to [`Event::List`] or [`Event::UniqueIds`].
    pub fn begin(&mut self) {
        self.answer(Answer::Begin);
    }

    /// Adds a message to a scan listing unless it is marked.
    pub fn item(&mut self, number: u64, octets: u64) {
        self.put_entry(&Question::ScanListings, number, |out| ScanListing { number, octets }.encode(out));
    }

    /// Adds a message to a unique-id listing unless it is marked.
    pub fn unique_id(&mut self, number: u64, unique_id: &str) {
        self.put_entry(&Question::UniqueIdListings, number, |out| {
            UniqueIdListing { number, unique_id }.encode(out)
        });
    }

    /// Begins the answer to [`Event::Retrieve`] or [`Event::Top`]. The driver transmits the queued output and then
    /// writes the message, dot-stuffed and ending with CRLF. `octets` is the size as in LIST.
    pub fn begin_body(&mut self, octets: u64) {
        self.answer(Answer::BeginBody { octets });
    }

    /// Ends a listing or a message.
    pub fn finish(&mut self) {
        self.answer(Answer::Finish);
    }

    /// Answers [`Event::Lookup`].
    pub fn entry(&mut self, octets: u64, unique_id: &str) {
        self.answer(Answer::Entry { octets, unique_id });
    }

    /// Answers [`Event::Quit`]: all marked messages are removed.
    pub fn removed(&mut self) {
        self.answer(Answer::Removed);
    }

    /// Closes the connection within a multi-line reply that cannot be completed. POP3 has no other way to report that.
    pub fn abort(&mut self) {
        self.question = None;
        self.state = State::Closed;
    }

    /// Reports the TLS handshake. Discards all state from before it (RFC 2595 section 4).
    pub fn tls_established(&mut self, now: Instant) {
        if !matches!(self.state, State::Handshake) {
            debug_assert!(matches!(self.state, State::Closed), "`tls_established` without `UpgradeTls`");
            return self.abort();
        }
        self.state = State::authorization();
        (self.tls, self.secure) = (true, true);
        self.deadline = Some(now + AUTOLOGOUT);
        self.close_if_shutting_down();
    }

    /// Ends the session as soon as no question is open and no handshake is in progress.
    pub fn shutdown(&mut self) {
        self.shutting_down = true;
        self.close_if_shutting_down();
    }

    fn answer(&mut self, answer: Answer<'_>) {
        let Some(question) = self.question.take() else { return self.misused() };
        match self.state.answer(question, answer) {
            Some(Outcome::Begun(reply, question)) => {
                reply.encode(&mut self.out);
                self.question = Some(question);
            }
            Some(Outcome::End) => self.out.extend_from_slice(b".\r\n"),
            Some(Outcome::Reply(reply)) => self.reply(&reply),
            Some(Outcome::Error(reply)) => self.error(&reply),
            None => self.misused(),
        }
        self.close_if_shutting_down();
    }

    fn misused(&mut self) {
        debug_assert!(false, "the answer does not fit the open question");
        self.abort();
    }

    fn put_entry(&mut self, listing: &Question, number: u64, encode: impl FnOnce(&mut BytesMut)) {
        let (Some(question), State::Transaction { maildrop, .. }) = (&self.question, &self.state) else {
            return self.misused();
        };
        if question != listing {
            return self.misused();
        }
        if maildrop.contains(number) {
            encode(&mut self.out);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    fn line(&mut self, line: &Line) -> Option<Event> {
        self.commands += 1;
        if self.commands > self.commands_max() {
            self.fail(ProtocolError::TooManyCommands, &replies::TOO_MANY_COMMANDS);
            return None;
        }
        let verdict = match (&self.state, line) {
            (State::Exchange(_), Line::Complete(line, _)) => self.state.response(Some(line)),
            (State::Exchange(_), Line::TooLong) => self.state.response(None),
            (_, Line::TooLong) => Verdict::Error(replies::malformed(CommandError::TooLong)),
            (_, Line::Complete(line, _)) => match Command::parse(line) {
                Ok(command) => self.state.command(command, self.offer()),
                Err(error) => Verdict::Error(replies::malformed(error)),
            },
        };
        match verdict {
            Verdict::Reply(reply) => self.reply(&reply),
            Verdict::Error(reply) => self.error(&reply),
            Verdict::Capabilities => self.put_capabilities(),
            Verdict::Mechanisms => self.put_mechanisms(),
            Verdict::Challenge(challenge) => reply::encode_challenge(challenge, &mut self.out),
            Verdict::Utf8 => self.reply(&replies::UTF8_ENABLED),
            Verdict::Ask(event) => {
                self.question = Some(Question::from(&event));
                self.deadline = None;
                return Some(event);
            }
        }
        None
    }

    const fn commands_max(&self) -> u64 {
        match &self.state {
            State::Transaction { maildrop, .. } => {
                COMMANDS_MAX.saturating_add(maildrop.total().saturating_mul(COMMANDS_PER_MESSAGE))
            }
            _ => COMMANDS_MAX,
        }
    }

    /// Replies to a successful command. Errors before login are not reset, so that the number of login attempts is
    /// limited.
    fn reply(&mut self, reply: &Reply) {
        if matches!(self.state, State::Transaction { .. }) {
            self.consecutive_errors = 0;
        }
        reply.encode(&mut self.out);
    }

    fn error(&mut self, reply: &Reply) {
        self.consecutive_errors += 1;
        if self.consecutive_errors < CONSECUTIVE_ERRORS_MAX {
            reply.encode(&mut self.out);
        } else {
            self.fail(ProtocolError::TooManyErrors, &replies::TOO_MANY_ERRORS);
        }
    }

    fn fail(&mut self, error: ProtocolError, reply: &Reply) {
        reply.encode(&mut self.out);
        self.state = State::Closed;
        self.failure = Some(error);
    }

    fn close_if_shutting_down(&mut self) {
        let busy = self.question.is_some() || matches!(self.state, State::Handshake | State::Closed);
        if self.shutting_down && !busy {
            replies::SHUTTING_DOWN.encode(&mut self.out);
            self.state = State::Closed;
        }
    }

    fn offer(&self) -> Offer {
        Offer { login: self.config.auth.is_offered(self.secure), stls: self.config.stls && !self.tls }
    }

    /// RFC 2449 section 5. The list is the same before and after login.
    fn put_capabilities(&mut self) {
        let Offer { login, stls } = self.offer();
        let mechanisms = [Mechanism::Plain, Mechanism::Login].map(|mechanism| mechanism.name().to_owned());
        let capabilities = [
            Some(Capability::Top),
            Some(Capability::Uidl),
            login.then_some(Capability::User),
            Some(Capability::RespCodes),
            Some(Capability::AuthRespCode),
            Some(Capability::Pipelining),
            login.then(|| Capability::Sasl(mechanisms.into())),
            stls.then_some(Capability::Stls),
            Some(Capability::Utf8),
            Some(Capability::ExpireNever),
            Some(Capability::LoginDelay(self.config.login_delay.unwrap_or(0))),
            self.config.implementation.clone().map(Capability::Implementation),
        ];
        self.reply(&replies::CAPABILITIES_FOLLOW);
        capabilities.iter().flatten().for_each(|capability| capability.encode(&mut self.out));
        self.out.extend_from_slice(b".\r\n");
    }

    fn put_mechanisms(&mut self) {
        self.reply(&replies::MECHANISMS_FOLLOW);
        self.out.extend_from_slice(b"PLAIN\r\nLOGIN\r\n.\r\n");
    }
}

impl Machine for Server {
    type Event = Event;

    fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        loop {
            if let Some(failure) = self.failure.take() {
                return Err(failure);
            }
            if self.question.is_some() {
                return Ok(Step::Paused);
            }
            match self.state {
                State::Closed => return Ok(Step::Closed),
                State::Handshake if input.is_empty() => return Ok(Step::UpgradeTls),
                State::Handshake => self.fail(ProtocolError::InjectedBeforeTls, &replies::INJECTED),
                State::Authorization { .. } | State::Exchange(_) | State::Transaction { .. } => {
                    self.deadline.get_or_insert(now + AUTOLOGOUT);
                    if self.out.len() >= OUTPUT_OCTETS_MAX {
                        return Ok(Step::NeedInput);
                    }
                    let Some(line) = self.lines.next_line(input) else { return Ok(Step::NeedInput) };
                    self.deadline = Some(now + AUTOLOGOUT);
                    if let Some(event) = self.line(&line) {
                        return Ok(Step::Event(event));
                    }
                }
            }
        }
    }

    fn receive_eof(&mut self, _now: Instant) -> Result<Step<Event>, ProtocolError> {
        if self.question.is_some() {
            return Ok(Step::Paused);
        }
        let in_transaction = matches!(self.state, State::Transaction { .. });
        self.state = State::Closed;
        if in_transaction { Err(ProtocolError::UnexpectedEof) } else { Ok(Step::Closed) }
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.out);
        self.out.clear();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            _ => self.deadline,
        }
    }

    /// "The server should close the TCP connection without removing any messages or sending any response to the
    /// client" (RFC 1939 section 3).
    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.state = State::Closed;
        }
    }
}
