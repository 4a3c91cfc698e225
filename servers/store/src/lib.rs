//! Storage interfaces, and the store of plain text files.
//!
//! | interface | used for |
//! |---|---|
//! | [`DeliveryTarget`], [`IncomingMessage`] | receiving a message; [`FanOut`] combines two targets |
//! | [`MaildropStore`], [`Maildrop`], [`Body`] | reading and removing messages |
//! | [`Directory`](directory::Directory) | finding accounts, verifying passwords |
//! | [`AccountAdmin`](directory::AccountAdmin), [`AliasAdmin`](directory::AliasAdmin), [`MailboxAdmin`] | administration |
//! | [`StoreHealth`] | readiness |
//!
//! The interfaces know accounts, messages and numbers, but no paths, offsets or SQL. Every store guarantees:
//!
//! - **Durability.** When [`IncomingMessage::commit`] or [`Maildrop::remove`] returns `Ok`, the change survives a power
//!   failure.
//! - **One lease.** At most one session has a [`Maildrop`] of an account, across processes (RFC 1939 section 4). Deliveries
//!   continue and stay out of the session's snapshot.
//! - **Streaming.** Message content is transferred in chunks and listings in batches. Memory use does not depend on the size
//!   of a message or mailbox.
//!
//! [`text`] is the store of MyMailBox.txt files over a [`disk::Disk`]; `user_txt` is the directory in User.txt, Aliases.txt and
//! Quotas.txt.

mod delivery;
pub mod directory;
pub mod disk;
mod either;
mod fan_out;
pub mod generations;
mod health;
mod mailbox_admin;
mod maildrop;
pub mod offload;
pub mod spool;
pub mod text;

// WebAssembly has neither files nor threads; the rest of this crate compiles for it.
#[cfg(not(target_arch = "wasm32"))]
mod aliases_txt;
#[cfg(not(target_arch = "wasm32"))]
pub mod descriptors;
#[cfg(not(target_arch = "wasm32"))]
pub mod password;
#[cfg(not(target_arch = "wasm32"))]
mod quotas_txt;
#[cfg(not(target_arch = "wasm32"))]
mod rewrite;
#[cfg(not(target_arch = "wasm32"))]
pub mod user_txt;
#[cfg(not(target_arch = "wasm32"))]
mod watched_file;

pub use delivery::{
    DeliveryTarget, Destination, DsnRequest, Envelope, IncomingMessage, MailboxStatus, Origin,
};
pub use either::Either;
pub use fan_out::{FanOut, FanOutIncoming};
pub use health::StoreHealth;
pub use mailbox_admin::{Finding, MailboxAdmin, MailboxReport};
pub use maildrop::{Body, Entry, Extent, Maildrop, MaildropStore};
#[cfg(not(target_arch = "wasm32"))]
pub use quotas_txt::QuotaFile;

/// Failure of a store, by the reply that a session gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another session has the lease: `-ERR [IN-USE]`.
    #[error("the maildrop is in use by another session")]
    InUse,
    /// No space is left: 452 4.3.1.
    #[error("no space left for mail: {0}")]
    Full(String),
    /// The lease has expired, or the mailbox was changed from outside: `-ERR [SYS/TEMP]`.
    #[error("the maildrop was changed by another program: {0}")]
    Lost(String),
    /// Any other failure: 451 4.3.0, `-ERR [SYS/TEMP]`.
    #[error("{0}")]
    Failed(String),
}
