//! The positions of a snapshot's messages, as far as they are known. A message's number counts the messages before it;
//! its position has gaps where messages were removed.

use std::collections::BTreeMap;

/// Beyond this, the gaps of a badly fragmented maildrop are looked up again.
const RUNS_MAX: usize = 10_000;

/// Runs of messages with consecutive numbers and positions, by the number of the first.
#[derive(Debug, Default)]
pub(crate) struct Positions(BTreeMap<u64, Run>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    position: i64,
    length: u64,
}

impl Positions {
    /// Remembers the positions of messages from `number` on.
    pub(crate) fn insert(&mut self, number: u64, positions: impl IntoIterator<Item = i64>) {
        if self.0.len() > RUNS_MAX {
            self.0.clear();
        }
        for (number, position) in (number..).zip(positions) {
            match self.0.range_mut(..=number).next_back() {
                Some((first, run)) if *first + run.length > number => {}
                Some((first, run))
                    if *first + run.length == number
                        && run.position.checked_add_unsigned(run.length) == Some(position) =>
                {
                    run.length += 1;
                }
                _ => {
                    self.0.insert(number, Run { position, length: 1 });
                }
            }
        }
    }

    /// The position of a message.
    pub(crate) fn find(&self, number: u64) -> Option<i64> {
        let (first, run) = self.0.range(..=number).next_back()?;
        let within = number - first;
        (within < run.length).then(|| run.position.saturating_add_unsigned(within))
    }

    /// A position from which the message is the `skip`-th: the end of the nearest run before it, or the first position.
    pub(crate) fn nearest(&self, number: u64) -> (i64, u64) {
        match self.0.range(..=number).next_back() {
            Some((first, run)) if number < first + run.length => {
                (run.position.saturating_add_unsigned(number - first), 0)
            }
            Some((first, run)) => {
                (run.position.saturating_add_unsigned(run.length), number - first - run.length)
            }
            None => (0, number.saturating_sub(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_and_gaps_are_located() {
        let mut positions = Positions::default();
        assert_eq!(positions.nearest(5), (0, 4));
        // The messages at 12 and 13 were removed.
        positions.insert(1, [10, 11, 14, 15]);
        assert_eq!(
            [1, 2, 3, 4, 5].map(|number| positions.find(number)),
            [Some(10), Some(11), Some(14), Some(15), None]
        );
        assert_eq!(positions.0.len(), 2);
        assert_eq!(
            (positions.nearest(2), positions.nearest(3), positions.nearest(9)),
            ((11, 0), (14, 0), (16, 4))
        );
        positions.insert(4, [15, 16]);
        assert_eq!((positions.find(5), positions.0.len()), (Some(16), 2));
        positions.insert(9, [30]);
        assert_eq!((positions.find(9), positions.find(8), positions.nearest(8)), (Some(30), None, (17, 2)));
    }

    #[test]
    fn fragmented_maildrop_takes_bounded_memory() {
        let mut positions = Positions::default();
        for number in 1..100_000 {
            positions.insert(number, [i64::try_from(number).expect("small") * 2]);
            assert!(positions.0.len() <= RUNS_MAX + 1);
            assert_eq!(positions.find(number), i64::try_from(number * 2).ok());
        }
    }
}
