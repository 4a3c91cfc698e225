//! Administration of mailboxes: check, copy in the format of MyMailBox.txt, purge.

use std::io::Write;

use mail_core::mailbox::WireRecord;
use mail_core::users::Username;
use mail_store::{Finding, MailboxAdmin, MailboxReport, StoreError};
use tokio_postgres::Row;

use crate::accounts::key;
use crate::database::{Connection, Database};
use crate::failure::Failure;
use crate::maildrop::remove_all;
use crate::message::READ_PIECE;

/// Messages of one statement. Their contents are up to 64 KiB each.
const MESSAGES_AT_ONCE: i64 = 200;

const TOTALS: &str = "SELECT maildrop.messages, maildrop.octets, count(message.account), \
    coalesce(sum(message.octets), 0)::bigint FROM maildrop LEFT JOIN message USING (account) \
    WHERE maildrop.account = $1 GROUP BY maildrop.account";

/// The length of each message's content is that of its row.
const LENGTHS: &str = "SELECT message.position, message.unique_id, message.octets, \
    coalesce(octet_length(message.delivery_fields), 0) + \
    coalesce(octet_length(message.content), octet_length(body.content), \
    (SELECT sum(octet_length(body_piece.content)) FROM body_piece \
    WHERE body_piece.account = message.body_account AND body_piece.id = message.body_id))::bigint \
    FROM message LEFT JOIN body ON body.account = message.body_account AND body.id = message.body_id \
    WHERE message.account = $1 AND message.position > $2 ORDER BY message.position LIMIT $3";

const MESSAGES: &str = "SELECT message.position, message.record, message.front, message.received, \
    message.trace_length, message.front_length, coalesce(message.content, body.content), \
    message.body_account, message.body_id, message.delivery_fields \
    FROM message LEFT JOIN body ON body.account = message.body_account AND body.id = message.body_id \
    WHERE message.account = $1 AND message.position > $2 ORDER BY message.position LIMIT $3";

const RENAME_MAILDROP: &str = "UPDATE maildrop SET account = $2 WHERE account = $1";
const RENAME_MESSAGES: &str = "UPDATE message SET account = $2 WHERE account = $1";
const DELETE_MAILDROP: &str = "DELETE FROM maildrop WHERE account = $1 AND messages = 0";

const REMEDY: &str = "restore the database from a backup, or remove the message";

/// Administration of the mailboxes in a database.
#[derive(Debug, Clone)]
pub struct PostgresMailboxes {
    pub(crate) database: Database,
}

impl PostgresMailboxes {
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Compares the content of each message with its row.
    async fn check_lengths(&self, account: &str, findings: &mut Vec<Finding>) -> Result<(), Failure> {
        let mut after = 0_i64;
        loop {
            let rows = self.database.query(LENGTHS, &[&account, &after, &MESSAGES_AT_ONCE]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.get(0);
            findings.extend(rows.iter().filter_map(length_finding));
        }
    }
}

fn length_finding(row: &Row) -> Option<Finding> {
    let (position, unique_id): (i64, &str) = (row.get(0), row.get(1));
    let (expected, found): (i64, Option<i64>) = (row.get(2), row.get(3));
    let found = match found {
        Some(found) if found == expected => return None,
        Some(found) => format!("has {found} octets of {expected}"),
        None => "has lost its content".to_owned(),
    };
    let description = format!("the message {unique_id} {found}");
    Some(Finding { offset: position.try_into().unwrap_or(0), description, remedy: REMEDY })
}

impl MailboxAdmin for PostgresMailboxes {
    async fn check(&self, account: &Username) -> Result<MailboxReport, StoreError> {
        let account = key(account);
        let mut report = MailboxReport::default();
        let rows = self.database.query(TOTALS, &[&account]).await?;
        let Some(row) = rows.first() else { return Ok(report) };
        let [messages, octets, counted, summed]: [i64; 4] = std::array::from_fn(|column| row.get(column));
        (report.messages, report.octets) = (counted.try_into().unwrap_or(0), summed.try_into().unwrap_or(0));
        if (messages, octets) != (counted, summed) {
            report.findings.push(Finding {
                offset: 0,
                description: format!(
                    "the maildrop counts {messages} messages with {octets} octets, but has {counted} with {summed}"
                ),
                remedy: "restore the database from a backup",
            });
        }
        self.check_lengths(&account, &mut report.findings).await?;
        Ok(report)
    }

    /// Messages that arrive meanwhile may be missing in the copy.
    async fn copy(&self, account: &Username, out: &mut (dyn Write + Send)) -> Result<u64, StoreError> {
        let account = key(account);
        let (mut after, mut octets, mut record) = (0_i64, 0, Vec::new());
        loop {
            let rows = self.database.query(MESSAGES, &[&account, &after, &MESSAGES_AT_ONCE]).await?;
            let Some(last) = rows.last() else { return Ok(octets) };
            after = last.get(0);
            for row in &rows {
                octets += Copier { database: &self.database, out: &mut *out, record: &mut record }
                    .message(row)
                    .await?;
            }
        }
    }

    async fn purge(&self, account: &Username) -> Result<(), StoreError> {
        let account = key(account);
        let connection: Connection = self.database.connection().await?;
        remove_all(&connection, &account).await?;
        let delete = connection.prepare(DELETE_MAILDROP).await?;
        connection.change(&delete, &[&account]).await?;
        connection.give_back();
        Ok(())
    }

    async fn rename(&self, account: &Username, new: &Username) -> Result<(), StoreError> {
        let (account, new_account) = (key(account), key(new));
        if account == new_account {
            return Ok(());
        }
        let connection: Connection = self.database.connection().await?;
        connection.run("BEGIN").await?;
        let delete = connection.prepare(DELETE_MAILDROP).await?;
        connection.change(&delete, &[&new_account]).await?;
        // Fails if the new name has mail: its maildrop has this key.
        for sql in [RENAME_MAILDROP, RENAME_MESSAGES] {
            let rename = connection.prepare(sql).await?;
            connection.change(&rename, &[&account, &new_account]).await?;
        }
        connection.commit().await?;
        connection.give_back();
        Ok(())
    }

    fn location(&self, account: &Username) -> String {
        format!("the maildrop {} in the database {}", key(account), self.database.location())
    }
}

async fn read_piece(
    database: &Database,
    body: (Option<&str>, Option<&str>),
    number: i32,
) -> Result<Option<Vec<u8>>, StoreError> {
    let (Some(account), Some(id)) = body else { return Ok(None) };
    let rows = database.query(READ_PIECE, &[&account, &id, &number]).await?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Writes messages as records of MyMailBox.txt.
struct Copier<'a> {
    database: &'a Database,
    out: &'a mut (dyn Write + Send),
    record: &'a mut Vec<u8>,
}

impl Copier<'_> {
    async fn message(&mut self, row: &Row) -> Result<u64, StoreError> {
        if let Some(record) = row.get::<_, Option<&[u8]>>(1) {
            self.record.extend_from_slice(record);
            return self.flush();
        }
        let front: Option<&[u8]> = row.get(2);
        let received = row.get(3);
        let length = |column| usize::try_from(row.get::<_, i32>(column)).unwrap_or(0);
        let (trace_length, front_length) = (length(4), length(5));
        let head_length = trace_length + front_length;
        let body: (Option<&str>, Option<&str>) = (row.get(7), row.get(8));
        let (mut octets, mut next) = (0, 0_i32);
        let delivery_fields: Option<&[u8]> = row.get(9);
        let inline: Option<&[u8]> = row.get(6);
        let mut content = [delivery_fields, inline].map(Option::unwrap_or_default).concat();
        // The head of a message is at most a few pieces long.
        while content.len() < head_length || content.is_empty() {
            let Some(piece) = read_piece(self.database, body, next).await? else {
                return Err(StoreError::Failed("the database has lost a message's content".into()));
            };
            content.extend_from_slice(&piece);
            next += 1;
        }
        let (head, mut text) = content.split_at(head_length);
        let mut writer = WireRecord::begin(head, trace_length, front, &received, self.record);
        let mut piece;
        loop {
            writer.write(text, self.record);
            octets += self.flush()?;
            if inline.is_some() {
                break;
            }
            let Some(read) = read_piece(self.database, body, next).await? else { break };
            piece = read;
            text = &piece;
            next += 1;
        }
        writer.finish(self.record);
        Ok(octets + self.flush()?)
    }

    fn flush(&mut self) -> Result<u64, StoreError> {
        let written = self.out.write_all(self.record);
        written.map_err(|error| StoreError::Failed(format!("cannot write the copy: {error}")))?;
        let octets = self.record.len() as u64;
        self.record.clear();
        Ok(octets)
    }
}
