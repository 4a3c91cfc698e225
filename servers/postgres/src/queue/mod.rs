//! The outbound queue: entries that all nodes deliver, each entry by one of them.
//!
//! A node has a lease of 60 seconds, a row of table queue_node with its expiry on the clock of the database. It claims entries that nobody
//! holds, and those of nodes whose leases have expired, by writing its name into them (`claim`). An expired lease is never renewed, so a node
//! that was frozen finds other names in its entries; it stops a message that it is sending before the final dot (`body`). A suspended virtual machine
//! notices only at its next renewal, so a message can be sent twice.
//!
//! Results are lines of the entry's log, as in the files of the text queue. Requests of `pennypost queue` are written into the
//! entries (`admin`); the holders read them every two seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mail_core::queue::{Entry, LogLine, Progress, QueueId, lines};
use mail_outbound::store::{Arrivals, QueueError, QueueStore, Queued, QueuedState};
use mail_store::StoreError;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::database::{Database, OPERATION_LIMIT};
use crate::failure::{Failure, repeat};
use crate::maildrop::release_bodies;

mod admin;
mod body;
mod claim;

pub use admin::QueueRequestError;
pub use body::{QueueBody, QueueContent};

/// Lifetime of a node's lease.
const LIFETIME: Duration = Duration::from_secs(60);

/// A column that tells whether node $1 holds the entry.
const IS_CLAIMED: &str = "holder = $1 AND EXISTS (SELECT FROM queue_node WHERE queue_node.account = '' \
    AND queue_node.node = $1 AND queue_node.expires > clock_timestamp())";

const NEWEST: &str = "SELECT id FROM queue_entry WHERE account = '' ORDER BY id DESC LIMIT $1";

const APPEND: &str = "UPDATE queue_entry SET log = log || $2, log_change = $3 \
    WHERE account = '' AND id = $1 AND log_change <> $3";

const REMOVE: &str = "DELETE FROM queue_entry WHERE account = '' AND id = $1 RETURNING body_account, body_id";

/// The queue in a database. Clones share the lease of this process.
#[derive(Debug, Clone)]
pub struct PostgresQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    database: Database,
    node: Mutex<Option<Node>>,
    /// A claim failed but may have been committed. The next one reads all entries of this node again.
    is_uncertain: std::sync::atomic::AtomicBool,
    /// A message was accepted.
    inserted: Notify,
}

/// The lease of this process.
#[derive(Debug, Clone)]
struct Node {
    name: String,
    /// The lease is valid at least until then, by the clock of this host, which is read before the database's.
    valid_until: Instant,
}

impl PostgresQueue {
    /// Uses the tables of a database. The lease is taken when the agent runs.
    #[must_use]
    pub fn new(database: Database) -> Self {
        let shared =
            Shared { database, node: Mutex::default(), is_uncertain: false.into(), inserted: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Wakes the agent after a message was accepted.
    pub(crate) fn notify(&self) {
        self.shared.inserted.notify_one();
    }

    fn node(&self) -> Option<Node> {
        self.shared.node.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The name of this node, '' before it has a lease.
    fn node_name(&self) -> String {
        self.node().map(|node| node.name).unwrap_or_default()
    }

    /// Checks without the database that the lease cannot have expired. `name` is this node's when the entry was read.
    fn check_lease(&self, name: &str) -> Result<(), StoreError> {
        match self.node() {
            Some(node) if node.name == name && Instant::now() < node.valid_until => Ok(()),
            _ => Err(StoreError::Lost("the lease on the queue has expired".into())),
        }
    }

    fn parse(&self, id: &QueueId, envelope: &str, log: &str) -> Result<(Entry, Progress), QueueError> {
        let entry = Entry::parse(envelope.as_bytes()).map_err(|reason| QueueError::Invalid {
            place: format!(
                "the row {id} of table queue_entry in the database {}",
                self.shared.database.location()
            ),
            reason,
        })?;
        let progress = Progress::replay(&entry, lines(log.as_bytes()));
        Ok((entry, progress))
    }

    /// An entry from the columns id, envelope, log, octets and [`IS_CLAIMED`].
    fn queued(&self, row: &Row, node: &str) -> (QueueId, Result<Queued<QueueContent>, QueueError>) {
        let id: Result<QueueId, _> = row.get::<_, &str>(0).parse();
        let id = id.expect("only ids are inserted");
        let octets = u64::try_from(row.get::<_, i64>(3)).unwrap_or(0);
        let queued = self.parse(&id, row.get(1), row.get(2)).map(|(entry, progress)| Queued {
            entry,
            progress,
            octets,
            is_claimed: row.get(4),
            content: QueueContent { id: id.clone(), node: node.to_owned(), octets },
        });
        (id, queued)
    }
}

/// Columns of an entry for `queued`. $1 is the node.
fn columns() -> String {
    format!("SELECT id, envelope, log, octets, {IS_CLAIMED} FROM queue_entry WHERE account = ''")
}

impl QueueStore for PostgresQueue {
    type Content = QueueContent;
    type Body = QueueBody;

    const HAS_CONTROL_SOCKET: bool = false;

    async fn renew(&self) {
        self.renew_forever().await;
    }

    async fn arrivals(&self) -> Arrivals {
        self.next_arrivals().await
    }

    async fn newest(&self, limit: usize) -> Result<Vec<QueueId>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.shared.database.query(NEWEST, &[&limit]).await?;
        Ok(rows.iter().filter_map(claim::id).collect())
    }

    async fn read(&self, id: &QueueId) -> Result<Queued<QueueContent>, QueueError> {
        let node = self.node_name();
        let sql = format!("{} AND id = $2", columns());
        let rows =
            self.shared.database.query(&sql, &[&node, &id.as_str()]).await.map_err(StoreError::from)?;
        let row = rows.first().ok_or_else(|| QueueError::NotFound(id.clone()))?;
        self.queued(row, &node).1
    }

    async fn read_states(&self, ids: Vec<QueueId>) -> Vec<QueuedState> {
        let texts: Vec<&str> = ids.iter().map(QueueId::as_str).collect();
        let (node, sql) = (self.node_name(), format!("{} AND id = ANY($2)", columns()));
        match self.shared.database.query(&sql, &[&node, &texts]).await.map_err(StoreError::from) {
            Ok(rows) => {
                let states = rows.iter().map(|row| {
                    let (id, queued) = self.queued(row, &node);
                    (id, queued.map(|Queued { entry, progress, .. }| (entry, progress)))
                });
                states.collect()
            }
            Err(error) => ids.into_iter().map(|id| (id, Err(error.clone().into()))).collect(),
        }
    }

    fn body(&self, content: &QueueContent) -> QueueBody {
        QueueBody::new(self.clone(), content.clone())
    }

    async fn append(&self, id: &QueueId, lines: Arc<[LogLine]>) -> Result<(), StoreError> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.append_text(id, &text).await?;
        Ok(())
    }

    async fn remove(&self, id: &QueueId) -> Result<(), StoreError> {
        repeat(OPERATION_LIMIT, || self.try_remove(id)).await?;
        Ok(())
    }

    async fn release(&self) {
        self.release_lease().await;
    }
}

impl PostgresQueue {
    /// Appends lines to the log, once even if an answer is lost.
    async fn append_text(&self, id: &QueueId, lines: &str) -> Result<(), Failure> {
        let change = ulid::Ulid::generate().to_string();
        repeat(OPERATION_LIMIT, || async {
            let connection = self.shared.database.connection().await?;
            let append = connection.prepare(APPEND).await?;
            connection.change(&append, &[&id.as_str(), &lines, &change]).await?;
            connection.give_back();
            Ok(())
        })
        .await
    }

    /// Removes an entry, and its body if nothing else refers to it. Returns whether it existed.
    async fn try_remove(&self, id: &QueueId) -> Result<bool, Failure> {
        let connection = self.shared.database.connection().await?;
        connection.run("BEGIN").await?;
        let remove = connection.prepare(REMOVE).await?;
        let rows = connection.rows(&remove, &[&id.as_str()]).await?;
        let body = |row: &Row| Some((row.get::<_, Option<String>>(0)?, row.get::<_, Option<String>>(1)?));
        release_bodies(&connection, &mut rows.iter().filter_map(body).collect::<Vec<_>>()).await?;
        connection.commit().await?;
        connection.give_back();
        Ok(!rows.is_empty())
    }
}
