//! Failures of the database, by the reaction to them.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use deadpool_postgres::PoolError;
use deadpool_postgres::TimeoutType;
use mail_store::StoreError;
use mail_store::directory::DirectoryError;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::error::SqlState;

/// First pause before another attempt; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The database has no space.
    Full(String),
    /// Another attempt, on another connection, may succeed: the server is unreachable, slow, read-only or shutting down, or it
    /// ended the transaction in favour of another one. Whether a COMMIT has succeeded is unknown.
    Temporary(String),
    /// Another attempt fails as well.
    Permanent(String),
}

impl Failure {
    pub(crate) fn timed_out() -> Self {
        Self::Temporary("the database does not answer in time".into())
    }

    const fn text(&self) -> &String {
        let (Self::Full(text) | Self::Temporary(text) | Self::Permanent(text)) = self;
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        // The library's own message is only the kind of error.
        let mut text = format!("database: {error}");
        if let Some(source) = error.source() {
            text = match error.as_db_error() {
                Some(db) => format!("database: {} (SQLSTATE {})", db.message(), db.code().code()),
                None => format!("{text}: {source}"),
            };
        }
        let Some(code) = error.code() else {
            return if error.is_closed() || error.source().is_some_and(is_io) {
                Self::Temporary(text)
            } else {
                Self::Permanent(text)
            };
        };
        match code.code() {
            _ if *code == SqlState::DISK_FULL => Self::Full(text),
            // Serialisation failure, deadlock, lock timeout, cancelled by a timeout.
            "40001" | "40P01" | "55P03" | "57014" => Self::Temporary(text),
            // Read-only transaction: a standby, or a primary that was demoted.
            "25006" => Self::Temporary(text),
            // Transaction ended by a timeout while idle.
            "25P03" | "25P04" => Self::Temporary(text),
            // Connection exceptions, too few resources, shutdown or start of the server.
            code if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => {
                Self::Temporary(text)
            }
            _ => Self::Permanent(text),
        }
    }
}

fn is_io(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<std::io::Error>()
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => {
                Self::Temporary("all connections to the database are in use".into())
            }
            PoolError::Timeout(_) => Self::timed_out(),
            PoolError::Backend(error) => match Self::from(error) {
                // A connection that cannot be opened: a wrong password is corrected by the administrator while the node runs.
                Self::Permanent(text) => Self::Temporary(text),
                failure => failure,
            },
            other => Self::Temporary(format!("database: {other}")),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full(text) => Self::Full(text),
            Failure::Temporary(text) | Failure::Permanent(text) => Self::Failed(text),
        }
    }
}

impl From<Failure> for DirectoryError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.text().clone())
    }
}

/// The result of an operation that may be repeated: on a temporary failure it is attempted again, until `limit` has passed.
pub(crate) async fn repeat<T, F>(limit: Duration, mut operation: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let deadline = Instant::now() + limit;
    let mut pause = PAUSE_MIN;
    loop {
        let failure = match timeout_at(deadline, operation()).await {
            Ok(Err(failure @ Failure::Temporary(_))) => failure,
            Ok(result) => return result,
            Err(_) => return Err(Failure::timed_out()),
        };
        if Instant::now() + pause >= deadline {
            return Err(failure);
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
