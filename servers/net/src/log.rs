//! The log on standard error.
//!
//! Log lines go through a bounded queue to one writer thread, so an unread pipe, a closed pipe or a full disk neither blocks nor fails
//! the program. Lines that do not fit into the queue, or that cannot be written, are dropped and counted.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use rustix::io::Errno;
use tracing::error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait for the writer: a few hundred KiB.
const QUEUE_LINES_MAX: usize = 4_096;
/// Time for the queued lines when the program ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// Interval of retries: a descriptor shared with another program may be in non-blocking mode.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

static DROPPED: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The value of a `--log` flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// The log of the process. Dropping it waits up to a second for the queued lines.
#[derive(Debug)]
pub struct Log {
    queue: Queue,
    /// Until the writer thread runs.
    lines: Option<Receiver<Vec<u8>>>,
}

/// Starts the process's log with the level `info`, as [`start_at`].
///
/// # Panics
/// The log was started already.
#[must_use]
pub fn start(format: LogFormat) -> Log {
    start_at(format, "info")
}

/// Starts the process's log. RUST_LOG sets the level; the default is `level`. Lines wait in the queue until
/// [`Log::start_writer`].
///
/// # Panics
/// The log was started already.
#[must_use]
pub fn start_at(format: LogFormat, level: &str) -> Log {
    let (sender, lines) = sync_channel(QUEUE_LINES_MAX);
    let queue = Queue { sender, waiting: Arc::default() };
    let level = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(level).with_writer(queue.clone()).with_target(false);
    match format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
    // The default hook holds the lock of standard error while it writes.
    panic::set_hook(Box::new(log_panic));
    Log { queue, lines: Some(lines) }
}

/// Registers the counter of dropped lines.
pub fn register_metrics(registry: &mut Registry) {
    registry.register(
        "log_dropped",
        "Log lines dropped because standard error did not accept them",
        DROPPED.clone(),
    );
}

impl Log {
    /// Starts the writer thread. A thread inherits the restrictions of the one that starts it, so a program restricts itself first.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start_writer(&mut self) -> io::Result<()> {
        let Some(lines) = self.lines.take() else { return Ok(()) };
        let waiting = Arc::clone(&self.queue.waiting);
        let write = move || {
            for line in lines {
                if write_line(&line).is_err() {
                    DROPPED.inc();
                }
                waiting.fetch_sub(1, Ordering::Release);
            }
        };
        thread::Builder::new().name("log".to_owned()).spawn(write).map(drop)
    }

    /// Queues a line without time and level: the error that ends the program.
    pub fn print(&self, message: &str) {
        self.queue.push(format!("{message}\n").into_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.start_writer().is_err() {
            return;
        }
        // A writer that is blocked in write(2) does not keep the process from exiting.
        let start = Instant::now();
        while self.queue.waiting.load(Ordering::Acquire) > 0 && start.elapsed() < FLUSH_TIMEOUT {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The sending side of the queue; a tracing subscriber writes one line to each writer that it makes.
#[derive(Debug, Clone)]
struct Queue {
    sender: SyncSender<Vec<u8>>,
    /// Lines that were queued and are not written yet.
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    fn push(&self, line: Vec<u8>) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(line).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            DROPPED.inc();
        }
    }
}

impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes without the lock of `io::stderr`, which a blocked write would hold.
fn write_line(mut line: &[u8]) -> Result<(), Errno> {
    while !line.is_empty() {
        match rustix::io::write(io::stderr(), line) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => line = &line[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => thread::sleep(RETRY_INTERVAL),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => error!("{info}\n{backtrace}"),
        _ => error!("{info}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_over_the_queue_limit_is_dropped_and_counted() {
        let (sender, lines) = sync_channel(2);
        let mut queue = Queue { sender, waiting: Arc::default() };
        let before = DROPPED.get();
        for line in ["one\n", "two\n", "three\n"] {
            queue.write_all(line.as_bytes()).expect("a write to the queue never fails");
        }
        assert_eq!((DROPPED.get() - before, queue.waiting.load(Ordering::Relaxed)), (1, 2));
        drop(queue);
        assert_eq!(lines.iter().collect::<Vec<_>>(), [b"one\n", b"two\n"]);
    }
}
