//! When bytes last moved on a connection, and how fast they may.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// When anything last moved, either way.
#[derive(Debug)]
pub(crate) struct Pulse {
    start: Instant,
    last_millis: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), last_millis: AtomicU64::new(0) }
    }

    pub(crate) fn beat(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
    }

    /// Waits until nothing has moved for so long.
    pub(crate) async fn silence(&self, time: Duration) {
        loop {
            let last = self.start + Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
            if last.elapsed() >= time {
                return;
            }
            sleep_until(last + time).await;
        }
    }
}

/// Keeps one direction of a connection to so many octets a second.
#[derive(Debug)]
pub(crate) struct Pace {
    octets_per_second: Option<u64>,
    free_at: Instant,
}

impl Pace {
    pub(crate) fn new(octets_per_second: Option<u64>) -> Self {
        Self { octets_per_second, free_at: Instant::now() }
    }

    /// Waits until the octets that have just passed are paid for.
    pub(crate) async fn passed(&mut self, octets: usize) {
        let Some(rate) = self.octets_per_second else { return };
        self.free_at =
            self.free_at.max(Instant::now()) + Duration::from_secs_f64(octets as f64 / rate as f64);
        sleep_until(self.free_at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_beat() {
        let (pulse, start) = (Pulse::new(), Instant::now());
        let beats = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                pulse.beat();
            }
        };
        tokio::join!(beats, pulse.silence(Duration::from_secs(5)));
        assert_eq!(start.elapsed().as_secs(), 17);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_is_kept_and_none_is_free() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(1_000));
        for _ in 0..4 {
            pace.passed(500).await;
        }
        assert_eq!(start.elapsed().as_secs(), 2);
        Pace::new(None).passed(usize::MAX).await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }
}
