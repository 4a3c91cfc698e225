//! One connection: separates commands from message data, emits events and queues replies.
//!
//! The command order is decided in [`state`](super::state). A command is read only after the previous one was
//! answered. A rejected message is read to its end and answered once, so that none of it is interpreted as a command
//! (RFC 5321 section 4.1.1.4).

mod authentication;
mod commands;
mod inspection;
mod message;
mod pace;
mod refusal;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use self::pace::Pace;
use super::dialogue::Dialogue;
use super::state::Session;
use super::{Config, Event, SessionCommand, replies};
use crate::dot::DotDecoder;
use crate::line::{Line, LineEndChecker, LineEnding, LineReader};
use crate::machine::{Machine, OUTPUT_OCTETS_MAX, ProtocolError, Step};
use crate::sasl::ServerExchange;
use crate::smtp::command::{self, Command};
use crate::smtp::limits::{
    AUTH_LINE_OCTETS_MAX, COMMAND_LINE_OCTETS_MAX, COMMANDS_MAX, CONSECUTIVE_ERRORS_MAX, SERVER_TIMEOUT,
};
use crate::smtp::reply::{Reply, ReplyCode};
use crate::time::Instant;

/// The server side of one connection.
///
/// Drive it with [`pump`](crate::machine::pump). Answer each [`Event`] that is a question with
/// [`accept`](Self::accept) or [`reject`](Self::reject), and report a TLS handshake with
/// [`tls_established`](Self::tls_established).
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    session: Session,
    input: Input,
    lines: LineReader,
    events: VecDeque<Event>,
    question: Option<Question>,
    /// Checks a message sent with BDAT.
    line_ends: LineEndChecker,
    output: BytesMut,
    /// Since the last message.
    commands: usize,
    consecutive_errors: u32,
    /// Never reset, so that successful commands between login attempts do not allow more of them.
    failed_logins: u32,
    /// MAIL, RCPT or BDAT was rejected and no command has succeeded since.
    rejected: bool,
    /// The line of the current command, if it belongs to a transaction, for [`Event::Refused`].
    command: Option<Bytes>,
    shutting_down: bool,
    deadline: Instant,
    pace: Pace,
    /// Input or an answer arrived since the deadline was set.
    active: bool,
    /// Set while the dialogue is recorded.
    dialogue: Option<Box<Dialogue>>,
    /// The reply to the next accepted message.
    acceptance: Option<Reply>,
}

/// The meaning of the next input bytes.
#[derive(Debug)]
enum Input {
    Commands,
    /// A response within AUTH.
    Sasl(ServerExchange),
    /// A message up to the final dot.
    Text(DotDecoder),
    /// A chunk of BDAT.
    Chunk(Chunk),
    /// The octets left of a rejected chunk, and the reply after them.
    RejectedChunk(u64, Reply),
    /// The TLS handshake.
    Tls,
    /// Closed; an error is returned once.
    Closed(Option<ProtocolError>),
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    size: u64,
    left: u64,
    last: bool,
}

/// A question that the policy has not answered.
#[derive(Debug)]
enum Question {
    Connect,
    Command(Box<Command>),
    Authenticate,
    Mail { reply: Reply, utf8: bool },
    Recipient(Reply),
    Data,
    FirstChunk(Chunk),
    EndOfData,
}

impl Server {
    /// A new connection, with the greeting queued. `secure` means encrypted or local; see
    /// [`AuthOffer::WhenSecure`](super::AuthOffer::WhenSecure).
    pub fn new(config: Arc<Config>, secure: bool, now: Instant) -> Self {
        let mut server = Self {
            session: Session::new(secure),
            input: Input::Commands,
            lines: LineReader::new(AUTH_LINE_OCTETS_MAX),
            events: VecDeque::new(),
            question: None,
            line_ends: LineEndChecker::default(),
            output: BytesMut::new(),
            commands: 0,
            consecutive_errors: 0,
            failed_logins: 0,
            rejected: false,
            command: None,
            shutting_down: false,
            deadline: now + SERVER_TIMEOUT,
            pace: Pace::default(),
            active: false,
            dialogue: None,
            acceptance: None,
            config,
        };
        if server.config.command_events {
            server.ask(Question::Connect, Event::Command(SessionCommand::Connect));
        } else {
            server.send(&replies::greeting(&server.config.hostname));
        }
        server
    }

    /// A new connection with implicit TLS (RFC 8314 section 3.3).
    #[must_use]
    pub fn over_tls(config: Arc<Config>, now: Instant) -> Self {
        Self { session: Session::over_tls(), ..Self::new(config, true, now) }
    }

    /// Accepts the pending question. Without one, it does nothing (and panics in debug builds).
    pub fn accept(&mut self) {
        let Some(question) = self.take_question() else { return };
        match question {
            Question::Connect => self.send(&replies::greeting(&self.config.hostname)),
            Question::Command(command) => self.carry_out(*command),
            Question::Authenticate => {
                self.session.authenticate();
                self.succeed(&replies::AUTHENTICATED);
            }
            Question::Mail { reply, utf8 } => {
                self.session.begin_transaction(utf8);
                self.succeed(&reply);
            }
            Question::Recipient(reply) => {
                self.session.add_recipient();
                self.succeed(&reply);
            }
            Question::Data => {
                self.input = Input::Text(DotDecoder::default());
                self.succeed(&replies::SEND_MESSAGE);
            }
            Question::FirstChunk(chunk) => self.input = Input::Chunk(chunk),
            Question::EndOfData => {
                self.commands = 0;
                self.session.end_transaction();
                let reply = self.acceptance.take().unwrap_or(replies::ACCEPTED);
                self.succeed(&reply);
            }
        }
    }

    /// Rejects the pending question with `reply`. A 421 closes the connection (RFC 5321 section 3.8). Without a
    /// question, it does nothing (and panics in debug builds).
    pub fn reject(&mut self, reply: Reply) {
        let Some(question) = self.take_question() else { return };
        match question {
            Question::Connect => {
                self.send(&reply);
                return self.close(None);
            }
            // Failed logins count as errors; rejected recipients do not.
            Question::Authenticate => {
                self.failed_logins += u32::from(reply.is_permanent());
                return self.fail(reply);
            }
            Question::FirstChunk(chunk) => return self.reject_chunk(chunk.size, reply),
            Question::EndOfData => {
                self.acceptance = None;
                self.session.end_transaction();
            }
            Question::Mail { .. } | Question::Recipient(_) => self.rejected = true,
            Question::Data | Question::Command(_) => {}
        }
        self.send_final(&reply);
    }

    /// Reports the TLS handshake. Discards all state from before it (RFC 3207 section 4.2).
    pub fn tls_established(&mut self, now: Instant) {
        debug_assert!(matches!(self.input, Input::Tls), "`tls_established` without `UpgradeTls`");
        self.session = Session::over_tls();
        self.input = Input::Commands;
        self.lines = LineReader::new(AUTH_LINE_OCTETS_MAX);
        self.consecutive_errors = 0;
        self.deadline = now + SERVER_TIMEOUT;
    }

    /// Closes the connection with 421 4.3.2 before the next command, but not within a message. Pump afterwards, even
    /// without input.
    pub const fn shutdown(&mut self) {
        self.shutting_down = true;
    }

    /// The client's argument of HELO or EHLO.
    #[must_use]
    pub fn hello(&self) -> Option<&str> {
        self.session.hello()
    }

    /// The keyword after `with` in a trace field: SMTP, ESMTPSA, UTF8SMTP... (RFC 3848, RFC 6531 section 4.3).
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.session.protocol()
    }

    /// Whether the client is authenticated.
    #[must_use]
    pub const fn authenticated(&self) -> bool {
        self.session.is_authenticated()
    }

    /// Whether MAIL requires authentication.
    #[must_use]
    pub fn is_submission(&self) -> bool {
        self.config.submission
    }

    /// Whether a mail transaction is in progress.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        self.session.phase.is_transaction()
    }
}

impl Machine for Server {
    type Event = Event;

    fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        self.record_at(now);
        let before = input.len();
        let mut step = self.advance(input);
        if self.pace.is_too_slow(self.in_message(), before - input.len(), now) {
            self.abort_slow_message();
            if step == Ok(Step::NeedInput) {
                step = self.advance(input);
            }
        }
        // Complete lines and message data extend the deadline; part of a line does not.
        if std::mem::take(&mut self.active) {
            self.deadline = now + SERVER_TIMEOUT;
        }
        step
    }

    /// Not an error between transactions, because some clients close without QUIT.
    fn receive_eof(&mut self, now: Instant) -> Result<Step<Event>, ProtocolError> {
        if self.question.is_none() && !matches!(self.input, Input::Closed(_)) {
            let idle = matches!(self.input, Input::Commands) && !self.in_transaction();
            self.close((!idle).then_some(ProtocolError::UnexpectedEof));
        }
        self.receive(now, &mut BytesMut::new())
    }

    fn poll_transmit(&mut self, out: &mut BytesMut) {
        out.unsplit(self.output.split());
    }

    fn poll_timeout(&self) -> Option<Instant> {
        // While a question is pending, the server is responsible for the delay.
        let waiting = self.question.is_none() && !matches!(self.input, Input::Closed(_));
        waiting.then_some(self.pace.deadline().map_or(self.deadline, |pace| pace.min(self.deadline)))
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return;
        }
        if now < self.deadline {
            return self.abort_slow_message();
        }
        match self.input {
            Input::Tls => {}
            _ if self.in_message() => self.refuse_message(&replies::TIMED_OUT),
            _ => self.send(&replies::TIMED_OUT),
        }
        self.close(Some(ProtocolError::TimedOut));
    }
}

impl Server {
    fn advance(&mut self, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Step::Event(event));
            }
            if self.question.is_some() {
                return Ok(Step::Paused);
            }
            let is_line_next = matches!(self.input, Input::Commands | Input::Sasl(_));
            if is_line_next && self.output.len() >= OUTPUT_OCTETS_MAX {
                return Ok(Step::NeedInput);
            }
            let more = match &mut self.input {
                Input::Commands | Input::Sasl(_) => self.read_line(input),
                Input::Text(_) => self.read_text(input),
                Input::Chunk(_) => self.read_chunk(input),
                Input::RejectedChunk(..) => self.skip_chunk(input),
                Input::Tls if input.is_empty() => return Ok(Step::UpgradeTls),
                Input::Tls => {
                    self.close(Some(ProtocolError::InjectedBeforeTls));
                    true
                }
                Input::Closed(error) => return error.take().map_or(Ok(Step::Closed), Err),
            };
            if !more {
                return Ok(Step::NeedInput);
            }
            self.active = true;
        }
    }

    /// Processes one line. Returns false if more input is needed.
    fn read_line(&mut self, input: &mut BytesMut) -> bool {
        if self.shutting_down {
            self.send_final(&replies::SHUTTING_DOWN);
            return true;
        }
        let Some(line) = self.lines.next_line(input) else { return false };
        self.commands += 1;
        if self.commands > COMMANDS_MAX + self.config.recipients_max {
            self.send(&replies::TOO_MANY_COMMANDS);
            self.close(Some(ProtocolError::TooManyCommands));
            return true;
        }
        self.record_line(&line);
        match std::mem::replace(&mut self.input, Input::Commands) {
            Input::Sasl(exchange) => self.on_sasl_line(exchange, line),
            _ => {
                self.command = refusal::transaction_command(&line);
                self.on_command_line(line, input);
                // A rejected BDAT is answered after its chunk.
                if !matches!(self.input, Input::RejectedChunk(..)) {
                    self.command = None;
                }
            }
        }
        true
    }

    fn on_command_line(&mut self, line: Line, input: &BytesMut) {
        let line = match line {
            Line::TooLong => return self.fail(replies::LINE_TOO_LONG),
            Line::Complete(line, LineEnding::BareLf) if self.config.bare_line_ends => line,
            Line::Complete(line, LineEnding::BareLf) if command::is_bdat(&line) => {
                return self.on_malformed_bdat(None);
            }
            Line::Complete(_, LineEnding::BareLf) => return self.fail(replies::BARE_LF),
            Line::Complete(line, LineEnding::Crlf) => line,
        };
        // Only AUTH may exceed the command line limit.
        let is_auth = line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        if line.len() + 2 > COMMAND_LINE_OCTETS_MAX && !is_auth {
            if command::is_bdat(&line) {
                return self.on_malformed_bdat(None);
            }
            return self.fail(replies::LINE_TOO_LONG);
        }
        match Command::parse(&line) {
            Ok(command) => self.on_command(command, input),
            Err(_) if self.session.hello().is_none() && is_http_request(&line) => {
                self.send(&replies::NOT_HTTP);
                self.close(Some(ProtocolError::Unexpected("an HTTP request".to_owned())));
            }
            Err(_) if command::is_bdat(&line) => self.on_malformed_bdat(command::bdat_size(&line)),
            Err(error) => {
                let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
                self.rejected |= matches!(&*verb, b"MAIL" | b"RCPT");
                self.fail(replies::command_error(error));
            }
        }
    }

    fn ask(&mut self, question: Question, event: Event) {
        self.question = Some(question);
        self.events.push_back(event);
    }

    fn take_question(&mut self) -> Option<Question> {
        debug_assert!(self.question.is_some(), "no question is pending");
        self.active = true;
        self.question.take()
    }

    /// Ends a transaction without delivery.
    fn reset(&mut self) {
        if self.in_transaction() {
            self.events.push_back(Event::Reset);
        }
        self.session.end_transaction();
    }

    /// Replies to a successful command.
    fn succeed(&mut self, reply: &Reply) {
        self.consecutive_errors = 0;
        self.rejected = false;
        self.send(reply);
    }

    /// Replies to a failed command, and closes after too many of them.
    fn fail(&mut self, reply: Reply) {
        self.report_command(&reply);
        // Pipelined commands that fail because an earlier one was rejected are not counted.
        let follows = self.rejected && replies::may_follow_rejection(&reply);
        self.consecutive_errors += u32::from(reply.is_permanent() && !follows);
        if self.consecutive_errors.max(self.failed_logins) >= CONSECUTIVE_ERRORS_MAX {
            self.send(&replies::TOO_MANY_ERRORS);
            self.close(Some(ProtocolError::TooManyErrors));
        } else {
            self.send_final(&reply);
        }
    }

    /// Sends a reply and closes if it is a 421.
    fn send_final(&mut self, reply: &Reply) {
        self.send(reply);
        if reply.code() == ReplyCode::CLOSING {
            self.close(None);
        }
    }

    fn send(&mut self, reply: &Reply) {
        self.record_reply(reply);
        reply.encode(self.session.is_extended(), &mut self.output);
    }

    fn close(&mut self, error: Option<ProtocolError>) {
        self.reset();
        self.input = Input::Closed(error);
    }
}

/// Whether a browser sent the line on behalf of a web page. Closing the connection prevents cross-protocol attacks,
/// which hide commands in the request.
fn is_http_request(line: &[u8]) -> bool {
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().unwrap_or_default();
    let version = words.next_back().unwrap_or_default();
    !method.is_empty() && method.iter().all(u8::is_ascii_uppercase) && version.starts_with(b"HTTP/")
}
