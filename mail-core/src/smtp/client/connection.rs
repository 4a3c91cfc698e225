//! The client's wire: replies in; commands and message text out.

use bytes::BytesMut;

use crate::dot::DotEncoder;
use crate::line::LineNormaliser;
use crate::machine::ProtocolError;
use crate::pipeline::Pipeline;
use crate::smtp::command::Command;
use crate::smtp::limits;
use crate::smtp::reply::{Reply, ReplyReader};
use crate::time::{Duration, Instant};

use super::state::{Awaited, allowance};

#[derive(Debug)]
pub(super) struct Connection {
    pipeline: Pipeline<Awaited>,
    replies: ReplyReader,
    /// The body that is being sent.
    body: Option<Body>,
}

/// Makes text fit for DATA: every line end CRLF, and no line a false end.
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

    /// The next reply, and what it answers: nothing, when nobody asked or its command has not left yet.
    pub(super) fn hear(
        &mut self,
        input: &mut BytesMut,
    ) -> Result<Option<(Option<Awaited>, Reply)>, ProtocolError> {
        let reply = self.replies.next_reply(input)?;
        Ok(reply.map(|reply| (self.pipeline.answered(), reply)))
    }

    /// How many replies are outstanding.
    pub(super) fn outstanding(&self) -> usize {
        self.pipeline.len()
    }

    pub(super) fn transmit(&mut self, out: &mut BytesMut) {
        self.pipeline.transmit(out);
    }

    pub(super) fn pending_octets(&self) -> usize {
        self.pipeline.pending_octets()
    }

    fn allowance(&self) -> Option<Duration> {
        let body = self.body.as_ref().map(|_| limits::DATA_BLOCK_TIMEOUT);
        self.pipeline.front().map(|awaited| allowance(*awaited)).or(body)
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

    /// Nothing more is sent, not even what waits: a message without its end is not delivered.
    pub(super) fn close(&mut self) {
        self.body = None;
        self.pipeline.clear();
    }
}
