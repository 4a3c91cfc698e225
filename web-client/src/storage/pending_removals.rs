//! Unique-ids of messages that the user has deleted and the server still has, each with the end of the time for Undo.
//!
//! They are in `localStorage`, which is synchronous, so that a page that is closed before the server has deleted a message
//! deletes it at the next sign-in. All tabs share them: until the time for Undo is over, only the tab that offers Undo
//! deletes the message.
//!
//! An entry is `<milliseconds since 1970>:<unique-id>`. Unique-ids contain no spaces (RFC 1939 section 7), which separate
//! the entries. Earlier versions stored unique-ids only; the time of those is over.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use crate::platform::web_storage::LOCAL;

/// A message that the user has deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PendingRemoval {
    pub(crate) unique_id: String,
    /// The end of the time for Undo.
    pub(crate) due: DateTime<Utc>,
}

/// Adds messages, or changes the time of those that are there. `account` names the account's database.
pub(super) fn put(account: &str, unique_ids: &[String], due: DateTime<Utc>) {
    let mut removals = without(account, unique_ids);
    let removal = |id: &String| PendingRemoval { unique_id: id.clone(), due };
    removals.extend(unique_ids.iter().map(removal));
    store(account, &removals);
}

pub(super) fn remove(account: &str, unique_ids: &[String]) {
    store(account, &without(account, unique_ids));
}

pub(super) fn load(account: &str) -> Vec<PendingRemoval> {
    let entries = LOCAL.value(&key(account)).unwrap_or_default();
    entries.split(' ').filter(|entry| !entry.is_empty()).map(parse).collect()
}

pub(super) fn delete_all(account: &str) {
    LOCAL.remove(&key(account));
}

fn without(account: &str, unique_ids: &[String]) -> Vec<PendingRemoval> {
    let unique_ids: HashSet<_> = unique_ids.iter().collect();
    let mut removals = load(account);
    removals.retain(|removal| !unique_ids.contains(&removal.unique_id));
    removals
}

fn store(account: &str, removals: &[PendingRemoval]) {
    if removals.is_empty() {
        return delete_all(account);
    }
    let entry =
        |removal: &PendingRemoval| format!("{}:{}", removal.due.timestamp_millis(), removal.unique_id);
    LOCAL.set(&key(account), &removals.iter().map(entry).collect::<Vec<_>>().join(" "));
}

fn parse(entry: &str) -> PendingRemoval {
    let current = entry.split_once(':').and_then(|(due, unique_id)| {
        let due = DateTime::from_timestamp_millis(due.parse().ok()?)?;
        Some(PendingRemoval { unique_id: unique_id.to_owned(), due })
    });
    current.unwrap_or_else(|| PendingRemoval { unique_id: entry.to_owned(), due: DateTime::UNIX_EPOCH })
}

/// Not a prefix of the keys of draft backups, which begin with the name of the database.
fn key(account: &str) -> String {
    format!("removals:{account}")
}

#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod in_browser {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn pending_removals_round_trip_with_their_times() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let loaded = || {
            let removals = load("removals/gb").into_iter();
            removals.map(|removal| (removal.unique_id, removal.due.timestamp())).collect::<Vec<_>>()
        };
        put("removals/gb", &ids(&["a", "b:1"]), at(9));
        put("removals/gb", &ids(&["a"]), at(5));
        assert_eq!(loaded(), [("b:1".to_owned(), 9), ("a".to_owned(), 5)]);
        remove("removals/gb", &ids(&["b:1", "x"]));
        assert_eq!(loaded(), [("a".to_owned(), 5)]);
        remove("removals/gb", &ids(&["a"]));
        assert_eq!(LOCAL.value(&key("removals/gb")), None);
        // An earlier version.
        LOCAL.set(&key("removals/gb"), "a b:1");
        assert_eq!(loaded(), [("a".to_owned(), 0), ("b:1".to_owned(), 0)]);
        delete_all("removals/gb");
        assert_eq!(loaded(), []);
    }
}
