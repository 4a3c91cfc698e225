//! `cargo xtask sim`: the simulation for more seeds than the tests take, or one seed again.

use clap::Args;

use xtask::shell::{self, Result, cargo};

#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds to run
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this one alone, with the log of its events
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result {
    let mut command = cargo();
    command.args("run --quiet --release -p simulation --bin sim --".split(' '));
    match options.seed {
        Some(seed) => command.args(["--seed", &seed.to_string()]),
        None => command.args(["--seeds", &options.seeds.to_string(), "--from", &options.from.to_string()]),
    };
    shell::run(&mut command)
}
