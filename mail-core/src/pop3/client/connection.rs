//! Framing for the client: parses replies, listings and messages, encodes commands.

use bytes::{Bytes, BytesMut};

use crate::dot::{DotDecoder, Piece};
use crate::line::{Line, LineReader};
use crate::machine::ProtocolError;
use crate::pipeline::{Pipeline, excerpt};
use crate::pop3::command::Command;
use crate::pop3::limits::{LINE_OCTETS_READ_MAX, REPLY_TIMEOUT};
use crate::pop3::reply::{Reply, parse_challenge};
use crate::time::{Duration, Instant};

use super::state::{Awaited, Status};

/// Input from the server.
#[derive(Debug)]
pub(super) enum Received {
    /// The first line of the reply to the oldest command. For a challenge, the reply is empty.
    Reply(Awaited, Status, Reply),
    /// An unsolicited `-ERR`: the server is about to close.
    Closing(Reply),
    /// A line of a listing.
    Line(Bytes),
    LinesEnd,
    /// Part of a message.
    Text(Bytes),
    TextEnd,
}

/// The expected input.
#[derive(Debug)]
enum Reading {
    FirstLine,
    Lines,
    Message(DotDecoder),
}

#[derive(Debug)]
pub(super) struct Connection {
    pipeline: Pipeline<Awaited>,
    lines: LineReader,
    reading: Reading,
}

impl Connection {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pipeline: Pipeline::new(Awaited::Greeting, now + REPLY_TIMEOUT),
            lines: LineReader::new(LINE_OCTETS_READ_MAX),
            reading: Reading::FirstLine,
        }
    }

    pub(super) fn send(&mut self, command: Command) {
        let mut line = BytesMut::new();
        command.encode(&mut line);
        self.pipeline.send(Awaited::Command(command), |out| out.unsplit(line));
    }

    /// Sends a line within AUTH.
    pub(super) fn respond(&mut self, awaited: Awaited, line: &str) {
        self.pipeline.send(awaited, |out| {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        });
    }

    /// Number of outstanding replies, including one being read.
    pub(super) fn outstanding(&self) -> usize {
        self.pipeline.len() + usize::from(!matches!(self.reading, Reading::FirstLine))
    }

    pub(super) fn read_lines(&mut self) {
        self.reading = Reading::Lines;
    }

    pub(super) fn read_message(&mut self) {
        self.reading = Reading::Message(DotDecoder::default());
    }

    /// The next item, or `None` if more input is needed.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Received>, ProtocolError> {
        let received = match &mut self.reading {
            Reading::Message(decoder) => decoder.decode(input).map(|piece| match piece {
                Piece::Text(text) => Received::Text(text),
                Piece::End => Received::TextEnd,
            }),
            Reading::Lines => self.next_line(input)?.map(|line| match line.strip_prefix(b".") {
                Some(b"") => Received::LinesEnd,
                Some(_) => Received::Line(line.slice(1..)),
                None => Received::Line(line),
            }),
            Reading::FirstLine => match self.next_line(input)? {
                Some(line) => Some(self.first_line(&line)?),
                None => None,
            },
        };
        if matches!(received, Some(Received::LinesEnd | Received::TextEnd)) {
            self.reading = Reading::FirstLine;
        }
        if received.is_some() {
            self.pipeline.touch();
        }
        Ok(received)
    }

    fn next_line(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, ProtocolError> {
        let arrived = !input.is_empty();
        match self.lines.next_line(input) {
            Some(Line::Complete(line, _)) => Ok(Some(line)),
            // The reader discards a line that is too long before its end arrives.
            None if !arrived || !input.is_empty() => Ok(None),
            _ => Err(ProtocolError::LineTooLong),
        }
    }

    fn first_line(&mut self, line: &Bytes) -> Result<Received, ProtocolError> {
        let (status, reply) = match (Reply::parse(line), parse_challenge(line)) {
            (Some(reply), _) if reply.is_ok() => (Status::Ok, reply),
            (Some(reply), _) => (Status::Err, reply),
            (None, Some(_)) => (Status::Continue, Reply::ok("")),
            (None, None) => return Err(ProtocolError::MalformedReply(excerpt(line))),
        };
        match self.pipeline.answered() {
            Some(awaited) => Ok(Received::Reply(awaited, status, reply)),
            None if status == Status::Err => Ok(Received::Closing(reply)),
            None => Err(ProtocolError::Unexpected(excerpt(line))),
        }
    }

    pub(super) fn transmit(&mut self, out: &mut BytesMut) {
        self.pipeline.transmit(out);
    }

    pub(super) fn pending_octets(&self) -> usize {
        self.pipeline.pending_octets()
    }

    fn timeout(&self) -> Option<Duration> {
        (self.outstanding() > 0).then_some(REPLY_TIMEOUT)
    }

    pub(super) fn rearm(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.pipeline.rearm(now, self.timeout())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pipeline.deadline()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.pipeline.handle_timeout(now, self.timeout());
    }

    pub(super) fn close(&mut self) {
        self.pipeline.clear();
    }
}
