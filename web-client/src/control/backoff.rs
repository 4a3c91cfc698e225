//! Exponential backoff for failed sessions: 1 s, 2 s, 4 s and so on, up to a minute.

use mail_core::time::Duration;

const SECONDS_MAX: u64 = 60;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The delay after another failure.
    pub(super) fn next(&mut self) -> Duration {
        let seconds =
            1_u64.checked_shl(self.failures).map_or(SECONDS_MAX, |seconds| seconds.min(SECONDS_MAX));
        self.failures = (self.failures + 1).min(16);
        Duration::from_secs(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn backoff_doubles_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let delays: Vec<_> = (0..9).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        (0..100).for_each(|_| assert!(backoff.next().as_secs() <= SECONDS_MAX));
    }
}
