//! Framing for the client: parses replies, encodes commands and message text.

use bytes::BytesMut;

use crate::dot::DotEncoder;
use crate::line::LineNormaliser;
use crate::machine::ProtocolError;
use crate::pipeline::Pipeline;
use crate::smtp::command::Command;
use crate::smtp::limits;
use crate::smtp::reply::{Reply, ReplyReader};
use crate::time::{Duration, Instant};

use super::state::{Awaited, timeout};

#[derive(Debug)]
pub(super) struct Connection {
    pipeline: Pipeline<Awaited>,
    replies: ReplyReader,
    /// The body being sent.
    body: Option<Body>,
}

/// Converts text for DATA: CRLF line ends and dot-stuffing.
#[derive(Debug, Default)]
struct Body {
    normaliser: LineNormaliser,
    encoder: DotEncoder,
    normalised: Vec<u8>,
}

impl Connection {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pipeline: Pipeline::new(Awaited::Greeting, now + limits::GREETING_TIMEOUT),
            replies: ReplyReader::default(),
            body: None,
        }
    }

    pub(super) fn send(&mut self, awaited: Awaited, command: &Command) {
        self.pipeline.send(awaited, |out| command.encode(out));
    }

    /// Sends a line within AUTH.
    pub(super) fn respond(&mut self, awaited: Awaited, line: &str) {
        self.pipeline.send(awaited, |out| {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        });
    }

    pub(super) fn begin_body(&mut self) {
        self.body = Some(Body::default());
    }

    pub(super) fn send_body(&mut self, text: &[u8]) {
        let Body { normaliser, encoder, normalised } = self.body.get_or_insert_default();
        normalised.clear();
        normaliser.normalise(text, normalised);
        encoder.encode(normalised, self.pipeline.output());
    }

    pub(super) fn end_body(&mut self) {
        let body = self.body.take().unwrap_or_default();
        self.pipeline.send(Awaited::FinalDot, |out| body.encoder.finish(out));
    }

    /// The next reply, and the command that it answers. An unsolicited reply answers none.
    pub(super) fn next_reply(
        &mut self,
        input: &mut BytesMut,
    ) -> Result<Option<(Option<Awaited>, Reply)>, ProtocolError> {
        let reply = self.replies.next_reply(input)?;
        Ok(reply.map(|reply| (self.pipeline.answered(), reply)))
    }

    /// Number of outstanding replies.
    pub(super) fn outstanding(&self) -> usize {
        self.pipeline.len()
    }

    pub(super) fn transmit(&mut self, out: &mut BytesMut) {
        self.pipeline.transmit(out);
    }

    pub(super) fn pending_octets(&self) -> usize {
        self.pipeline.pending_octets()
    }

    fn timeout(&self) -> Option<Duration> {
        let body = self.body.as_ref().map(|_| limits::DATA_BLOCK_TIMEOUT);
        self.pipeline.front().map(|awaited| timeout(*awaited)).or(body)
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

    /// Discards queued output. An incomplete message is not delivered.
    pub(super) fn close(&mut self) {
        self.body = None;
        self.pipeline.clear();
    }
}
