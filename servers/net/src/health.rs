//! Readiness of a process, which `/readyz` reports to probes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

/// A result is used again for this long, so that frequent requests cost one check a second.
const RESULT_LIFETIME: Duration = Duration::from_secs(1);
/// A file system that hangs fails the check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells whether the process can serve. Clones share one state.
#[derive(Debug, Clone)]
pub struct Readiness {
    shutdown: watch::Receiver<bool>,
    check: Option<Arc<CachedCheck>>,
}

/// The reason for a 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    ShuttingDown,
    /// The check failed; the log has the reason.
    CheckFailed,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ShuttingDown => "shutting down",
            Self::CheckFailed => "the storage cannot be used; see the log",
        })
    }
}

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct CachedCheck {
    start: Box<dyn Fn() -> CheckFuture + Send + Sync>,
    state: Mutex<CheckState>,
}

#[derive(Debug, Default)]
struct CheckState {
    last: Option<(Instant, bool)>,
    /// A check that did not end in time. Another one would hang as well.
    running: Option<JoinHandle<Result<(), String>>>,
}

impl Readiness {
    /// Ready until `shutdown` turns true.
    #[must_use]
    pub const fn new(shutdown: watch::Receiver<bool>) -> Self {
        Self { shutdown, check: None }
    }

    /// Ready until `shutdown` turns true, while `check` succeeds. Its error is logged.
    pub fn with_check<F>(
        shutdown: watch::Receiver<bool>,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let start = Box::new(move || -> CheckFuture { Box::pin(check()) });
        Self { shutdown, check: Some(Arc::new(CachedCheck { start, state: Mutex::default() })) }
    }

    /// Turns true at shutdown.
    #[must_use]
    pub const fn shutdown(&self) -> &watch::Receiver<bool> {
        &self.shutdown
    }

    /// # Errors
    /// The process cannot serve now.
    pub async fn check(&self) -> Result<(), NotReady> {
        if *self.shutdown.borrow() {
            return Err(NotReady::ShuttingDown);
        }
        match &self.check {
            Some(check) if !check.passes().await => Err(NotReady::CheckFailed),
            _ => Ok(()),
        }
    }
}

impl CachedCheck {
    async fn passes(&self) -> bool {
        let mut state = self.state.lock().await;
        if let Some((at, passed)) = state.last
            && at.elapsed() < RESULT_LIFETIME
        {
            return passed;
        }
        // The probe that started a check may be gone, and its result is old.
        state.running.take_if(|running| running.is_finished());
        let running = state.running.get_or_insert_with(|| tokio::spawn((self.start)()));
        let result = match timeout(CHECK_TIMEOUT, running).await {
            Ok(result) => {
                state.running = None;
                result.unwrap_or_else(|error| Err(error.to_string()))
            }
            Err(_) => Err(format!("the check takes longer than {} seconds", CHECK_TIMEOUT.as_secs())),
        };
        let passed_before = state.last.is_none_or(|(_, passed)| passed);
        match &result {
            Ok(()) if !passed_before => info!("ready again"),
            Err(reason) if passed_before => warn!("not ready: {reason}"),
            _ => {}
        }
        state.last = Some((Instant::now(), result.is_ok()));
        result.is_ok()
    }
}

impl fmt::Debug for CachedCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedCheck").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::advance;

    use super::*;

    /// A check with a fixed result, and the number of its runs.
    fn counted(result: Result<(), String>) -> (Readiness, watch::Sender<bool>, Arc<AtomicUsize>) {
        let (stop, shutdown) = watch::channel(false);
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        let readiness = Readiness::with_check(shutdown, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            std::future::ready(result.clone())
        });
        (readiness, stop, runs)
    }

    #[tokio::test(start_paused = true)]
    async fn result_is_used_again_for_a_second() {
        let (readiness, _stop, runs) = counted(Err("read-only".to_owned()));
        for _ in 0..10 {
            assert_eq!(readiness.check().await, Err(NotReady::CheckFailed));
        }
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        advance(RESULT_LIFETIME).await;
        assert_eq!(readiness.clone().check().await, Err(NotReady::CheckFailed));
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn shutdown_precedes_the_check() {
        let (readiness, stop, runs) = counted(Ok(()));
        assert_eq!(readiness.check().await, Ok(()));
        stop.send_replace(true);
        assert_eq!(readiness.check().await, Err(NotReady::ShuttingDown));
        assert_eq!(Readiness::new(readiness.shutdown().clone()).check().await, Err(NotReady::ShuttingDown));
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn hanging_check_fails_and_is_started_once() {
        let (release, released) = watch::channel(false);
        let (_stop, shutdown) = watch::channel(false);
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        let readiness = Readiness::with_check(shutdown, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut released = released.clone();
            async move {
                released.wait_for(|released| *released).await.map(drop).map_err(|error| error.to_string())
            }
        });
        for _ in 0..3 {
            assert_eq!(readiness.check().await, Err(NotReady::CheckFailed));
            advance(RESULT_LIFETIME).await;
        }
        release.send_replace(true);
        assert_eq!(readiness.check().await, Ok(()));
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }
}
