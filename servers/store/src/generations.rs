//! A bounded cache of recent entries. Time is an argument, and expiry needs no search for old entries.
//!
//! Entries live in two generations. When the young generation has reached its lifetime or is full, it becomes the old
//! one and the previous old one is dropped. An entry therefore stays for one to two lifetimes, or less if more entries
//! arrive than there is room for.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use mail_core::time::Instant;

#[derive(Debug)]
pub struct GenerationalCache<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Start of the young generation.
    began: Option<Instant>,
    lifetime: Duration,
    /// Entries of one generation.
    entries_max: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> GenerationalCache<K, V> {
    #[must_use]
    pub fn new(lifetime: Duration, entries_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), began: None, lifetime, entries_max }
    }

    pub fn find(&mut self, now: Instant, key: K) -> Option<V> {
        self.expire(now);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    pub fn insert(&mut self, now: Instant, key: K, value: V) {
        self.expire(now);
        if self.young.len() >= self.entries_max && !self.young.contains_key(&key) {
            self.begin_generation(now);
        }
        self.young.insert(key, value);
    }

    fn expire(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.began.get_or_insert(now));
        if age >= self.lifetime {
            self.begin_generation(now);
        }
        if age >= self.lifetime * 2 {
            self.old.clear();
        }
    }

    fn begin_generation(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    #[test]
    fn entry_lives_for_one_to_two_lifetimes() {
        let start = Instant::now();
        let mut cache = GenerationalCache::new(LIFETIME, 10);
        cache.insert(start, 1, 'a');
        cache.insert(start + LIFETIME / 2, 2, 'b');
        assert_eq!(cache.find(start + LIFETIME, 1), Some('a'));
        cache.insert(start + LIFETIME, 1, 'c');
        assert_eq!(cache.find(start + LIFETIME * 2, 1), Some('c'));
        assert_eq!(cache.find(start + LIFETIME * 2, 2), None);
        assert_eq!(cache.find(start + LIFETIME * 3, 1), None);
    }

    #[test]
    fn entry_expires_after_two_lifetimes_without_access() {
        let start = Instant::now();
        let mut cache = GenerationalCache::new(LIFETIME, 10);
        cache.insert(start, 1, 'a');
        assert_eq!(cache.find(start + LIFETIME * 2, 1), None);
    }

    #[test]
    fn size_is_bounded_by_two_generations() {
        let start = Instant::now();
        let mut cache = GenerationalCache::new(LIFETIME, 10);
        for key in 0..1_000 {
            cache.insert(start, key, ());
            // An entry that is inserted again stays, however many others arrive.
            cache.insert(start, 0, ());
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        assert!(cache.find(start, 0).is_some() && cache.find(start, 999).is_some());
        assert!(cache.find(start, 1).is_none());
    }
}
