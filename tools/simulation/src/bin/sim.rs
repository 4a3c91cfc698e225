//! `sim --seeds N` runs many seeds; `sim --seed S` runs one and prints its log.

use std::process::ExitCode;

use clap::Parser;
use simulation::{Counters, Options, run};

#[derive(Parser)]
struct Arguments {
    /// Number of seeds to run
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only this seed and print its log
    #[arg(long)]
    seed: Option<u64>,
}

#[expect(clippy::print_stdout, reason = "the output of the program")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let with_log = arguments.seed.is_some();
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let (mut failures, mut sum) = (0, Counters::default());
    for seed in seeds {
        match run(&Options { seed, with_log, bug: None }) {
            Ok(success) => {
                print!("{}", success.log);
                sum = sum.plus(success.counters);
            }
            Err(failure) => {
                println!("{failure}");
                failures += 1;
            }
        }
    }
    println!("{sum:#?}");
    if failures > 0 {
        println!("{failures} seeds failed");
        return ExitCode::FAILURE;
    }
    println!("no violations");
    ExitCode::SUCCESS
}
