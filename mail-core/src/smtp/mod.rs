//! SMTP (RFC 5321): commands, replies and extensions, and the state machines.
//!
//! | module | contents |
//! |---|---|
//! | [`command`], [`parameter`], [`dsn`] | commands and their parameters |
//! | [`reply`], [`extension`] | replies, and the extensions in the reply to EHLO |
//! | [`limits`] | size limits and timeouts |
//! | [`server`], [`client`] | the state machines |

pub mod client;
pub mod command;
pub mod dsn;
pub mod extension;
pub mod limits;
pub mod parameter;
pub mod reply;
pub mod server;
