//! Two machines and a wire between them, on virtual time.
//!
//! What one side transmits is cut anywhere and arrives at the other after the wire's latency. Time passes only while both
//! sides wait, and then at once.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use mail_core::machine::{Machine, ProtocolError, Step};
use mail_core::time::{Duration, Instant};

use crate::random::Random;

/// What is done about an event, or, for `None`, when nothing more happens by itself. It may write to the output, as a
/// driver does with a message.
pub(crate) type Policy<'a, M> = Box<dyn FnMut(&mut M, Option<<M as Machine>::Event>, &mut BytesMut) + 'a>;

/// One end: a machine and its policy.
pub(crate) struct End<'a, M: Machine> {
    pub(crate) machine: M,
    pub(crate) policy: Policy<'a, M>,
    pub(crate) tls_established: fn(&mut M, Instant),
}

struct Side<'a, M: Machine> {
    end: End<'a, M>,
    input: BytesMut,
    /// What arrives here, and when.
    arriving: VecDeque<(Instant, Bytes)>,
    wants_tls: bool,
    finished: Option<Result<(), ProtocolError>>,
}

/// How a wire behaves.
pub(crate) struct Wire {
    pub(crate) latency: Duration,
    pub(crate) random: Random,
    /// Whether the offer of PIPELINING reaches the client.
    pub(crate) pipelining: bool,
}

/// How each side ended.
pub(crate) type Ends = (Result<(), ProtocolError>, Result<(), ProtocolError>);

/// Lets a client and a server talk until both have ended.
pub(crate) fn converse<C: Machine, S: Machine>(
    client: End<'_, C>,
    server: End<'_, S>,
    mut now: Instant,
    wire: &mut Wire,
) -> Ends {
    let (mut client, mut server) = (Side::new(client), Side::new(server));
    loop {
        let from_client = client.turn(now);
        let from_server = wire.conceal(server.turn(now));
        wire.carry(from_client, now, &mut server.arriving);
        wire.carry(from_server, now, &mut client.arriving);
        if client.wants_tls && server.wants_tls {
            client.begin_tls(now);
            server.begin_tls(now);
            continue;
        }
        if client.finished.is_some() && server.arriving.is_empty() {
            server.end_of_stream(now);
        }
        if server.finished.is_some() && client.arriving.is_empty() {
            client.end_of_stream(now);
        }
        if let (Some(client), Some(server)) = (&client.finished, &server.finished) {
            return (client.clone(), server.clone());
        }
        let next = [client.next(), server.next()].into_iter().flatten().min();
        now = now.max(next.expect("one side waits for something, or both wait for ever"));
        client.pass_to(now);
        server.pass_to(now);
    }
}

impl Wire {
    fn carry(&mut self, sent: BytesMut, now: Instant, arriving: &mut VecDeque<(Instant, Bytes)>) {
        let mut sent = sent.freeze();
        // Some wires cut finely, some coarsely; a long message is not cut into millions.
        let coarse = [1, 7, 100, 5_000, 60_000][self.random.below(5)].max(sent.len() / 1_000);
        while !sent.is_empty() {
            let length = 1 + self.random.below(coarse.min(sent.len()));
            arriving.push_back((now + self.latency, sent.split_to(length)));
        }
    }

    fn conceal(&self, sent: BytesMut) -> BytesMut {
        if self.pipelining || sent.len() > 1_000 {
            return sent;
        }
        match sent.windows(10).position(|word| word == b"PIPELINING") {
            Some(at) => [&sent[..at], b"NOTHING", &sent[at + 10..]].concat().as_slice().into(),
            None => sent,
        }
    }
}

impl<'a, M: Machine> Side<'a, M> {
    fn new(end: End<'a, M>) -> Self {
        Self { end, input: BytesMut::new(), arriving: VecDeque::new(), wants_tls: false, finished: None }
    }

    /// Goes on as far as the input reaches; what is to be sent.
    fn turn(&mut self, now: Instant) -> BytesMut {
        let mut out = BytesMut::new();
        let End { machine, policy, .. } = &mut self.end;
        machine.poll_transmit(&mut out);
        while self.finished.is_none() {
            let step = machine.receive(now, &mut self.input);
            machine.poll_transmit(&mut out);
            match step {
                Ok(Step::Event(event)) => policy(machine, Some(event), &mut out),
                Ok(Step::NeedInput) => {
                    policy(machine, None, &mut out);
                    machine.poll_transmit(&mut out);
                    break;
                }
                Ok(Step::Paused) => break,
                Ok(Step::UpgradeTls) => {
                    self.wants_tls = true;
                    break;
                }
                Ok(Step::Closed) => self.finished = Some(Ok(())),
                Err(error) => self.finished = Some(Err(error)),
            }
        }
        out
    }

    fn begin_tls(&mut self, now: Instant) {
        assert!(self.input.is_empty() && self.arriving.is_empty(), "nothing is said while hands are shaken");
        self.wants_tls = false;
        (self.end.tls_established)(&mut self.end.machine, now);
    }

    fn end_of_stream(&mut self, now: Instant) {
        if self.finished.is_none() {
            self.finished = Some(self.end.machine.receive_eof(now).map(|_| ()));
        }
    }

    /// When something happens here by itself.
    fn next(&self) -> Option<Instant> {
        let timeout = if self.finished.is_none() { self.end.machine.poll_timeout() } else { None };
        self.arriving.front().map(|(when, _)| *when).into_iter().chain(timeout).min()
    }

    /// One piece arrives, or the time is over.
    fn pass_to(&mut self, now: Instant) {
        if let Some((_, piece)) = self.arriving.pop_front_if(|(when, _)| *when <= now) {
            self.input.extend_from_slice(&piece);
        } else if self.finished.is_none() && self.end.machine.poll_timeout().is_some_and(|when| when <= now) {
            self.end.machine.handle_timeout(now);
        }
    }
}
