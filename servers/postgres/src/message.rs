//! The content of a message, read in pieces. No connection is held between them.

use std::sync::Arc;

use bytes::Bytes;
use mail_core::pop3::TopLimiter;
use mail_store::{Body, Extent, StoreError};

use crate::lease::{IS_VALID, Lease, lost};

/// The message at position $3 of a lease.
fn read_message() -> String {
    format!(
        "SELECT {IS_VALID}, coalesce(message.content, body.content), message.body_account, message.body_id, \
         message.delivery_fields \
         FROM message LEFT JOIN body ON body.account = message.body_account AND body.id = message.body_id \
         WHERE message.account = $1 AND message.position = $3"
    )
}

pub(crate) const READ_PIECE: &str =
    "SELECT content FROM body_piece WHERE account = $1 AND id = $2 AND piece = $3";

/// A message that the database sends, without dot-stuffing.
#[derive(Debug)]
pub struct PostgresBody {
    /// The lease protects the message from removal while it is sent.
    lease: Arc<Lease>,
    /// The first chunk, if the copy has one of its own.
    delivery_fields: Option<Bytes>,
    rest: Rest,
    top: Option<TopLimiter>,
}

#[derive(Debug)]
enum Rest {
    Inline(Bytes),
    Pieces { account: String, id: String, next: i32 },
    Done,
}

impl PostgresBody {
    pub(crate) async fn open(lease: Arc<Lease>, position: i64, extent: Extent) -> Result<Self, StoreError> {
        let rows = lease.database.query(&read_message(), &[&lease.account, &lease.holder, &position]).await?;
        let Some(row) = rows.first() else {
            // A session that took over has removed it.
            return Err(lost());
        };
        if !row.get::<_, bool>(0) {
            return Err(lost());
        }
        let content: Option<Vec<u8>> = row.get(1);
        let body: (Option<String>, Option<String>) = (row.get(2), row.get(3));
        let rest = match (content, body) {
            (Some(content), _) => Rest::Inline(content.into()),
            (None, (Some(account), Some(id))) => Rest::Pieces { account, id, next: 0 },
            (None, _) => {
                return Err(StoreError::Failed("the database has lost the message's content".into()));
            }
        };
        let delivery_fields = row.get::<_, Option<Vec<u8>>>(4).map(Bytes::from);
        let top = match extent {
            Extent::Whole => None,
            Extent::Top(lines) => Some(TopLimiter::new(lines)),
        };
        Ok(Self { lease, delivery_fields, rest, top })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if let Some(fields) = self.delivery_fields.take() {
            return Ok(Some(fields));
        }
        match &mut self.rest {
            Rest::Inline(content) => {
                let content = std::mem::take(content);
                self.rest = Rest::Done;
                Ok(Some(content))
            }
            Rest::Pieces { account, id, next } => {
                let rows = self.lease.database.query(READ_PIECE, &[account, id, next]).await?;
                let piece = rows.first().map(|row| Bytes::from(row.get::<_, Vec<u8>>(0)));
                match &piece {
                    Some(_) => *next += 1,
                    None if *next == 0 => {
                        return Err(StoreError::Failed("the database has lost the message's content".into()));
                    }
                    None => self.rest = Rest::Done,
                }
                Ok(piece)
            }
            Rest::Done => Ok(None),
        }
    }
}

impl Body for PostgresBody {
    fn is_dot_stuffed(&self) -> bool {
        false
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let Some(mut chunk) = self.next().await? else { return Ok(None) };
        if let Some(top) = &mut self.top {
            chunk.truncate(top.take(&chunk));
            if top.is_done() {
                self.rest = Rest::Done;
            }
        }
        Ok(if chunk.is_empty() { None } else { Some(chunk) })
    }
}
