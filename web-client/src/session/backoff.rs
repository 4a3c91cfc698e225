//! How long to wait before the next attempt: 1, 2, 4 seconds and so on, to a minute.

use mail_core::time::Duration;

const SECONDS_MAX: u64 = 60;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
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
    fn it_doubles_to_a_minute() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..9).map(|_| backoff.next().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        (0..100).for_each(|_| assert!(backoff.next().as_secs() <= SECONDS_MAX));
    }
}
