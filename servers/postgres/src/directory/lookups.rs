//! Results of recent lookups, so that a burst of mail to one address does not cost a round trip for each message.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mail_core::aliases::AliasTarget;
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_store::directory::Quota;

/// A change on another node is seen after this time.
const LIFETIME: Duration = Duration::from_secs(1);
const ENTRIES_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Lookups {
    /// By alias.
    pub(super) aliases: Recent<Vec<AliasTarget>>,
    /// By account.
    pub(super) accounts: Recent<KnownAccount>,
}

/// Properties of an account that routing needs.
#[derive(Debug, Clone)]
pub(super) struct KnownAccount {
    /// As the administrator spelled it.
    pub(super) name: Username,
    pub(super) quota: Option<Quota>,
}

impl Lookups {
    /// Forgets all results, after a change.
    pub(super) fn clear(&self) {
        self.aliases.clear();
        self.accounts.clear();
    }
}

/// Results by key; `None` if nothing exists.
#[derive(Debug)]
pub(super) struct Recent<T>(Mutex<HashMap<String, (Instant, Option<T>)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Recent<T> {
    pub(super) fn find(&self, now: Instant, key: &str) -> Option<Option<T>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, found) = entries.get(key)?;
        (now.saturating_duration_since(*read_at) < LIFETIME).then(|| found.clone())
    }

    /// `now` is a time before the lookup.
    pub(super) fn insert(&self, now: Instant, key: &str, found: Option<T>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(key) {
            entries.clear();
        }
        entries.insert(key.to_owned(), (now, found));
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
