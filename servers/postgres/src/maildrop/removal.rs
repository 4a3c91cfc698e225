//! Removal of messages, and of the bodies that only they refer to.

use std::time::Duration;

use mail_store::StoreError;
use tokio_postgres::Row;

use crate::database::Connection;
use crate::failure::{Failure, repeat};
use crate::lease::{Lease, lost};

/// Limit of a removal with all of its attempts.
const REMOVAL_LIMIT: Duration = Duration::from_secs(60);
/// Messages of one statement, which the server's timeout bounds.
const MESSAGES_AT_ONCE: usize = 2_000;

const DELETE_MESSAGES: &str = "DELETE FROM message WHERE account = $1 AND position = ANY($2) \
    RETURNING octets, body_account, body_id";

const LOCK_BODIES: &str = "SELECT FROM body JOIN unnest($1::text[], $2::text[]) AS used (account, id) \
    USING (account, id) ORDER BY account, id FOR UPDATE OF body";

const RELEASE_BODIES: &str = "UPDATE body SET copies = copies - 1 \
    FROM unnest($1::text[], $2::text[]) AS used (account, id) \
    WHERE body.account = used.account AND body.id = used.id";

const DELETE_PIECES: &str = "DELETE FROM body_piece USING body, unnest($1::text[], $2::text[]) AS used (account, id) \
    WHERE body.account = used.account AND body.id = used.id AND body.copies <= 0 \
    AND body_piece.account = body.account AND body_piece.id = body.id";

const DELETE_BODIES: &str = "DELETE FROM body USING unnest($1::text[], $2::text[]) AS used (account, id) \
    WHERE body.account = used.account AND body.id = used.id AND body.copies <= 0";

const COUNT: &str = "UPDATE maildrop SET messages = messages - $2, octets = octets - $3 WHERE account = $1";

const REMAINING: &str = "SELECT count(*) FROM message WHERE account = $1 AND position = ANY($2)";

const TOUCH: &str = "UPDATE maildrop SET messages = messages WHERE account = $1";

const FIRST: &str = "SELECT position FROM message WHERE account = $1 ORDER BY position LIMIT 2000";

/// Removes all or none of the messages, and releases the lease.
pub(super) async fn remove(lease: &Lease, positions: &[i64]) -> Result<(), StoreError> {
    let removed = repeat(REMOVAL_LIMIT, || try_remove(lease, positions)).await?;
    if removed || repeat(REMOVAL_LIMIT, || is_done(lease, positions)).await? { Ok(()) } else { Err(lost()) }
}

/// Returns `false` if the lease is lost.
async fn try_remove(lease: &Lease, positions: &[i64]) -> Result<bool, Failure> {
    let connection = lease.database.connection().await?;
    connection.run("BEGIN").await?;
    if !lease.lock(&connection).await? {
        connection.run("ROLLBACK").await?;
        connection.give_back();
        return Ok(false);
    }
    let mut removed = Removed::default();
    for positions in positions.chunks(MESSAGES_AT_ONCE) {
        removed.add(&delete(&connection, &lease.account, positions).await?);
    }
    release_bodies(&connection, &mut removed.bodies).await?;
    removed.count(&connection, &lease.account).await?;
    lease.release_in(&connection).await?;
    connection.commit().await?;
    connection.give_back();
    Ok(true)
}

/// Whether an attempt whose answer was lost has removed the messages. It also released the lease.
///
/// The primary shows a commit before the synchronous standby has it, if the connection that waited for the standby was lost. So a change is
/// committed, which waits for the standby, too.
async fn is_done(lease: &Lease, positions: &[i64]) -> Result<bool, Failure> {
    let connection = lease.database.connection().await?;
    let (remaining, touch) = (connection.prepare(REMAINING).await?, connection.prepare(TOUCH).await?);
    connection.run("BEGIN").await?;
    let rows = connection.rows(&remaining, &[&lease.account, &positions]).await?;
    connection.change(&touch, &[&lease.account]).await?;
    connection.commit().await?;
    connection.give_back();
    Ok(rows.first().is_some_and(|row| row.get::<_, i64>(0) == 0))
}

/// Removes all messages of an account, in several transactions. The caller has the lease.
pub(crate) async fn remove_all(connection: &Connection, account: &str) -> Result<(), Failure> {
    let first = connection.prepare(FIRST).await?;
    loop {
        connection.run("BEGIN").await?;
        let rows = connection.rows(&first, &[&account]).await?;
        let positions: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
        let mut removed = Removed::default();
        removed.add(&delete(connection, account, &positions).await?);
        release_bodies(connection, &mut removed.bodies).await?;
        removed.count(connection, account).await?;
        connection.commit().await?;
        if positions.is_empty() {
            return Ok(());
        }
    }
}

async fn delete(connection: &Connection, account: &str, positions: &[i64]) -> Result<Vec<Row>, Failure> {
    let delete = connection.prepare(DELETE_MESSAGES).await?;
    connection.rows(&delete, &[&account, &positions]).await
}

/// Totals of the removed messages, and the bodies that they referred to.
#[derive(Default)]
struct Removed {
    messages: i64,
    octets: i64,
    bodies: Vec<(String, String)>,
}

impl Removed {
    fn add(&mut self, rows: &[Row]) {
        for row in rows {
            self.messages += 1;
            self.octets += row.get::<_, i64>(0);
            if let (Some(account), Some(id)) = (row.get(1), row.get(2)) {
                self.bodies.push((account, id));
            }
        }
    }

    async fn count(&self, connection: &Connection, account: &str) -> Result<(), Failure> {
        let count = connection.prepare(COUNT).await?;
        connection.change(&count, &[&account, &self.messages, &self.octets]).await.map(drop)
    }
}

/// Removes one reference to each of the bodies, and those without references. Each occurs once.
pub(crate) async fn release_bodies(
    connection: &Connection,
    bodies: &mut [(String, String)],
) -> Result<(), Failure> {
    bodies.sort_unstable();
    for bodies in bodies.chunks(MESSAGES_AT_ONCE) {
        let (accounts, ids): (Vec<&str>, Vec<&str>) =
            bodies.iter().map(|(account, id)| (account.as_str(), id.as_str())).unzip();
        for sql in [LOCK_BODIES, RELEASE_BODIES, DELETE_PIECES, DELETE_BODIES] {
            let statement = connection.prepare(sql).await?;
            connection.change(&statement, &[&accounts, &ids]).await?;
        }
    }
    Ok(())
}
