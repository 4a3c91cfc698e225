//! Where blocking work is done: beside the async threads, or here and now.

/// Runs blocking work.
pub trait Offload: std::fmt::Debug + Clone + Send + Sync + 'static {
    /// Starts the work when it is called, not when the future is first polled, and finishes it even if the future is
    /// dropped.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static;
}

/// Does the work in the caller's own thread: for a simulation, and where there are no threads.
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

/// Does the work on tokio's threads for blocking work.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug, Clone, Copy, Default)]
pub struct Threads;

#[cfg(not(target_arch = "wasm32"))]
impl Offload for Threads {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        // What it logs belongs to the session that it works for.
        let span = tracing::Span::current();
        let work = tokio::task::spawn_blocking(move || span.in_scope(work));
        async {
            match work.await {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is going down, and this future with it.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }
}
