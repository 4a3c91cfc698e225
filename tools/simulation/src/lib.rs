//! Simulates the mail system in one thread on virtual time: the state machines of clients and servers, the production
//! policy and the text store, with a network and a disk that fail as a seed determines.
//!
//! | file | contents |
//! |---|---|
//! | `executor.rs` | tasks, virtual clock, deferred blocking work |
//! | `network.rs` | connections that split, delay, break or drop data |
//! | `identity.rs` | accounts, clock and ids of the servers |
//! | `checked_store.rs` | the text store, with checks and injected bugs |
//! | `model.rs`, `mail.rs` | expected mailboxes and messages |
//! | `world.rs` | state that outlives processes |
//! | `server.rs`, `processes.rs` | sessions and server processes |
//! | `client.rs`, `smtp_client.rs`, `pop3_client.rs` | clients |
//! | `audit.rs` | verifies all mailboxes on disk |
//! | `faults.rs`, `scenario.rs` | faults, and the course of a run |
//! | [`outbound`] | the outbound queue and its agent, with other hosts that misbehave: runs of their own |
//!
//! A run with the same [`Options`] repeats the same events. It verifies that an acknowledged message is present exactly
//! once for each recipient, that only QUIT removes messages, that removed messages stay removed, that unique-ids are
//! unique and stable, that sizes and contents are right, and that everything works once faults end.
//!
//! TLS and the listeners are not simulated; they have tests over sockets.

mod audit;
mod checked_store;
mod client;
mod executor;
mod faults;
mod identity;
mod mail;
mod model;
mod network;
pub mod outbound;
mod pop3_client;
mod processes;
mod random;
mod scenario;
mod server;
mod smtp_client;
mod world;

use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use checked_store::InjectedBug;
pub use model::Counters;
use world::World;

/// Options of a run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Determines all events.
    pub seed: u64,
    /// Whether events are logged.
    pub with_log: bool,
    /// A bug that the run must detect.
    pub bug: Option<InjectedBug>,
}

/// A run without violations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success<C> {
    /// Numbers of events.
    pub counters: C,
    /// The log, empty without [`Options::with_log`].
    pub log: String,
}

/// A run with a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Seed of the run.
    pub seed: u64,
    /// The violated guarantee.
    pub violation: String,
    /// The log, empty without [`Options::with_log`].
    pub log: String,
    /// Option of `cargo xtask sim` for this kind of run, with a space after it; empty for the whole system.
    option: &'static str,
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { seed, violation, log, option } = self;
        write!(f, "{log}seed {seed}: {violation}\nto reproduce: cargo xtask sim {option}--seed {seed}")
    }
}

/// Runs one seed.
///
/// # Errors
/// A guarantee was violated, or the code under test panicked.
pub fn run(options: &Options) -> Result<Success<Counters>, Box<Failure>> {
    let world = World::new(options.seed, options.with_log, options.bug);
    let outcome = catch_unwind(AssertUnwindSafe(|| scenario::run(&world)));
    let violation = match outcome {
        Ok(()) => world.first_violation(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown panic");
            Some(format!("panic: {text}"))
        }
    };
    let log = world.take_log();
    match violation {
        Some(violation) => Err(Box::new(Failure { seed: options.seed, violation, log, option: "" })),
        None => Ok(Success { counters: world.model().counters, log }),
    }
}
