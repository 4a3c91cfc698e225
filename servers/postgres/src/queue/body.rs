//! The message of an entry, read in pieces. No connection is held between them.

use std::io;

use mail_core::queue::QueueId;
use mail_outbound::store::MessageBody;
use mail_store::StoreError;

use super::PostgresQueue;
use crate::commit::PIECE_OCTETS;
use crate::message::READ_PIECE;

/// The parts of a message.
const PARTS: &str = "SELECT queue_entry.head, coalesce(queue_entry.content, body.content), \
    queue_entry.body_account, queue_entry.body_id, queue_entry.body_start, queue_entry.content IS NULL \
    FROM queue_entry LEFT JOIN body ON body.account = queue_entry.body_account AND body.id = queue_entry.body_id \
    WHERE queue_entry.account = '' AND queue_entry.id = $1";

/// A handle of a message in the database.
#[derive(Debug, Clone)]
pub struct QueueContent {
    pub(super) id: QueueId,
    /// The name of the node that read the entry; '' for an administrator.
    pub(super) node: String,
    /// Length of the message.
    pub(super) octets: u64,
}

/// A message that is being read. For a node, reading fails after its lease has expired, also at the end: the message is then sent
/// without the final dot. It fails at the end, too, if the entry was removed meanwhile and the rest of its content with it.
#[derive(Debug)]
pub struct QueueBody {
    queue: PostgresQueue,
    content: QueueContent,
    rest: Rest,
    /// Octets that were not read yet.
    unread: u64,
}

#[derive(Debug)]
enum Rest {
    /// Nothing was read yet.
    All,
    Inline(Vec<u8>),
    Pieces {
        account: String,
        id: String,
        next: i32,
        skip: usize,
    },
    Done,
}

impl QueueBody {
    pub(super) const fn new(queue: PostgresQueue, content: QueueContent) -> Self {
        let unread = content.octets;
        Self { queue, content, rest: Rest::All, unread }
    }

    async fn next_piece(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.content.node.is_empty() {
            self.queue.check_lease(&self.content.node)?;
        }
        let database = &self.queue.shared.database;
        match &mut self.rest {
            Rest::All => {
                let (head, rest) = self.parts().await?;
                self.rest = rest;
                Ok(Some(head))
            }
            Rest::Inline(content) => {
                let content = std::mem::take(content);
                self.rest = Rest::Done;
                Ok((!content.is_empty()).then_some(content))
            }
            Rest::Pieces { account, id, next, skip } => {
                let rows = database.query(READ_PIECE, &[account, id, next]).await?;
                let Some(row) = rows.first() else {
                    self.rest = Rest::Done;
                    return Ok(None);
                };
                let piece = row.get::<_, &[u8]>(0);
                let piece = piece.get(std::mem::take(skip)..).unwrap_or_default().to_vec();
                *next += 1;
                Ok(Some(piece))
            }
            Rest::Done => Ok(None),
        }
    }

    /// The beginning of the message, and the place of the rest.
    async fn parts(&self) -> Result<(Vec<u8>, Rest), StoreError> {
        let rows = self.queue.shared.database.query(PARTS, &[&self.content.id.as_str()]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Failed("it was removed from the queue".into()))?;
        let head: Vec<u8> = row.get(0);
        let start = usize::try_from(row.get::<_, i64>(4)).unwrap_or(usize::MAX);
        let lost = || StoreError::Failed("the database has lost the message's content".into());
        let rest = match (row.get::<_, Option<Vec<u8>>>(1), row.get(2), row.get(3)) {
            (Some(mut content), ..) => {
                let is_shared: bool = row.get(5);
                if is_shared {
                    content.drain(..start.min(content.len()));
                }
                Rest::Inline(content)
            }
            (None, Some(account), Some(id)) => Rest::Pieces {
                account,
                id,
                next: i32::try_from(start / PIECE_OCTETS).unwrap_or(i32::MAX),
                skip: start % PIECE_OCTETS,
            },
            (None, ..) => return Err(lost()),
        };
        Ok((head, rest))
    }
}

impl MessageBody for QueueBody {
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let piece = self.next_piece().await.map_err(io::Error::other)?;
        match &piece {
            Some(piece) => self.unread = self.unread.saturating_sub(piece.len() as u64),
            None if self.unread > 0 => {
                return Err(io::Error::other("it was removed from the queue, or its content is incomplete"));
            }
            None => {}
        }
        Ok(piece)
    }
}
