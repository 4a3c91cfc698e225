//! The client's wire: first lines, the lines of a listing, messages; commands out.

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

/// What the server said.
#[derive(Debug)]
pub(super) enum Heard {
    /// The first line of the reply to the oldest command. A challenge within AUTH has an empty one: what it says is not
    /// looked at.
    Reply(Awaited, Status, Reply),
    /// `-ERR` that answers nothing: the server is about to close.
    Farewell(Reply),
    /// A line of a listing.
    Line(Bytes),
    LinesEnd,
    /// A stretch of a message.
    Text(Bytes),
    TextEnd,
}

/// What is being read.
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

    /// How many answers are outstanding, one that is being read included.
    pub(super) fn outstanding(&self) -> usize {
        self.pipeline.len() + usize::from(!matches!(self.reading, Reading::FirstLine))
    }

    pub(super) fn read_lines(&mut self) {
        self.reading = Reading::Lines;
    }

    pub(super) fn read_message(&mut self) {
        self.reading = Reading::Message(DotDecoder::default());
    }

    /// What the server says next, or `None` when more input is needed.
    pub(super) fn hear(&mut self, input: &mut BytesMut) -> Result<Option<Heard>, ProtocolError> {
        let heard = match &mut self.reading {
            Reading::Message(decoder) => decoder.decode(input).map(|piece| match piece {
                Piece::Text(text) => Heard::Text(text),
                Piece::End => Heard::TextEnd,
            }),
            Reading::Lines => self.next_line(input)?.map(|line| match line.strip_prefix(b".") {
                Some(b"") => Heard::LinesEnd,
                Some(_) => Heard::Line(line.slice(1..)),
                None => Heard::Line(line),
            }),
            Reading::FirstLine => match self.next_line(input)? {
                Some(line) => Some(self.first_line(&line)?),
                None => None,
            },
        };
        if matches!(heard, Some(Heard::LinesEnd | Heard::TextEnd)) {
            self.reading = Reading::FirstLine;
        }
        if heard.is_some() {
            self.pipeline.touch();
        }
        Ok(heard)
    }

    fn next_line(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, ProtocolError> {
        let arrived = !input.is_empty();
        match self.lines.next_line(input) {
            Some(Line::Complete(line, _)) => Ok(Some(line)),
            // What is too long is dropped before its end is there, and its end need not be waited for.
            None if !arrived || !input.is_empty() => Ok(None),
            _ => Err(ProtocolError::LineTooLong),
        }
    }

    fn first_line(&mut self, line: &Bytes) -> Result<Heard, ProtocolError> {
        let (status, reply) = match (Reply::parse(line), parse_challenge(line)) {
            (Some(reply), _) if reply.is_ok() => (Status::Ok, reply),
            (Some(reply), _) => (Status::Err, reply),
            (None, Some(_)) => (Status::Continue, Reply::ok("")),
            (None, None) => return Err(ProtocolError::MalformedReply(excerpt(line))),
        };
        match self.pipeline.answered() {
            Some(awaited) => Ok(Heard::Reply(awaited, status, reply)),
            None if status == Status::Err => Ok(Heard::Farewell(reply)),
            None => Err(ProtocolError::Unexpected(excerpt(line))),
        }
    }

    pub(super) fn transmit(&mut self, out: &mut BytesMut) {
        self.pipeline.transmit(out);
    }

    pub(super) fn pending_octets(&self) -> usize {
        self.pipeline.pending_octets()
    }

    fn allowance(&self) -> Option<Duration> {
        (self.outstanding() > 0).then_some(REPLY_TIMEOUT)
    }

    pub(super) fn rearm(&mut self, now: Instant) -> Result<(), ProtocolError> {
        self.pipeline.rearm(now, self.allowance())
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pipeline.deadline()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.pipeline.handle_timeout(now, self.allowance());
    }

    pub(super) fn close(&mut self) {
        self.pipeline.clear();
    }
}
