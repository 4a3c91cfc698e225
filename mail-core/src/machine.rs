//! The interface of all four state machines (SMTP and POP3, server and client) and [`pump`], the single driver step.
//!
//! A [`Machine`] does no I/O. Its driver owns the stream, the two buffers and the clock:
//!
//! ```text
//!        ┌─────────────────────────────────────────────┐
//!        ▼                                             │
//!     pump ──▶ Event       decide, answer ─────────────┤
//!          ──▶ Write       write all output ───────────┤
//!          ──▶ Read        read, or time out ──────────┤
//!          ──▶ UpgradeTls  write all output, handshake ┘
//!          ──▶ Closed      write all output, close
//! ```
//!
//! Output is written before every read and a machine consumes one command at a time, so pipelining (RFC 2920) needs no
//! extra code.
//!
//! # Driver loop
//!
//! ```
//! use std::io::{self, Read, Write};
//!
//! use bytes::BytesMut;
//! use mail_core::machine::{Machine, Pump, pump};
//! use mail_core::time::Instant;
//!
//! fn drive<M: Machine>(
//!     machine: &mut M,
//!     stream: &mut (impl Read + Write),
//!     mut decide: impl FnMut(&mut M, M::Event),
//! ) -> io::Result<()> {
//!     let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
//!     let mut eof = false;
//!     let mut chunk = [0; 4096];
//!     loop {
//!         match pump(machine, Instant::now(), &mut input, eof, &mut output) {
//!             Ok(Pump::Event(event)) => decide(machine, event),
//!             Ok(Pump::Write) => {
//!                 stream.write_all(&output)?;
//!                 output.clear();
//!             }
//!             // A real driver reads until the deadline, then calls `Machine::handle_timeout`.
//!             Ok(Pump::Read { deadline: _ }) => {
//!                 let count = stream.read(&mut chunk)?;
//!                 input.extend_from_slice(&chunk[..count]);
//!                 eof = count == 0;
//!             }
//!             // A driver with TLS writes the output, does the handshake and calls `tls_established`.
//!             Ok(Pump::UpgradeTls) => return Err(io::ErrorKind::Unsupported.into()),
//!             Ok(Pump::Paused) => unreachable!("`decide` answers every event at once"),
//!             Ok(Pump::Closed) | Err(_) => return stream.write_all(&output),
//!         }
//!     }
//! }
//! # use std::sync::Arc;
//! # use mail_core::pop3::server::{Config, Server};
//! # struct Stream(&'static [u8], Vec<u8>);
//! # impl Read for Stream {
//! #     fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> { self.0.read(buffer) }
//! # }
//! # impl Write for Stream {
//! #     fn write(&mut self, bytes: &[u8]) -> io::Result<usize> { self.1.write(bytes) }
//! #     fn flush(&mut self) -> io::Result<()> { Ok(()) }
//! # }
//! # let auth = mail_core::sasl::AuthOffer::Always;
//! # let config = Config { stls: false, auth, login_delay: None, implementation: None };
//! # let mut server = Server::new(Arc::new(config), true, Instant::now());
//! # let mut stream = Stream(b"CAPA\r\nUSER ag\r\nQUIT\r\n", Vec::new());
//! # drive(&mut server, &mut stream, |server, _user| server.accept())?;
//! # let replies = String::from_utf8(stream.1).expect("replies are text");
//! # assert_eq!(replies.matches("+OK").count(), 4, "{replies}");
//! # Ok::<(), io::Error>(())
//! ```

use bytes::BytesMut;

use crate::time::Instant;

/// Queued output at which a machine stops consuming commands until [`Machine::poll_transmit`] is called. A thousand
/// short pipelined commands could otherwise queue replies of a hundred times their length.
pub const OUTPUT_OCTETS_MAX: usize = 16 << 10;

/// The next action of a driver, from [`pump`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Pump<E> {
    /// Act on the event, answer it if it asks a question, and pump again. Output may be pending; more may join it
    /// before it is written.
    Event(E),
    /// Write all of `output`, clear it and pump again.
    Write,
    /// `output` is empty: read, and pump again with the bytes appended to `input`, or with `eof` at the end of the
    /// stream. If `deadline` passes first, call [`Machine::handle_timeout`] and pump again.
    Read {
        /// `None` means that no timeout runs.
        deadline: Option<Instant>,
    },
    /// Write all of `output`, do the TLS handshake, call the machine's `tls_established` and pump again.
    UpgradeTls,
    /// The last question is still unanswered. Drivers that answer each event before they pump again never see this.
    Paused,
    /// The session is over: write all of `output` and close the stream.
    Closed,
}

/// Runs `machine` to its next action. [The module](self) shows the loop around it.
///
/// The machine consumes from the front of `input`; `eof` says that nothing will follow it. Bytes to be sent are
/// appended to `output`, so a driver may let the replies to several events accumulate and write them together.
///
/// # Errors
/// The peer broke the protocol, or closed the stream where that is not allowed. The session is over: write all of
/// `output`, which may end with a last reply, and close the stream.
pub fn pump<M: Machine>(
    machine: &mut M,
    now: Instant,
    input: &mut BytesMut,
    eof: bool,
    output: &mut BytesMut,
) -> Result<Pump<M::Event>, ProtocolError> {
    let mut step = machine.receive(now, input);
    if let Ok(Step::Event(event)) = step {
        return Ok(Pump::Event(event));
    }
    machine.poll_transmit(output);
    if matches!(step, Ok(Step::NeedInput)) {
        // The machine may have stopped at `OUTPUT_OCTETS_MAX` with commands left in `input`, and a client's timeout
        // starts when the machine is next called. Both need another call after the write.
        if !output.is_empty() {
            return Ok(Pump::Write);
        }
        if !eof {
            return Ok(Pump::Read { deadline: machine.poll_timeout() });
        }
        step = machine.receive_eof(now);
        machine.poll_transmit(output);
    }
    Ok(match step? {
        Step::Event(event) => Pump::Event(event),
        Step::UpgradeTls => Pump::UpgradeTls,
        Step::Paused => Pump::Paused,
        Step::Closed | Step::NeedInput => Pump::Closed,
    })
}

/// The result of [`Machine::receive`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Step<E> {
    /// An event for the driver, or a question that the policy above it answers by a method of the machine.
    Event(E),
    /// All complete input is consumed, or [`OUTPUT_OCTETS_MAX`] is reached.
    NeedInput,
    /// An earlier question is unanswered; no input is consumed until then.
    Paused,
    /// Begin the TLS handshake; no more plaintext is read.
    UpgradeTls,
    /// The session is over once the output is written.
    Closed,
}

/// A protocol endpoint without I/O. Drivers call [`pump`]; [the module](self) has the calling order.
pub trait Machine {
    /// Reported to the policy above the machine.
    type Event;

    /// Consumes from the front of `input` as far as the next step.
    ///
    /// # Errors
    /// The peer broke the protocol and the session is over. A last reply may be queued. Later calls return
    /// [`Step::Closed`].
    fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<Self::Event>, ProtocolError>;

    /// Reports that the peer closed its side. Call it after [`receive`](Self::receive) returned [`Step::NeedInput`].
    ///
    /// # Errors
    /// The protocol does not allow the stream to end here.
    fn receive_eof(&mut self, now: Instant) -> Result<Step<Self::Event>, ProtocolError>;

    /// Moves all queued output to the end of `out`.
    fn poll_transmit(&mut self, out: &mut BytesMut);

    /// Time at which [`handle_timeout`](Self::handle_timeout) is due unless input arrives first. Read it after
    /// [`receive`](Self::receive).
    fn poll_timeout(&self) -> Option<Instant>;

    /// Reports that the timeout has passed.
    fn handle_timeout(&mut self, now: Instant);
}

/// A fault of the peer that ends the session. Faults that do not end it are answered by the machine and not reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Too many failed commands in a row.
    #[error("too many errors in a row")]
    TooManyErrors,
    /// More commands in one session than any legitimate client sends.
    #[error("too many commands in one session")]
    TooManyCommands,
    /// The message arrived below the minimum rate.
    #[error("the message arrived too slowly")]
    TooSlow,
    /// Plaintext followed STARTTLS or STLS (RFC 3207 section 6, CVE-2011-0411).
    #[error("plaintext followed the request for TLS")]
    InjectedBeforeTls,
    /// A reply line exceeds the protocol's limit.
    #[error("the other side sent a line that is too long")]
    LineTooLong,
    /// Not a reply; its first bytes, escaped.
    #[error("the other side sent an invalid reply: {0}")]
    MalformedReply(String),
    /// A reply or bytes that no command asked for.
    #[error("unexpected input from the other side: {0}")]
    Unexpected(String),
    /// The stream ended within the session.
    #[error("the connection was closed by the other side")]
    UnexpectedEof,
    /// The peer exceeded the protocol's timeout.
    #[error("the other side did not answer in time")]
    TimedOut,
}

/// A method was called out of order. The machine is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("called out of order: {0}")]
pub struct ApiMisuse(pub &'static str);

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "virtual time has to start somewhere")]
mod tests {
    use super::*;
    use crate::time::Duration;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Each input byte is a command. All but `n` (no reply) and `e` (event) are echoed.
    struct Echo {
        out: BytesMut,
        deadline: Instant,
        event_at_eof: bool,
        closed: bool,
    }

    impl Echo {
        fn new(now: Instant) -> Self {
            Self { out: BytesMut::new(), deadline: now, event_at_eof: false, closed: false }
        }
    }

    impl Machine for Echo {
        type Event = ();

        fn receive(&mut self, now: Instant, input: &mut BytesMut) -> Result<Step<()>, ProtocolError> {
            self.deadline = now + Duration::from_secs(1);
            while !self.closed && self.out.len() < 2 && !input.is_empty() {
                let command = input.split_to(1)[0];
                if command != b'n' && command != b'e' {
                    self.out.extend_from_slice(&[command]);
                }
                match command {
                    b'e' => return Ok(Step::Event(())),
                    b't' => return Ok(Step::UpgradeTls),
                    b'p' => return Ok(Step::Paused),
                    b'q' => self.closed = true,
                    b'x' => return Err(ProtocolError::TooManyErrors),
                    _ => {}
                }
            }
            Ok(if self.closed { Step::Closed } else { Step::NeedInput })
        }

        fn receive_eof(&mut self, _now: Instant) -> Result<Step<()>, ProtocolError> {
            self.closed = true;
            if self.event_at_eof { Ok(Step::Event(())) } else { Err(ProtocolError::UnexpectedEof) }
        }

        fn poll_transmit(&mut self, out: &mut BytesMut) {
            out.unsplit(self.out.split());
        }

        fn poll_timeout(&self) -> Option<Instant> {
            Some(self.deadline)
        }

        fn handle_timeout(&mut self, _now: Instant) {}
    }

    /// Pumps until a read or the end, and writes as a driver does; the actions and the bytes of each write.
    fn run(machine: &mut Echo, input: &str, eof: bool) -> Vec<String> {
        let (mut input, mut output) = (BytesMut::from(input), BytesMut::new());
        let mut actions = Vec::new();
        loop {
            let action = pump(machine, Instant::now(), &mut input, eof, &mut output);
            let written = String::from_utf8(output.to_vec()).unwrap();
            let (action, is_last) = match action {
                Ok(Pump::Event(())) => {
                    actions.push("event".to_owned());
                    continue;
                }
                Ok(Pump::Write) => ("write", false),
                Ok(Pump::Read { .. }) => ("read", true),
                Ok(Pump::UpgradeTls) => ("tls", true),
                Ok(Pump::Paused) => ("paused", true),
                Ok(Pump::Closed) => ("closed", true),
                Err(_) => ("error", true),
            };
            actions.push(format!("{action} {written}").trim_end().to_owned());
            output.clear();
            if is_last {
                return actions;
            }
        }
    }

    fn run_new(input: &str, eof: bool) -> Vec<String> {
        run(&mut Echo::new(Instant::now()), input, eof)
    }

    #[test]
    fn pump_without_output_reads_at_once() {
        assert_eq!(run_new("", false), ["read"]);
        assert_eq!(run_new("nn", false), ["read"]);
    }

    #[test]
    fn pump_writes_all_output_before_it_reads() {
        assert_eq!(run_new("a", false), ["write a", "read"]);
    }

    #[test]
    fn pump_continues_with_the_input_left_when_output_reached_its_limit() {
        assert_eq!(run_new("abcde", false), ["write ab", "write cd", "event", "read"]);
    }

    #[test]
    fn pump_lets_output_accumulate_over_events() {
        assert_eq!(run_new("aeeb", false), ["event", "event", "write ab", "read"]);
    }

    #[test]
    fn pump_appends_to_output_that_the_driver_has_not_written() {
        let (mut input, mut output) = (BytesMut::from("b"), BytesMut::from("a"));
        let action =
            pump(&mut Echo::new(Instant::now()), Instant::now(), &mut input, false, &mut output).unwrap();
        assert_eq!((action, &output[..]), (Pump::Write, &b"ab"[..]));
    }

    #[test]
    fn pump_reads_until_the_deadline_set_after_the_write() {
        let start = Instant::now();
        let (mut input, mut output) = (BytesMut::from("a"), BytesMut::new());
        let mut machine = Echo::new(start);
        assert_eq!(pump(&mut machine, start, &mut input, false, &mut output), Ok(Pump::Write));
        output.clear();
        let later = start + Duration::from_secs(60);
        let deadline = Some(later + Duration::from_secs(1));
        assert_eq!(pump(&mut machine, later, &mut input, false, &mut output), Ok(Pump::Read { deadline }));
    }

    #[test]
    fn pump_collects_output_for_tls_close_pause_and_error() {
        assert_eq!(run_new("t", false), ["tls t"]);
        assert_eq!(run_new("q", false), ["closed q"]);
        assert_eq!(run_new("p", false), ["paused p"]);
        assert_eq!(run_new("x", false), ["error x"]);
    }

    #[test]
    fn pump_answers_all_input_before_it_reports_the_end_of_the_stream() {
        assert_eq!(run_new("abc", true), ["write ab", "write c", "error"]);
        assert_eq!(run_new("aq", true), ["closed aq"]);
    }

    #[test]
    fn pump_returns_the_last_event_at_the_end_of_the_stream_and_then_closes() {
        let mut machine = Echo::new(Instant::now());
        machine.event_at_eof = true;
        assert_eq!(run(&mut machine, "a", true), ["write a", "event", "closed"]);
    }
}
