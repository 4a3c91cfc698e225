//! Limits the rate of one direction of a connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// Bytes per second, and a timer that ends when the next bytes may pass. `None` is unlimited.
    limit: Option<(u64, Pin<Box<Sleep>>)>,
}

impl RateLimiter {
    pub(crate) fn new(bytes_per_second: Option<u64>) -> Self {
        Self { limit: bytes_per_second.map(|rate| (rate, Box::pin(sleep_until(Instant::now())))) }
    }

    /// Delays the next bytes by the time that these ones take at the limited rate.
    pub(crate) fn consume(&mut self, bytes: usize) {
        let Some((rate, ready)) = &mut self.limit else { return };
        let from = ready.deadline().max(Instant::now());
        ready.as_mut().reset(from + Duration::from_secs_f64(bytes as f64 / *rate as f64));
    }

    /// Ready when the next bytes may pass.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.limit {
            Some((_, ready)) => ready.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rate_limiter_delays_to_the_configured_rate() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(Some(1_000));
        for _ in 0..4 {
            limiter.consume(500);
            poll_fn(|cx| limiter.poll_ready(cx)).await;
        }
        assert_eq!(start.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn rate_limiter_without_a_rate_never_delays() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(None);
        limiter.consume(usize::MAX);
        poll_fn(|cx| limiter.poll_ready(cx)).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
