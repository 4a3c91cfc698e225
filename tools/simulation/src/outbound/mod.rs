//! Simulates mail to other hosts: the production queue and delivery agent on tokio's stopped clock, with a disk, a wall clock and mail
//! servers that fail as a seed determines.
//!
//! | file | contents |
//! |---|---|
//! | `world.rs` | state that outlives processes: mail servers, expected results, log, violations |
//! | `model.rs` | expected results of each recipient |
//! | `hosts.rs` | the other hosts' mail servers |
//! | `process.rs` | a process: queue, agent, and the mailboxes that receive reports |
//! | `scenario.rs` | a random run |
//! | `crash.rs` | a run with one fault at a given change of the disk |
//!
//! A run verifies that each recipient of an accepted message is delivered at least once or returned once, and again only if an answer
//! was lost on the network or its record on the disk; that messages arrive unchanged; that nothing is returned without a reason; that
//! hosts which misbehave delay no mail to others; and that the queue is empty in the end.
//!
//! DNS and TLS are not simulated; they have tests over sockets.

mod crash;
mod hosts;
mod model;
mod process;
mod scenario;
mod world;

pub use crash::{crash, dead_host};
pub use hosts::{BEHAVIOURS, Behaviour};
pub use model::Counters;
pub use process::InjectedBug;

use crate::{Failure, Success};
use world::World;

/// Options of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Determines all events.
    pub seed: u64,
    /// Whether events are logged.
    pub with_log: bool,
    /// A bug that the run must detect.
    pub bug: Option<InjectedBug>,
}

/// Runs one seed.
///
/// # Errors
/// A guarantee was violated.
pub fn run(options: Options) -> Result<Success<Counters>, Box<Failure>> {
    let world = World::new(options.seed, options.with_log, options.bug);
    on_stopped_clock(scenario::run(world.clone()));
    let (violation, counters, log) = world.finish();
    match violation {
        Some(violation) => {
            Err(Box::new(Failure { seed: options.seed, violation, log, option: "--outbound " }))
        }
        None => Ok(Success { counters, log }),
    }
}

/// Runs tasks in this thread. If none can continue, the clock jumps to the next timer.
fn on_stopped_clock<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O needs no resources").block_on(future)
}
