//! A leased maildrop and its snapshot.

use std::sync::Arc;
use std::time::Duration;

use mail_core::users::Username;
use mail_store::{Entry, Extent, Maildrop, StoreError};
use tokio_postgres::Row;

use crate::accounts::key;
use crate::database::Database;
use crate::lease::{IS_VALID, LIFETIME, Lease, Snapshot, lost};
use crate::message::PostgresBody;
use crate::positions::Positions;

mod removal;

pub(crate) use removal::{release_bodies, remove_all};

/// Entries of one batch.
const ENTRIES_AT_ONCE: i64 = 1_000;

/// Messages from position $3 to before $4, without the first $5.
fn read_entries() -> String {
    format!(
        "SELECT {IS_VALID}, position, octets, unique_id FROM message \
         WHERE account = $1 AND position >= $3 AND position < $4 ORDER BY position OFFSET $5 LIMIT $6"
    )
}

/// A lease of the database.
#[derive(Debug)]
pub struct PostgresMaildrop {
    lease: Arc<Lease>,
    snapshot: Snapshot,
    positions: Positions,
    /// Consecutive entries, and the number of the first: clients usually fetch messages in order.
    known: (u64, Vec<Entry>),
}

impl PostgresMaildrop {
    pub(crate) async fn open(database: Database, account: &Username) -> Result<Self, StoreError> {
        let (lease, snapshot) = Lease::take(database, key(account)).await?;
        Ok(Self { lease, snapshot, positions: Positions::default(), known: (0, Vec::new()) })
    }

    /// Reads a batch of entries from `number` on.
    async fn read(&mut self, number: u64) -> Result<Vec<Entry>, StoreError> {
        self.lease.check()?;
        if number > self.snapshot.messages {
            return Ok(Vec::new());
        }
        let (from, skip) = self.positions.nearest(number);
        let skip = i64::try_from(skip).unwrap_or(i64::MAX);
        let Lease { database, account, holder, .. } = &*self.lease;
        let values: crate::database::Values<'_> =
            &[account, holder, &from, &self.snapshot.end, &skip, &ENTRIES_AT_ONCE];
        let rows = database.query(&read_entries(), values).await?;
        // The snapshot has the message, so a missing row was removed by a session that took over.
        if rows.first().is_none_or(|row| !row.get::<_, bool>(0)) {
            return Err(lost());
        }
        self.positions.insert(number, rows.iter().map(|row| row.get(1)));
        Ok((number..).zip(&rows).map(|(number, row)| entry(number, row)).collect())
    }

    /// The position of a message.
    async fn position(&mut self, number: u64) -> Result<i64, StoreError> {
        if self.positions.find(number).is_none() {
            self.read(number).await?;
        }
        self.positions.find(number).ok_or_else(|| no_message(number))
    }
}

fn entry(number: u64, row: &Row) -> Entry {
    let octets: i64 = row.get(2);
    Entry { number, octets: u64::try_from(octets).unwrap_or(0), unique_id: row.get(3) }
}

fn no_message(number: u64) -> StoreError {
    StoreError::Failed(format!("there is no message {number}"))
}

impl Maildrop for PostgresMaildrop {
    type Body = PostgresBody;

    fn count(&self) -> u64 {
        self.snapshot.messages
    }

    fn octets(&self) -> u64 {
        self.snapshot.octets
    }

    async fn entries(&mut self, from: u64) -> Result<Vec<Entry>, StoreError> {
        self.read(from.max(1)).await
    }

    async fn entry(&mut self, number: u64) -> Result<Entry, StoreError> {
        self.lease.check()?;
        let (first, known) = &self.known;
        let index = number.checked_sub(*first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| known.get(index)) {
            return Ok(entry.clone());
        }
        if number == 0 {
            return Err(no_message(number));
        }
        let known = self.read(number).await?;
        let entry = known.first().cloned().ok_or_else(|| no_message(number))?;
        self.known = (number, known);
        Ok(entry)
    }

    async fn body(&mut self, number: u64, extent: Extent) -> Result<PostgresBody, StoreError> {
        let position = self.position(number).await?;
        PostgresBody::open(Arc::clone(&self.lease), position, extent).await
    }

    async fn remove(mut self, numbers: &[u64]) -> Result<(), StoreError> {
        let mut positions = Vec::with_capacity(numbers.len());
        for number in numbers {
            positions.push(self.position(*number).await?);
        }
        // A body that is being sent keeps the lease, so it is not released before.
        let removed = removal::remove(&self.lease, &positions).await;
        match Arc::into_inner(self.lease) {
            Some(lease) if removed.is_ok() => lease.forget(),
            Some(lease) => lease.release().await,
            None => {}
        }
        removed
    }

    async fn release(self) {
        if let Some(lease) = Arc::into_inner(self.lease) {
            lease.release().await;
        }
    }

    fn lease_lifetime(&self) -> Option<Duration> {
        Some(LIFETIME)
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        self.lease.renew().await
    }
}
