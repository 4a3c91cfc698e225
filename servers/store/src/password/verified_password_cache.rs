//! Cache of recently verified passwords. A mail program that polls every minute does not cost a hash each time.
//!
//! The cache stores a MAC of account, stored password and given password under a random key of this process. It
//! contains no password, and its entries cannot be compared with data outside. A changed line of User.txt has another
//! MAC.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit, Update};
use mail_core::secret::Secret;
use mail_core::time::Instant;
use mail_core::users::{Account, StoredPassword};

use crate::generations::GenerationalCache;

/// Entries of one generation. They fill a hash table of 65,536 slots, which takes 2 MiB; there are two.
const ENTRIES_MAX: usize = 7 << 13;

#[derive(Debug)]
pub struct VerifiedPasswordCache {
    key: Secret<[u8; 32]>,
    recent: Option<Mutex<GenerationalCache<Fingerprint, ()>>>,
}

/// MAC of an account, its stored password and a given one.
pub type Fingerprint = [u8; 32];

impl VerifiedPasswordCache {
    /// An entry stays for at least half of `lifetime` and at most all of it. Zero disables the cache.
    ///
    /// # Panics
    /// The system has no random source.
    #[must_use]
    pub fn new(lifetime: Duration) -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has a random source, which TLS and salts need, too");
        let recent =
            (!lifetime.is_zero()).then(|| Mutex::new(GenerationalCache::new(lifetime / 2, ENTRIES_MAX)));
        Self { key: Secret::new(key), recent }
    }

    /// # Panics
    /// Never: the key has the right length.
    #[must_use]
    pub fn fingerprint(&self, account: &Account, password: &Secret<String>) -> Fingerprint {
        let (kind, stored) = match &account.password {
            StoredPassword::Plain(plain) => (b"plain", plain.expose()),
            StoredPassword::Argon2id(phc) => (b"phc  ", phc),
        };
        let mut mac = Blake2bMac::<U32>::new_from_slice(self.key.expose()).expect("32 octets are a key");
        mac.update(kind);
        for part in [account.name.as_str(), stored, password.expose()] {
            mac.update(&part.len().to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize_fixed().into()
    }

    #[must_use]
    pub fn contains(&self, now: Instant, fingerprint: Fingerprint) -> bool {
        self.recent.as_ref().is_some_and(|recent| {
            recent.lock().unwrap_or_else(PoisonError::into_inner).find(now, fingerprint).is_some()
        })
    }

    pub fn insert(&self, now: Instant, fingerprint: Fingerprint) {
        if let Some(recent) = &self.recent {
            recent.lock().unwrap_or_else(PoisonError::into_inner).insert(now, fingerprint, ());
        }
    }
}

#[cfg(test)]
mod tests {
    use mail_core::users::Username;

    use super::*;

    const LIFETIME: Duration = Duration::from_secs(300);

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn account(name: &str, password: StoredPassword) -> Account {
        Account { name: Username::parse(name).expect("a name"), password }
    }

    #[test]
    fn verified_password_is_cached_for_its_lifetime_only() {
        let (cache, start) = (VerifiedPasswordCache::new(LIFETIME), Instant::now());
        let ag = account("ag", StoredPassword::Argon2id("$argon2id$one".to_owned()));
        cache.insert(start, cache.fingerprint(&ag, &secret("penny")));
        assert!(cache.contains(start + LIFETIME / 2, cache.fingerprint(&ag, &secret("penny"))));
        assert!(!cache.contains(start + LIFETIME, cache.fingerprint(&ag, &secret("penny"))));

        cache.insert(start + LIFETIME, cache.fingerprint(&ag, &secret("penny")));
        for (other, password) in [
            (ag.clone(), "penny2"),
            (ag.clone(), ""),
            (account("ag", StoredPassword::Argon2id("$argon2id$two".to_owned())), "penny"),
            (account("ag", StoredPassword::Plain(secret("$argon2id$one"))), "penny"),
            (account("gb", StoredPassword::Argon2id("$argon2id$one".to_owned())), "penny"),
            (account("ag", StoredPassword::Argon2id("$argon2id$onep".to_owned())), "enny"),
        ] {
            let fingerprint = cache.fingerprint(&other, &secret(password));
            assert!(!cache.contains(start + LIFETIME, fingerprint), "{other:?} {password}");
        }
        assert!(cache.contains(start + LIFETIME, cache.fingerprint(&ag, &secret("penny"))));
    }

    #[test]
    fn each_cache_has_its_own_key_and_debug_output_hides_it() {
        let ag = account("ag", StoredPassword::Plain(secret("penny")));
        let (one, other) = (VerifiedPasswordCache::new(LIFETIME), VerifiedPasswordCache::new(Duration::ZERO));
        assert_ne!(one.fingerprint(&ag, &secret("penny")), other.fingerprint(&ag, &secret("penny")));
        assert!(format!("{one:?}").contains("key: ****"));
        let now = Instant::now();
        other.insert(now, other.fingerprint(&ag, &secret("penny")));
        assert!(
            !other.contains(now, other.fingerprint(&ag, &secret("penny"))),
            "a lifetime of zero disables the cache"
        );
    }
}
