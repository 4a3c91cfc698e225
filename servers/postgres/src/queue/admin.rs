//! Requests of `pennypost queue`: recorded in the database, where the nodes find them.

use chrono::Utc;
use mail_core::queue::{LogEvent, LogLine, QueueId};
use mail_outbound::Request;
use mail_outbound::store::{QueueError, QueueStore as _, Queued};
use mail_store::StoreError;

use super::{PostgresQueue, QueueContent, columns};
use crate::database::OPERATION_LIMIT;
use crate::failure::{Failure, repeat};

/// Entries of one batch.
const BATCH: i64 = 500;

const RUNNING: &str = "SELECT FROM queue_node WHERE account = '' AND expires > clock_timestamp() LIMIT 1";

/// A release includes a retry.
const REQUEST: &str = "UPDATE queue_entry SET request = CASE WHEN request = 'release' THEN request ELSE $2 END \
    WHERE account = '' AND id = $1";

const RETRY_CLAIMED: &str =
    "UPDATE queue_node SET retries_all = true WHERE account = '' AND expires > clock_timestamp()";

/// The entries that no running node holds; the next holder finds the request.
const RETRY_UNCLAIMED: &str = "UPDATE queue_entry SET request = 'retry' WHERE account = '' AND request IS NULL \
    AND NOT EXISTS (SELECT FROM queue_node WHERE queue_node.account = '' AND queue_node.node = queue_entry.holder \
    AND queue_node.expires > clock_timestamp())";

/// Entries whose parts do not have the length of the message.
const DAMAGED: &str = "SELECT queue_entry.id FROM queue_entry \
    LEFT JOIN body ON body.account = queue_entry.body_account AND body.id = queue_entry.body_id \
    WHERE queue_entry.account = '' AND queue_entry.octets IS DISTINCT FROM octet_length(queue_entry.head) + \
    coalesce(octet_length(queue_entry.content), octet_length(body.content) - queue_entry.body_start, \
    (SELECT sum(octet_length(body_piece.content)) FROM body_piece WHERE body_piece.account = body.account \
    AND body_piece.id = body.id) - queue_entry.body_start) LIMIT 1000";

/// The reason a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum QueueRequestError {
    #[error(
        "no server delivers this queue; start one with `pennypost serve` and [outbound] in its configuration"
    )]
    NotRunning,
    #[error("{0} is on hold; release it first")]
    Held(QueueId),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<Failure> for QueueRequestError {
    fn from(failure: Failure) -> Self {
        Self::Queue(StoreError::from(failure).into())
    }
}

impl PostgresQueue {
    /// A batch of entries after `after`, oldest first; empty after the last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn entries(
        &self,
        after: Option<&QueueId>,
    ) -> Result<Vec<(QueueId, Result<Queued<QueueContent>, QueueError>)>, StoreError> {
        let sql = format!("{} AND id > $2 ORDER BY id LIMIT $3", columns());
        let after = after.map_or("", QueueId::as_str);
        let rows = self.shared.database.query(&sql, &[&"", &after, &BATCH]).await?;
        Ok(rows.iter().map(|row| self.queued(row, "")).collect())
    }

    /// The log of an entry.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn log(&self, id: &QueueId) -> Result<String, StoreError> {
        let sql = "SELECT log FROM queue_entry WHERE account = '' AND id = $1";
        let rows = self.shared.database.query(sql, &[&id.as_str()]).await?;
        Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
    }

    /// The entries whose content is incomplete, at most 1,000.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn damaged(&self) -> Result<Vec<String>, StoreError> {
        let rows = self.shared.database.query(DAMAGED, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Carries out a request. The nodes notice it within seconds.
    ///
    /// # Errors
    /// See [`QueueRequestError`].
    pub async fn request(&self, request: &Request) -> Result<(), QueueRequestError> {
        match request {
            Request::Retry(id) => {
                if let Some(id) = id
                    && self.read(id).await?.progress.is_held
                {
                    return Err(QueueRequestError::Held(id.clone()));
                }
                if self.shared.database.query(RUNNING, &[]).await?.is_empty() {
                    return Err(QueueRequestError::NotRunning);
                }
                match id {
                    Some(id) => self.set_request(id, "retry").await?,
                    None => {
                        self.shared.database.query(RETRY_CLAIMED, &[]).await?;
                        self.shared.database.query(RETRY_UNCLAIMED, &[]).await?;
                    }
                }
            }
            Request::Hold(id) => self.record(id, LogEvent::Held).await?,
            Request::Release(id) => {
                self.record(id, LogEvent::Released).await?;
                self.set_request(id, "release").await?;
            }
            Request::Drop(id) => {
                self.check_exists(id).await?;
                // A repetition after a lost answer finds no entry.
                repeat(OPERATION_LIMIT, || self.try_remove(id)).await?;
            }
        }
        Ok(())
    }

    async fn check_exists(&self, id: &QueueId) -> Result<(), QueueError> {
        match self.read(id).await {
            Ok(_) | Err(QueueError::Invalid { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn record(&self, id: &QueueId, event: LogEvent) -> Result<(), QueueRequestError> {
        self.check_exists(id).await?;
        let line = LogLine::entry(Utc::now(), event);
        self.append_text(id, &format!("{line}\n")).await?;
        Ok(())
    }

    async fn set_request(&self, id: &QueueId, request: &str) -> Result<(), Failure> {
        self.shared.database.query(REQUEST, &[&id.as_str(), &request]).await.map(drop)
    }
}
