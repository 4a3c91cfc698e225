//! Limits on failed logins, per address and per account, across connections and protocols.
//!
//! Each count is a leaky bucket: a failure adds one, and a full bucket drains within an hour. While a bucket is full,
//! logins are refused without verifying the password, so an attacker has at most the limit per hour, from one address or
//! against one account.
//!
//! Others cannot lock a user out: a login that has succeeded from an address has a bucket of its own there, independent of
//! other addresses and of other logins from that address. Names are counted whether the account exists or not. Memory is
//! bounded, and every operation takes constant time.
//!
//! Several nodes exchange their counts (`exchange`).
//!
//! Concurrent attempts are all admitted; the directory bounds how many passwords are verified at a time.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use blake2::{Blake2b512, Digest};
use mail_core::network::client_network;
use mail_core::time::Instant;
use mail_store::generations::GenerationalCache;

mod exchange;

use exchange::Outbox;
pub use exchange::{BucketKind, EXCHANGED_MAX, SharedBucket};

/// Time in which a full bucket drains.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// Time for which a successful login is remembered: more than a week without mail.
const KNOWN_LOGIN_LIFETIME: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// Entries of one generation. They fill a hash table of 65,536 slots, which takes 2 MiB; six tables take 12 MiB.
const ENTRIES_MAX: usize = 7 << 13;

/// Delay of the first refusal; each further failure doubles it.
const DELAY_MIN: Duration = Duration::from_millis(250);
/// The delay grows to 8 seconds; mail programs wait for a reply for a minute or more.
const DOUBLINGS_MAX: u32 = 5;

/// Failed logins per hour.
#[derive(Debug, Clone, Copy)]
pub struct ThrottleLimits {
    pub per_address: u32,
    pub per_account: u32,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitScope {
    Address,
    Account,
}

/// Counts the failed logins of a server.
#[derive(Debug)]
pub struct Throttle {
    limits: ThrottleLimits,
    /// Keyed hash of addresses and names, so that nobody can construct collisions.
    hasher: RandomState,
    /// Replaces `hasher` if nodes exchange their counts.
    secret: OnceLock<String>,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    addresses: GenerationalCache<u64, Bucket>,
    accounts: GenerationalCache<u64, Bucket>,
    /// Logins that have succeeded from an address.
    known_logins: GenerationalCache<u64, Bucket>,
    outbox: Outbox,
}

/// The buckets of one login.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// `None` for a trusted address.
    address: Option<u64>,
    account: u64,
    known_login: u64,
}

/// Result of counting a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Failures in the bucket of the address.
    pub count: u32,
    /// Set if this failure filled a bucket that had drained since it was last full.
    pub limit_reached: Option<LimitScope>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Time at which all failures have drained.
    empty_at: Instant,
    /// It was full and has not drained completely since.
    overflowed: bool,
}

impl Default for ThrottleLimits {
    fn default() -> Self {
        Self { per_address: 20, per_account: 100 }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(ThrottleLimits::default())
    }
}

/// Delay of a refusal after this many failures.
#[must_use]
pub fn delay(failures: u32) -> Duration {
    DELAY_MIN * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS_MAX))
}

impl Throttle {
    #[must_use]
    pub fn new(limits: ThrottleLimits) -> Self {
        let cache = |lifetime| GenerationalCache::new(lifetime, ENTRIES_MAX);
        let counts = Counts {
            addresses: cache(WINDOW),
            accounts: cache(WINDOW),
            known_logins: cache(KNOWN_LOGIN_LIFETIME),
            outbox: Outbox::new(),
        };
        Self { limits, hasher: RandomState::new(), secret: OnceLock::new(), counts: Mutex::new(counts) }
    }

    /// An attempt to log in as `login`, compared without case, from `address`.
    #[must_use]
    pub fn attempt(&self, address: Option<IpAddr>, is_trusted: bool, login: &str) -> Attempt {
        let network = address.map(client_network);
        let login = login.to_ascii_lowercase();
        Attempt {
            address: (!is_trusted).then(|| self.key(network)),
            account: self.key(&login),
            known_login: self.key((network, &login)),
        }
    }

    /// Checks the limits before the password is verified.
    ///
    /// # Errors
    /// A bucket is full.
    pub fn admit(&self, now: Instant, attempt: Attempt) -> Result<(), LimitScope> {
        let ThrottleLimits { per_address, per_account } = self.limits;
        let mut counts = self.counts();
        if let Some(bucket) = counts.known_logins.find(now, attempt.known_login) {
            return if bucket.is_full(now, per_address) { Err(LimitScope::Address) } else { Ok(()) };
        }
        let is_full = |counts: &mut GenerationalCache<u64, Bucket>, key, limit| {
            counts.find(now, key).is_some_and(|bucket| bucket.is_full(now, limit))
        };
        if attempt.address.is_some_and(|key| is_full(&mut counts.addresses, key, per_address)) {
            return Err(LimitScope::Address);
        }
        if is_full(&mut counts.accounts, attempt.account, per_account) {
            return Err(LimitScope::Account);
        }
        Ok(())
    }

    /// Counts a wrong password or an unknown name.
    pub fn failed(&self, now: Instant, attempt: Attempt) -> Failure {
        let ThrottleLimits { per_address, per_account } = self.limits;
        let mut counts = self.counts();
        let counts = &mut *counts;
        let is_shared = self.secret.get().is_some();
        let mut share = |kind, key, limit| {
            if is_shared {
                counts.outbox.add(kind, key, WINDOW / limit);
            }
        };
        if counts.known_logins.find(now, attempt.known_login).is_some() {
            share(BucketKind::KnownLogin, attempt.known_login, per_address);
            let (count, is_first) = fill(&mut counts.known_logins, now, attempt.known_login, per_address);
            return Failure { count, limit_reached: is_first.then_some(LimitScope::Address) };
        }
        share(BucketKind::Account, attempt.account, per_account);
        if let Some(key) = attempt.address {
            share(BucketKind::Address, key, per_address);
        }
        let (_, account_is_first) = fill(&mut counts.accounts, now, attempt.account, per_account);
        let (count, address_is_first) =
            attempt.address.map_or((0, false), |key| fill(&mut counts.addresses, now, key, per_address));
        let limit_reached = match (address_is_first, account_is_first) {
            (true, _) => Some(LimitScope::Address),
            (false, true) => Some(LimitScope::Account),
            (false, false) => None,
        };
        Failure { count, limit_reached }
    }

    /// Remembers a successful login from its address and forgets its failures there.
    pub fn succeeded(&self, now: Instant, attempt: Attempt) {
        let counts = &mut *self.counts();
        counts.known_logins.insert(now, attempt.known_login, Bucket::empty(now));
        if self.secret.get().is_some() {
            counts.outbox.announce(now, attempt.known_login);
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, value: impl Hash) -> u64 {
        match self.secret.get() {
            None => self.hasher.hash_one(value),
            Some(secret) => {
                let mut hasher = SharedHasher(Blake2b512::new().chain_update(secret));
                value.hash(&mut hasher);
                hasher.finish()
            }
        }
    }
}

/// A hash that is the same in every process with the same secret.
struct SharedHasher(Blake2b512);

impl Hasher for SharedHasher {
    fn write(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |hash, octet| hash << 8 | u64::from(*octet))
    }
}

/// Adds a failure. Returns the bucket's failures, and whether it became full for the first time since it was empty.
fn fill(counts: &mut GenerationalCache<u64, Bucket>, now: Instant, key: u64, limit: u32) -> (u32, bool) {
    let mut bucket =
        counts.find(now, key).filter(|bucket| bucket.empty_at > now).unwrap_or(Bucket::empty(now));
    bucket.empty_at += WINDOW / limit;
    let is_first = bucket.is_full(now, limit) && !bucket.overflowed;
    bucket.overflowed |= is_first;
    counts.insert(now, key, bucket);
    (bucket.count(now, limit), is_first)
}

impl Bucket {
    const fn empty(now: Instant) -> Self {
        Self { empty_at: now, overflowed: false }
    }

    fn count(self, now: Instant, limit: u32) -> u32 {
        let left = self.empty_at.saturating_duration_since(now).as_nanos();
        u32::try_from(left.div_ceil((WINDOW / limit).as_nanos())).unwrap_or(u32::MAX)
    }

    fn is_full(self, now: Instant, limit: u32) -> bool {
        self.count(now, limit) >= limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "192.0.2.1";

    fn attempt(throttle: &Throttle, address: &str, login: &str) -> Attempt {
        throttle.attempt(Some(address.parse().unwrap()), false, login)
    }

    /// Number of admitted attempts; each of them fails.
    fn guess(throttle: &Throttle, now: Instant, attempts: impl Iterator<Item = Attempt>) -> u32 {
        attempts
            .map(|attempt| match throttle.admit(now, attempt) {
                Ok(()) => {
                    throttle.failed(now, attempt);
                    1
                }
                Err(_) => 0,
            })
            .sum()
    }

    #[test]
    fn address_has_its_limit_and_then_one_guess_every_three_minutes() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let names: Vec<_> = (0..1_000).map(|n| attempt(&throttle, HOME, &format!("user{n}"))).collect();
        assert_eq!(guess(&throttle, now, names.iter().copied()), 20);
        assert_eq!(throttle.admit(now, names[0]), Err(LimitScope::Address));
        assert_eq!(guess(&throttle, now + Duration::from_secs(3 * 60), names.iter().copied()), 1);
        assert_eq!(guess(&throttle, now + WINDOW * 2, names.iter().copied()), 20);
    }

    #[test]
    fn other_and_trusted_addresses_are_not_limited() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let names = |address: &'static str, trusted| {
            (0..1_000).map(move |n| (address.parse::<IpAddr>().unwrap(), trusted, format!("user{n}")))
        };
        let of = |(address, trusted, login): (IpAddr, bool, String)| {
            throttle.attempt(Some(address), trusted, &login)
        };
        assert_eq!(guess(&throttle, now, names(HOME, false).map(of)), 20);
        assert_eq!(guess(&throttle, now, names("192.0.2.2", false).map(of)), 20);
        assert_eq!(guess(&throttle, now, names(HOME, true).map(of)), 1_000);
        assert_eq!(throttle.failed(now, throttle.attempt(Some(HOME.parse().unwrap()), true, "ag")).count, 0);
    }

    #[test]
    fn ipv6_is_counted_by_network_and_mapped_ipv4_by_address() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let of = |n: u32, address: String| attempt(&throttle, &address, &format!("user{n}"));
        assert_eq!(guess(&throttle, now, (0..500).map(|n| of(n, format!("2001:db8:0:1::{n:x}")))), 20);
        assert_eq!(guess(&throttle, now, (0..500).map(|n| of(n, format!("2001:db8:0:{n:x}::1")))), 499);
        let both = (0..500).map(|n| of(n, ["192.0.2.9", "::ffff:192.0.2.9"][n as usize % 2].to_owned()));
        assert_eq!(guess(&throttle, now, both), 20);
    }

    #[test]
    fn account_limit_spans_all_addresses() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for login in ["ag", "nobody"] {
            let many =
                (0..5_000).map(|n| attempt(&throttle, &format!("10.0.{}.{}", n / 250, n % 250), login));
            assert_eq!(guess(&throttle, now, many), 100, "{login}");
        }
        assert_eq!(throttle.admit(now, attempt(&throttle, "192.0.2.2", "AG")), Err(LimitScope::Account));
        assert_eq!(throttle.admit(now, attempt(&throttle, "192.0.2.2", "gb")), Ok(()));
    }

    #[test]
    fn known_login_is_admitted_during_an_attack() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let own = attempt(&throttle, HOME, "ag");
        throttle.succeeded(now, own);
        // Guesses at this account from many addresses, and from this address at others.
        guess(
            &throttle,
            now,
            (0..5_000).map(|n| attempt(&throttle, &format!("10.0.{}.{}", n / 250, n % 250), "ag")),
        );
        guess(&throttle, now, (0..5_000).map(|n| attempt(&throttle, HOME, &format!("user{n}"))));
        assert_eq!(throttle.admit(now, own), Ok(()));
        assert_eq!(throttle.admit(now, attempt(&throttle, HOME, "gb")), Err(LimitScope::Address));
        assert_eq!(throttle.admit(now, attempt(&throttle, "192.0.2.2", "ag")), Err(LimitScope::Account));
        // A known login has a limit, too, and expires.
        assert_eq!(guess(&throttle, now, std::iter::repeat_n(own, 1_000)), 20);
        assert_eq!(throttle.admit(now + KNOWN_LOGIN_LIFETIME - WINDOW, own), Ok(()));
        guess(
            &throttle,
            now + KNOWN_LOGIN_LIFETIME * 3,
            (0..5_000).map(|n| attempt(&throttle, HOME, &format!("user{n}"))),
        );
        assert_eq!(throttle.admit(now + KNOWN_LOGIN_LIFETIME * 3, own), Err(LimitScope::Address));
    }

    #[test]
    fn success_resets_earlier_failures() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let own = attempt(&throttle, HOME, "ag");
        for _ in 0..50 {
            assert_eq!(guess(&throttle, now, std::iter::repeat_n(own, 15)), 15);
            throttle.succeeded(now, own);
        }
    }

    #[test]
    fn reached_limit_is_reported_once() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let one = attempt(&throttle, HOME, "ag");
        let reported: Vec<_> = (1..=40)
            .filter_map(|n| throttle.failed(now, one).limit_reached.map(|scope| (n, scope)))
            .collect();
        assert_eq!(reported, [(20, LimitScope::Address)]);
        let reported: Vec<_> = (0..200)
            .filter_map(|n| {
                throttle.failed(now, attempt(&throttle, &format!("10.0.0.{n}"), "ag")).limit_reached
            })
            .collect();
        assert_eq!(reported, [LimitScope::Account]);
    }

    #[test]
    fn delay_grows_to_eight_seconds() {
        let delays = [0, 1, 2, 3, 6, 7, u32::MAX].map(|failures| delay(failures).as_millis());
        assert_eq!(delays, [250, 250, 500, 1_000, 8_000, 8_000, 8_000]);
    }
}
