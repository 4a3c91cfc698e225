//! Outbound mail with hosts that misbehave: random runs, and a power failure at every change of the disk. Verifies the simulation
//! itself: runs are deterministic, they exercise all faults, and they detect every injected bug.

use std::time::Duration;

use mail_store::disk::sim::Survival;
use simulation::outbound::{BEHAVIOURS, Counters, InjectedBug, Options, crash, dead_host, run};
use simulation::{Failure, Success};

const SEEDS: u64 = 24;
/// Number of seeds within which every injected bug must be detected.
const SEEDS_TO_DETECT_BUG: u64 = 24;
const SURVIVALS: [Survival; 3] = [Survival::Nothing, Survival::Everything, Survival::Some(7)];
/// Not a multiple of the number of survivals.
const SHORT_STEP: usize = 16 * SURVIVALS.len() + 1;
/// A power failure after this many changes does not come.
const NEVER: u64 = 1 << 40;

fn seed(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

/// Whether the long form of the tests is wanted.
fn is_long() -> bool {
    std::env::var_os("PENNYPOST_LONG").is_some()
}

#[test]
fn seeds_run_without_violation() {
    let mut sum = Counters::default();
    for number in 0..if is_long() { 10 * SEEDS } else { SEEDS } {
        match run(seed(number)) {
            Ok(success) => sum = sum.plus(success.counters),
            Err(_) => panic!("{}", run(Options { with_log: true, ..seed(number) }).unwrap_err()),
        }
    }
    let Counters { accepted, refused, copies, returned, delays, lost_answers, repeated, .. } = sum;
    let Counters { misbehaviours, kills, power_cuts, shutdowns, disk_faults, clock_changes, .. } = sum;
    for (count, min) in [
        (accepted, 700),
        (refused, 10),
        (copies, 300),
        (returned, 200),
        (delays, 100),
        (lost_answers, 10),
        (repeated, 5),
        (misbehaviours, 200),
        (kills, 24),
        (power_cuts, 24),
        (shutdowns, 24),
        (disk_faults, 24),
        (clock_changes, 24),
    ] {
        assert!(count >= min, "the runs exercise too little: {sum:?}");
    }
}

#[test]
fn same_seed_repeats_the_same_events() {
    for number in [1, 7, 42] {
        let options = Options { with_log: true, ..seed(number) };
        let Success { log, counters } = run(options).unwrap();
        assert!(log.lines().count() > 50, "{log}");
        let repeated = run(options).unwrap();
        assert_eq!(repeated.counters, counters);
        let difference = log.lines().zip(repeated.log.lines()).find(|(first, second)| first != second);
        assert_eq!(difference, None, "seed {number} is not deterministic");
        assert_eq!(repeated.log.len(), log.len());
    }
}

fn first_failure(bug: InjectedBug) -> Box<Failure> {
    let runs = (0..SEEDS_TO_DETECT_BUG).map(|number| run(Options { bug: Some(bug), ..seed(number) }));
    let mut failures = runs.filter_map(Result::err);
    failures.next().unwrap_or_else(|| panic!("{bug:?} was not detected in {SEEDS_TO_DETECT_BUG} runs"))
}

#[test]
fn injected_bugs_are_detected() {
    for (bug, violation) in [
        (InjectedBug::IgnoredSyncs, "is lost"),
        (InjectedBug::ForgottenResults, "too many copies or reports"),
        (InjectedBug::LostReports, "is lost"),
        (InjectedBug::NoLock, "a second process"),
    ] {
        let failure = first_failure(bug);
        assert!(failure.violation.contains(violation), "{bug:?} caused another violation: {failure}");
        let repeated = run(Options { bug: Some(bug), ..seed(failure.seed) });
        assert_eq!(repeated.unwrap_err(), failure, "{bug:?} is detected again");
    }
}

/// The short form takes some of the changes, and another survival each time.
#[test]
fn power_failure_at_every_change_loses_and_repeats_nothing() {
    for behaviour in BEHAVIOURS {
        let changes = crash(behaviour, NEVER, Survival::Nothing);
        let changes = changes.unwrap_or_else(|violation| panic!("{behaviour:?}: {violation}"));
        assert!(changes > 100, "{behaviour:?}: {changes}");
        let crashes = (0..=changes).flat_map(|change| SURVIVALS.map(|survival| (change, survival)));
        for (change, survival) in crashes.step_by(if is_long() { 1 } else { SHORT_STEP }) {
            let outcome = crash(behaviour, change, survival);
            outcome.unwrap_or_else(|violation| {
                panic!("{behaviour:?}, power gone after {change} changes, {survival:?}: {violation}")
            });
        }
    }
}

#[test]
fn dead_host_with_ten_thousand_messages_delays_no_live_host() {
    let time = dead_host(10_000).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(time < Duration::from_secs(5), "{time:?}");
}
