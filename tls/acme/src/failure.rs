//! Failed attempts, and the delays after them.

use std::fmt::{self, Display};
use std::time::Duration;

use instant_acme::{Error, Problem};
use mail_core::message::printable::Excerpt;

use crate::https::HttpError;

/// The first delay after a failure of the network, which a directory does not count. At boot it often works seconds later.
const UNREACHABLE_DELAY_MIN: Duration = Duration::from_secs(5);
/// The first delay after any other failure. Let's Encrypt accepts five failed authorizations of a name in an hour.
const DELAY_MIN: Duration = Duration::from_secs(5 * 60);
const DELAY_MAX: Duration = Duration::from_hours(6);
/// The longest delay that a directory can request.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// Why an attempt failed, in words that name the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    reason: String,
    is_unreachable: bool,
}

impl Failure {
    /// A failure of this host.
    pub(crate) fn local(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_unreachable: false }
    }

    pub(crate) fn timed_out() -> Self {
        Self::local("the directory issued no certificate within 10 minutes; see its status page")
    }

    /// The directory has refused the authorization of a name.
    pub(crate) fn unverified(name: &str, problem: Option<&Problem>) -> Self {
        let detail = problem.and_then(|problem| problem.detail.as_deref()).unwrap_or("no reason given");
        Self::local(format!(
            "the directory could not verify {name} ({}); forward TCP port 443 of {name} to the listener of [web]",
            Excerpt(detail)
        ))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Other(source) if source.is::<HttpError>() => Self {
                reason: format!(
                    "{source}; check the network, the DNS, and `directory` and `ca` of `acme` in [tls]"
                ),
                is_unreachable: true,
            },
            Error::Api(problem) => Self::local(format!(
                "the directory refused ({}); correct `hostname`, `names` in [web] or `acme` in [tls]",
                Excerpt(&problem.to_string())
            )),
            _ => Self::local(format!(
                "unexpected answer ({}); check that `directory` of `acme` in [tls] is an ACME directory",
                Excerpt(&error.to_string())
            )),
        }
    }
}

/// Counts failures of the same kind in a row.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    is_unreachable: bool,
    count: u32,
}

impl Backoff {
    /// The delay after another failure: twice the previous one, and at least what the directory has requested. A random tenth is added,
    /// so that many hosts do not return at once.
    pub(crate) fn next_delay(&mut self, failure: &Failure, retry_after: Option<Duration>) -> Duration {
        if self.is_unreachable != failure.is_unreachable {
            *self = Self { is_unreachable: failure.is_unreachable, count: 0 };
        }
        let first = if failure.is_unreachable { UNREACHABLE_DELAY_MIN } else { DELAY_MIN };
        let delay = first.saturating_mul(1 << self.count.min(16)).min(DELAY_MAX);
        self.count = self.count.saturating_add(1);
        let delay = delay.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX));
        let mut random = [0];
        // Without entropy, the delay is not extended.
        let _ = getrandom::fill(&mut random);
        delay + delay / 10 * u32::from(random[0]) / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_delay(actual: Duration, expected: Duration) {
        assert!((expected..=expected * 11 / 10).contains(&actual), "{actual:?}, expected {expected:?}");
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        let refused = Failure::local("refused");
        let mut backoff = Backoff::default();
        for minutes in [5, 10, 20, 40, 80, 160, 320, 360, 360] {
            assert_delay(backoff.next_delay(&refused, None), Duration::from_secs(minutes * 60));
        }
        for _ in 0..100 {
            backoff.next_delay(&refused, None);
        }
        assert_delay(backoff.next_delay(&refused, None), DELAY_MAX);
    }

    #[test]
    fn delay_after_a_network_failure_is_short_and_counted_separately() {
        let refused = Failure::local("refused");
        let unreachable = Failure { is_unreachable: true, ..refused.clone() };
        let mut backoff = Backoff::default();
        for seconds in [5, 10, 20] {
            assert_delay(backoff.next_delay(&unreachable, None), Duration::from_secs(seconds));
        }
        assert_delay(backoff.next_delay(&refused, None), DELAY_MIN);
        assert_delay(backoff.next_delay(&unreachable, None), UNREACHABLE_DELAY_MIN);
    }

    #[test]
    fn directory_extends_the_delay_by_up_to_a_day() {
        let refused = Failure::local("refused");
        let mut backoff = Backoff::default();
        for (asked, expected) in
            [(1, DELAY_MIN), (36_000, Duration::from_hours(10)), (u64::MAX, RETRY_AFTER_MAX)]
        {
            let mut first = Backoff::default();
            assert_delay(first.next_delay(&refused, Some(Duration::from_secs(asked))), expected);
        }
        assert_delay(backoff.next_delay(&refused, None), DELAY_MIN);
    }

    #[test]
    fn text_of_the_directory_is_escaped_and_bounded() {
        let problem = Problem {
            r#type: None,
            detail: Some(format!("\u{1b}[31m\n{}", "x".repeat(10_000))),
            status: None,
            subproblems: Vec::new(),
        };
        for failure in
            [Failure::unverified("iit.edu", Some(&problem)), Failure::from(Error::Api(problem.clone()))]
        {
            let sentence = failure.to_string();
            assert!(sentence.len() < 600 && !sentence.contains(['\u{1b}', '\n']), "{sentence}");
        }
    }
}
