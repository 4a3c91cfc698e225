//! The SMTP client state machine: sends one message after the other.
//!
//! RFC 5321 section 3.3, RFC 2920, RFC 4954. The transition table is in `state`.

use std::collections::VecDeque;

use bytes::BytesMut;
use memchr::memchr;

use crate::machine::{ApiMisuse, Machine, ProtocolError, Step};
use crate::pipeline::{PIPELINED_MAX, excerpt};
use crate::sasl::{ClientExchange, Credentials, Mechanism};
use crate::smtp::command::Command;
use crate::smtp::extension::Extensions;
use crate::smtp::parameter::{BodyType, MailParameters, RcptParameters, Recipient};
use crate::smtp::reply::Reply;
use crate::time::Instant;

use super::connection::Connection;
use super::state::{Awaited, Outcome, Progress, State, outcome};
use super::{BodyError, Envelope, Event, MissingCapability, Stage, SubmissionConfig, Tls};

/// Queued octets of the body above which the driver should write before it adds more.
const PENDING_OCTETS_ENOUGH: usize = 256 * 1_024;

/// Longest initial response, before base64, that fits the AUTH command: RFC 4954 section 4 limits the command to 512
/// octets.
const INITIAL_RESPONSE_OCTETS_MAX: usize = (512 - "AUTH PLAIN \r\n".len()) / 4 * 3;

/// An SMTP session as a client.
///
/// Calling order:
///
/// 1. Call [`new`](Self::new). [`send`](Self::send) queues an envelope at any time.
/// 2. Run [`pump`](crate::machine::pump). After a TLS handshake, call [`tls_established`](Self::tls_established).
/// 3. After [`Event::LoginRequired`] or [`Event::LoginRefused`], call [`login`](Self::login) or [`quit`](Self::quit).
/// 4. After [`Event::SendBody`], call [`body`](Self::body) repeatedly, pumping in between when
///    [`wants_body`](Self::wants_body) is false, then [`body_end`](Self::body_end).
/// 5. Each envelope ends with exactly one of [`Event::Sent`], [`Event::Refused`] and [`Event::MissingCapability`],
///    unless the session ends first.
/// 6. [`quit`](Self::quit) ends the session after the last envelope, [`cancel`](Self::cancel) immediately.
#[derive(Debug)]
pub struct Submission {
    config: SubmissionConfig,
    connection: Connection,
    state: State,
    secure: bool,
    authenticated: bool,
    extensions: Extensions,
    exchange: Option<ClientExchange>,
    queue: VecDeque<Envelope>,
    current: Option<(Envelope, Progress)>,
    quitting: bool,
    events: VecDeque<Event>,
}

impl Submission {
    /// A session on a new connection.
    pub fn new(config: SubmissionConfig, now: Instant) -> Self {
        Self {
            config,
            connection: Connection::new(now),
            state: State::Opening,
            secure: false,
            authenticated: false,
            extensions: Extensions::default(),
            exchange: None,
            queue: VecDeque::new(),
            current: None,
            quitting: false,
            events: VecDeque::new(),
        }
    }

    /// Queues a message.
    ///
    /// # Errors
    /// The envelope has no recipient, or the session is ending.
    pub fn send(&mut self, envelope: Envelope) -> Result<(), ApiMisuse> {
        if envelope.recipients.is_empty() {
            return Err(ApiMisuse("the envelope has no recipients"));
        }
        if self.quitting || self.state == State::Closed {
            return Err(ApiMisuse("the session is ending"));
        }
        self.queue.push_back(envelope);
        self.send_queued();
        Ok(())
    }

    /// Authenticates, after [`Event::LoginRequired`] or [`Event::LoginRefused`].
    ///
    /// # Errors
    /// No credentials were requested.
    pub fn login(&mut self, credentials: Credentials) -> Result<(), ApiMisuse> {
        if self.state != State::LoginRequired || self.quitting {
            return Err(ApiMisuse("no credentials were requested"));
        }
        self.config.credentials = Some(credentials);
        self.authenticate();
        Ok(())
    }

    /// Sends the next part of the message. Line ends of any kind become CRLF, and a missing last one is added (RFC 5321
    /// section 2.3.8).
    ///
    /// # Errors
    /// The text contains a NUL, or no body was requested. None of the text is sent.
    pub fn body(&mut self, text: &[u8]) -> Result<(), BodyError> {
        if self.state != State::Body {
            return Err(ApiMisuse("no body was requested").into());
        }
        if memchr(0, text).is_some() {
            return Err(BodyError::Nul);
        }
        self.connection.send_body(text);
        Ok(())
    }

    /// Ends the message.
    ///
    /// # Errors
    /// No body was requested.
    pub fn body_end(&mut self) -> Result<(), ApiMisuse> {
        if self.state != State::Body {
            return Err(ApiMisuse("no body was requested"));
        }
        self.end_body();
        Ok(())
    }

    /// Whether more of the body should be added now: it is requested, and little of it is queued.
    pub fn wants_body(&self) -> bool {
        self.state == State::Body && self.connection.pending_octets() < PENDING_OCTETS_ENOUGH
    }

    /// Whether the session is between transactions and accepts another envelope.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready && !self.quitting
    }

    /// Octets queued for [`Machine::poll_transmit`].
    pub fn pending_octets(&self) -> usize {
        self.connection.pending_octets()
    }

    /// Ends the session after the queued envelopes.
    pub fn quit(&mut self) {
        self.quitting = true;
        self.send_queued();
    }

    /// Ends the session immediately. An incomplete message is not delivered.
    pub fn cancel(&mut self) {
        self.close();
    }

    /// Reports the TLS handshake, whose timeout is up to the driver. Discards all state from before it (RFC 3207
    /// section 4.2).
    ///
    /// # Errors
    /// No handshake was requested.
    pub fn tls_established(&mut self) -> Result<(), ApiMisuse> {
        if self.state != State::Handshake {
            return Err(ApiMisuse("no TLS handshake was requested"));
        }
        self.secure = true;
        self.state = State::Opening;
        self.extensions = Extensions::default();
        self.connection.send(Awaited::Ehlo, &Command::Ehlo(self.config.hello.clone()));
        Ok(())
    }

    fn step(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Step::Event(event));
            }
            match self.state {
                State::Closed => return Ok(Step::Closed),
                State::TlsGranted if !input.is_empty() => return Err(ProtocolError::InjectedBeforeTls),
                State::TlsGranted => {
                    self.state = State::Handshake;
                    return Ok(Step::UpgradeTls);
                }
                State::Handshake => return Ok(Step::Paused),
                _ => {}
            }
            self.send_queued();
            if !self.events.is_empty() {
                continue;
            }
            self.connection.rearm(now)?;
            let Some((awaited, reply)) = self.connection.next_reply(input)? else {
                return Ok(Step::NeedInput);
            };
            let Some(awaited) = awaited else {
                self.handle_unsolicited(reply)?;
                continue;
            };
            let unexpected = || ProtocolError::Unexpected(excerpt(reply.to_string().as_bytes()));
            let outcome = outcome(awaited, reply.code().value()).ok_or_else(unexpected)?;
            self.act(outcome, reply);
        }
    }

    /// Sends queued commands as far as the pipeline allows.
    fn send_queued(&mut self) {
        let idle =
            matches!(self.state, State::Ready | State::LoginRequired) && self.connection.outstanding() == 0;
        if idle {
            self.begin_transaction();
        }
        let window = if self.extensions.pipelining { PIPELINED_MAX } else { 1 };
        while self.state == State::Envelope && self.connection.outstanding() < window {
            let Some((envelope, progress)) = &mut self.current else { return };
            let Some(awaited) = progress.next_command() else { return };
            let command = match awaited {
                Awaited::Mail => {
                    Command::Mail(envelope.reverse_path.clone(), mail_parameters(envelope, &self.extensions))
                }
                Awaited::Recipient(index) => rcpt(&envelope.recipients[index], &self.extensions),
                _ => Command::Data,
            };
            self.connection.send(awaited, &command);
        }
    }

    /// Begins the next envelope that the server can handle, or sends QUIT if there is none and it was requested.
    fn begin_transaction(&mut self) {
        while self.state == State::Ready
            && let Some(envelope) = self.queue.pop_front()
        {
            match envelope.missing_capability(&self.extensions) {
                Some(missing) => self.events.push_back(Event::MissingCapability(missing)),
                None => {
                    let progress = Progress::new(envelope.recipients.len());
                    self.current = Some((envelope, progress));
                    self.state = State::Envelope;
                }
            }
        }
        if self.quitting && self.state != State::Envelope {
            self.send_quit();
        }
    }

    fn act(&mut self, outcome: Outcome, reply: Reply) {
        match outcome {
            Outcome::SendEhlo => {
                self.events.push_back(Event::Greeting(reply));
                self.connection.send(Awaited::Ehlo, &Command::Ehlo(self.config.hello.clone()));
            }
            Outcome::SendHelo => {
                self.connection.send(Awaited::Helo, &Command::Helo(self.config.hello.clone()))
            }
            Outcome::Extended => {
                self.extensions = Extensions::parse(&reply);
                self.greeted();
            }
            Outcome::Plain => self.greeted(),
            Outcome::Challenged => self.respond(),
            Outcome::LoggedIn => {
                self.authenticated = true;
                self.ready();
            }
            Outcome::LoginRefused => {
                self.state = State::LoginRequired;
                self.events.push_back(Event::LoginRefused(reply));
            }
            Outcome::SessionRefused(stage) => {
                self.events.push_back(Event::Rejected { stage, reply });
                self.send_quit();
            }
            Outcome::TlsGranted => self.state = State::TlsGranted,
            Outcome::ResetDone => {}
            Outcome::Closed(stage) => self.goodbye(stage, reply),
            _ => self.act_on_transaction(outcome, reply),
        }
    }

    fn act_on_transaction(&mut self, outcome: Outcome, reply: Reply) {
        let Some((_, progress)) = &mut self.current else { return };
        match outcome {
            Outcome::RecipientAccepted => progress.recipient_accepted(),
            Outcome::RecipientRefused(index) => {
                let is_new = progress.recipient_refused(&reply);
                self.events.extend(is_new.then_some(Event::RecipientRefused { index, reply }));
            }
            Outcome::BodyExpected if progress.refusal.is_none() && progress.has_recipients() => {
                self.state = State::Body;
                self.connection.begin_body();
                self.events.push_back(Event::SendBody);
            }
            // RFC 2920 section 3.1: without accepted recipients, send an empty body.
            Outcome::BodyExpected => self.end_body(),
            Outcome::TransactionRefused(stage) => progress.refused(stage, reply),
            Outcome::Sent if progress.refusal.is_none() => {
                self.current = None;
                self.state = State::Ready;
                self.events.push_back(Event::Sent(reply));
            }
            _ => {}
        }
        self.conclude();
    }

    /// Ends a failed transaction after all its commands are answered.
    fn conclude(&mut self) {
        if self.connection.outstanding() > 0 {
            return;
        }
        let Some((_, progress)) = self.current.take_if(|(_, progress)| progress.refusal.is_some()) else {
            return;
        };
        if progress.needs_reset() {
            self.connection.send(Awaited::Reset, &Command::Rset);
        }
        self.state = State::Ready;
        if let Some((stage, reply)) = progress.refusal {
            self.events.push_back(Event::Refused { stage, reply });
        }
    }

    fn end_body(&mut self) {
        if let Some((_, progress)) = &mut self.current {
            progress.ended = true;
        }
        self.state = State::FinalReply;
        self.connection.end_body();
    }

    /// Continues after EHLO or HELO with TLS, AUTH or messages.
    fn greeted(&mut self) {
        let offered = !self.extensions.auth.is_empty();
        if self.config.tls != Tls::Never && !self.secure && self.extensions.starttls {
            self.connection.send(Awaited::StartTls, &Command::StartTls);
        } else if self.config.tls == Tls::Required && !self.secure {
            self.events.push_back(Event::MissingCapability(MissingCapability::StartTls));
            self.send_quit();
        } else if offered && self.config.credentials.is_some() {
            self.authenticate();
        } else if !self.config.auth_required {
            self.ready();
        } else if offered {
            self.state = State::LoginRequired;
            self.events.push_back(Event::LoginRequired);
        } else {
            self.events.push_back(Event::MissingCapability(MissingCapability::Auth));
            self.send_quit();
        }
    }

    fn authenticate(&mut self) {
        let Some(credentials) = &self.config.credentials else { return };
        let plain = self.extensions.auth.contains(&Mechanism::Plain);
        let mechanism = if plain { Mechanism::Plain } else { Mechanism::Login };
        let mut exchange = ClientExchange::new(mechanism, credentials);
        let Credentials { authorization_id, authentication_id, password } = credentials;
        let octets = authorization_id.len() + authentication_id.len() + password.expose().len() + 2;
        let initial = if octets <= INITIAL_RESPONSE_OCTETS_MAX { exchange.initial() } else { None };
        self.exchange = Some(exchange);
        self.state = State::LoggingIn;
        self.connection.send(Awaited::Auth, &Command::Auth { mechanism, initial });
    }

    fn respond(&mut self) {
        match self.exchange.as_mut().and_then(ClientExchange::respond) {
            Some(response) => self.connection.respond(Awaited::Auth, response.expose()),
            // The mechanism has no more messages.
            None => self.connection.respond(Awaited::AuthCancel, "*"),
        }
    }

    fn ready(&mut self) {
        self.state = State::Ready;
        self.events.push_back(Event::Ready {
            extensions: self.extensions.clone(),
            authenticated: self.authenticated,
        });
    }

    /// Handles an unsolicited reply: the server is closing, or it rejected a body before its end. Both end the session.
    fn handle_unsolicited(&mut self, reply: Reply) -> Result<(), ProtocolError> {
        let in_body = matches!(self.state, State::Body | State::FinalReply);
        let is_rejection = reply.is_transient() || reply.is_permanent();
        if reply.code().value() != 421 && !(in_body && is_rejection) {
            return Err(ProtocolError::Unexpected(excerpt(reply.to_string().as_bytes())));
        }
        self.goodbye(Stage::Body, reply);
        Ok(())
    }

    fn goodbye(&mut self, stage: Stage, reply: Reply) {
        if let Some((_, progress)) = self.current.take() {
            let (stage, reply) = progress.refusal.unwrap_or_else(|| (stage, reply.clone()));
            self.events.push_back(Event::Refused { stage, reply });
        }
        self.events.push_back(Event::Goodbye(reply));
        self.close();
    }

    fn send_quit(&mut self) {
        self.state = State::Quitting;
        self.quitting = true;
        self.connection.send(Awaited::Quit, &Command::Quit);
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.connection.close();
    }
}

impl Machine for Submission {
    type Event = Event;

    fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        let step = self.step(now, input);
        if step.is_err() {
            self.close();
        }
        step
    }

    fn receive_eof(&mut self, _now: Instant) -> Result<Step<Event>, ProtocolError> {
        let state = self.state;
        self.close();
        match state {
            // The reply to QUIT is not needed.
            State::Quitting | State::Closed => Ok(Step::Closed),
            _ => Err(ProtocolError::UnexpectedEof),
        }
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

fn mail_parameters(envelope: &Envelope, extensions: &Extensions) -> MailParameters {
    MailParameters {
        size: envelope.size.filter(|_| extensions.size.is_some()),
        body: envelope.eight_bit.then_some(BodyType::EightBitMime),
        utf8: envelope.needs_utf8(),
        auth: None,
        ret: envelope.ret.filter(|_| extensions.dsn),
        envid: envelope.envid.clone().filter(|_| extensions.dsn),
        require_tls: envelope.require_tls,
    }
}

fn rcpt(recipient: &Recipient, extensions: &Extensions) -> Command {
    let parameters = if extensions.dsn { recipient.parameters.clone() } else { RcptParameters::default() };
    Command::Rcpt(recipient.path.clone(), parameters)
}
