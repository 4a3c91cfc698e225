//! A bounded memory of what was seen lately, without a clock of its own and without a search for what is old.
//!
//! Entries live in two generations. When the young one has had its time, or is full, it becomes the old one, and what was
//! old is forgotten. So an entry is remembered for at least the lifetime and at most twice that, unless more entries
//! come than there is room for.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use mail_core::time::Instant;

#[derive(Debug)]
pub struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// When the young generation began.
    began: Option<Instant>,
    lifetime: Duration,
    /// Entries of one generation.
    entries_max: usize,
}

impl<K: Copy + Eq + Hash, V: Copy> Generations<K, V> {
    pub fn new(lifetime: Duration, entries_max: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), began: None, lifetime, entries_max }
    }

    pub fn find(&mut self, now: Instant, key: K) -> Option<V> {
        self.age(now);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// Remembers an entry from now on.
    pub fn put(&mut self, now: Instant, key: K, value: V) {
        self.age(now);
        if self.young.len() >= self.entries_max && !self.young.contains_key(&key) {
            self.turn(now);
        }
        self.young.insert(key, value);
    }

    fn age(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.began.get_or_insert(now));
        if age >= self.lifetime {
            self.turn(now);
        }
        if age >= self.lifetime * 2 {
            self.old.clear();
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME: Duration = Duration::from_secs(60);

    #[test]
    fn an_entry_lives_for_one_to_two_lifetimes_from_when_it_was_put() {
        let start = Instant::now();
        let mut memory = Generations::new(LIFETIME, 10);
        memory.put(start, 1, 'a');
        memory.put(start + LIFETIME / 2, 2, 'b');
        assert_eq!(memory.find(start + LIFETIME, 1), Some('a'));
        memory.put(start + LIFETIME, 1, 'c');
        assert_eq!(memory.find(start + LIFETIME * 2, 1), Some('c'));
        assert_eq!(memory.find(start + LIFETIME * 2, 2), None);
        assert_eq!(memory.find(start + LIFETIME * 3, 1), None);
    }

    #[test]
    fn nothing_of_a_long_silence_is_remembered() {
        let start = Instant::now();
        let mut memory = Generations::new(LIFETIME, 10);
        memory.put(start, 1, 'a');
        assert_eq!(memory.find(start + LIFETIME * 2, 1), None);
    }

    #[test]
    fn there_are_never_more_entries_than_two_generations_hold() {
        let start = Instant::now();
        let mut memory = Generations::new(LIFETIME, 10);
        for key in 0..1_000 {
            memory.put(start, key, ());
            // What is used goes on being remembered, however many others come.
            memory.put(start, 0, ());
            assert!(memory.young.len() + memory.old.len() <= 20);
        }
        assert!(memory.find(start, 0).is_some() && memory.find(start, 999).is_some());
        assert!(memory.find(start, 1).is_none());
    }
}
