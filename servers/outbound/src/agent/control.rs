//! Requests of `pennypost queue` to the running agent, over a socket in the directory of the queue.
//!
//! A request is a line, such as `retry all` or `hold ID`; the answer is `ok`, or a sentence about the failure.

use std::fmt::{self, Display};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use mail_core::queue::{LogEvent, LogLine, QueueId};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::{AgentState, ReportTarget};
use crate::store::{QueueError, QueueStore};

const SOCKET: &str = ".control";
const REQUEST_OCTETS_MAX: u64 = 256;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A request waits for a report about the same message, which waits for a mailbox.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Attempts the delivery of one message, or of all, now.
    Retry(Option<QueueId>),
    /// Suspends delivery.
    Hold(QueueId),
    /// Resumes delivery.
    Release(QueueId),
    /// Removes a message without a report.
    Drop(QueueId),
}

impl Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(None) => f.write_str("retry all"),
            Self::Retry(Some(id)) => write!(f, "retry {id}"),
            Self::Hold(id) => write!(f, "hold {id}"),
            Self::Release(id) => write!(f, "release {id}"),
            Self::Drop(id) => write!(f, "drop {id}"),
        }
    }
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "retry all" {
            return Ok(Self::Retry(None));
        }
        let (verb, id) = text.split_once(' ').unwrap_or_default();
        let id = id.parse::<QueueId>().map_err(|error| error.to_string())?;
        match verb {
            "retry" => Ok(Self::Retry(Some(id))),
            "hold" => Ok(Self::Hold(id)),
            "release" => Ok(Self::Release(id)),
            "drop" => Ok(Self::Drop(id)),
            _ => Err(format!("unknown request `{verb}`; use the same version of `pennypost` as the server")),
        }
    }
}

/// The reason a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no server delivers this queue; start it with `pennypost serve` and the same data directory")]
    NotRunning,
    #[error(
        "the queue belongs to another user; run the command as root or as the owner of the data directory"
    )]
    NotPermitted,
    #[error("the server does not answer: {0}")]
    NoAnswer(io::Error),
    #[error("{0}")]
    Refused(String),
}

/// The name of the socket. On Linux the path is `/proc/self/fd/N/.control`, because the path of a socket has at most 107 octets.
fn socket_path(path: &Path, directory: &std::fs::File) -> PathBuf {
    if cfg!(not(target_os = "linux")) {
        return path.join(SOCKET);
    }
    Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(SOCKET)
}

/// Sends a request to the agent that delivers the queue in `directory`.
///
/// # Errors
/// See [`ControlError`].
pub fn request(directory: &Path, request: &Request) -> Result<(), ControlError> {
    let connect = || {
        let opened = std::fs::File::open(directory)?;
        std::os::unix::net::UnixStream::connect(socket_path(directory, &opened))
    };
    let mut stream = connect().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NotRunning,
        io::ErrorKind::PermissionDenied => ControlError::NotPermitted,
        _ => ControlError::NoAnswer(error),
    })?;
    let mut answer = String::new();
    let exchange = (|| {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
        writeln!(stream, "{request}")?;
        BufReader::new(&stream).read_line(&mut answer)
    })();
    exchange.map_err(ControlError::NoAnswer)?;
    match answer.trim_end() {
        "ok" => Ok(()),
        "" => Err(ControlError::NoAnswer(io::ErrorKind::UnexpectedEof.into())),
        reason => Err(ControlError::Refused(reason.to_owned())),
    }
}

/// The socket of the agent.
#[derive(Debug)]
pub(super) struct ControlSocket(std::os::unix::net::UnixListener);

impl ControlSocket {
    /// Replaces the socket of an earlier process; the lock of the queue excludes a running one.
    pub(super) fn bind(directory: &Path) -> io::Result<Self> {
        let opened = std::fs::File::open(directory)?;
        let path = socket_path(directory, &opened);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::os::unix::net::UnixListener::bind(path).map(Self),
        }
    }

    pub(super) fn listen(self) -> io::Result<UnixListener> {
        self.0.set_nonblocking(true)?;
        UnixListener::from_std(self.0)
    }
}

impl<Q: QueueStore, R: ReportTarget> AgentState<Q, R> {
    /// Answers requests. Only the owner of the directory can connect.
    pub(super) async fn serve_control(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let shared = Arc::clone(&self);
                    tokio::spawn(async move {
                        if let Err(error) = shared.answer(stream).await {
                            warn!(%error, "a request of `pennypost queue` failed");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept requests of `pennypost queue`; retrying in 5 s");
                    tokio::time::sleep(REQUEST_TIMEOUT).await;
                }
            }
        }
    }

    async fn answer(&self, stream: UnixStream) -> io::Result<()> {
        let mut stream = tokio::io::BufReader::new(stream);
        let mut line = String::new();
        timeout(REQUEST_TIMEOUT, (&mut stream).take(REQUEST_OCTETS_MAX).read_line(&mut line)).await??;
        let answer = match line.trim_end().parse() {
            Ok(request) => self.handle(request).await.map_or_else(|error| error, |()| "ok".to_owned()),
            Err(error) => error,
        };
        timeout(REQUEST_TIMEOUT, stream.get_mut().write_all(format!("{answer}\n").as_bytes())).await?
    }

    async fn handle(&self, request: Request) -> Result<(), String> {
        info!(%request, "request of `pennypost queue`");
        match request {
            Request::Retry(id) => {
                if let Some(id) = &id {
                    self.check_exists(id).await?;
                    if self.queue.read(id).await.is_ok_and(|queued| queued.progress.is_held) {
                        return Err(format!("{id} is on hold; release it first"));
                    }
                    // An entry that was corrected is not scheduled yet.
                    self.schedule_entries(vec![id.clone()]).await;
                }
                let is_due = |other: &QueueId| id.as_ref().is_none_or(|id| id == other);
                self.schedule.lock().make_due(is_due, Instant::now());
                self.schedule.notify();
                Ok(())
            }
            Request::Hold(id) => {
                let _lock = self.lock_of(&id).lock().await;
                self.record_event(&id, LogEvent::Held).await
            }
            Request::Release(id) => {
                let _lock = self.lock_of(&id).lock().await;
                self.record_event(&id, LogEvent::Released).await?;
                self.reschedule(&id).await;
                Ok(())
            }
            Request::Drop(id) => {
                let _lock = self.lock_of(&id).lock().await;
                self.check_exists(&id).await?;
                self.schedule.lock().remove(&id);
                self.queue.remove(&id).await.map_err(|error| error.to_string())
            }
        }
    }

    async fn check_exists(&self, id: &QueueId) -> Result<(), String> {
        match self.queue.read(id).await {
            // An unreadable entry can be removed.
            Ok(_) | Err(QueueError::Invalid { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The caller holds the lock of the entry.
    async fn record_event(&self, id: &QueueId, event: LogEvent) -> Result<(), String> {
        self.check_exists(id).await?;
        let line = LogLine::entry(self.network.utc(), event);
        self.queue.append(id, [line].into()).await.map_err(|error| error.to_string())
    }
}
