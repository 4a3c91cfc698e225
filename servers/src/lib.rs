//! The servers: SMTP and POP3 over TCP, accounts, delivery, and the mailbox files.
//!
//! The straight line of a message, in and out:
//!
//! ```text
//! TCP -> listener -> stream -> mail_core::smtp::server -> smtp_session -> delivery -> store::text -> MyMailBox.txt
//! MyMailBox.txt -> store::text -> pop3_session -> mail_core::pop3::server -> stream -> TCP
//! ```
//!
//! Without the default feature `net` there is no socket, no thread and no real disk: the policy, the
//! delivery and the text store over a [`disk::Disk`] of the caller's, for a simulation or a page.

pub mod accounts;
pub mod budget;
pub mod delivery;
pub mod disk;
pub mod pop3_session;
pub mod session;
pub mod site;
pub mod smtp_session;
pub mod store;

#[cfg(feature = "net")]
pub mod admin;
#[cfg(feature = "net")]
mod census;
#[cfg(feature = "net")]
pub mod check;
#[cfg(feature = "net")]
pub mod cli;
#[cfg(feature = "net")]
mod confine;
#[cfg(feature = "net")]
pub mod descriptors;
#[cfg(feature = "net")]
pub mod faults;
#[cfg(feature = "net")]
pub mod listener;
#[cfg(feature = "net")]
mod privileges;
#[cfg(feature = "net")]
pub mod proxy;
#[cfg(feature = "net")]
pub mod serve;
#[cfg(feature = "net")]
pub mod stream;
#[cfg(feature = "net")]
pub mod transport;
