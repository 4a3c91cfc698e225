//! Execution of blocking work on a thread pool, or inline.

/// Runs blocking work.
pub trait Offload: std::fmt::Debug + Clone + Send + Sync + 'static {
    /// Starts the work when called, not when the future is polled, and finishes it even if the future is dropped.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static;
}

/// Runs the work on the caller's thread: for simulations, and for WebAssembly.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inline;

impl Offload for Inline {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        std::future::ready(work())
    }
}

/// Runs the work on tokio's blocking threads.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Clone, Copy, Default)]
pub struct Threads;

#[cfg(not(target_arch = "wasm32"))]
impl Offload for Threads {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        // Log events of the work belong to the session's span.
        let span = tracing::Span::current();
        let work = tokio::task::spawn_blocking(move || span.in_scope(work));
        async {
            match work.await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is shutting down and drops this future.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}
