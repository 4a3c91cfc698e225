//! `[auth]`: what a password check costs, and what guessing gets.

use serde::Deserialize;

use crate::Octets;

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Take passwords on connections from other machines that are not encrypted, too.
    pub plain_text: bool,
    /// The memory that Argon2id fills to hash a password, 1 MiB to 1 GiB.
    pub hash_memory: Octets,
    /// The time that a hash is to take, measured once when the first is made; 1 to 10 000.
    pub hash_milliseconds: u64,
    /// A password that was right is not hashed again for up to so long; 0 always hashes.
    pub cache_seconds: u64,
    /// Failed sign-ins in an hour from one address (one /64 network with IPv6) before further ones are refused.
    pub failures_per_address: u32,
    /// Failed sign-ins in an hour to one account before further ones are refused, but for those from where it signed
    /// in well.
    pub failures_per_account: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            plain_text: false,
            hash_memory: Octets::mebibytes(19),
            hash_milliseconds: 50,
            cache_seconds: 5 * 60,
            failures_per_address: 20,
            failures_per_account: 100,
        }
    }
}

/// More failures than an hour has room for.
const FAILURES_MAX: u32 = 1_000_000;

impl Auth {
    /// The key whose value cannot be, and the reason.
    pub(crate) fn nonsense(&self) -> Option<(&'static str, &'static str)> {
        const FAILURES: &str = "must be 1 or more, and 1000000 at most";
        let failures = |count: u32| !(1..=FAILURES_MAX).contains(&count);
        [
            (
                "hash_memory",
                !(1 << 20..=1 << 30).contains(&self.hash_memory.get()),
                "must be between 1 MiB and 1 GiB",
            ),
            (
                "hash_milliseconds",
                !(1..=10_000).contains(&self.hash_milliseconds),
                "must be 1 or more, and 10000 at most",
            ),
            ("cache_seconds", self.cache_seconds > 86_400, "must be 86400 (a day) at most"),
            ("failures_per_address", failures(self.failures_per_address), FAILURES),
            ("failures_per_account", failures(self.failures_per_account), FAILURES),
        ]
        .into_iter()
        .find_map(|(key, nonsense, reason)| nonsense.then_some((key, reason)))
    }
}
