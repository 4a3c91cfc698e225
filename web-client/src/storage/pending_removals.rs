//! Unique-ids of messages that the user has deleted and the server still has.
//!
//! They are in `localStorage`, which is synchronous, so that a page that is closed before the server has deleted a message
//! deletes it at the next sign-in. Unique-ids contain no spaces (RFC 1939 section 7), which separate them here.

use std::collections::HashSet;

use crate::platform::web_storage::LOCAL;

/// `account` names the account's database.
pub(super) fn add(account: &str, unique_ids: &[String]) {
    let mut ids = load(account);
    let known: HashSet<_> = ids.iter().cloned().collect();
    ids.extend(unique_ids.iter().filter(|id| !known.contains(*id)).cloned());
    store(account, &ids);
}

pub(super) fn remove(account: &str, unique_ids: &[String]) {
    let mut ids = load(account);
    ids.retain(|id| !unique_ids.contains(id));
    store(account, &ids);
}

pub(super) fn load(account: &str) -> Vec<String> {
    let ids = LOCAL.value(&key(account)).unwrap_or_default();
    ids.split(' ').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

pub(super) fn delete_all(account: &str) {
    LOCAL.remove(&key(account));
}

fn store(account: &str, ids: &[String]) {
    if ids.is_empty() {
        delete_all(account);
    } else {
        LOCAL.set(&key(account), &ids.join(" "));
    }
}

/// Not a prefix of the keys of draft backups, which begin with the name of the database.
fn key(account: &str) -> String {
    format!("removals:{account}")
}
