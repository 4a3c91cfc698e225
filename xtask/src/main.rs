//! The project's only scripts, run as `cargo xtask VERB`.
//!
//! One file a verb: `setup` brings the tools that are missing, `test` runs every check, `bench` measures, `sim` lets
//! everything fail on virtual time, `fuzz` lets a fuzzer try the parsers and the machines, `demo` starts the servers on a
//! configuration to play with, `release` builds the one file to take away. `page` builds the browser's page, `shell` is
//! what they share.

mod bench;
mod demo;
mod fuzz;
mod page;
mod release;
mod setup;
mod shell;
mod sim;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set up, test, measure and try out Pennypost")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what the tests need and this machine lacks; does nothing the second time
    Setup,
    /// Set up what is missing, then run every check and every test
    Test,
    /// Measure mail-core beside its targets, the bridge, and the page in a browser; with --peers the servers beside others
    Bench(bench::Options),
    /// Let the fuzzer try every parser and every machine
    Fuzz(fuzz::Options),
    /// Run the simulation on virtual time for many seeds, or one seed with the log of its events
    Sim(sim::Options),
    /// Start the servers on a demo configuration and say what to type next; Ctrl-C stops them
    Demo(demo::Options),
    /// Build target/release/pennypost with the page inside: the one file of a whole mail system
    Release,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Test => test::run(),
        Verb::Bench(options) => bench::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Sim(options) => sim::run(&options),
        Verb::Demo(options) => demo::run(&options),
        Verb::Release => release::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            shell::complain(&format!("\nxtask: {sentence}"));
            ExitCode::FAILURE
        }
    }
}
