//! Accounts, aliases and mail that are copied from another store.

use chrono::{DateTime, Utc};
use mail_core::aliases::Alias;
use mail_core::users::{Account, StoredPassword, Username};
use mail_store::StoreError;
use mail_store::directory::{DirectoryError, Quota};

use crate::accounts::key;
use crate::commit::{INLINE_OCTETS_MAX, PIECE_OCTETS};
use crate::database::Connection;
use crate::directory::{LOCK_ALIASES, PostgresDirectory};
use crate::failure::Failure;
use crate::mailboxes::PostgresMailboxes;

/// Rows of one batch.
const BATCH: i64 = 1_000;

const ACCOUNTS: &str = "SELECT name, password FROM account ORDER BY position, account LIMIT $1";
const ACCOUNTS_AFTER: &str = "SELECT name, password FROM account \
    WHERE (position, account) > (SELECT position, account FROM account WHERE account = $2) \
    ORDER BY position, account LIMIT $1";

const SET_ALIAS: &str = "INSERT INTO alias (alias, targets, position) VALUES ($1, $2, $3) \
    ON CONFLICT (alias) DO UPDATE SET targets = excluded.targets, position = excluded.position";

const QUOTAS: &str = "SELECT quota.account, coalesce(account.name, quota.account), soft, hard \
    FROM quota LEFT JOIN account USING (account) WHERE $1::text IS NULL OR quota.account > $1 ORDER BY quota.account LIMIT $2";
const SET_QUOTAS: &str = "INSERT INTO quota (account, soft, hard) \
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) \
    ON CONFLICT (account) DO UPDATE SET soft = excluded.soft, hard = excluded.hard";

const UNIQUE_IDS: &str = "SELECT position, unique_id FROM message \
    WHERE account = $1 AND position > $2 ORDER BY position LIMIT $3";

const CREATE_MAILDROP: &str = "INSERT INTO maildrop (account) VALUES ($1) ON CONFLICT DO NOTHING";
const LOCK: &str = "SELECT next_position FROM maildrop WHERE account = $1 FOR UPDATE";
const INSERT: &str = "INSERT INTO message (account, position, unique_id, octets, received, front, trace_length, \
    front_length, content, body_account, body_id, record) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const INSERT_BODY: &str = "INSERT INTO body (account, id, copies) VALUES ($1, $2, 1)";
const INSERT_PIECE: &str = "INSERT INTO body_piece (account, id, piece, content) VALUES ($1, $2, $3, $4)";
const COUNT: &str = "UPDATE maildrop SET messages = messages + $2, octets = octets + $3, \
    next_position = next_position + $2 WHERE account = $1";

/// A message of another store.
#[derive(Debug, Clone)]
pub struct CopiedMessage {
    pub unique_id: String,
    pub received: DateTime<Utc>,
    /// From, To and Subject of its record in MyMailBox.txt, if some of them are not in the message.
    pub front: Option<Vec<u8>>,
    /// Lengths of the trace fields at the start of the content, and of From, To and Subject after them.
    pub trace_length: usize,
    pub front_length: usize,
    /// As POP3 sends it, without dot-stuffing.
    pub content: Vec<u8>,
    /// The record, if it is not determined by the others.
    pub record: Option<Vec<u8>>,
}

impl PostgresDirectory {
    /// A batch of accounts with their stored passwords after `after`, in order; empty after the last.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn accounts(&self, after: Option<&Username>) -> Result<Vec<Account>, DirectoryError> {
        let rows = match after.map(key) {
            None => self.database.query(ACCOUNTS, &[&BATCH]).await?,
            Some(after) => self.database.query(ACCOUNTS_AFTER, &[&BATCH, &after]).await?,
        };
        let account = |row: &tokio_postgres::Row| {
            let (name, password): (&str, &str) = (row.get(0), row.get(1));
            match (Username::parse(name), StoredPassword::parse(password)) {
                (Ok(name), Ok(password)) => Ok(Account { name, password }),
                _ => Err(DirectoryError::Failed(format!(
                    "the name or the password in the row of the account `{name}` is invalid; correct it in the table account"
                ))),
            }
        };
        rows.iter().map(account).collect()
    }

    /// Adds or replaces aliases that were valid together, in their order.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_aliases(&self, aliases: &[Alias]) -> Result<(), DirectoryError> {
        let connection = self.database.connection().await?;
        connection.run("BEGIN").await?;
        connection.run(LOCK_ALIASES).await?;
        let set = connection.prepare(SET_ALIAS).await?;
        for (position, alias) in (1_i64..).zip(aliases) {
            let targets: Vec<_> = alias.targets.iter().map(ToString::to_string).collect();
            connection.change(&set, &[&alias.key.as_str(), &targets, &position]).await?;
        }
        connection.commit().await?;
        connection.give_back();
        self.forget_lookups();
        Ok(())
    }
}

impl PostgresDirectory {
    /// The limits of mailboxes. The account `None` stands for all accounts without a quota of their own.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn quotas(&self) -> Result<Vec<(Option<Username>, Quota)>, DirectoryError> {
        let (mut quotas, mut after) = (Vec::new(), None::<String>);
        loop {
            let rows = self.database.query(QUOTAS, &[&after, &BATCH]).await?;
            let Some(last) = rows.last() else { return Ok(quotas) };
            after = Some(last.get(0));
            quotas.extend(rows.iter().filter_map(quota));
        }
    }

    /// Adds or replaces limits of mailboxes.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn set_quotas(&self, quotas: &[(Option<Username>, Quota)]) -> Result<(), DirectoryError> {
        let accounts: Vec<String> =
            quotas.iter().map(|(name, _)| name.as_ref().map(key).unwrap_or_default()).collect();
        let limits = |limit: fn(&Quota) -> u64| -> Vec<i64> {
            quotas.iter().map(|(_, quota)| i64::try_from(limit(quota)).unwrap_or(i64::MAX)).collect()
        };
        let (soft, hard) = (limits(|quota| quota.soft), limits(|quota| quota.hard));
        self.database.query(SET_QUOTAS, &[&accounts, &soft, &hard]).await?;
        self.forget_lookups();
        Ok(())
    }
}

fn quota(row: &tokio_postgres::Row) -> Option<(Option<Username>, Quota)> {
    let name: &str = row.get(1);
    let name = if name.is_empty() { None } else { Some(Username::parse(name).ok()?) };
    let limit = |column| u64::try_from(row.get::<_, i64>(column)).ok();
    Some((name, Quota { soft: limit(2)?, hard: limit(3)? }))
}

impl PostgresMailboxes {
    /// The unique-ids of an account's messages, in order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn unique_ids(&self, account: &Username) -> Result<Vec<String>, StoreError> {
        let (account, mut after, mut ids) = (key(account), 0_i64, Vec::new());
        loop {
            let rows = self.database.query(UNIQUE_IDS, &[&account, &after, &BATCH]).await?;
            let Some(last) = rows.last() else { return Ok(ids) };
            after = last.get(0);
            ids.extend(rows.iter().map(|row| row.get::<_, String>(1)));
        }
    }

    /// Adds messages to an account's maildrop, all or none of them.
    ///
    /// # Errors
    /// The database cannot be written, or the answer was lost: [`unique_ids`](Self::unique_ids) tells.
    pub async fn append(&self, account: &Username, messages: &[CopiedMessage]) -> Result<(), StoreError> {
        let account = key(account);
        let connection = self.database.connection().await?;
        let create = connection.prepare(CREATE_MAILDROP).await?;
        connection.change(&create, &[&account]).await?;
        connection.run("BEGIN").await?;
        let lock = connection.prepare(LOCK).await?;
        let rows = connection.rows(&lock, &[&account]).await?;
        let next: i64 = rows.first().map_or(1, |row| row.get(0));
        for (position, message) in (next..).zip(messages) {
            insert(&connection, &account, position, message).await?;
        }
        let added = signed(messages.len());
        let octets: i64 = messages.iter().map(|message| signed(message.content.len())).sum();
        let count = connection.prepare(COUNT).await?;
        connection.change(&count, &[&account, &added, &octets]).await?;
        connection.commit().await?;
        connection.give_back();
        Ok(())
    }
}

async fn insert(
    connection: &Connection,
    account: &str,
    position: i64,
    message: &CopiedMessage,
) -> Result<(), Failure> {
    let CopiedMessage { unique_id, received, front, trace_length, front_length, content, record } = message;
    let is_inline = content.len() as u64 <= INLINE_OCTETS_MAX;
    let inline = is_inline.then_some(content);
    let body: (Option<&str>, Option<&String>) = match is_inline {
        true => (None, None),
        false => (Some(account), Some(unique_id)),
    };
    if !is_inline {
        let insert = connection.prepare(INSERT_BODY).await?;
        connection.change(&insert, &[&account, unique_id]).await?;
        let insert = connection.prepare(INSERT_PIECE).await?;
        for (number, piece) in (0_i32..).zip(content.chunks(PIECE_OCTETS)) {
            connection.change(&insert, &[&account, unique_id, &number, &piece]).await?;
        }
    }
    let length = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    let insert = connection.prepare(INSERT).await?;
    let values: crate::database::Values<'_> = &[
        &account,
        &position,
        unique_id,
        &signed(content.len()),
        received,
        front,
        &length(*trace_length),
        &length(*front_length),
        &inline,
        &body.0,
        &body.1,
        record,
    ];
    connection.change(&insert, values).await.map(drop)
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
