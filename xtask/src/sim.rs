//! `cargo xtask sim`: runs the simulation for more seeds than the tests do, or repeats one seed.

use clap::Args;
use xtask::shell::{self, Result, cargo};

#[derive(Args)]
pub(crate) struct Options {
    /// Number of seeds to run
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only this seed and print its event log
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Simulate outbound mail with misbehaving hosts, instead of the whole system
    #[arg(long)]
    outbound: bool,
}

pub(crate) fn run(options: &Options) -> Result {
    let mut command = cargo();
    command.args("run --quiet --release -p simulation --bin sim --".split(' '));
    if options.outbound {
        command.arg("--outbound");
    }
    match options.seed {
        Some(seed) => command.args(["--seed", &seed.to_string()]),
        None => command.args(["--seeds", &options.seeds.to_string(), "--from", &options.from.to_string()]),
    };
    shell::run(&mut command)
}
