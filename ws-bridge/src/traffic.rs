//! When bytes last moved on a connection and what is due for it, and how fast they may move.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{CLOSE_TIMEOUT, Limits, REST, STOP_GRACE, STOP_QUIET};

/// All the times of a connection, in one timer, which is set anew when it has run out and not whenever bytes move.
#[derive(Debug)]
pub(crate) struct Clock {
    limits: Limits,
    /// When anything last moved, either way.
    moved: Instant,
    /// When anything last came from the target, or a ping was due in its place.
    spoken: Instant,
    /// Since when there is something to give back.
    held: Option<Instant>,
    /// When the bridge was told to stop.
    stop: Option<Instant>,
    /// When the goodbye began.
    goodbye: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// A ping to the browser.
    Ping,
    /// To give back what a connection at rest doesn't need.
    Rest,
    /// The end: nothing has moved for so long as it may.
    Idle,
    /// The end: the bridge stops, and the connection is quiet or has had its time.
    Stop,
    /// The end of the goodbye.
    GiveUp,
}

impl Clock {
    pub(crate) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        let timer = Box::pin(sleep_until(now));
        Self { limits: *limits, moved: now, spoken: now, held: None, stop: None, goodbye: None, timer }
    }

    /// How long nothing may move.
    pub(crate) const fn idle(&self) -> Duration {
        self.limits.idle
    }

    /// Something has moved.
    pub(crate) fn beat(&mut self) {
        self.moved = Instant::now();
    }

    /// Something has come from the target.
    pub(crate) fn heard(&mut self) {
        self.spoken = Instant::now();
    }

    pub(crate) fn stop(&mut self) {
        self.stop = Some(Instant::now());
        self.set();
    }

    pub(crate) fn say_goodbye(&mut self) {
        self.goodbye = Some(Instant::now());
        self.set();
    }

    /// The connection has taken what is to be given back when it rests.
    pub(crate) fn hold(&mut self) {
        if self.held.is_none() {
            self.held = Some(Instant::now());
            self.set();
        }
    }

    /// Waits for what is due next.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Due> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let (at, due) = self.next();
            let now = Instant::now();
            if now >= at {
                match due {
                    Due::Ping => self.spoken = now,
                    Due::Rest => self.held = None,
                    Due::Idle | Due::Stop | Due::GiveUp => {}
                }
                return Poll::Ready(due);
            }
            self.timer.as_mut().reset(at);
        }
    }

    fn set(&mut self) {
        let (at, _) = self.next();
        self.timer.as_mut().reset(at);
    }

    fn next(&self) -> (Instant, Due) {
        if let Some(start) = self.goodbye {
            return (start + CLOSE_TIMEOUT, Due::GiveUp);
        }
        let stop =
            self.stop.map(|told| ((told + STOP_GRACE).min(self.moved + STOP_QUIET).max(told), Due::Stop));
        let all = [
            stop,
            Some((self.moved + self.limits.idle, Due::Idle)),
            Some((self.spoken + self.limits.ping, Due::Ping)),
            self.held.map(|since| (since.max(self.moved) + REST, Due::Rest)),
        ];
        all.into_iter().flatten().min_by_key(|(at, _)| *at).expect("two of them are always there")
    }
}

/// Keeps one direction of a connection to so many octets a second.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The rate, and when what has passed is paid for.
    toll: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Pace {
    pub(crate) fn new(octets_per_second: Option<u64>) -> Self {
        Self { toll: octets_per_second.map(|rate| (rate, Box::pin(sleep_until(Instant::now())))) }
    }

    /// So many octets pass.
    pub(crate) fn passed(&mut self, octets: usize) {
        let Some((rate, paid)) = &mut self.toll else { return };
        let from = paid.deadline().max(Instant::now());
        paid.as_mut().reset(from + Duration::from_secs_f64(octets as f64 / *rate as f64));
    }

    /// Waits until all that has passed is paid for.
    pub(crate) fn poll_paid(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.toll {
            Some((_, paid)) => paid.as_mut().poll(context),
            None => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use config::WebLimits;

    use super::*;

    fn clock(idle_seconds: u64, ping_seconds: u64) -> Clock {
        Clock::new(&Limits::from(&WebLimits { idle_seconds, ping_seconds, ..Default::default() }))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_beat() {
        let (mut clock, start) = (clock(5, 60), Instant::now());
        for _ in 0..3 {
            let beat = tokio::time::timeout(Duration::from_secs(4), poll_fn(|context| clock.poll(context)));
            assert!(beat.await.is_err(), "nothing is due");
            clock.beat();
        }
        assert_eq!(poll_fn(|context| clock.poll(context)).await, Due::Idle);
        assert_eq!(start.elapsed().as_secs(), 17);
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_is_too_long() {
        let mut clock = clock(u64::MAX, u64::MAX);
        let due = tokio::time::timeout(Duration::from_secs(60), poll_fn(|context| clock.poll(context)));
        assert!(due.await.is_err(), "nothing is due");
    }

    #[tokio::test(start_paused = true)]
    async fn pings_come_at_their_times_until_something_is_heard() {
        let (mut clock, start) = (clock(60, 7), Instant::now());
        for seconds in [7, 14] {
            assert_eq!(poll_fn(|context| clock.poll(context)).await, Due::Ping);
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
        tokio::time::advance(Duration::from_secs(3)).await;
        clock.heard();
        assert_eq!(poll_fn(|context| clock.poll(context)).await, Due::Ping);
        assert_eq!(start.elapsed().as_secs(), 24);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_quiet_and_a_goodbye_for_nothing() {
        let (mut quiet, start) = (clock(60, 60), Instant::now());
        quiet.hold();
        assert_eq!(poll_fn(|context| quiet.poll(context)).await, Due::Rest);
        assert_eq!(start.elapsed(), REST);
        quiet.stop();
        assert_eq!(poll_fn(|context| quiet.poll(context)).await, Due::Stop);
        assert_eq!(start.elapsed(), STOP_QUIET);
        quiet.say_goodbye();
        assert_eq!(poll_fn(|context| quiet.poll(context)).await, Due::GiveUp);
        assert_eq!(start.elapsed(), STOP_QUIET + CLOSE_TIMEOUT);

        let (mut busy, start) = (clock(60, 60), Instant::now());
        busy.stop();
        let due = poll_fn(|context| {
            busy.beat();
            busy.poll(context)
        });
        assert_eq!(due.await, Due::Stop);
        assert_eq!(start.elapsed(), STOP_GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_and_none_is_free() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(1_000));
        for _ in 0..4 {
            pace.passed(500);
            poll_fn(|context| pace.poll_paid(context)).await;
        }
        assert_eq!(start.elapsed().as_secs(), 2);
        let mut none = Pace::new(None);
        none.passed(usize::MAX);
        poll_fn(|context| none.poll_paid(context)).await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }
}
