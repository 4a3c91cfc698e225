//! Failed sign-ins that nodes exchange. Each node adds what it has counted, at most once a second and in batches of a bounded size, and
//! reads what has changed since it last did.

use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_core::time::Instant;
use mail_service::throttle::{BucketKind, SharedBucket, Throttle};
use mail_store::StoreError;
use tokio::time::{sleep, timeout};
use tokio_postgres::Row;
use tracing::{info, warn};

use crate::database::{Database, Values};
use crate::failure::Failure;

/// Interval of exchanges.
const INTERVAL: Duration = Duration::from_secs(1);
/// Limit of an exchange. Sign-ins do not wait for it.
const LIMIT: Duration = Duration::from_secs(5);
/// Rows of one exchange.
const BATCH: i64 = 4_096;
/// Exchanges between two removals of expired rows.
const EXCHANGES_PER_CLEANUP: u32 = 60;
/// A row is changed before its transaction is committed, so rows are read again for this long.
const OVERLAP: Duration = Duration::from_secs(10);

const KEY: &str = "SELECT value FROM setting WHERE name = 'throttle_key'";

/// Rows are locked in order.
const ADD: &str = "INSERT INTO sign_in_count (kind, key, empty_at, changed) \
    SELECT kind, key, clock_timestamp() + seconds * interval '1 second', clock_timestamp() \
    FROM unnest($1::smallint[], $2::bigint[], $3::double precision[]) AS counted (kind, key, seconds) ORDER BY kind, key \
    ON CONFLICT (account, kind, key) DO UPDATE SET changed = excluded.changed, \
    empty_at = least(greatest(sign_in_count.empty_at, excluded.changed) + (excluded.empty_at - excluded.changed), \
    excluded.changed + interval '2 hours')";

const CHANGED: &str = "SELECT kind, key, extract(epoch FROM empty_at - clock_timestamp())::double precision, changed \
    FROM sign_in_count WHERE account = '' AND changed > $1 ORDER BY changed LIMIT $2";

/// Names that have signed in, for a node that has just started.
const KNOWN: &str = "SELECT kind, key, extract(epoch FROM empty_at - clock_timestamp())::double precision, changed \
    FROM sign_in_count WHERE account = '' AND kind = 2 AND changed > clock_timestamp() - interval '8 days' \
    ORDER BY changed DESC LIMIT 50000";

const NOW: &str = "SELECT clock_timestamp()";

const REMOVE: &str = "DELETE FROM sign_in_count WHERE account = '' AND empty_at < clock_timestamp() \
    AND changed < clock_timestamp() - CASE WHEN kind = 2 THEN interval '8 days' ELSE interval '1 minute' END";

/// The counts of failed sign-ins in a database.
#[derive(Debug)]
pub struct SignInCounts {
    database: Database,
    /// Rows that were changed later are read next, by the clock of the database. `None`: at the first exchange.
    read_from: Option<DateTime<Utc>>,
    exchanges: u32,
}

impl SignInCounts {
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database, read_from: None, exchanges: 0 }
    }

    /// The secret of the keys.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn secret(&self) -> Result<String, StoreError> {
        let rows = self.database.query(KEY, &[]).await?;
        let secret = rows.first().map(|row| row.get(0));
        secret.ok_or_else(|| StoreError::Failed("table setting has lost the row `throttle_key`".into()))
    }

    /// Exchanges counts without end. While the database does not answer, each node counts for itself.
    pub async fn run(mut self, throttle: &Throttle) {
        let mut is_failing = false;
        loop {
            sleep(INTERVAL).await;
            match self.exchange(throttle).await {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        info!("failed sign-ins of other nodes count again");
                    }
                }
                Err(failure) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!(%failure, "failed sign-ins of other nodes do not count for now");
                    }
                }
            }
        }
    }

    /// Adds the counts of this node, and reads those of all nodes.
    ///
    /// # Errors
    /// The database does not answer within seconds. A later exchange has the counts.
    pub async fn exchange(&mut self, throttle: &Throttle) -> Result<(), StoreError> {
        let counted = throttle.take_counted();
        let exchanged = match timeout(LIMIT, self.try_exchange(&counted)).await {
            Ok(exchanged) => exchanged,
            Err(_) => Err(Failure::timed_out()),
        };
        match exchanged {
            Ok(changed) => {
                throttle.learn(Instant::now(), &changed);
                Ok(())
            }
            Err(failure) => {
                // If only the answer was lost, these failures count twice.
                throttle.put_back(&counted);
                Err(failure.into())
            }
        }
    }

    async fn try_exchange(&mut self, counted: &[SharedBucket]) -> Result<Vec<SharedBucket>, Failure> {
        let connection = self.database.connection().await?;
        if !counted.is_empty() {
            let kinds: Vec<i16> = counted.iter().map(|bucket| bucket.kind as i16).collect();
            let keys: Vec<i64> = counted.iter().map(|bucket| bucket.key.cast_signed()).collect();
            let seconds: Vec<f64> = counted.iter().map(|bucket| bucket.drains_in.as_secs_f64()).collect();
            let add = connection.prepare(ADD).await?;
            connection.change(&add, &[&kinds, &keys, &seconds]).await?;
        }
        let mut rows = Vec::new();
        let read_from = match self.read_from {
            Some(read_from) => read_from,
            None => {
                let (known, now) = (connection.prepare(KNOWN).await?, connection.prepare(NOW).await?);
                rows = connection.rows(&known, &[]).await?;
                let now: DateTime<Utc> = connection.rows(&now, &[]).await?[0].get(0);
                now - chrono::TimeDelta::hours(2)
            }
        };
        let changed = connection.prepare(CHANGED).await?;
        let values: Values<'_> = &[&read_from, &BATCH];
        let batch = connection.rows(&changed, values).await?;
        if self.exchanges.is_multiple_of(EXCHANGES_PER_CLEANUP) {
            let remove = connection.prepare(REMOVE).await?;
            connection.change(&remove, &[]).await?;
        }
        connection.give_back();
        self.exchanges = self.exchanges.wrapping_add(1);
        let is_full = i64::try_from(batch.len()).is_ok_and(|length| length == BATCH);
        let last: Option<DateTime<Utc>> = batch.last().map(|row| row.get(3));
        self.read_from = Some(match last {
            Some(last) if is_full => last,
            Some(last) => read_from.max(last - OVERLAP),
            None => read_from,
        });
        rows.extend(batch);
        Ok(rows.iter().filter_map(bucket).collect())
    }
}

fn bucket(row: &Row) -> Option<SharedBucket> {
    let seconds: f64 = row.get(2);
    Some(SharedBucket {
        kind: BucketKind::from_number(row.get(0))?,
        key: row.get::<_, i64>(1).cast_unsigned(),
        drains_in: Duration::try_from_secs_f64(seconds.max(0.0)).ok()?,
    })
}
