//! Storage in PostgreSQL, shared by any number of nodes.
//!
//! [`PostgresStore`] receives mail and opens maildrops, [`PostgresDirectory`] has the accounts and aliases,
//! [`PostgresMailboxes`] administers mailboxes, [`PostgresQueue`] has the mail for other hosts. All share one [`Database`]: a pool of connections, which is bounded, lends no
//! connection while a client is waited for, and has a timeout on every operation. `migrations/` describes the tables.
//!
//! # Guarantees
//!
//! - **Exactly one copy.** One transaction stores a message for all of its recipients. Deliveries that wait share a transaction
//!   (`commit`). Each transaction first records its number in the row of its writer. If the answer to COMMIT is lost, the
//!   writer connects again and repeats the transaction with the same number, which does nothing if it was committed before.
//! - **One lease.** A row with holder and expiry, compared and set on the database's clock (`lease`). A removal locks this row
//!   and checks it in its transaction, so a session that lost its lease removes nothing.
//! - **Snapshot.** Positions are assigned under the lock of the maildrop's row, which also has the number of messages and their
//!   octets. A session sees the positions below the one that was next when it began.
//! - **One deliverer.** Entries of the outbound queue are inserted by the transaction that stores the local copies. Each is claimed by
//!   one node, whose lease other nodes respect (`queue`).
//!
//! # Locks
//!
//! A transaction locks rows in this order: writer; lease; maildrops by account; node and entries of the queue; bodies by key. A removal locks its own maildrop
//! after the bodies, and no delivery waits for a body, so there are no deadlocks. A transaction that the server ends because of
//! one, or of a serialisation failure, is repeated.

mod accounts;
mod commit;
mod connect;
mod database;
mod directory;
mod failure;
mod incoming;
mod lease;
mod mailboxes;
mod maildrop;
mod message;
mod positions;
mod queue;
mod schema;
mod sign_ins;
mod store;
mod transfer;
mod url;

pub use database::Database;
pub use directory::PostgresDirectory;
pub use incoming::PostgresIncoming;
pub use mailboxes::PostgresMailboxes;
pub use maildrop::PostgresMaildrop;
pub use message::PostgresBody;
pub use queue::{PostgresQueue, QueueBody, QueueContent, QueueRequestError};
pub use sign_ins::SignInCounts;
pub use store::PostgresStore;
pub use transfer::CopiedMessage;
