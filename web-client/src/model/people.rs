//! The address book for the completion of addresses: recipients of the user's messages, and senders of messages that the
//! user has read.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::search::Fold;

/// More people than this are not stored.
const PEOPLE_MAX: usize = 2_000;
const SUGGESTIONS_MAX: usize = 6;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) address: String,
    /// It may be empty.
    pub(crate) name: String,
    /// Number of messages that the user has sent to this person.
    pub(crate) sent_count: u32,
    pub(crate) last_used: DateTime<Utc>,
}

impl Person {
    /// Addresses that differ in case only belong to one person.
    pub(crate) fn key(&self) -> String {
        self.address.to_lowercase()
    }

    fn update(&mut self, used: Self) {
        let name = std::mem::take(&mut self.name);
        *self = Self {
            name: if used.name.is_empty() { name } else { used.name },
            sent_count: self.sent_count.saturating_add(used.sent_count),
            last_used: self.last_used.max(used.last_used),
            ..used
        };
    }
}

/// Adds people, or updates those who are known. Returns the changed people and the keys of those who were dropped.
pub(crate) fn add(people: &mut Vec<Person>, used: Vec<Person>) -> (Vec<Person>, Vec<String>) {
    let mut known: HashMap<_, _> = people.iter().enumerate().map(|(at, person)| (person.key(), at)).collect();
    let mut changed = BTreeSet::new();
    for person in used {
        let at = *known.entry(person.key()).or_insert(people.len());
        changed.insert(at);
        match people.get_mut(at) {
            Some(known) => known.update(person),
            None => people.push(person),
        }
    }
    let changed: Vec<_> = changed.into_iter().map(|at| people[at].clone()).collect();
    if people.len() <= PEOPLE_MAX {
        return (changed, Vec::new());
    }
    people.sort_by_key(|person| std::cmp::Reverse((person.sent_count.min(1), person.last_used)));
    let dropped: HashSet<_> = people.split_off(PEOPLE_MAX).iter().map(Person::key).collect();
    let changed = changed.into_iter().filter(|person| !dropped.contains(&person.key())).collect();
    (changed, dropped.into_iter().collect())
}

/// The people of whom a name or the address starts with `typed`, those to whom the user writes first.
pub(crate) fn suggestions(people: &[Person], typed: &str, chips: &[String], fold: Fold) -> Vec<Person> {
    let typed = fold(typed.trim());
    if typed.is_empty() {
        return Vec::new();
    }
    let matches = |person: &&Person| {
        let name = fold(&person.name);
        person.key().starts_with(&typed)
            || name.starts_with(&typed)
            || name.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(&typed))
    };
    let is_new = |person: &&Person| !chips.iter().any(|chip| chip.eq_ignore_ascii_case(&person.address));
    let mut found: Vec<_> = people.iter().filter(matches).filter(is_new).collect();
    found.sort_by_key(|person| (std::cmp::Reverse(person.sent_count), std::cmp::Reverse(person.last_used)));
    found.into_iter().take(SUGGESTIONS_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn person(address: &str, name: &str, sent_count: u32, second: i64) -> Person {
        let last_used = DateTime::from_timestamp(second, 0).unwrap();
        Person { address: address.to_owned(), name: name.to_owned(), sent_count, last_used }
    }

    #[test]
    fn added_person_updates_the_known_one() {
        let mut people = vec![person("ag@iit.edu", "Ag Mitra", 1, 5)];
        let (changed, dropped) =
            add(&mut people, vec![person("AG@iit.edu", "", 1, 3), person("gb@iit.edu", "", 0, 4)]);
        assert_eq!(people, [person("AG@iit.edu", "Ag Mitra", 2, 5), person("gb@iit.edu", "", 0, 4)]);
        assert_eq!((changed, dropped), (people, vec![]));
    }

    #[test]
    fn many_people_are_added_at_once() {
        let many = || (0..5_000).map(|at| person(&format!("{at}@iit.edu"), "", 1, at)).collect::<Vec<_>>();
        let mut people = Vec::new();
        let (changed, dropped) = add(&mut people, many());
        assert_eq!((people.len(), changed.len(), dropped.len()), (PEOPLE_MAX, PEOPLE_MAX, 3_000));
        assert!(people.iter().all(|person| person.last_used.timestamp() >= 3_000));
        // The same person twice in one call.
        let (changed, _) =
            add(&mut people, vec![person("4999@iit.edu", "", 1, 9), person("4999@IIT.edu", "Ag", 1, 9)]);
        assert_eq!(changed, [person("4999@IIT.edu", "Ag", 3, 4_999)]);
    }

    #[test]
    fn people_of_received_messages_are_dropped_first() {
        let many =
            (0..PEOPLE_MAX as i64).map(|at| person(&format!("{at}@iit.edu"), "", u32::from(at < 3), at));
        let mut people: Vec<_> = many.collect();
        let (_, dropped) = add(&mut people, vec![person("new@iit.edu", "", 0, 9_999)]);
        assert_eq!((people.len(), dropped), (PEOPLE_MAX, vec!["3@iit.edu".to_owned()]));
    }

    #[test]
    fn suggestions_start_with_the_typed_text_and_are_ranked() {
        let people = [
            person("ag@iit.edu", "Anil Gupta", 0, 9),
            person("zoe@example.org", "Zoë Gupta", 2, 1),
            person("gb@iit.edu", "", 5, 2),
            person("box@example.org", "O'Gara", 0, 3),
        ];
        let found = |typed: &str| {
            let chips = ["GB@iit.edu".to_owned()];
            let found = suggestions(&people, typed, &chips, |text| text.to_lowercase());
            found.into_iter().map(|person| person.address).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("gup"), "zoe@example.org ag@iit.edu");
        assert_eq!(found(" G "), "zoe@example.org ag@iit.edu box@example.org");
        assert_eq!(found("ag@"), "ag@iit.edu");
        assert_eq!(found("gb"), "");
        assert_eq!(found("upta"), "");
        assert_eq!(found(" "), "");
    }
}
