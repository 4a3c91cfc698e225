//! Deliveries and maildrops.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use mail_core::users::Username;
use mail_outbound::{Composer, SharedSchedule};
use mail_store::disk::RealDisk;
use mail_store::spool::SpillFiles;
use mail_store::{DeliveryTarget, Envelope, MailboxStatus, MaildropStore, StoreError, StoreHealth};

use crate::accounts::key;
use crate::commit::Commits;
use crate::database::Database;
use crate::failure::Failure;
use crate::incoming::PostgresIncoming;
use crate::maildrop::PostgresMaildrop;
use crate::queue::PostgresQueue;
use crate::schema;

const STATUS: &str = "SELECT messages, octets, next_position FROM maildrop WHERE account = $1";

/// Changes a row as a delivery does.
const PROBE: &str = "INSERT INTO writer (writer, last_group, seen) VALUES ('probe', 0, clock_timestamp()) \
    ON CONFLICT (writer) DO UPDATE SET seen = clock_timestamp()";

/// Removes the rows of processes that have ended. An unanswered COMMIT is repeated for a minute.
const FORGET_WRITERS: &str = "DELETE FROM writer WHERE seen < clock_timestamp() - interval '1 day'";

/// Mail in a database.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    shared: Arc<Shared>,
}

/// Shared by the store, its incoming messages and its leases.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) commits: Arc<Commits>,
    pub(crate) spill_files: Arc<SpillFiles<RealDisk>>,
    /// `None`: mail for other hosts is refused.
    pub(crate) outbound: Option<Outbound>,
}

/// The queue for other hosts.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) queue: PostgresQueue,
    pub(crate) composer: Composer,
    schedule: Arc<SharedSchedule>,
}

impl PostgresStore {
    /// Uses the tables of a database. Incoming messages that do not fit into memory wait in temporary files on `disk`.
    ///
    /// # Errors
    /// The directory of the temporary files cannot be used.
    pub fn new(database: Database, disk: &RealDisk) -> Result<Self, StoreError> {
        Self::open(database, disk, None)
    }

    /// As [`new`](Self::new), and mail for other hosts goes into the queue, which an agent delivers. `composer` makes its entries.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_queue(
        database: Database,
        disk: &RealDisk,
        schedule: SharedSchedule,
        composer: Composer,
    ) -> Result<Self, StoreError> {
        let queue = PostgresQueue::new(database.clone());
        let outbound = Outbound { queue, composer, schedule: Arc::new(schedule) };
        Self::open(database, disk, Some(outbound))
    }

    /// The queue and its schedule, for the agent; `None` if mail for other hosts is refused.
    #[must_use]
    pub fn queue_parts(&self) -> Option<(PostgresQueue, Arc<SharedSchedule>)> {
        let Outbound { queue, schedule, .. } = self.shared.outbound.as_ref()?;
        Some((queue.clone(), Arc::clone(schedule)))
    }

    fn open(database: Database, disk: &RealDisk, outbound: Option<Outbound>) -> Result<Self, StoreError> {
        let shared = Shared {
            commits: Arc::new(Commits::new(database.clone())),
            spill_files: Arc::new(SpillFiles::open(disk)?),
            database,
            outbound,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    async fn probe(&self) -> Result<(), Failure> {
        schema::check(&self.shared.database).await?;
        let connection = self.shared.database.connection().await?;
        let (probe, forget) = (connection.prepare(PROBE).await?, connection.prepare(FORGET_WRITERS).await?);
        connection.change(&probe, &[]).await?;
        connection.change(&forget, &[]).await?;
        connection.give_back();
        Ok(())
    }
}

impl DeliveryTarget for PostgresStore {
    type Incoming = PostgresIncoming;

    async fn begin(&self, envelope: &Envelope) -> Result<PostgresIncoming, StoreError> {
        PostgresIncoming::new(Arc::clone(&self.shared), envelope)
    }

    async fn mailbox_status(&self, account: &Username) -> Result<MailboxStatus, StoreError> {
        let rows = self.shared.database.query(STATUS, &[&key(account)]).await?;
        let Some(row) = rows.first() else { return Ok(MailboxStatus::default()) };
        let [messages, octets, next_position]: [i64; 3] = std::array::from_fn(|column| row.get(column));
        // Every delivery raises the position, every removal lowers the number.
        let mut version = DefaultHasher::new();
        (messages, next_position).hash(&mut version);
        Ok(MailboxStatus { octets: octets.try_into().unwrap_or(0), version: version.finish() })
    }
}

impl MaildropStore for PostgresStore {
    type Maildrop = PostgresMaildrop;

    async fn open(&self, account: &Username) -> Result<PostgresMaildrop, StoreError> {
        PostgresMaildrop::open(self.shared.database.clone(), account).await
    }
}

impl StoreHealth for PostgresStore {
    async fn check_writable(&self) -> Result<(), StoreError> {
        match self.probe().await.map_err(StoreError::from) {
            Err(StoreError::Full(_)) => Ok(()),
            checked => checked,
        }
    }
}
