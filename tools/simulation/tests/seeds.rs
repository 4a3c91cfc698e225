//! Runs 200 seeds, and verifies the simulation itself: runs are deterministic, they exercise all faults, and they detect
//! every injected bug.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use simulation::{Counters, Failure, InjectedBug, Options, Success, run};

const SEEDS: u64 = 200;
/// Number of seeds within which every injected bug must be detected.
const SEEDS_TO_DETECT_BUG: u64 = 60;

fn seed(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

#[test]
fn seeds_run_without_violation() {
    let next = AtomicU64::new(0);
    let work = || {
        let (mut sum, mut failures) = (Counters::default(), Vec::new());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= SEEDS {
                return (sum, failures);
            }
            match run(&seed(number)) {
                Ok(success) => sum = sum.plus(success.counters),
                Err(failure) => failures.push(failure),
            }
        }
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let (sum, failures) = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let add = |(sum, mut failures): (Counters, Vec<_>), (more, others): (Counters, Vec<_>)| {
            failures.extend(others);
            (sum.plus(more), failures)
        };
        threads.into_iter().map(|thread| thread.join().unwrap()).fold((Counters::default(), Vec::new()), add)
    });
    if let Some(first) = failures.iter().min_by_key(|failure| failure.seed) {
        let log = run(&Options { with_log: true, ..seed(first.seed) });
        panic!("{} of {SEEDS} seeds failed; the first:\n{}", failures.len(), log.unwrap_err());
    }
    let Counters { acknowledged, unanswered, refused, removed, sessions, read, .. } = sum;
    let Counters { audits, kills, power_cuts, disk_faults, .. } = sum;
    for (count, min) in [
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
        assert!(count >= min, "the runs exercise too little: {sum:?}");
    }
}

#[test]
fn same_seed_repeats_the_same_events() {
    for number in [1, 7, 42] {
        let options = Options { with_log: true, ..seed(number) };
        let Success { log, counters } = run(&options).unwrap();
        assert!(log.lines().count() > 50, "{log}");
        let repeated = run(&options).unwrap();
        assert!(repeated == Success { log, counters }, "seed {number} is not deterministic");
        assert_ne!(run(&Options { with_log: true, ..seed(number + 1) }).unwrap().log, repeated.log);
    }
}

fn first_failure(bug: InjectedBug) -> Box<Failure> {
    let runs = (0..SEEDS_TO_DETECT_BUG).map(|number| run(&Options { bug: Some(bug), ..seed(number) }));
    let mut failures = runs.filter_map(Result::err);
    failures.next().unwrap_or_else(|| panic!("{bug:?} was not detected in {SEEDS_TO_DETECT_BUG} runs"))
}

#[test]
fn injected_bugs_are_detected() {
    for (bug, violation) in [
        (InjectedBug::IgnoredSyncs, "is lost"),
        (InjectedBug::AcknowledgedFailure, "is lost"),
        (InjectedBug::DuplicateDelivery, "is present twice"),
        (InjectedBug::SkippedRemoval, "has reappeared"),
        (InjectedBug::ExcessRemoval, "is lost"),
        (InjectedBug::WrongOctets, "STAT returned"),
        (InjectedBug::ReusedUniqueIds, "the unique-id"),
        (InjectedBug::LostOctet, "differs from what was sent"),
    ] {
        let failure = first_failure(bug);
        assert!(failure.violation.contains(violation), "{bug:?} caused another violation: {failure}");
        let repeated = run(&Options { bug: Some(bug), ..seed(failure.seed) });
        assert_eq!(repeated.unwrap_err(), failure, "{bug:?} is detected again");
    }
}
