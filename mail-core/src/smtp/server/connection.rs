//! The bytes of one connection: which are commands, which are a message, and what goes back.
//!
//! Nothing is decided here that [`state`](super::state) could decide. What is: framing. A command is read only once
//! the one before it is answered; a message is swallowed to its real end, whatever is wrong with it, and answered
//! once, so that no byte of it is ever taken for a command (RFC 5321 section 4.1.1.4).

mod authentication;
mod message;
mod pace;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;

use self::pace::Pace;
use super::state::Session;
use super::{Config, Event, Mail, replies};
use crate::dot::DotDecoder;
use crate::line::{Line, LineEndChecker, LineEnding, LineReader};
use crate::machine::{Machine, OUTPUT_OCTETS_MAX, ProtocolError, Step};
use crate::message::address::{ForwardPath, ReversePath};
use crate::sasl::ServerExchange;
use crate::smtp::command::{self, Command, HelloName};
use crate::smtp::limits::{
    AUTH_LINE_OCTETS_MAX, COMMAND_LINE_OCTETS_MAX, COMMANDS_MAX, CONSECUTIVE_ERRORS_MAX, SERVER_TIMEOUT,
};
use crate::smtp::parameter::{BodyType, MailParameters};
use crate::smtp::reply::{Reply, ReplyCode};
use crate::time::Instant;

/// The server's end of one connection.
///
/// Beyond what [`Machine`] asks for: an [`Event`] that is a question is answered by [`accept`](Self::accept) or
/// [`reject`](Self::reject), and [`Step::UpgradeTls`] by [`tls_established`](Self::tls_established).
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    session: Session,
    input: Input,
    lines: LineReader,
    events: VecDeque<Event>,
    question: Option<Question>,
    /// Of a message that comes in chunks.
    line_ends: LineEndChecker,
    output: BytesMut,
    /// Since the last message.
    commands: usize,
    errors_in_a_row: u32,
    /// Passwords are not guessed faster for a NOOP between them: nothing sets this back.
    refused_sign_ins: u32,
    /// MAIL, RCPT or BDAT was refused, and nothing carried out since.
    refused: bool,
    shutting_down: bool,
    deadline: Instant,
    pace: Pace,
    /// Something was read or answered since the deadline was set.
    active: bool,
}

/// What the next bytes are.
#[derive(Debug)]
enum Input {
    Commands,
    /// A line that goes on with an exchange.
    Sasl(ServerExchange),
    /// A message up to the final dot.
    Text(DotDecoder),
    /// The rest of a chunk.
    Chunk(Chunk),
    /// The rest of a chunk that is refused, and the reply that then goes out.
    RefusedChunk(u64, Reply),
    /// Not ours: TLS's.
    Tls,
    /// None are expected; an error is reported once.
    Closed(Option<ProtocolError>),
}

#[derive(Debug, Clone, Copy)]
struct Chunk {
    size: u64,
    left: u64,
    last: bool,
}

/// What the policy is being asked, and what follows when it accepts.
#[derive(Debug)]
enum Question {
    Authenticate,
    Mail { reply: Reply, utf8: bool },
    Recipient(Reply),
    Data,
    FirstChunk(Chunk),
    EndOfData,
}

impl Server {
    /// A connection that was just accepted; the greeting waits to be sent. `secure` says that it is encrypted already or
    /// local, so that AUTH may be offered under [`AuthOffer::WhenSecure`](super::AuthOffer::WhenSecure).
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
            errors_in_a_row: 0,
            refused_sign_ins: 0,
            refused: false,
            shutting_down: false,
            deadline: now + SERVER_TIMEOUT,
            pace: Pace::default(),
            active: false,
            config,
        };
        server.send(&replies::greeting(&server.config.hostname));
        server
    }

    /// The same for a connection that came over TLS from its first byte (RFC 8314 section 3.3).
    #[must_use]
    pub fn over_tls(config: Arc<Config>, now: Instant) -> Self {
        Self { session: Session::over_tls(), ..Self::new(config, true, now) }
    }

    /// Answers the pending question with yes; the client gets the reply that the protocol has for it.
    ///
    /// Without a pending question it is a mistake of the caller's and does nothing.
    pub fn accept(&mut self) {
        let Some(question) = self.take_question() else { return };
        match question {
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
                self.succeed(&replies::ACCEPTED);
            }
        }
    }

    /// Answers the pending question with no; the client gets `reply`, without its enhanced code where the session has
    /// none. A 421 closes the connection (RFC 5321 section 3.8).
    ///
    /// Without a pending question it is a mistake of the caller's and does nothing.
    pub fn reject(&mut self, reply: Reply) {
        let Some(question) = self.take_question() else { return };
        match question {
            // Guessing passwords is an error; a mailing to people who have left is not.
            Question::Authenticate => {
                self.refused_sign_ins += u32::from(reply.is_permanent());
                return self.fail(reply);
            }
            Question::FirstChunk(chunk) => return self.refuse_chunk(chunk.size, reply),
            Question::EndOfData => self.session.end_transaction(),
            Question::Mail { .. } | Question::Recipient(_) => self.refused = true,
            Question::Data => {}
        }
        self.send_final(&reply);
    }

    /// TLS is up: all that was said in plain text is forgotten (RFC 3207 section 4.2).
    pub fn tls_established(&mut self, now: Instant) {
        debug_assert!(
            matches!(self.input, Input::Tls),
            "TLS is established when the machine has asked for it"
        );
        self.session = Session::over_tls();
        self.input = Input::Commands;
        self.lines = LineReader::new(AUTH_LINE_OCTETS_MAX);
        self.errors_in_a_row = 0;
        self.deadline = now + SERVER_TIMEOUT;
    }

    /// Closes the connection with 421 4.3.2 when the next command would be read: not in the middle of a message. Call
    /// [`receive`](Machine::receive) afterwards, even without input.
    pub const fn shutdown(&mut self) {
        self.shutting_down = true;
    }

    /// The name that the client gave with HELO or EHLO.
    #[must_use]
    pub fn hello(&self) -> Option<&str> {
        self.session.hello()
    }

    /// What the trace field says after `with`: SMTP, ESMTPSA, UTF8SMTP... (RFC 3848, RFC 6531 section 4.3).
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.session.protocol()
    }

    /// Whether the client has signed in.
    #[must_use]
    pub const fn authenticated(&self) -> bool {
        self.session.is_authenticated()
    }

    /// Whether mail is taken from those who have signed in only.
    #[must_use]
    pub fn is_submission(&self) -> bool {
        self.config.submission
    }

    /// Whether a MAIL is accepted and its transaction not over.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        self.session.phase.is_transaction()
    }
}

impl Machine for Server {
    type Event = Event;

    fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Event>, ProtocolError> {
        let before = input.len();
        let mut step = self.advance(input);
        if self.pace.is_too_slow(self.in_message(), before - input.len(), now) {
            self.give_up_slow_message();
            if step == Ok(Step::NeedInput) {
                step = self.advance(input);
            }
        }
        // A line that trickles in does not push the deadline; a whole one, or a piece of a message, does.
        if std::mem::take(&mut self.active) {
            self.deadline = now + SERVER_TIMEOUT;
        }
        step
    }

    /// Between transactions a client may hang up; some never send QUIT.
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
        // While a question is open the client waits for us.
        let waiting = self.question.is_none() && !matches!(self.input, Input::Closed(_));
        waiting.then_some(self.pace.deadline().map_or(self.deadline, |pace| pace.min(self.deadline)))
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return;
        }
        if now < self.deadline {
            return self.give_up_slow_message();
        }
        if !matches!(self.input, Input::Tls) {
            self.send(&replies::TIMED_OUT);
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
                Input::RefusedChunk(..) => self.skip_chunk(input),
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

    /// Takes one line; false when there is none.
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
        match std::mem::replace(&mut self.input, Input::Commands) {
            Input::Sasl(exchange) => self.on_sasl_line(exchange, line),
            _ => self.on_command_line(line, input),
        }
        true
    }

    fn on_command_line(&mut self, line: Line, input: &BytesMut) {
        let line = match line {
            Line::TooLong => return self.fail(replies::LINE_TOO_LONG),
            Line::Complete(line, LineEnding::BareLf) if command::is_bdat(&line) => {
                return self.on_malformed_bdat(None);
            }
            Line::Complete(_, LineEnding::BareLf) => return self.fail(replies::BARE_LF),
            Line::Complete(line, LineEnding::Crlf) => line,
        };
        // Only AUTH may be longer than other commands.
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
                self.refused |= matches!(&*verb, b"MAIL" | b"RCPT");
                self.fail(replies::command_error(error));
            }
        }
    }

    fn on_command(&mut self, command: Command, input: &BytesMut) {
        if let Err(refusal) = self.session.check(&command, &self.config) {
            let is_transactional =
                matches!(command, Command::Mail(..) | Command::Rcpt(..) | Command::Bdat { .. });
            self.refused |= is_transactional && !replies::may_follow_a_refusal(&refusal);
            return match command {
                // RFC 3030 section 2: the octets come all the same.
                Command::Bdat { size, .. } => self.refuse_chunk(size, refusal),
                _ => self.fail(refusal),
            };
        }
        match command {
            Command::Helo(name) => self.on_hello(name, false),
            Command::Ehlo(name) => self.on_hello(name, true),
            Command::Mail(path, parameters) => self.on_mail(path, &parameters),
            Command::Rcpt(path, _) => self.on_rcpt(path),
            Command::Data => self.ask(Question::Data, Event::Data),
            Command::Bdat { size, last } => self.on_bdat(size, last),
            Command::Rset => {
                self.reset();
                self.succeed(&replies::OK);
            }
            Command::Noop => self.succeed(&replies::OK),
            Command::Vrfy(_) => self.succeed(&replies::VRFY),
            Command::Help => self.succeed(&replies::HELP),
            Command::Quit => {
                self.send(&replies::closing(&self.config.hostname));
                self.close(None);
            }
            Command::StartTls => self.on_starttls(input),
            Command::Auth { mechanism, initial } => self.on_auth(mechanism, initial.as_ref()),
        }
    }

    /// RFC 5321 section 4.1.4: it clears a transaction as RSET does.
    fn on_hello(&mut self, name: HelloName, extended: bool) {
        self.reset();
        let reply = self.session.greet(name, extended, &self.config);
        self.succeed(&reply);
    }

    fn on_mail(&mut self, reverse_path: ReversePath, parameters: &MailParameters) {
        let MailParameters { size, utf8, .. } = *parameters;
        let eight_bit = parameters.body == Some(BodyType::EightBitMime);
        let question = Question::Mail { reply: replies::sender_ok(&reverse_path), utf8 };
        self.ask(question, Event::Mail(Mail { reverse_path, size, eight_bit, utf8 }));
    }

    fn on_rcpt(&mut self, path: ForwardPath) {
        let reply = replies::recipient_ok(&path, self.session.is_extended());
        self.ask(Question::Recipient(reply), Event::Recipient(path));
    }

    /// RFC 3207 section 6, CVE-2011-0411: what stands behind STARTTLS was put there by somebody who could not wait.
    fn on_starttls(&mut self, input: &BytesMut) {
        if input.is_empty() {
            self.succeed(&replies::READY_FOR_TLS);
            self.input = Input::Tls;
        } else {
            self.send(&replies::INJECTED);
            self.close(Some(ProtocolError::InjectedBeforeTls));
        }
    }

    fn ask(&mut self, question: Question, event: Event) {
        self.question = Some(question);
        self.events.push_back(event);
    }

    fn take_question(&mut self) -> Option<Question> {
        debug_assert!(self.question.is_some(), "an answer without a question");
        self.active = true;
        self.question.take()
    }

    /// Ends a transaction that will not be delivered, if there is one.
    fn reset(&mut self) {
        if self.in_transaction() {
            self.events.push_back(Event::Reset);
        }
        self.session.end_transaction();
    }

    /// Sends the reply to a command that was carried out.
    fn succeed(&mut self, reply: &Reply) {
        self.errors_in_a_row = 0;
        self.refused = false;
        self.send(reply);
    }

    /// Sends the reply to a command that could not be carried out, or, after too many of them, the last one.
    fn fail(&mut self, reply: Reply) {
        // A client that pipelines is not wrong again with each command behind a refused one.
        let follows = self.refused && replies::may_follow_a_refusal(&reply);
        self.errors_in_a_row += u32::from(reply.is_permanent() && !follows);
        if self.errors_in_a_row.max(self.refused_sign_ins) >= CONSECUTIVE_ERRORS_MAX {
            self.send(&replies::TOO_MANY_ERRORS);
            self.close(Some(ProtocolError::TooManyErrors));
        } else {
            self.send_final(&reply);
        }
    }

    /// Sends a reply after which, if it is a 421, nothing more is said.
    fn send_final(&mut self, reply: &Reply) {
        self.send(reply);
        if reply.code() == ReplyCode::CLOSING {
            self.close(None);
        }
    }

    fn send(&mut self, reply: &Reply) {
        reply.encode(self.session.is_extended(), &mut self.output);
    }

    fn close(&mut self, error: Option<ProtocolError>) {
        self.reset();
        self.input = Input::Closed(error);
    }
}

/// Whether a web page makes its visitor's browser talk to us. Closing at the first line keeps it from hiding commands
/// in what it sends next.
fn is_http_request(line: &[u8]) -> bool {
    let mut words = line.split(|b| *b == b' ');
    let method = words.next().unwrap_or_default();
    let version = words.next_back().unwrap_or_default();
    !method.is_empty() && method.iter().all(u8::is_ascii_uppercase) && version.starts_with(b"HTTP/")
}
