//! Simulated connections that split and delay data, break after any octet, or silently drop everything.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use net::driver::Read;

use crate::executor::{Executor, Timer};
use crate::random::Random;

/// Behaviour of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkProfile {
    pub(crate) latency: Duration,
    /// Maximum additional latency per piece.
    pub(crate) jitter: Duration,
    /// Maximum piece length. Writes are split into about 200 pieces at most.
    pub(crate) piece_length_max: usize,
    /// Number of octets from the client and from the server after which the connection fails.
    pub(crate) fails_after: [Option<u64>; 2],
    /// Whether it fails silently. Otherwise both sides see the end of the stream.
    pub(crate) silent: bool,
    /// Whether PIPELINING is removed from the server's replies.
    pub(crate) hides_pipelining: bool,
}

impl LinkProfile {
    /// A connection that only splits and delays.
    pub(crate) fn reliable(random: &mut Random) -> Self {
        let latency_max = *random.pick(&[1, 50, 700]);
        let jitter_max = *random.pick(&[0, 20, 2_000]);
        Self {
            latency: random.milliseconds(0..=latency_max),
            jitter: random.milliseconds(0..=jitter_max),
            piece_length_max: *random.pick(&[1, 7, 100, 1_460, 60_000]),
            hides_pipelining: random.percent(30),
            ..Self::default()
        }
    }

    /// A connection that also fails.
    pub(crate) fn faulty(random: &mut Random) -> Self {
        let mut profile = Self::reliable(random);
        let side = random.below(2);
        // Failures should be as likely in a message body as in the commands before it.
        let octets = *random.pick(&[20, 300, 1_500, 20_000]);
        profile.fails_after[side] = Some(random.below(octets) as u64);
        profile.silent = random.percent(30);
        profile
    }
}

struct Connection {
    directions: [Direction; 2],
    profile: LinkProfile,
    random: Random,
}

#[derive(Default)]
struct Direction {
    in_flight: VecDeque<(Duration, Bytes)>,
    last: Duration,
    octets_written: u64,
    /// Time at which the reader sees the end of the stream, after all data.
    end: Option<Duration>,
    /// Whether further writes are lost.
    dead: bool,
    reader: Option<Waker>,
}

/// One side of a connection. Dropping it closes the connection normally.
pub(crate) struct Socket {
    connection: Rc<RefCell<Connection>>,
    executor: Executor,
    side: usize,
    timer: Option<Timer>,
}

/// Creates a connection and returns the sides of the client and the server.
pub(crate) fn connect(executor: &Executor, profile: LinkProfile, random: &mut Random) -> (Socket, Socket) {
    let random = Random::new(random.next());
    let connection = Rc::new(RefCell::new(Connection { directions: Default::default(), profile, random }));
    let socket =
        |side| Socket { connection: Rc::clone(&connection), executor: executor.clone(), side, timer: None };
    (socket(0), socket(1))
}

/// A weak handle that can break the connection.
pub(crate) struct ConnectionHandle(Weak<RefCell<Connection>>);

impl ConnectionHandle {
    /// Drops all further data in both directions without an end of stream.
    pub(crate) fn blackhole(&self) {
        if let Some(connection) = self.0.upgrade() {
            connection.borrow_mut().directions.iter_mut().for_each(|direction| direction.dead = true);
        }
    }
}

impl Socket {
    pub(crate) fn handle(&self) -> ConnectionHandle {
        ConnectionHandle(Rc::downgrade(&self.connection))
    }

    pub(crate) fn write(&mut self, octets: &[u8]) {
        let now = self.executor.now();
        let mut connection = self.connection.borrow_mut();
        let mut octets = Bytes::copy_from_slice(octets);
        if self.side == 1
            && connection.profile.hides_pipelining
            && let Some(at) = octets.windows(10).position(|word| word == b"PIPELINING")
        {
            octets = [&octets[..at], b"X-NOTHINGS", &octets[at + 10..]].concat().into();
        }
        let Connection { directions, profile, random } = &mut *connection;
        let direction = &mut directions[self.side];
        if direction.dead || direction.end.is_some() {
            return;
        }
        let remaining =
            profile.fails_after[self.side].map(|limit| limit.saturating_sub(direction.octets_written));
        let fails = remaining.is_some_and(|remaining| remaining < octets.len() as u64);
        if let Some(remaining) = remaining.filter(|_| fails) {
            octets.truncate(usize::try_from(remaining).unwrap_or(usize::MAX));
        }
        direction.octets_written += octets.len() as u64;
        let length_max = profile.piece_length_max.max(octets.len() / 200);
        while !octets.is_empty() {
            let piece = octets.split_to(1 + random.below(length_max.min(octets.len())));
            let jitter = random.milliseconds(0..=usize::try_from(profile.jitter.as_millis()).unwrap_or(0));
            direction.last = direction.last.max(now + profile.latency + jitter);
            direction.in_flight.push_back((direction.last, piece));
        }
        if fails {
            fail(directions, profile.silent, now);
        }
        directions.iter_mut().filter_map(|direction| direction.reader.take()).for_each(Waker::wake);
    }

    /// Writes all of `output` and clears it.
    pub(crate) fn flush(&mut self, output: &mut BytesMut) {
        if !output.is_empty() {
            self.write(output);
            output.clear();
        }
    }

    /// Waits for the next piece or the deadline.
    pub(crate) async fn read(&mut self, input: &mut BytesMut, deadline: Option<Duration>) -> Read {
        std::future::poll_fn(|context| {
            let now = self.executor.now();
            let mut connection = self.connection.borrow_mut();
            let direction = &mut connection.directions[1 - self.side];
            if let Some((_, piece)) = direction.in_flight.pop_front_if(|(when, _)| *when <= now) {
                input.extend_from_slice(&piece);
                return Poll::Ready(Read::Octets);
            }
            if direction.in_flight.is_empty() && direction.end.is_some_and(|end| end <= now) {
                return Poll::Ready(Read::Eof);
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Read::TimedOut);
            }
            direction.reader = Some(context.waker().clone());
            let arrives = direction.in_flight.front().map(|(when, _)| *when).or(direction.end);
            self.executor.set_timer(
                &mut self.timer,
                arrives.into_iter().chain(deadline).min(),
                context.waker(),
            );
            Poll::Pending
        })
        .await
    }
}

fn fail(directions: &mut [Direction; 2], silent: bool, now: Duration) {
    for direction in directions {
        direction.dead = true;
        if !silent && direction.end.is_none() {
            direction.end = Some(direction.last.max(now));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let now = self.executor.now();
        self.executor.set_timer(&mut self.timer, None, Waker::noop());
        let mut connection = self.connection.borrow_mut();
        let latency = connection.profile.latency;
        let direction = &mut connection.directions[self.side];
        if !direction.dead && direction.end.is_none() {
            direction.end = Some(direction.last.max(now + latency));
        }
        if let Some(reader) = direction.reader.take() {
            reader.wake();
        }
    }
}
