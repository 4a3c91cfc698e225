//! `[auth]`: cost of password checks, and limits on failed logins.

use std::ops::RangeInclusive;

use serde::Deserialize;

use crate::{ByteSize, InvalidValue};

/// `[auth]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Accept passwords on unencrypted connections from other hosts.
    pub plain_text: bool,
    /// Memory of one Argon2id hash, 1 MiB to 1 GiB.
    pub hash_memory: ByteSize,
    /// Target time of one hash, 1 to 10 000. The number of passes is calibrated when the first hash is made.
    pub hash_milliseconds: u64,
    /// Lifetime of a cached successful password check, at most a day; 0 disables the cache.
    pub cache_seconds: u64,
    /// Failed logins per hour and IPv4 address or IPv6 /64 network before further logins are refused.
    pub failures_per_address: u32,
    /// Failed logins per hour and account before logins are refused, except from addresses that logged in successfully.
    pub failures_per_account: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            plain_text: false,
            hash_memory: ByteSize::mebibytes(19),
            hash_milliseconds: 50,
            cache_seconds: 5 * 60,
            failures_per_address: 20,
            failures_per_account: 100,
        }
    }
}

const FAILURES: RangeInclusive<u32> = 1..=1_000_000;

impl Auth {
    pub(crate) fn validate(&self) -> Result<(), InvalidValue> {
        const FAILURES_REASON: &str = "must be between 1 and 1000000";
        let require = |valid, key, reason| InvalidValue::require(valid, "[auth]", key, reason);
        require(
            (1 << 20..=1 << 30).contains(&self.hash_memory.get()),
            "hash_memory",
            "must be between 1 MiB and 1 GiB",
        )?;
        require(
            (1..=10_000).contains(&self.hash_milliseconds),
            "hash_milliseconds",
            "must be between 1 and 10000",
        )?;
        require(self.cache_seconds <= 86_400, "cache_seconds", "must be at most 86400 (a day)")?;
        require(FAILURES.contains(&self.failures_per_address), "failures_per_address", FAILURES_REASON)?;
        require(FAILURES.contains(&self.failures_per_account), "failures_per_account", FAILURES_REASON)
    }
}
