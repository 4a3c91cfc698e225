//! Deterministic pseudo-random numbers: splitmix64.

use std::ops::RangeInclusive;
use std::time::Duration;

use mail_service::faults::{SPLITMIX64_GAMMA, splitmix64};

#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(SPLITMIX64_GAMMA);
        splitmix64(self.0)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("below a usize")
    }

    pub(crate) fn between(&mut self, range: RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// True with a probability of `percent` in a hundred.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    pub(crate) fn milliseconds(&mut self, range: RangeInclusive<usize>) -> Duration {
        Duration::from_millis(self.between(range) as u64)
    }

    pub(crate) fn seconds(&mut self, range: RangeInclusive<usize>) -> Duration {
        self.milliseconds(range.start() * 1_000..=range.end() * 1_000)
    }
}
