//! Connects two machines by a simulated link on virtual time.
//!
//! Output is split at random and arrives at the other side after the latency. The clock jumps to the next event when both
//! sides wait.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use mail_core::machine::{Machine, ProtocolError, Pump, pump};
use mail_core::time::{Duration, Instant};

use crate::random::Random;

/// Handles an event, or `None` when the machine needs input. It may append a message body to the output.
pub(crate) type Handler<'a, M> = Box<dyn FnMut(&mut M, Option<<M as Machine>::Event>, &mut BytesMut) + 'a>;

/// A machine and its event handler.
pub(crate) struct Endpoint<'a, M: Machine> {
    pub(crate) machine: M,
    pub(crate) handle: Handler<'a, M>,
    pub(crate) tls_established: fn(&mut M, Instant),
}

struct Side<'a, M: Machine> {
    endpoint: Endpoint<'a, M>,
    input: BytesMut,
    /// Pieces in transit to this side, with their arrival times.
    arriving: VecDeque<(Instant, Bytes)>,
    /// The other side has ended.
    eof: bool,
    wants_tls: bool,
    outcome: Option<Result<(), ProtocolError>>,
}

/// Properties of the link.
pub(crate) struct Link {
    pub(crate) latency: Duration,
    pub(crate) random: Random,
    /// Whether the client sees the PIPELINING extension.
    pub(crate) pipelining: bool,
}

/// The outcomes of the client and the server.
pub(crate) type Outcomes = (Result<(), ProtocolError>, Result<(), ProtocolError>);

/// Runs a client and a server until both have ended.
pub(crate) fn connect<C: Machine, S: Machine>(
    client: Endpoint<'_, C>,
    server: Endpoint<'_, S>,
    mut now: Instant,
    link: &mut Link,
) -> Outcomes {
    let (mut client, mut server) = (Side::new(client), Side::new(server));
    loop {
        let from_client = client.run(now);
        let from_server = link.filter_extensions(server.run(now));
        link.send(from_client, now, &mut server.arriving);
        link.send(from_server, now, &mut client.arriving);
        if client.wants_tls && server.wants_tls {
            client.establish_tls(now);
            server.establish_tls(now);
            continue;
        }
        let ends = [client.outcome.is_some(), server.outcome.is_some()];
        if server.receive_eof(ends[0]) || client.receive_eof(ends[1]) {
            continue;
        }
        if let (Some(client), Some(server)) = (&client.outcome, &server.outcome) {
            return (client.clone(), server.clone());
        }
        let next = [client.next_wakeup(), server.next_wakeup()].into_iter().flatten().min();
        now = now.max(next.expect("deadlock: both sides wait without a timeout"));
        client.wake(now);
        server.wake(now);
    }
}

impl Link {
    fn send(&mut self, sent: BytesMut, now: Instant, arriving: &mut VecDeque<(Instant, Bytes)>) {
        let mut sent = sent.freeze();
        // The lower bound limits a long message to about a thousand pieces.
        let length_max = [1, 7, 100, 5_000, 60_000][self.random.below(5)].max(sent.len() / 1_000);
        while !sent.is_empty() {
            let length = 1 + self.random.below(length_max.min(sent.len()));
            arriving.push_back((now + self.latency, sent.split_to(length)));
        }
    }

    fn filter_extensions(&self, sent: BytesMut) -> BytesMut {
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
    fn new(endpoint: Endpoint<'a, M>) -> Self {
        Self {
            endpoint,
            input: BytesMut::new(),
            arriving: VecDeque::new(),
            eof: false,
            wants_tls: false,
            outcome: None,
        }
    }

    /// Processes the available input and returns the output.
    fn run(&mut self, now: Instant) -> BytesMut {
        let (mut sent, mut out) = (BytesMut::new(), BytesMut::new());
        let Endpoint { machine, handle, .. } = &mut self.endpoint;
        while self.outcome.is_none() {
            match pump(machine, now, &mut self.input, self.eof, &mut out) {
                Ok(Pump::Event(event)) => handle(machine, Some(event), &mut out),
                Ok(Pump::Write) => sent.unsplit(out.split()),
                Ok(Pump::Read { .. }) => {
                    handle(machine, None, &mut out);
                    machine.poll_transmit(&mut out);
                    break;
                }
                Ok(Pump::Paused) => break,
                Ok(Pump::UpgradeTls) => {
                    self.wants_tls = true;
                    break;
                }
                Ok(Pump::Closed) => self.outcome = Some(Ok(())),
                Err(error) => self.outcome = Some(Err(error)),
            }
        }
        sent.unsplit(out);
        sent
    }

    fn establish_tls(&mut self, now: Instant) {
        assert!(self.input.is_empty() && self.arriving.is_empty(), "data before the TLS handshake");
        self.wants_tls = false;
        (self.endpoint.tls_established)(&mut self.endpoint.machine, now);
    }

    /// Ends the input if the other side has ended and everything has arrived. Returns whether that is new.
    fn receive_eof(&mut self, other_ended: bool) -> bool {
        let is_new = other_ended && self.arriving.is_empty() && self.outcome.is_none() && !self.eof;
        self.eof |= is_new;
        is_new
    }

    /// The earlier of the next arrival and the timeout.
    fn next_wakeup(&self) -> Option<Instant> {
        let timeout = if self.outcome.is_none() { self.endpoint.machine.poll_timeout() } else { None };
        self.arriving.front().map(|(when, _)| *when).into_iter().chain(timeout).min()
    }

    /// Receives one piece that has arrived, or handles the timeout.
    fn wake(&mut self, now: Instant) {
        if let Some((_, piece)) = self.arriving.pop_front_if(|(when, _)| *when <= now) {
            self.input.extend_from_slice(&piece);
        } else if self.outcome.is_none()
            && self.endpoint.machine.poll_timeout().is_some_and(|when| when <= now)
        {
            self.endpoint.machine.handle_timeout(now);
        }
    }
}
