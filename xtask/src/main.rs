//! The project's only scripts, run as `cargo xtask VERB`.
//!
//! One file a verb: `setup` brings the tools that are missing, `test` runs every check, `bench` measures, `demo` starts
//! the servers on a configuration to play with. `page` builds the browser's page, `shell` is what they share.

mod bench;
mod demo;
mod page;
mod setup;
mod shell;
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
    /// Measure mail-core and the bridge, and print the results as a table beside their targets
    Bench(bench::Options),
    /// Start the servers on a demo configuration and say what to type next; Ctrl-C stops them
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Test => test::run(),
        Verb::Bench(options) => bench::run(&options),
        Verb::Demo(options) => demo::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            shell::complain(&format!("\nxtask: {sentence}"));
            ExitCode::FAILURE
        }
    }
}
