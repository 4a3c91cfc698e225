//! POP3: commands, replies, the maildrop, and the state machines.
//!
//! RFC 1939, with CAPA and the command limits of RFC 2449, the response codes of RFC 3206, STLS (RFC 2595), SASL (RFC
//! 5034) and UTF8 (RFC 6856). APOP is not supported, because it requires plaintext passwords on the server, nor is
//! LANG.

pub mod capability;
pub mod client;
pub mod command;
mod decimal;
pub mod limits;
pub mod listing;
pub mod maildrop;
pub mod reply;
pub mod server;
pub mod top;

pub use capability::Capability;
pub use command::{Argument, Command, CommandError};
pub use listing::{DropListing, ScanListing, UniqueIdListing};
pub use maildrop::Maildrop;
pub use reply::{Reply, ResponseCode};
pub use top::TopLimiter;
