//! The core of Pennypost: mail formats, validation, protocol codecs and state machines.
//!
//! The servers, the terminal client and the browser client share this crate, natively and as WebAssembly.
//!
//! | module | contents |
//! |---|---|
//! | [`machine`] | the interface of the four state machines, and `pump`, the driver step |
//! | [`mod@line`], [`dot`] | framing: command lines, line ends, dot-stuffing |
//! | [`smtp`], [`pop3`] | commands, replies, and the server and client state machines |
//! | [`sasl`] | the PLAIN and LOGIN exchanges |
//! | [`session`] | the interface of the policy beside a server state machine |
//! | [`proxy`] | the PROXY protocol version 2 header |
//! | [`network`] | the network by which a client's address is counted |
//! | [`message`] | addresses, header fields, dates, drafts, MIME |
//! | [`mailbox`] | the record format of MyMailBox.txt |
//! | [`users`], [`aliases`] | the line formats of User.txt and Aliases.txt |
//! | [`queue`] | the files of the outbound queue |
//! | [`mta_sts`] | MTA-STS records and policies |
//!
//! Absent on purpose: I/O, threads, clocks, randomness and the environment. Time is an argument, bytes pass through
//! buffers, and callers own sockets and files.

#![warn(missing_docs)]

pub mod aliases;
pub mod dot;
pub mod line;
pub mod machine;
pub mod mailbox;
pub mod message;
pub mod mta_sts;
pub mod network;
mod pipeline;
pub mod pop3;
pub mod proxy;
pub mod queue;
pub mod sasl;
pub mod secret;
pub mod session;
pub mod smtp;
pub mod time;
pub mod users;
