//! Two hundred runs, and that the runs are what they claim to be: they repeat themselves, they are not idle, and they
//! find out every promise that is broken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use simulation::{Failure, Options, Sabotage, Success, Tally, run};

const SEEDS: u64 = 200;
/// A broken promise is found within so many runs.
const SEEDS_TO_BE_CAUGHT: u64 = 60;

fn seed(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

#[test]
fn every_promise_is_kept() {
    let next = AtomicU64::new(0);
    let work = || {
        let (mut sum, mut failures) = (Tally::default(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= SEEDS {
                return (sum, failures);
            }
            match run(&seed(number)) {
                Ok(success) => sum = sum.plus(success.tally),
                Err(failure) => failures.push(failure),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let (sum, failures) = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let add = |(sum, mut failures): (Tally, Vec<_>), (more, others): (Tally, Vec<_>)| {
            failures.extend(others);
            (sum.plus(more), failures)
        };
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((Tally::default(), Vec::new()), add)
    });
    if let Some(first) = failures.iter().min_by_key(|failure| failure.seed) {
        let log = run(&Options { with_log: true, ..seed(first.seed) });
        panic!("{} of {SEEDS} seeds failed; the first of them:\n{}", failures.len(), log.unwrap_err());
    }
    let Tally { acknowledged, unanswered, refused, removed, sessions, read, .. } = sum;
    let Tally { audits, kills, power_cuts, disk_faults, .. } = sum;
    for (count, at_least) in [
        (acknowledged, 2_000),
        (unanswered, 200),
        (refused, 100),
        (removed, 1_000),
        (sessions, 500),
        (read, 5_000),
        (audits, 400),
        (kills, 40),
        (power_cuts, 100),
        (disk_faults, 100),
    ] {
        assert!(count >= at_least, "an idle simulation shows nothing: {sum:?}");
    }
}

#[test]
fn a_seed_does_the_same_again() {
    for number in [1, 7, 42] {
        let options = Options { with_log: true, ..seed(number) };
        let Success { log, tally } = run(&options).unwrap();
        assert!(log.lines().count() > 50, "{log}");
        let again = run(&options).unwrap();
        assert!(again == Success { log, tally }, "seed {number} did something else");
        assert_ne!(run(&Options { with_log: true, ..seed(number + 1) }).unwrap().log, again.log);
    }
}

fn caught(sabotage: Sabotage) -> Box<Failure> {
    let runs =
        (0..SEEDS_TO_BE_CAUGHT).map(|number| run(&Options { sabotage: Some(sabotage), ..seed(number) }));
    let mut failures = runs.filter_map(Result::err);
    failures.next().unwrap_or_else(|| panic!("{sabotage:?} went unnoticed for {SEEDS_TO_BE_CAUGHT} runs"))
}

#[test]
fn every_broken_promise_is_found_out() {
    for (sabotage, complaint) in [
        (Sabotage::LyingDisk, "is lost"),
        (Sabotage::HastyAnswer, "is lost"),
        (Sabotage::TwoCopies, "is there twice"),
        (Sabotage::NoRemoval, "has come back"),
        (Sabotage::OneMore, "is lost"),
        (Sabotage::WrongOctets, "STAT says"),
        (Sabotage::ReusedIds, "the unique-id"),
        (Sabotage::ShortMessage, "is not what was sent"),
    ] {
        let failure = caught(sabotage);
        assert!(failure.what.contains(complaint), "{sabotage:?} was taken for something else: {failure}");
        let again = run(&Options { sabotage: Some(sabotage), ..seed(failure.seed) });
        assert_eq!(again.unwrap_err(), failure, "{sabotage:?} is found again");
    }
}
