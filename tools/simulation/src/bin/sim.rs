//! `sim --seeds N` runs many seeds; `sim --seed S` one, and tells what happens in it.

use std::process::ExitCode;

use clap::Parser;
use simulation::{Options, Tally, run};

#[derive(Parser)]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this one alone, with the log of its events
    #[arg(long)]
    seed: Option<u64>,
}

#[expect(clippy::print_stdout, reason = "this is the program's one output place")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let with_log = arguments.seed.is_some();
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let (mut failures, mut sum) = (0, Tally::default());
    for seed in seeds {
        match run(&Options { seed, with_log, sabotage: None }) {
            Ok(success) => {
                print!("{}", success.log);
                sum = sum.plus(success.tally);
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
    println!("every promise was kept");
    ExitCode::SUCCESS
}
