//! What guessing gets: failed sign-ins are counted by address and by account, over connections and protocols.
//!
//! Every count is a leaky bucket: a failure fills it by one, an hour empties it. While it is full, sign-ins are refused
//! unseen, so that an attacker has no more than the cap an hour, from one address or at one account.
//!
//! Nobody is locked out by others, though: an account that has signed in well from an address is counted apart there,
//! whatever goes on at other addresses, and whatever else comes from that one. Names are counted whether there is such an
//! account or not. Memory is bounded, and nothing is searched: an attacker cannot make it slow.
//!
//! Attempts that are under way at once are admitted at once; how many of them are checked is bounded where they are hashed.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_core::network::client_network;
use mail_core::time::Instant;

use mail_store::generations::Generations;

/// The time in which a full bucket runs empty.
const WINDOW: Duration = Duration::from_secs(60 * 60);
/// How long it is known where an account has signed in well: longer than a week's pause.
const ACQUAINTANCE: Duration = Duration::from_secs(8 * 24 * 60 * 60);
/// Entries of one generation. A table of 65,536 places is full with them and takes 2 MiB; six tables, 12 MiB.
const ENTRIES_MAX: usize = 7 << 13;

/// The delay before the first refusal is said; it doubles with each further one.
const DELAY_MIN: Duration = Duration::from_millis(250);
/// Up to 8 seconds: mail programs wait for an answer for a minute or more.
const DOUBLINGS_MAX: u32 = 5;

/// How many failures are too many, in an hour.
#[derive(Debug, Clone, Copy)]
pub struct Caps {
    pub per_address: u32,
    pub per_account: u32,
}

/// Whose failures are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Culprit {
    Address,
    Account,
}

/// The counts of a server's failed sign-ins.
#[derive(Debug)]
pub struct Throttle {
    caps: Caps,
    /// Turns addresses and names into keys that nobody can make collide.
    keys: RandomState,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    addresses: Generations<u64, Bucket>,
    accounts: Generations<u64, Bucket>,
    /// Accounts that have signed in well from an address.
    acquaintances: Generations<u64, Bucket>,
}

/// What an attempt is counted by.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// `None` for an address that is trusted: there, what goes on is not counted by address.
    address: Option<u64>,
    account: u64,
    acquaintance: u64,
}

/// What comes of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The failures of this address that count at the time.
    pub count: u32,
    /// With it, for the first time in a while, these are too many.
    pub too_many: Option<Culprit>,
}

/// Failures that have not run out.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    empty_at: Instant,
    /// It was full, and has not been empty since.
    overflowed: bool,
}

impl Default for Caps {
    fn default() -> Self {
        Self { per_address: 20, per_account: 100 }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new(Caps::default())
    }
}

/// How long a refusal is held back, after so many.
#[must_use]
pub fn delay(failures: u32) -> Duration {
    DELAY_MIN * 2_u32.pow(failures.saturating_sub(1).min(DOUBLINGS_MAX))
}

impl Throttle {
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        let memory = |lifetime| Generations::new(lifetime, ENTRIES_MAX);
        let counts = Counts {
            addresses: memory(WINDOW),
            accounts: memory(WINDOW),
            acquaintances: memory(ACQUAINTANCE),
        };
        Self { caps, keys: RandomState::new(), counts: Mutex::new(counts) }
    }

    /// An attempt to sign in as `login`, in whatever case, from `address`.
    #[must_use]
    pub fn attempt(&self, address: Option<IpAddr>, trusted: bool, login: &str) -> Attempt {
        let network = address.map(client_network);
        let login = login.to_ascii_lowercase();
        Attempt {
            address: (!trusted).then(|| self.key(network)),
            account: self.key(&login),
            acquaintance: self.key((network, &login)),
        }
    }

    /// Whether the password may be looked at.
    ///
    /// # Errors
    /// There were too many failures.
    pub fn admit(&self, now: Instant, attempt: Attempt) -> Result<(), Culprit> {
        let Caps { per_address, per_account } = self.caps;
        let mut counts = self.counts();
        if let Some(bucket) = counts.acquaintances.find(now, attempt.acquaintance) {
            return if bucket.is_full(now, per_address) { Err(Culprit::Address) } else { Ok(()) };
        }
        let is_full = |counts: &mut Generations<u64, Bucket>, key, cap| {
            counts.find(now, key).is_some_and(|bucket| bucket.is_full(now, cap))
        };
        if attempt.address.is_some_and(|key| is_full(&mut counts.addresses, key, per_address)) {
            return Err(Culprit::Address);
        }
        if is_full(&mut counts.accounts, attempt.account, per_account) {
            return Err(Culprit::Account);
        }
        Ok(())
    }

    /// The password was wrong, or there is no such account.
    pub fn failed(&self, now: Instant, attempt: Attempt) -> Failure {
        let Caps { per_address, per_account } = self.caps;
        let mut counts = self.counts();
        let counts = &mut *counts;
        if counts.acquaintances.find(now, attempt.acquaintance).is_some() {
            let (count, is_first) = fill(&mut counts.acquaintances, now, attempt.acquaintance, per_address);
            return Failure { count, too_many: is_first.then_some(Culprit::Address) };
        }
        let (_, account_is_first) = fill(&mut counts.accounts, now, attempt.account, per_account);
        let (count, address_is_first) =
            attempt.address.map_or((0, false), |key| fill(&mut counts.addresses, now, key, per_address));
        let too_many = match (address_is_first, account_is_first) {
            (true, _) => Some(Culprit::Address),
            (false, true) => Some(Culprit::Account),
            (false, false) => None,
        };
        Failure { count, too_many }
    }

    /// The account has signed in well: from there it is known from now on, and what it mistyped before is forgiven.
    pub fn succeeded(&self, now: Instant, attempt: Attempt) {
        self.counts().acquaintances.put(now, attempt.acquaintance, Bucket::empty(now));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, value: impl Hash) -> u64 {
        self.keys.hash_one(value)
    }
}

/// One more in a bucket; how many are in it then, and whether it is full for the first time in a while.
fn fill(counts: &mut Generations<u64, Bucket>, now: Instant, key: u64, cap: u32) -> (u32, bool) {
    let mut bucket =
        counts.find(now, key).filter(|bucket| bucket.empty_at > now).unwrap_or(Bucket::empty(now));
    bucket.empty_at += WINDOW / cap;
    let is_first = bucket.is_full(now, cap) && !bucket.overflowed;
    bucket.overflowed |= is_first;
    counts.put(now, key, bucket);
    (bucket.count(now, cap), is_first)
}

impl Bucket {
    const fn empty(now: Instant) -> Self {
        Self { empty_at: now, overflowed: false }
    }

    fn count(self, now: Instant, cap: u32) -> u32 {
        let left = self.empty_at.saturating_duration_since(now).as_nanos();
        u32::try_from(left.div_ceil((WINDOW / cap).as_nanos())).unwrap_or(u32::MAX)
    }

    fn is_full(self, now: Instant, cap: u32) -> bool {
        self.count(now, cap) >= cap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: &str = "192.0.2.1";

    fn attempt(throttle: &Throttle, address: &str, login: &str) -> Attempt {
        throttle.attempt(Some(address.parse().unwrap()), false, login)
    }

    /// How many of these are admitted, all of them with a wrong password.
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
    fn one_address_has_so_many_guesses_and_then_one_every_three_minutes() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let names: Vec<_> = (0..1_000).map(|n| attempt(&throttle, HONEST, &format!("user{n}"))).collect();
        assert_eq!(guess(&throttle, now, names.iter().copied()), 20);
        assert_eq!(throttle.admit(now, names[0]), Err(Culprit::Address));
        assert_eq!(guess(&throttle, now + Duration::from_secs(3 * 60), names.iter().copied()), 1);
        assert_eq!(guess(&throttle, now + WINDOW * 2, names.iter().copied()), 20);
    }

    #[test]
    fn another_address_and_a_trusted_one_are_not_concerned() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let names = |address: &'static str, trusted| {
            (0..1_000).map(move |n| (address.parse::<IpAddr>().unwrap(), trusted, format!("user{n}")))
        };
        let of = |(address, trusted, login): (IpAddr, bool, String)| {
            throttle.attempt(Some(address), trusted, &login)
        };
        assert_eq!(guess(&throttle, now, names(HONEST, false).map(of)), 20);
        assert_eq!(guess(&throttle, now, names("192.0.2.2", false).map(of)), 20);
        assert_eq!(guess(&throttle, now, names(HONEST, true).map(of)), 1_000);
        assert_eq!(
            throttle.failed(now, throttle.attempt(Some(HONEST.parse().unwrap()), true, "ag")).count,
            0
        );
    }

    #[test]
    fn ipv6_is_counted_by_64_bits_and_ipv4_in_its_clothes_by_address() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let of = |n: u32, address: String| attempt(&throttle, &address, &format!("user{n}"));
        assert_eq!(guess(&throttle, now, (0..500).map(|n| of(n, format!("2001:db8:0:1::{n:x}")))), 20);
        assert_eq!(guess(&throttle, now, (0..500).map(|n| of(n, format!("2001:db8:0:{n:x}::1")))), 499);
        let both = (0..500).map(|n| of(n, ["192.0.2.9", "::ffff:192.0.2.9"][n as usize % 2].to_owned()));
        assert_eq!(guess(&throttle, now, both), 20);
    }

    #[test]
    fn one_account_is_guessed_so_often_from_however_many_addresses() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for login in ["ag", "nobody"] {
            let many =
                (0..5_000).map(|n| attempt(&throttle, &format!("10.0.{}.{}", n / 250, n % 250), login));
            assert_eq!(guess(&throttle, now, many), 100, "{login}");
        }
        assert_eq!(throttle.admit(now, attempt(&throttle, "192.0.2.2", "AG")), Err(Culprit::Account));
        assert_eq!(throttle.admit(now, attempt(&throttle, "192.0.2.2", "gb")), Ok(()));
    }

    #[test]
    fn who_has_signed_in_well_still_gets_in_from_there() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let honest = attempt(&throttle, HONEST, "ag");
        throttle.succeeded(now, honest);
        // From many addresses at this account, and from this one at others.
        guess(
            &throttle,
            now,
            (0..5_000).map(|n| attempt(&throttle, &format!("10.0.{}.{}", n / 250, n % 250), "ag")),
        );
        guess(&throttle, now, (0..5_000).map(|n| attempt(&throttle, HONEST, &format!("user{n}"))));
        assert_eq!(throttle.admit(now, honest), Ok(()));
        assert_eq!(throttle.admit(now, attempt(&throttle, HONEST, "gb")), Err(Culprit::Address));
        assert_eq!(throttle.admit(now, attempt(&throttle, "192.0.2.2", "ag")), Err(Culprit::Account));
        // Not for ever, and not without end.
        assert_eq!(guess(&throttle, now, std::iter::repeat_n(honest, 1_000)), 20);
        assert_eq!(throttle.admit(now + ACQUAINTANCE - WINDOW, honest), Ok(()));
        guess(
            &throttle,
            now + ACQUAINTANCE * 3,
            (0..5_000).map(|n| attempt(&throttle, HONEST, &format!("user{n}"))),
        );
        assert_eq!(throttle.admit(now + ACQUAINTANCE * 3, honest), Err(Culprit::Address));
    }

    #[test]
    fn what_was_mistyped_before_is_forgiven() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let honest = attempt(&throttle, HONEST, "ag");
        for _ in 0..50 {
            assert_eq!(guess(&throttle, now, std::iter::repeat_n(honest, 15)), 15);
            throttle.succeeded(now, honest);
        }
    }

    #[test]
    fn too_many_are_told_of_once() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let one = attempt(&throttle, HONEST, "ag");
        let told: Vec<_> =
            (1..=40).filter_map(|n| throttle.failed(now, one).too_many.map(|who| (n, who))).collect();
        assert_eq!(told, [(20, Culprit::Address)]);
        let told: Vec<_> = (0..200)
            .filter_map(|n| throttle.failed(now, attempt(&throttle, &format!("10.0.0.{n}"), "ag")).too_many)
            .collect();
        assert_eq!(told, [Culprit::Account]);
    }

    #[test]
    fn the_delay_grows_to_some_seconds() {
        let delays = [0, 1, 2, 3, 6, 7, u32::MAX].map(|failures| delay(failures).as_millis());
        assert_eq!(delays, [250, 250, 500, 1_000, 8_000, 8_000, 8_000]);
    }
}
