//! The POP3 server state machine. The policy above it answers its [`Event`]s.
//!
//! | file | contents |
//! |---|---|
//! | `state.rs` | the transitions for commands and answers |
//! | `connection.rs` | [`Server`]: framing, replies, the inactivity timeout and error counts |
//! | [`replies`] | all reply texts |

mod connection;
pub mod replies;
mod state;

pub use connection::{Config, Server};
pub use state::{Event, Lookup};
