//! One transaction of a group of deliveries, in two round trips.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::{Content, Delivery, QueuedDelivery, Recipient, pieces};
use crate::database::{Connection, Database, Values};
use crate::failure::Failure;

/// Changes no row if the group was committed before. Locks the writer, so an earlier attempt that is still open ends first.
const CLAIM: &str = "INSERT INTO writer (writer, last_group, seen) VALUES ($1, $2, clock_timestamp()) \
    ON CONFLICT (writer) DO UPDATE SET last_group = $2, seen = clock_timestamp() WHERE writer.last_group < $2";

const TOUCH: &str = "UPDATE writer SET seen = clock_timestamp() WHERE writer = $1";

/// Locks the maildrops in order.
const LOCK: &str =
    "SELECT account, next_position FROM maildrop WHERE account = ANY($1) ORDER BY account FOR UPDATE";

const CREATE: &str = "INSERT INTO maildrop (account) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";

const INSERT_MESSAGES: &str = "INSERT INTO message (account, position, unique_id, octets, received, front, \
    trace_length, front_length, content, body_account, body_id, delivery_fields) \
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[], $6::bytea[], \
    $7::integer[], $8::integer[], $9::bytea[], $10::text[], $11::text[], $12::bytea[])";

const INSERT_BODIES: &str = "INSERT INTO body (account, id, copies, content) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bytea[])";

const INSERT_QUEUED: &str = "INSERT INTO queue_entry (id, envelope, octets, head, content, body_account, body_id, body_start) \
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[], $7::text[], $8::bigint[])";

const COUNT: &str = "UPDATE maildrop SET messages = maildrop.messages + added.messages, \
    octets = maildrop.octets + added.octets, next_position = maildrop.next_position + added.messages \
    FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS added (account, messages, octets) \
    WHERE maildrop.account = added.account";

/// Stores the group, unless an earlier attempt has. A temporary failure leaves the outcome unknown.
pub(super) async fn commit(
    database: &Database,
    writer: &str,
    number: i64,
    group: &[Arc<Delivery>],
) -> Result<(), Failure> {
    let mut accounts: Vec<&str> = group
        .iter()
        .flat_map(|delivery| delivery.recipients.iter().map(|recipient| recipient.account.as_str()))
        .collect();
    accounts.sort_unstable();
    accounts.dedup();
    let connection = database.connection().await?;
    let locked = match lock(&connection, writer, number, group, &accounts).await? {
        Lock::Committed => return confirm(connection, writer).await,
        Lock::Missing => {
            // Outside of the transaction, because rows that it has locked would be out of order.
            connection.run("ROLLBACK").await?;
            let create = connection.prepare(CREATE).await?;
            connection.change(&create, &[&accounts]).await?;
            match lock(&connection, writer, number, group, &accounts).await? {
                Lock::Locked(rows) => rows,
                // The account was purged meanwhile.
                _ => return Err(Failure::Temporary("a maildrop was removed during a delivery".into())),
            }
        }
        Lock::Locked(rows) => rows,
    };
    let rows = Rows::new(group, &locked);
    insert(&connection, &rows).await?;
    connection.give_back();
    Ok(())
}

enum Lock {
    /// The group was committed before.
    Committed,
    /// A maildrop has no row yet.
    Missing,
    Locked(Vec<Row>),
}

/// Begins the transaction and locks its rows.
async fn lock(
    connection: &Connection,
    writer: &str,
    number: i64,
    group: &[Arc<Delivery>],
    accounts: &[&str],
) -> Result<Lock, Failure> {
    let claim = connection.prepare(CLAIM).await?;
    let lock = connection.prepare(LOCK).await?;
    let mut claimed = 0;
    let has_pieces = group.iter().any(|delivery| delivery.is_large());
    let (claim_values, lock_values): (Values<'_>, Values<'_>) = (&[&writer, &number], &[&accounts]);
    let rows = if has_pieces {
        // The maildrops are locked after the pieces have arrived.
        tokio::try_join!(biased; connection.run("BEGIN"), async {
            claimed = connection.change(&claim, claim_values).await?;
            Ok(())
        })?;
        if claimed > 0 {
            for delivery in group {
                if let Content::Spooled { head, rest } = &delivery.content {
                    pieces::insert(connection, body_key(delivery), head, rest).await?;
                }
            }
        }
        connection.rows(&lock, lock_values).await?
    } else {
        let (_, changed, rows) = tokio::try_join!(biased;
            connection.run("BEGIN"),
            connection.change(&claim, claim_values),
            connection.rows(&lock, lock_values),
        )?;
        claimed = changed;
        rows
    };
    Ok(match () {
        () if claimed == 0 => Lock::Committed,
        () if rows.len() < accounts.len() => Lock::Missing,
        () => Lock::Locked(rows),
    })
}

/// Inserts the rows and commits.
async fn insert(connection: &Connection, rows: &Rows<'_>) -> Result<(), Failure> {
    let Rows { messages, bodies, queued, counts } = rows;
    let insert_messages = connection.prepare(INSERT_MESSAGES).await?;
    let insert_bodies = connection.prepare(INSERT_BODIES).await?;
    let count = connection.prepare(COUNT).await?;
    let insert_bodies = async {
        if bodies.accounts.is_empty() {
            return Ok(0);
        }
        let Bodies { accounts, ids, copies, contents } = bodies;
        connection.change(&insert_bodies, &[accounts, ids, copies, contents]).await
    };
    let insert_queued = connection.prepare(INSERT_QUEUED).await?;
    let insert_queued = async {
        if queued.ids.is_empty() {
            return Ok(0);
        }
        let q = queued;
        let values: Values<'_> = &[
            &q.ids,
            &q.envelopes,
            &q.octets,
            &q.heads,
            &q.contents,
            &q.body_accounts,
            &q.body_ids,
            &q.body_starts,
        ];
        connection.change(&insert_queued, values).await
    };
    let m = messages;
    let message_values: Values<'_> = &[
        &m.accounts,
        &m.positions,
        &m.unique_ids,
        &m.octets,
        &m.received,
        &m.fronts,
        &m.trace_lengths,
        &m.front_lengths,
        &m.contents,
        &m.body_accounts,
        &m.body_ids,
        &m.delivery_fields,
    ];
    let count_values: Values<'_> = &[&counts.accounts, &counts.messages, &counts.octets];
    // An error before COMMIT turns it into ROLLBACK.
    tokio::try_join!(biased;
        connection.change(&insert_messages, message_values),
        insert_bodies,
        insert_queued,
        connection.change(&count, count_values),
        connection.commit(),
    )?;
    Ok(())
}

/// Commits a change. Its answer means that earlier commits, too, have reached the synchronous standby.
async fn confirm(connection: Connection, writer: &str) -> Result<(), Failure> {
    let touch = connection.prepare(TOUCH).await?;
    connection.change(&touch, &[&writer]).await?;
    connection.commit().await?;
    connection.give_back();
    Ok(())
}

/// Columns of the rows of a group.
struct Rows<'a> {
    messages: Messages<'a>,
    bodies: Bodies<'a>,
    queued: QueuedRows<'a>,
    counts: Counts<'a>,
}

#[derive(Default)]
struct Messages<'a> {
    accounts: Vec<&'a str>,
    positions: Vec<i64>,
    unique_ids: Vec<&'a str>,
    octets: Vec<i64>,
    received: Vec<DateTime<Utc>>,
    fronts: Vec<Option<&'a [u8]>>,
    trace_lengths: Vec<i32>,
    front_lengths: Vec<i32>,
    contents: Vec<Option<&'a [u8]>>,
    body_accounts: Vec<Option<&'a str>>,
    body_ids: Vec<Option<&'a str>>,
    delivery_fields: Vec<Option<&'a [u8]>>,
}

#[derive(Default)]
struct Bodies<'a> {
    accounts: Vec<&'a str>,
    ids: Vec<&'a str>,
    copies: Vec<i32>,
    contents: Vec<Option<&'a [u8]>>,
}

#[derive(Default)]
struct QueuedRows<'a> {
    ids: Vec<&'a str>,
    envelopes: Vec<&'a str>,
    octets: Vec<i64>,
    heads: Vec<&'a [u8]>,
    contents: Vec<Option<&'a [u8]>>,
    body_accounts: Vec<Option<&'a str>>,
    body_ids: Vec<Option<&'a str>>,
    body_starts: Vec<i64>,
}

#[derive(Default)]
struct Counts<'a> {
    accounts: Vec<&'a str>,
    messages: Vec<i64>,
    octets: Vec<i64>,
}

impl<'a> Rows<'a> {
    /// `locked` has the next position of each maildrop.
    fn new(group: &'a [Arc<Delivery>], locked: &[Row]) -> Self {
        let mut next: BTreeMap<String, i64> = locked.iter().map(|row| (row.get(0), row.get(1))).collect();
        let (mut messages, mut bodies) = (Messages::default(), Bodies::default());
        let mut queued = QueuedRows::default();
        let mut added: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for delivery in group {
            let content = match &delivery.content {
                Content::Inline(content) => Some(content.as_slice()),
                Content::Spooled { .. } => None,
            };
            let body = delivery.has_body().then(|| body_key(delivery));
            if let Some((account, id)) = body {
                bodies.accounts.push(account);
                bodies.ids.push(id);
                bodies.copies.push(i32::try_from(delivery.references()).unwrap_or(i32::MAX));
                bodies.contents.push(content);
            }
            queued.push(delivery, content.filter(|_| body.is_none()), body);
            for recipient in &delivery.recipients {
                let position = next.get_mut(&recipient.account).expect("every maildrop is locked");
                messages.push(delivery, recipient, *position, body);
                messages.contents.push(content.filter(|_| body.is_none()));
                *position += 1;
                let (count, octets) = added.entry(&recipient.account).or_default();
                *count += 1;
                *octets += copy_octets(delivery, recipient);
            }
        }
        let counts = Counts {
            accounts: added.keys().copied().collect(),
            messages: added.values().map(|(count, _)| *count).collect(),
            octets: added.values().map(|(_, octets)| *octets).collect(),
        };
        Self { messages, bodies, queued, counts }
    }
}

impl<'a> Messages<'a> {
    /// All columns but the content.
    fn push(
        &mut self,
        delivery: &'a Delivery,
        recipient: &'a Recipient,
        position: i64,
        body: Option<(&'a str, &'a str)>,
    ) {
        let length = |length: usize| i32::try_from(length).expect("a header is limited to some MiB");
        self.accounts.push(&recipient.account);
        self.fronts.push(recipient.front.as_deref());
        self.delivery_fields.push(recipient.delivery_fields.as_deref());
        self.positions.push(position);
        self.unique_ids.push(&delivery.unique_id);
        self.octets.push(copy_octets(delivery, recipient));
        self.received.push(delivery.received);
        self.trace_lengths.push(length(recipient.delivery_fields_length() + delivery.trace_length));
        self.front_lengths.push(length(delivery.front_length));
        self.body_accounts.push(body.map(|(account, _)| account));
        self.body_ids.push(body.map(|(_, id)| id));
    }
}

impl<'a> QueuedRows<'a> {
    fn push(&mut self, delivery: &'a Delivery, content: Option<&'a [u8]>, body: Option<(&'a str, &'a str)>) {
        let Some(QueuedDelivery { envelope, head, body_start, octets }) = &delivery.queued else { return };
        self.ids.push(&delivery.unique_id);
        self.envelopes.push(envelope);
        self.octets.push(signed(*octets));
        self.heads.push(head);
        self.contents.push(content);
        self.body_accounts.push(body.map(|(account, _)| account));
        self.body_ids.push(body.map(|(_, id)| id));
        self.body_starts.push(signed(*body_start));
    }
}

/// The key of a body is its first recipient, '' without one, and the message's id.
fn body_key(delivery: &Delivery) -> (&str, &str) {
    let account = delivery.recipients.first().map_or("", |recipient| &recipient.account);
    (account, &delivery.unique_id)
}

/// Length of one recipient's copy.
fn copy_octets(delivery: &Delivery, recipient: &Recipient) -> i64 {
    signed(recipient.delivery_fields_length() as u64 + delivery.octets)
}

fn signed(octets: u64) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}
