//! The server's side of POP3, as a machine that asks its policy and otherwise knows the protocol.
//!
//! | file | what it holds |
//! |---|---|
//! | `state.rs` | every transition: what a command does where, what an answer leads to |
//! | `connection.rs` | [`Server`]: lines in, replies out, the timer, the count of mistakes |
//! | [`replies`] | every reply in words |

mod connection;
pub mod replies;
mod state;

pub use connection::{Config, Server};
pub use state::{Event, Lookup};
