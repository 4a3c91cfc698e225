//! The whole system in one thread on virtual time: the clients' machines, the servers' machines, the real policy and the
//! real text store, between them a network and below them a disk that fail by a seed.
//!
//! | file | what it is |
//! |---|---|
//! | `executor.rs` | tasks, the clock, and blocking work that is done a little later |
//! | `network.rs` | connections that split, delay, break and fall silent |
//! | `server.rs`, `store.rs` | a server process; its store, watched |
//! | `smtp_client.rs`, `pop3_client.rs` | who sends and who reads |
//! | `world.rs` | the processes, the disk, and what goes wrong |
//! | `model.rs`, `audit.rs` | what must be so, and the look from outside that compares it |
//!
//! [`run`] with the same [`Options`] does the same, event for event. What is promised stands in [`Failure`]'s own words
//! where it is compared; in short: an acknowledged message is there exactly once for each of its accounts, nothing is
//! removed without a QUIT, nothing that was removed comes back, no unique-id means two messages, octets and contents
//! are right, and when nothing goes wrong any more, everything works.
//!
//! TLS is not here, nor are the listeners and limits of the real servers: they have tests over real sockets.

mod audit;
mod client;
mod executor;
mod mail;
mod model;
mod network;
mod pop3_client;
mod random;
mod scenario;
mod server;
mod smtp_client;
mod store;
mod world;

use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use model::Tally;
pub use store::Sabotage;
use world::World;

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Whether the events are written down.
    pub with_log: bool,
    /// A promise to be broken, to see that it is found out.
    pub sabotage: Option<Sabotage>,
}

/// A run in which all promises were kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// What happened, counted.
    pub tally: Tally,
    /// The events, if they were wanted.
    pub log: String,
}

/// A run in which a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// It does the same again.
    pub seed: u64,
    /// The promise.
    pub what: String,
    /// The events, if they were wanted.
    pub log: String,
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { seed, what, log } = self;
        write!(f, "{log}seed {seed}: {what}\nto see it happen: cargo xtask sim --seed {seed}")
    }
}

/// Runs one seed.
///
/// # Errors
/// A promise was broken.
pub fn run(options: &Options) -> Result<Success, Box<Failure>> {
    let world = World::new(options);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run(scenario::play(world.clone()))));
    let what = match outcome {
        Ok(()) => world.first_failure(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something");
            Some(format!("panicked: {text}"))
        }
    };
    let log = world.log();
    match what {
        Some(what) => Err(Box::new(Failure { seed: options.seed, what, log })),
        None => Ok(Success { tally: world.model().tally, log }),
    }
}
