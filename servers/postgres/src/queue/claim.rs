//! The lease of this node, and the entries that it claims.
//!
//! All statements of a claim begin with the lock of the node's row. A node whose row was removed, or whose lease has expired, claims
//! nothing, so no entry has the name of a node without a row.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mail_core::queue::QueueId;
use mail_outbound::store::{ARRIVALS_MAX, Arrivals};
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;
use tracing::{error, info, warn};

use super::{LIFETIME, Node, PostgresQueue};
use crate::database::{Connection, Values};
use crate::failure::Failure;

/// Interval of renewals.
const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// Interval of claims; a node that accepts a message claims at once.
const CLAIM_INTERVAL: Duration = Duration::from_secs(2);

const REGISTER: &str =
    "INSERT INTO queue_node (node, expires) VALUES ($1, clock_timestamp() + interval '60 seconds')";

const RENEW: &str = "UPDATE queue_node SET expires = clock_timestamp() + interval '60 seconds' \
    WHERE account = '' AND node = $1 AND expires > clock_timestamp()";

const RELEASE: &str = "UPDATE queue_node SET expires = '-infinity' WHERE account = '' AND node = $1";

/// The nodes whose entries can be taken. The delay covers a difference between the clocks of two database servers. A node whose
/// claim is still being committed is skipped: its new entries are not visible yet.
const EXPIRED: &str = "SELECT node FROM queue_node \
    WHERE account = '' AND expires <= clock_timestamp() - interval '5 seconds' ORDER BY node FOR UPDATE SKIP LOCKED";

const LOCK: &str = "SELECT retries_all FROM queue_node \
    WHERE account = '' AND node = $1 AND expires > clock_timestamp() FOR UPDATE";

const ANSWER_RETRIES: &str =
    "UPDATE queue_node SET retries_all = false WHERE account = '' AND node = $1 AND retries_all";

/// Without MATERIALIZED, the server may execute the subquery for each row, and exceed the limit.
const CLAIM: &str = "WITH free AS MATERIALIZED (SELECT id FROM queue_entry \
    WHERE account = '' AND holder = ANY($2) ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) \
    UPDATE queue_entry SET holder = $1 FROM free \
    WHERE queue_entry.account = '' AND queue_entry.id = free.id RETURNING queue_entry.id";

const REQUESTS: &str = "WITH requested AS MATERIALIZED (SELECT id, request FROM queue_entry \
    WHERE account = '' AND holder = $1 AND request IS NOT NULL ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED) \
    UPDATE queue_entry SET request = NULL FROM requested \
    WHERE queue_entry.account = '' AND queue_entry.id = requested.id RETURNING requested.id, requested.request";

const FORGET: &str = "DELETE FROM queue_node WHERE account = '' AND node = ANY($1) AND NOT EXISTS \
    (SELECT FROM queue_entry WHERE queue_entry.account = '' AND queue_entry.holder = queue_node.node)";

const CLAIMED: &str =
    "SELECT id FROM queue_entry WHERE account = '' AND holder = $1 AND id > $2 ORDER BY id LIMIT $3";

impl PostgresQueue {
    pub(super) async fn renew_forever(&self) {
        loop {
            if let Err(failure) = self.renew_lease().await {
                warn!(%failure, "cannot renew the lease on the queue");
            }
            sleep(RENEW_INTERVAL).await;
        }
    }

    /// Renews the lease, or takes a new one.
    async fn renew_lease(&self) -> Result<(), Failure> {
        let connection = self.shared.database.connection().await?;
        let mut started = Instant::now();
        let mut name = self.node_name();
        let renew = connection.prepare(RENEW).await?;
        if connection.change(&renew, &[&name]).await? == 0 {
            if !name.is_empty() {
                error!("the lease on the queue has expired; other nodes deliver its messages");
            }
            name = ulid::Ulid::generate().to_string();
            started = Instant::now();
            let register = connection.prepare(REGISTER).await?;
            connection.change(&register, &[&name]).await?;
        }
        connection.give_back();
        let node = Node { name, valid_until: started + LIFETIME };
        *self.shared.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(node);
        self.notify();
        Ok(())
    }

    pub(super) async fn release_lease(&self) {
        let node = self.shared.node.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Node { name, .. }) = node else { return };
        let released = async {
            let connection = self.shared.database.connection().await?;
            let release = connection.prepare(RELEASE).await?;
            connection.change(&release, &[&name]).await?;
            connection.give_back();
            Ok::<_, Failure>(())
        };
        if let Err(failure) = released.await {
            warn!(%failure, "lease on the queue not released; it expires");
        }
    }

    pub(super) async fn next_arrivals(&self) -> Arrivals {
        let mut is_failing = false;
        loop {
            match self.try_arrivals().await {
                Ok(arrivals) if arrivals != Arrivals::default() => return arrivals,
                Ok(_) => is_failing = false,
                Err(failure) => {
                    self.shared.is_uncertain.store(true, Ordering::Relaxed);
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!(%failure, "cannot claim queued messages; retrying every 2 s");
                    }
                }
            }
            if is_failing {
                sleep(CLAIM_INTERVAL).await;
                continue;
            }
            tokio::select! {
                () = self.shared.inserted.notified() => {}
                () = sleep(CLAIM_INTERVAL) => {}
            }
        }
    }

    async fn try_arrivals(&self) -> Result<Arrivals, Failure> {
        let Some(Node { name, .. }) = self.node() else { return Ok(Arrivals::default()) };
        let connection = self.shared.database.connection().await?;
        let (lock, expired) = (connection.prepare(LOCK).await?, connection.prepare(EXPIRED).await?);
        let lock_values: Values<'_> = &[&name];
        let (_, locked, expired) = tokio::try_join!(biased;
            connection.run("BEGIN"),
            connection.rows(&lock, lock_values),
            connection.rows(&expired, &[]),
        )?;
        let Some(row) = locked.first() else {
            // The next renewal takes a new lease.
            connection.run("ROLLBACK").await?;
            connection.give_back();
            return Ok(Arrivals::default());
        };
        let retries_all = row.get(0);
        if self.shared.is_uncertain.load(Ordering::Relaxed) {
            // The lock was granted after the end of the uncertain transaction.
            let claimed = claimed_entries(&connection, &name).await?;
            self.shared.is_uncertain.store(false, Ordering::Relaxed);
            if !claimed.is_empty() {
                connection.run("ROLLBACK").await?;
                connection.give_back();
                // A request to retry may have been answered by that transaction.
                return Ok(Arrivals { claimed, retries_all: true, ..Arrivals::default() });
            }
        }
        let expired: Vec<String> = expired.iter().map(|row| row.get(0)).collect();
        let arrivals = claim(&connection, &name, &expired).await?;
        connection.give_back();
        if !expired.is_empty() && !arrivals.claimed.is_empty() {
            info!(
                messages = arrivals.claimed.len(),
                "queued messages claimed, some of them taken from nodes that have ended"
            );
        }
        Ok(Arrivals { retries_all, ..arrivals })
    }
}

/// All entries of this node.
async fn claimed_entries(connection: &Connection, name: &str) -> Result<Vec<QueueId>, Failure> {
    let (mut claimed, mut after, limit) = (Vec::new(), String::new(), limit());
    let statement = connection.prepare(CLAIMED).await?;
    loop {
        let rows = connection.rows(&statement, &[&name, &after, &limit]).await?;
        let Some(last) = rows.last() else { return Ok(claimed) };
        after = last.get(0);
        claimed.extend(rows.iter().filter_map(id));
    }
}

/// Claims entries in the open transaction, and commits it.
async fn claim(connection: &Connection, name: &str, expired: &[String]) -> Result<Arrivals, Failure> {
    let free: Vec<&str> = std::iter::once("").chain(expired.iter().map(String::as_str)).collect();
    let limit = limit();
    let claim = connection.prepare(CLAIM).await?;
    let requests = connection.prepare(REQUESTS).await?;
    let answer = connection.prepare(ANSWER_RETRIES).await?;
    let forget = connection.prepare(FORGET).await?;
    let (claim_values, request_values): (Values<'_>, Values<'_>) =
        (&[&name, &free, &limit], &[&name, &limit]);
    let (name_values, expired_values): (Values<'_>, Values<'_>) = (&[&name], &[&expired]);
    let (claimed, requests, ..) = tokio::try_join!(biased;
        connection.rows(&claim, claim_values),
        connection.rows(&requests, request_values),
        connection.change(&answer, name_values),
        async {
            match expired {
                [] => Ok(0),
                _ => connection.change(&forget, expired_values).await,
            }
        },
        connection.commit(),
    )?;
    let mut arrivals = Arrivals { claimed: claimed.iter().filter_map(id).collect(), ..Arrivals::default() };
    for row in &requests {
        let list = match row.get::<_, &str>(1) {
            "retry" => &mut arrivals.retried,
            _ => &mut arrivals.released,
        };
        list.extend(id(row));
    }
    Ok(arrivals)
}

pub(super) fn id(row: &Row) -> Option<QueueId> {
    row.get::<_, &str>(0).parse().ok()
}

fn limit() -> i64 {
    i64::try_from(ARRIVALS_MAX).unwrap_or(i64::MAX)
}
