//! Timeouts of a bridged connection: pings, idle timeout, shutdown, close handshake, release of buffers.
//!
//! All of them share one `Sleep`. Activity only moves the deadlines; the `Sleep` is reset when it fires early.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{BUFFER_RELEASE_DELAY, CLOSE_TIMEOUT, Limits, SHUTDOWN_GRACE, SHUTDOWN_IDLE_TIMEOUT};

#[derive(Debug)]
pub(crate) struct Timers {
    idle_timeout: Duration,
    ping_interval: Duration,
    /// Last time that stream data moved in either direction.
    last_activity: Instant,
    /// Last time that the target sent data or a ping was due.
    last_sent: Instant,
    release_requested: Option<Instant>,
    shutdown_started: Option<Instant>,
    close_started: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    Ping,
    ReleaseBuffers,
    Idle,
    /// The connection was idle during shutdown, or the grace period ended.
    Shutdown,
    CloseHandshake,
}

impl Timers {
    pub(crate) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            idle_timeout: limits.idle_timeout,
            ping_interval: limits.ping_interval,
            last_activity: now,
            last_sent: now,
            release_requested: None,
            shutdown_started: None,
            close_started: None,
            sleep: Box::pin(sleep_until(now)),
        }
    }

    pub(crate) const fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Records that stream data moved.
    pub(crate) fn record_activity(&mut self) {
        self.last_activity = Instant::now();
    }

    /// Records that the target sent data, which makes a ping unnecessary.
    pub(crate) fn record_target_data(&mut self) {
        self.last_sent = Instant::now();
    }

    pub(crate) fn start_shutdown(&mut self) {
        self.shutdown_started = Some(Instant::now());
        self.rearm();
    }

    /// Starts the timeout of the close handshake, which replaces all others.
    pub(crate) fn start_close(&mut self) {
        self.close_started = Some(Instant::now());
        self.rearm();
    }

    /// Requests [`Expired::ReleaseBuffers`] as soon as the connection is idle.
    pub(crate) fn request_release(&mut self) {
        if self.release_requested.is_none() {
            self.release_requested = Some(Instant::now());
            self.rearm();
        }
    }

    /// Ready when the next deadline has passed.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            let (deadline, expired) = self.next_deadline();
            let now = Instant::now();
            if now >= deadline {
                match expired {
                    Expired::Ping => self.last_sent = now,
                    Expired::ReleaseBuffers => self.release_requested = None,
                    Expired::Idle | Expired::Shutdown | Expired::CloseHandshake => {}
                }
                return Poll::Ready(expired);
            }
            self.sleep.as_mut().reset(deadline);
        }
    }

    fn rearm(&mut self) {
        let (deadline, _) = self.next_deadline();
        self.sleep.as_mut().reset(deadline);
    }

    fn next_deadline(&self) -> (Instant, Expired) {
        if let Some(start) = self.close_started {
            return (start + CLOSE_TIMEOUT, Expired::CloseHandshake);
        }
        let shutdown = self.shutdown_started.map(|start| {
            let idle = (self.last_activity + SHUTDOWN_IDLE_TIMEOUT).max(start);
            (idle.min(start + SHUTDOWN_GRACE), Expired::Shutdown)
        });
        let release = self.release_requested.map(|requested| {
            (requested.max(self.last_activity) + BUFFER_RELEASE_DELAY, Expired::ReleaseBuffers)
        });
        let idle = (self.last_activity + self.idle_timeout, Expired::Idle);
        let ping = (self.last_sent + self.ping_interval, Expired::Ping);
        [shutdown, Some(idle), Some(ping), release]
            .into_iter()
            .flatten()
            .min_by_key(|(deadline, _)| *deadline)
            .expect("idle and ping are always set")
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use config::WebLimits;
    use tokio::time::{advance, timeout};

    use super::*;

    fn timers(idle_seconds: u64, ping_seconds: u64) -> Timers {
        Timers::new(&Limits::from(&WebLimits { idle_seconds, ping_seconds, ..Default::default() }))
    }

    async fn expired(timers: &mut Timers) -> Expired {
        poll_fn(|cx| timers.poll_expired(cx)).await
    }

    #[tokio::test(start_paused = true)]
    async fn idle_timeout_starts_at_the_last_activity() {
        let (mut timers, start) = (timers(5, 60), Instant::now());
        for _ in 0..3 {
            assert!(timeout(Duration::from_secs(4), expired(&mut timers)).await.is_err());
            timers.record_activity();
        }
        assert_eq!(expired(&mut timers).await, Expired::Idle);
        assert_eq!(start.elapsed().as_secs(), 17);
    }

    #[tokio::test(start_paused = true)]
    async fn timers_accept_the_longest_configurable_times() {
        let mut timers = timers(u64::MAX, u64::MAX);
        assert!(timeout(Duration::from_secs(60), expired(&mut timers)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn ping_interval_restarts_when_the_target_sends_data() {
        let (mut timers, start) = (timers(60, 7), Instant::now());
        for seconds in [7, 14] {
            assert_eq!(expired(&mut timers).await, Expired::Ping);
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
        advance(Duration::from_secs(3)).await;
        timers.record_target_data();
        assert_eq!(expired(&mut timers).await, Expired::Ping);
        assert_eq!(start.elapsed().as_secs(), 24);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_idleness_and_close_replaces_it() {
        let (mut timers, start) = (timers(60, 60), Instant::now());
        timers.request_release();
        assert_eq!(expired(&mut timers).await, Expired::ReleaseBuffers);
        assert_eq!(start.elapsed(), BUFFER_RELEASE_DELAY);
        timers.start_shutdown();
        assert_eq!(expired(&mut timers).await, Expired::Shutdown);
        assert_eq!(start.elapsed(), SHUTDOWN_IDLE_TIMEOUT);
        timers.start_close();
        assert_eq!(expired(&mut timers).await, Expired::CloseHandshake);
        assert_eq!(start.elapsed(), SHUTDOWN_IDLE_TIMEOUT + CLOSE_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_of_an_active_connection_ends_with_the_grace_period() {
        let (mut timers, start) = (timers(60, 60), Instant::now());
        timers.start_shutdown();
        let expired = poll_fn(|cx| {
            timers.record_activity();
            timers.poll_expired(cx)
        });
        assert_eq!(expired.await, Expired::Shutdown);
        assert_eq!(start.elapsed(), SHUTDOWN_GRACE);
    }
}
