//! Counts that the nodes of one database exchange. A node counts for itself at once; about every second it passes on what it has
//! counted and learns the counts of all nodes. Without an exchange, its own counts remain.

use std::collections::HashMap;
use std::time::Duration;

use mail_core::time::Instant;
use mail_store::generations::GenerationalCache;

use super::{Bucket, Throttle, WINDOW};

/// Buckets that wait for an exchange. Failures of further ones are counted by this node alone.
const WAITING_MAX: usize = 4_096;
/// Buckets of one exchange. They bound the writes and the rows of a database during an attack from many addresses.
pub const EXCHANGED_MAX: usize = 256;
/// A known login is passed on again after this time.
const ANNOUNCED_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);
const ANNOUNCED_MAX: usize = 7 << 13;

/// The kind of a bucket. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BucketKind {
    Address = 0,
    Account = 1,
    /// A login that has succeeded from an address.
    KnownLogin = 2,
}

impl BucketKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Address, Self::Account, Self::KnownLogin].into_iter().find(|kind| *kind as i16 == number)
    }
}

/// A bucket that nodes exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedBucket {
    pub kind: BucketKind,
    /// The same on all nodes with the same secret.
    pub key: u64,
    /// Sent: the time in which the node's new failures drain. Received: the time until the bucket is empty.
    pub drains_in: Duration,
}

/// Failures that this node has counted since the last exchange.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: HashMap<(BucketKind, u64), Duration>,
    announced: GenerationalCache<u64, ()>,
}

impl Outbox {
    pub(super) fn new() -> Self {
        let announced = GenerationalCache::new(ANNOUNCED_LIFETIME, ANNOUNCED_MAX);
        Self { waiting: HashMap::new(), announced }
    }

    pub(super) fn add(&mut self, kind: BucketKind, key: u64, drains_in: Duration) {
        if self.waiting.len() < WAITING_MAX || self.waiting.contains_key(&(kind, key)) {
            let waiting = self.waiting.entry((kind, key)).or_default();
            *waiting = (*waiting + drains_in).min(WINDOW);
        }
    }

    pub(super) fn announce(&mut self, now: Instant, key: u64) {
        if self.announced.find(now, key).is_none() {
            self.announced.insert(now, key, ());
            self.add(BucketKind::KnownLogin, key, Duration::ZERO);
        }
    }
}

impl Throttle {
    /// Shares the counts with other nodes that have the same secret. Call it before the first attempt; earlier counts are forgotten.
    pub fn share(&self, secret: &str) {
        let _ = self.secret.set(secret.to_owned());
    }

    /// Takes what this node has counted since the last exchange, at most [`EXCHANGED_MAX`] buckets.
    #[must_use]
    pub fn take_counted(&self) -> Vec<SharedBucket> {
        let outbox = &mut self.counts().outbox;
        let keys: Vec<_> = outbox.waiting.keys().take(EXCHANGED_MAX).copied().collect();
        let bucket = |(kind, key)| {
            let drains_in = outbox.waiting.remove(&(kind, key)).unwrap_or_default();
            SharedBucket { kind, key, drains_in }
        };
        keys.into_iter().map(bucket).collect()
    }

    /// Returns what could not be passed on.
    pub fn put_back(&self, counted: &[SharedBucket]) {
        let outbox = &mut self.counts().outbox;
        counted.iter().for_each(|bucket| outbox.add(bucket.kind, bucket.key, bucket.drains_in));
    }

    /// Learns the counts of all nodes, this one included. A count that this node has is never lowered.
    pub fn learn(&self, now: Instant, buckets: &[SharedBucket]) {
        let counts = &mut *self.counts();
        let is_empty =
            |bucket: &SharedBucket| bucket.drains_in.is_zero() && bucket.kind != BucketKind::KnownLogin;
        for SharedBucket { kind, key, drains_in } in buckets.iter().filter(|bucket| !is_empty(bucket)) {
            let cache = match kind {
                BucketKind::Address => &mut counts.addresses,
                BucketKind::Account => &mut counts.accounts,
                BucketKind::KnownLogin => &mut counts.known_logins,
            };
            let own = cache.find(now, *key);
            let empty_at = now + (*drains_in).min(WINDOW * 2);
            if own.is_none_or(|own| own.empty_at < empty_at) {
                let overflowed = own.is_some_and(|own| own.overflowed && own.empty_at > now);
                cache.insert(now, *key, Bucket { empty_at, overflowed });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Attempt, LimitScope, ThrottleLimits};
    use super::*;

    fn node(secret: &str) -> Throttle {
        let throttle = Throttle::new(ThrottleLimits::default());
        throttle.share(secret);
        throttle
    }

    fn attempt(throttle: &Throttle, address: &str, login: &str) -> Attempt {
        throttle.attempt(Some(address.parse().unwrap()), false, login)
    }

    /// As a database adds them up.
    fn exchange(now: Instant, nodes: [&Throttle; 2], sums: &mut HashMap<(BucketKind, u64), Duration>) {
        for node in nodes {
            for SharedBucket { kind, key, drains_in } in node.take_counted() {
                *sums.entry((kind, key)).or_default() += drains_in;
            }
        }
        let sums: Vec<_> =
            sums.iter().map(|(&(kind, key), &drains_in)| SharedBucket { kind, key, drains_in }).collect();
        nodes.iter().for_each(|node| node.learn(now, &sums));
    }

    #[test]
    fn limits_apply_to_the_failures_on_all_nodes() {
        let (first, second, now) = (node("secret"), node("secret"), Instant::now());
        let mut sums = HashMap::new();
        let mut admitted = 0;
        for number in 0..200 {
            for node in [&first, &second] {
                let attempt = attempt(node, "192.0.2.1", &format!("user{number}"));
                if node.admit(now, attempt).is_ok() {
                    node.failed(now, attempt);
                    admitted += 1;
                }
            }
            exchange(now, [&first, &second], &mut sums);
        }
        assert_eq!(admitted, 20);
        let other = attempt(&first, "192.0.2.2", "ag");
        assert_eq!(first.admit(now, other), Ok(()));
        assert_eq!(
            second.admit(now + Duration::from_secs(3 * 60), attempt(&second, "192.0.2.1", "ag")),
            Ok(())
        );
    }

    #[test]
    fn known_login_is_known_to_other_nodes() {
        let (first, second, now) = (node("secret"), node("secret"), Instant::now());
        let mut sums = HashMap::new();
        for _ in 0..3 {
            first.succeeded(now, attempt(&first, "192.0.2.1", "ag"));
        }
        for number in 0..100 {
            second.failed(now, attempt(&second, &format!("10.0.0.{number}"), "ag"));
        }
        assert_eq!(second.admit(now, attempt(&second, "192.0.2.1", "ag")), Err(LimitScope::Account));
        exchange(now, [&first, &second], &mut sums);
        assert_eq!(second.admit(now, attempt(&second, "192.0.2.1", "ag")), Ok(()));
        assert_eq!(first.admit(now, attempt(&first, "192.0.2.2", "ag")), Err(LimitScope::Account));
        // It is passed on once.
        first.succeeded(now, attempt(&first, "192.0.2.1", "ag"));
        assert_eq!(first.take_counted(), []);
    }

    #[test]
    fn without_an_exchange_own_counts_remain_and_memory_is_bounded() {
        let (throttle, now) = (node("secret"), Instant::now());
        for number in 0..20_000_u32 {
            let address = std::net::IpAddr::from(std::net::Ipv4Addr::from(number));
            throttle.failed(now, throttle.attempt(Some(address), false, &format!("user{number}")));
        }
        let (mut batches, mut buckets) = (0, 0);
        loop {
            let counted = throttle.take_counted();
            if counted.is_empty() {
                break;
            }
            assert!(counted.len() <= EXCHANGED_MAX);
            (batches, buckets) = (batches + 1, buckets + counted.len());
        }
        assert_eq!((batches, buckets), (WAITING_MAX / EXCHANGED_MAX, WAITING_MAX));
        let own = attempt(&throttle, "192.0.2.1", "ag");
        for _ in 0..20 {
            throttle.failed(now, own);
        }
        let counted = throttle.take_counted();
        throttle.put_back(&counted);
        assert_eq!(throttle.take_counted().len(), counted.len());
        throttle.learn(now, &[]);
        assert_eq!(throttle.admit(now, own), Err(LimitScope::Address));
    }

    #[test]
    fn keys_depend_on_the_secret() {
        let keys = ["secret", "secret", "other"].map(|secret| {
            let throttle = node(secret);
            throttle.failed(Instant::now(), attempt(&throttle, "192.0.2.1", "ag"));
            let mut keys: Vec<_> = throttle.take_counted().iter().map(|bucket| bucket.key).collect();
            keys.sort_unstable();
            keys
        });
        assert_eq!(keys[0], keys[1]);
        assert!(keys[0].iter().all(|key| !keys[2].contains(key)));
    }
}
