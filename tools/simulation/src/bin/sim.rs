//! `sim --seeds N` runs many seeds; `sim --seed S` runs one and prints its log. With `--outbound`, only outbound mail is simulated.

use std::fmt::Debug;
use std::process::ExitCode;

use clap::Parser;
use simulation::{Counters, Failure, Options, Success, outbound, run};

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
    /// Simulate outbound mail with misbehaving hosts, instead of the whole system
    #[arg(long)]
    outbound: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let with_log = arguments.seed.is_some();
    if arguments.outbound {
        let run = |seed| outbound::run(outbound::Options { seed, with_log, bug: None });
        run_all(&arguments, run, outbound::Counters::plus)
    } else {
        run_all(&arguments, |seed| run(&Options { seed, with_log, bug: None }), Counters::plus)
    }
}

#[expect(clippy::print_stdout, reason = "the output of the program")]
fn run_all<C: Debug + Default>(
    arguments: &Arguments,
    run: impl Fn(u64) -> Result<Success<C>, Box<Failure>>,
    plus: impl Fn(C, C) -> C,
) -> ExitCode {
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..arguments.from + arguments.seeds,
    };
    let (mut failures, mut sum) = (0, C::default());
    for seed in seeds {
        match run(seed) {
            Ok(success) => {
                print!("{}", success.log);
                sum = plus(sum, success.counters);
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
