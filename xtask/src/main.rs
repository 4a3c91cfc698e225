//! The project's scripts, run as `cargo xtask COMMAND`; one module per command.

mod bench;
mod demo;
mod fuzz;
mod release;
mod sim;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{page, setup, shell};

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about = "Set up, test, measure and try out Pennypost")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the servers with demo accounts and print how to use them; Ctrl-C stops them
    Demo(demo::Options),
    /// Install missing tools, then run all checks and tests
    Test,
    /// Install the tools that `test` needs and this machine lacks
    Setup,
    /// Run the benchmarks; with --peers, compare the servers with Postfix and Dovecot
    #[command(disable_help_flag = true)]
    Bench(bench::Options),
    /// Run the simulation for many seeds, or for one seed with its event log
    Sim(sim::Options),
    /// Fuzz the parsers and protocol state machines
    Fuzz(fuzz::Options),
    /// Build the page into dist/
    Page,
    /// Build target/release/pennypost, a single file that includes the page
    Release,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test => test::run(),
        Command::Setup => setup::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Page => page::refresh(),
        Command::Release => release::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::eprint(&format!("\nxtask: {error}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn bench_passes_its_options_on() {
        let words = ["xtask", "bench", "--peers", "--rounds", "2", "--help"];
        let arguments = Arguments::try_parse_from(words).expect("all options belong to the benchmarks");
        let Command::Bench(options) = arguments.command else { panic!("another command") };
        assert_eq!(options.arguments, words[2..].iter().map(OsString::from).collect::<Vec<_>>());
    }
}
