//! SMTP (RFC 5321): commands, replies and extensions as types, and the machines on top of them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`command`], [`parameter`] | what a client says |
//! | [`reply`], [`extension`] | what a server says |
//! | [`limits`] | every size and time that the protocol bounds |
//! | [`server`] | the server's machine |

pub mod client;
pub mod command;
pub mod extension;
pub mod limits;
pub mod parameter;
pub mod reply;
pub mod server;
