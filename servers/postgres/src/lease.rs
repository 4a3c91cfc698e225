//! The exclusive lease of a maildrop: a row with holder and expiry, on the clock of the database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail_store::StoreError;
use tokio::time::{Instant, sleep};

use crate::database::{Connection, Database, OPERATION_LIMIT, Values};
use crate::failure::{Failure, repeat};

pub(crate) const LIFETIME: Duration = Duration::from_secs(60);
/// A session that ended a moment ago may not have released its lease yet.
const RELEASE_WAIT: Duration = Duration::from_secs(1);
const RELEASE_PAUSE: Duration = Duration::from_millis(20);

/// Takes a lease that is free or has expired, or the holder's own.
const TAKE: &str = "INSERT INTO lease (account, holder, expires) \
    VALUES ($1, $2, clock_timestamp() + interval '60 seconds') \
    ON CONFLICT (account) DO UPDATE SET holder = excluded.holder, expires = excluded.expires \
    WHERE lease.expires <= clock_timestamp() OR lease.holder = excluded.holder";

const SNAPSHOT: &str = "SELECT messages, octets, next_position FROM maildrop WHERE account = $1";

const RENEW: &str = "UPDATE lease SET expires = clock_timestamp() + interval '60 seconds' \
    WHERE account = $1 AND holder = $2 AND expires > clock_timestamp()";

const RELEASE: &str = "DELETE FROM lease WHERE account = $1 AND holder = $2";

/// Locks the lease until the end of the transaction, so no other session can take it.
const LOCK: &str =
    "SELECT expires > clock_timestamp() FROM lease WHERE account = $1 AND holder = $2 FOR UPDATE";

/// A column that tells whether the lease of account $1 and holder $2 is valid.
pub(crate) const IS_VALID: &str = "EXISTS (SELECT FROM lease WHERE lease.account = $1 AND lease.holder = $2 \
    AND lease.expires > clock_timestamp())";

/// A maildrop as a session found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) messages: u64,
    pub(crate) octets: u64,
    /// Messages at this position and later ones are not part of the snapshot.
    pub(crate) end: i64,
}

/// A lease. Dropping it releases it.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) database: Database,
    pub(crate) account: String,
    pub(crate) holder: String,
    /// The lease is valid at least until then, by the clock of this host, which is read before the database's.
    valid_until: Mutex<Instant>,
    is_released: bool,
}

impl Lease {
    /// Takes the lease, then the snapshot.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another session has it.
    pub(crate) async fn take(
        database: Database,
        account: String,
    ) -> Result<(Arc<Self>, Snapshot), StoreError> {
        let holder = ulid::Ulid::generate().to_string();
        let first = Instant::now();
        loop {
            let started = Instant::now();
            // An attempt whose answer was lost may have taken the lease: the holder is the same.
            let taken = repeat(OPERATION_LIMIT, || try_take(&database, &account, &holder)).await?;
            if let Some(snapshot) = taken {
                let valid_until = Mutex::new(started + LIFETIME);
                let lease = Self { database, account, holder, valid_until, is_released: false };
                return Ok((Arc::new(lease), snapshot));
            }
            if first.elapsed() >= RELEASE_WAIT {
                return Err(StoreError::InUse);
            }
            sleep(RELEASE_PAUSE).await;
        }
    }

    pub(crate) async fn renew(&self) -> Result<(), StoreError> {
        let started = Instant::now();
        let renewed = repeat(OPERATION_LIMIT, || async {
            let connection = self.database.connection().await?;
            let renew = connection.prepare(RENEW).await?;
            let changed = connection.change(&renew, &[&self.account, &self.holder]).await?;
            connection.give_back();
            Ok(changed > 0)
        });
        match renewed.await {
            Ok(true) => {
                *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner) = started + LIFETIME;
                Ok(())
            }
            Ok(false) => Err(lost()),
            Err(failure) => self.check().and(Err(failure.into())),
        }
    }

    /// Checks without the database that the lease cannot have expired.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let valid_until = *self.valid_until.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() < valid_until { Ok(()) } else { Err(lost()) }
    }

    /// Locks the lease in an open transaction. Returns whether it is valid.
    pub(crate) async fn lock(&self, connection: &Connection) -> Result<bool, Failure> {
        let lock = connection.prepare(LOCK).await?;
        let rows = connection.rows(&lock, &[&self.account, &self.holder]).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    /// Releases the lease in an open transaction.
    pub(crate) async fn release_in(&self, connection: &Connection) -> Result<(), Failure> {
        let release = connection.prepare(RELEASE).await?;
        connection.change(&release, &[&self.account, &self.holder]).await.map(drop)
    }

    /// Releases the lease. If the database cannot be reached, it expires.
    pub(crate) async fn release(mut self) {
        self.is_released = true;
        let (database, account, holder) = (&self.database, &self.account, &self.holder);
        let released = repeat(OPERATION_LIMIT, || release(database, account, holder)).await;
        if let Err(failure) = released {
            tracing::warn!(%failure, account, "maildrop lease not released; it expires");
        }
    }

    /// Marks a lease that a transaction has released.
    pub(crate) fn forget(mut self) {
        self.is_released = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_released {
            return;
        }
        let (database, account, holder) =
            (self.database.clone(), std::mem::take(&mut self.account), std::mem::take(&mut self.holder));
        self.database.spawn_release(async move {
            let _ = repeat(OPERATION_LIMIT, || release(&database, &account, &holder)).await;
        });
    }
}

pub(crate) fn lost() -> StoreError {
    StoreError::Lost("the lease has expired".into())
}

async fn try_take(database: &Database, account: &str, holder: &str) -> Result<Option<Snapshot>, Failure> {
    let connection = database.connection().await?;
    let (take, snapshot) = (connection.prepare(TAKE).await?, connection.prepare(SNAPSHOT).await?);
    // The server executes them in this order.
    let (take_values, snapshot_values): (Values<'_>, Values<'_>) = (&[&account, &holder], &[&account]);
    let (taken, rows) = tokio::try_join!(biased;
        connection.change(&take, take_values),
        connection.rows(&snapshot, snapshot_values),
    )?;
    connection.give_back();
    if taken == 0 {
        return Ok(None);
    }
    let row = rows.first();
    let unsigned = |column: usize| {
        let value = row.map_or(0, |row| row.get::<_, i64>(column));
        u64::try_from(value).unwrap_or(0)
    };
    let end = row.map_or(1, |row| row.get(2));
    Ok(Some(Snapshot { messages: unsigned(0), octets: unsigned(1), end }))
}

async fn release(database: &Database, account: &str, holder: &str) -> Result<(), Failure> {
    let connection = database.connection().await?;
    let release = connection.prepare(RELEASE).await?;
    connection.change(&release, &[&account, &holder]).await?;
    connection.give_back();
    Ok(())
}
