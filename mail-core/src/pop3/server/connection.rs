//! The POP3 server's connection: lines in, replies out, the autologout timer, the count of mistakes.

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

/// What all connections of one listener have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Whether STLS is offered.
    pub stls: bool,
    /// Where a client may sign in: by USER and PASS as by AUTH, for all of them send the password.
    pub auth: AuthOffer,
    /// The seconds between two logins of a user that the policy insists on.
    pub login_delay: Option<u32>,
    /// What CAPA says about the program, if anything.
    pub implementation: Option<String>,
}

/// The server's side of one connection.
///
/// [`Machine`] has the order of calls. Every [`Event`] is a question; until its answer is complete,
/// [`receive`](Machine::receive) is [`Step::Paused`] and no timer runs. A listing or a message is answered in
/// parts: [`begin`](Self::begin) or [`begin_body`](Self::begin_body), the parts, [`finish`](Self::finish), with
/// [`poll_transmit`](Machine::poll_transmit) between them as often as one likes.
///
/// An answer to a question that is not open is a mistake of the caller's: a debug build panics, any other
/// closes the connection.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    state: State,
    question: Option<Question>,
    lines: LineReader,
    out: BytesMut,
    secure: bool,
    tls: bool,
    utf8: bool,
    /// `None` while a question is open and until the next call of `receive`, which knows what time it is.
    deadline: Option<Instant>,
    commands: u64,
    mistakes: u32,
    failure: Option<ProtocolError>,
    shutting_down: bool,
}

impl Server {
    /// A new connection, with the greeting to be transmitted. `secure` says that it is encrypted or local.
    pub fn new(config: Arc<Config>, secure: bool, now: Instant) -> Self {
        let mut server = Self {
            config,
            state: State::authorization(),
            question: None,
            lines: LineReader::new(AUTH_LINE_OCTETS_MAX),
            out: BytesMut::new(),
            secure,
            tls: false,
            utf8: false,
            deadline: Some(now + AUTOLOGOUT),
            commands: 0,
            mistakes: 0,
            failure: None,
            shutting_down: false,
        };
        replies::GREETING.encode(&mut server.out);
        server
    }

    /// The same for a connection that came over TLS from its first byte (RFC 8314 section 3.2).
    #[must_use]
    pub fn over_tls(config: Arc<Config>, now: Instant) -> Self {
        Self { tls: true, ..Self::new(config, true, now) }
    }

    /// Whether the client has said that it understands UTF-8 (RFC 6856).
    pub const fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// The name that was given with USER or, later, signed in with.
    pub fn user(&self) -> Option<&str> {
        match &self.state {
            State::Authorization { named } => named.as_deref(),
            State::Transaction { user, .. } => Some(user),
            State::Exchange(_) | State::Handshake | State::Closed => None,
        }
    }

    /// Answers [`Event::User`]: PASS may come.
    pub fn accept(&mut self) {
        self.answer(Answer::Accept);
    }

    /// Answers any event with a refusal. After [`Event::Quit`] it ends the session all the same.
    pub fn reject(&mut self, reply: Reply) {
        self.answer(Answer::Reject(reply));
    }

    /// Answers [`Event::Authenticate`]: the maildrop is this session's, with so many messages and octets.
    pub fn opened(&mut self, count: u64, octets: u64) {
        self.answer(Answer::Opened { count, octets });
    }

    /// Begins the answer to [`Event::List`] or [`Event::UniqueIds`].
    pub fn begin(&mut self) {
        self.answer(Answer::Begin);
    }

    /// One message of a scan listing; left out when it is marked.
    pub fn item(&mut self, number: u64, octets: u64) {
        self.put_entry(&Question::ScanListings, number, |out| ScanListing { number, octets }.encode(out));
    }

    /// One message of a unique-id listing; left out when it is marked.
    pub fn unique_id(&mut self, number: u64, unique_id: &str) {
        self.put_entry(&Question::UniqueIdListings, number, |out| {
            UniqueIdListing { number, unique_id }.encode(out)
        });
    }

    /// Begins the answer to [`Event::Retrieve`] or [`Event::Top`]. What is to be transmitted then goes out
    /// before the message, which the driver writes itself: dot-stuffed, ending with CRLF or empty. `octets` is
    /// the size that LIST has.
    pub fn begin_body(&mut self, octets: u64) {
        self.answer(Answer::BeginBody { octets });
    }

    /// Ends a listing or a message.
    pub fn finish(&mut self) {
        self.answer(Answer::Finish);
    }

    /// Answers [`Event::Lookup`] with what the store knows of the message.
    pub fn entry(&mut self, octets: u64, unique_id: &str) {
        self.answer(Answer::Entry { octets, unique_id });
    }

    /// Answers [`Event::Quit`]: all of the marked messages are gone.
    pub fn removed(&mut self) {
        self.answer(Answer::Removed);
    }

    /// Gives up on an answer that has begun and cannot be finished. POP3 has no way to say so in the middle of
    /// it; a connection that ends without the final dot is the only one.
    pub fn abort(&mut self) {
        self.question = None;
        self.state = State::Closed;
    }

    /// The handshake after [`Step::UpgradeTls`] is done. All that the client said before is forgotten (RFC 2595
    /// section 4).
    pub fn tls_established(&mut self, now: Instant) {
        if !matches!(self.state, State::Handshake) {
            debug_assert!(matches!(self.state, State::Closed), "TLS was not asked for");
            return self.abort();
        }
        self.state = State::authorization();
        (self.tls, self.secure, self.utf8) = (true, true, false);
        self.deadline = Some(now + AUTOLOGOUT);
        self.close_if_shutting_down();
    }

    /// Ends the session as soon as no question is open and no handshake is under way.
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
            Some(Outcome::Mistake(reply)) => self.mistake(&reply),
            None => self.misused(),
        }
        self.close_if_shutting_down();
    }

    fn misused(&mut self) {
        debug_assert!(false, "an answer to a question that is not open");
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
            (_, Line::TooLong) => Verdict::Mistake(replies::malformed(CommandError::TooLong)),
            (_, Line::Complete(line, _)) => match Command::parse(line) {
                Ok(command) => self.state.command(command, self.offer()),
                Err(error) => Verdict::Mistake(replies::malformed(error)),
            },
        };
        match verdict {
            Verdict::Reply(reply) => self.reply(&reply),
            Verdict::Mistake(reply) => self.mistake(&reply),
            Verdict::Capabilities => self.put_capabilities(),
            Verdict::Mechanisms => self.put_mechanisms(),
            Verdict::Challenge(challenge) => reply::encode_challenge(challenge, &mut self.out),
            Verdict::Utf8 => {
                self.utf8 = true;
                self.reply(&replies::UTF8_ENABLED);
            }
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

    /// A command was carried out. Before a client has signed in that excuses none of its mistakes, so that the
    /// number of passwords it can try is bounded, whatever else it sends between them.
    fn reply(&mut self, reply: &Reply) {
        if matches!(self.state, State::Transaction { .. }) {
            self.mistakes = 0;
        }
        reply.encode(&mut self.out);
    }

    fn mistake(&mut self, reply: &Reply) {
        self.mistakes += 1;
        if self.mistakes < CONSECUTIVE_ERRORS_MAX {
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
        Offer { sign_in: self.config.auth.is_offered(self.secure), stls: self.config.stls && !self.tls }
    }

    /// RFC 2449 section 5: each only where it works, and the same before and after signing in.
    fn put_capabilities(&mut self) {
        let Offer { sign_in, stls } = self.offer();
        let mechanisms = [Mechanism::Plain, Mechanism::Login].map(|mechanism| mechanism.name().to_owned());
        let capabilities = [
            Some(Capability::Top),
            Some(Capability::Uidl),
            sign_in.then_some(Capability::User),
            Some(Capability::RespCodes),
            Some(Capability::AuthRespCode),
            Some(Capability::Pipelining),
            sign_in.then(|| Capability::Sasl(mechanisms.into())),
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
