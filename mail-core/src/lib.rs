//! The core of Pennypost: mail formats, validation, protocol codecs and state machines.
//!
//! Every rule of a format or a protocol is written here, once; the servers, the terminal client and the
//! browser client all run this code, natively and as WebAssembly.
//!
//! | module | what it holds |
//! |---|---|
//! | [`machine`] | the one grammar of all four state machines |
//! | [`session`] | the policy beside a server machine |
//! | [`mod@line`], [`dot`] | framing: command lines, line ends, dot-stuffing |
//! | [`smtp`], [`pop3`] | commands, replies and the server and client machines |
//! | [`sasl`] | the PLAIN and LOGIN exchanges |
//! | [`proxy`] | the PROXY protocol header, with which a bridge passes on whose connection it is |
//! | [`network`] | the network that a client's address is counted under |
//! | [`message`] | addresses, header fields, dates, drafts, MIME in and out |
//! | [`mailbox`] | the MyMailBox.txt record format |
//! | [`users`] | the User.txt line format |
//!
//! What is deliberately absent: I/O, threads, clocks, randomness, the environment. Time comes in as an
//! argument; bytes come in and go out through buffers; whoever calls brings the sockets and the files.

#![warn(missing_docs)]

pub mod dot;
mod flight;
pub mod line;
pub mod machine;
pub mod mailbox;
pub mod message;
pub mod network;
pub mod pop3;
pub mod proxy;
pub mod sasl;
pub mod secret;
pub mod session;
pub mod smtp;
pub mod time;
pub mod users;
