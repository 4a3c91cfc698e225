//! Connections that split, delay, break after any octet, or fall silent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use net::driver::Read;

use crate::executor::{Executor, Timer};
use crate::random::Random;

/// How a connection behaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Weather {
    pub(crate) latency: Duration,
    /// Up to so much more, for each piece.
    pub(crate) jitter: Duration,
    /// Largest piece; a message is not cut into millions of them.
    pub(crate) piece: usize,
    /// After so many octets from the client, or from the server, something happens.
    pub(crate) cut_after: [Option<u64>; 2],
    /// What: both sides see the end, or nobody hears another word.
    pub(crate) silent: bool,
    /// The client does not learn that it may pipeline.
    pub(crate) conceals_pipelining: bool,
}

impl Weather {
    /// A network in order, but for its splits and delays.
    pub(crate) fn fair(random: &mut Random) -> Self {
        let latency_max = *random.pick(&[1, 50, 700]);
        let jitter_max = *random.pick(&[0, 20, 2_000]);
        Self {
            latency: random.milliseconds(0..=latency_max),
            jitter: random.milliseconds(0..=jitter_max),
            piece: *random.pick(&[1, 7, 100, 1_460, 60_000]),
            conceals_pipelining: random.percent(30),
            ..Self::default()
        }
    }

    /// Any network.
    pub(crate) fn foul(random: &mut Random) -> Self {
        let mut weather = Self::fair(random);
        let side = random.below(2);
        // Most of a dialogue is short; a cut within a body, or behind its end, should be as likely.
        let octets = *random.pick(&[20, 300, 1_500, 20_000]);
        weather.cut_after[side] = Some(random.below(octets) as u64);
        weather.silent = random.percent(30);
        weather
    }
}

struct Link {
    ways: [Way; 2],
    weather: Weather,
    random: Random,
}

#[derive(Default)]
struct Way {
    arriving: VecDeque<(Duration, Bytes)>,
    last: Duration,
    carried: u64,
    /// From when on the reader sees the end, once all has arrived.
    end: Option<Duration>,
    /// What is written from now on is lost.
    dead: bool,
    reader: Option<Waker>,
}

/// One side of a connection. Dropping it closes it in order.
pub(crate) struct Socket {
    link: Rc<RefCell<Link>>,
    executor: Executor,
    side: usize,
    timer: Option<Timer>,
}

/// The client's side and the server's.
pub(crate) fn connect(executor: &Executor, weather: Weather, random: &mut Random) -> (Socket, Socket) {
    let random = Random::new(random.next());
    let link = Rc::new(RefCell::new(Link { ways: Default::default(), weather, random }));
    let socket = |side| Socket { link: Rc::clone(&link), executor: executor.clone(), side, timer: None };
    (socket(0), socket(1))
}

/// A connection, for who may break it from outside.
pub(crate) struct Cable(std::rc::Weak<RefCell<Link>>);

impl Cable {
    /// Nothing arrives any more, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        if let Some(link) = self.0.upgrade() {
            link.borrow_mut().ways.iter_mut().for_each(|way| way.dead = true);
        }
    }
}

impl Socket {
    pub(crate) fn cable(&self) -> Cable {
        Cable(Rc::downgrade(&self.link))
    }

    pub(crate) fn write(&mut self, octets: &[u8]) {
        let now = self.executor.now();
        let mut link = self.link.borrow_mut();
        let mut octets = Bytes::copy_from_slice(octets);
        if self.side == 1
            && link.weather.conceals_pipelining
            && let Some(at) = octets.windows(10).position(|word| word == b"PIPELINING")
        {
            octets = [&octets[..at], b"X-NOTHINGS", &octets[at + 10..]].concat().into();
        }
        let Link { ways, weather, random } = &mut *link;
        let way = &mut ways[self.side];
        if way.dead || way.end.is_some() {
            return;
        }
        let left = weather.cut_after[self.side].map(|cut| cut.saturating_sub(way.carried));
        let is_cut = left.is_some_and(|left| left < octets.len() as u64);
        if let Some(left) = left.filter(|_| is_cut) {
            octets.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        way.carried += octets.len() as u64;
        let coarse = weather.piece.max(octets.len() / 200);
        while !octets.is_empty() {
            let piece = octets.split_to(1 + random.below(coarse.min(octets.len())));
            let jitter = random.milliseconds(0..=usize::try_from(weather.jitter.as_millis()).unwrap_or(0));
            way.last = way.last.max(now + weather.latency + jitter);
            way.arriving.push_back((way.last, piece));
        }
        if is_cut {
            cut(ways, weather.silent, now);
        }
        ways.iter_mut().filter_map(|way| way.reader.take()).for_each(Waker::wake);
    }

    /// The next piece that arrives, unless `deadline` comes first.
    pub(crate) async fn read(&mut self, input: &mut BytesMut, deadline: Option<Duration>) -> Read {
        std::future::poll_fn(|context| {
            let now = self.executor.now();
            let mut link = self.link.borrow_mut();
            let way = &mut link.ways[1 - self.side];
            if let Some((_, piece)) = way.arriving.pop_front_if(|(when, _)| *when <= now) {
                input.extend_from_slice(&piece);
                return Poll::Ready(Read::Octets);
            }
            if way.arriving.is_empty() && way.end.is_some_and(|end| end <= now) {
                return Poll::Ready(Read::Eof);
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Read::TimedOut);
            }
            way.reader = Some(context.waker().clone());
            let arrives = way.arriving.front().map(|(when, _)| *when).or(way.end);
            self.executor.set(&mut self.timer, arrives.into_iter().chain(deadline).min(), context.waker());
            Poll::Pending
        })
        .await
    }
}

fn cut(ways: &mut [Way; 2], silent: bool, now: Duration) {
    for way in ways {
        way.dead = true;
        if !silent && way.end.is_none() {
            way.end = Some(way.last.max(now));
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let now = self.executor.now();
        self.executor.set(&mut self.timer, None, Waker::noop());
        let mut link = self.link.borrow_mut();
        let latency = link.weather.latency;
        let way = &mut link.ways[self.side];
        if !way.dead && way.end.is_none() {
            way.end = Some(way.last.max(now + latency));
        }
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
    }
}
