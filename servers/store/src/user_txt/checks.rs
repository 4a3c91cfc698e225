//! Passwords that were right a short while ago, so that a mail program that looks every minute costs no hash each time.
//!
//! What is kept is a MAC of account, stored password and given password, under a key that only this process has: no
//! password, and nothing that could be compared with anything outside. A line of User.txt that changes is another MAC.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use blake2::Blake2bMac;
use blake2::digest::consts::U32;
use blake2::digest::{FixedOutput, KeyInit, Update};
use mail_core::secret::Secret;
use mail_core::time::Instant;
use mail_core::users::{Account, StoredPassword};

use crate::generations::Generations;

/// Checks of one generation. A table of 65,536 places is full with them and takes 2 MiB; there are two.
const CHECKS_MAX: usize = 7 << 13;

/// The checks that went well.
#[derive(Debug)]
pub(super) struct Checks {
    key: Secret<[u8; 32]>,
    recent: Option<Mutex<Generations<Check, ()>>>,
}

/// One account, its stored password, and one that was given.
pub(super) type Check = [u8; 32];

impl Checks {
    /// Remembers a check for at most `lifetime`, and at least half of it; zero is not at all.
    pub(super) fn new(lifetime: Duration) -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the system has random numbers, as TLS and every salt need them");
        let recent = (!lifetime.is_zero()).then(|| Mutex::new(Generations::new(lifetime / 2, CHECKS_MAX)));
        Self { key: Secret::new(key), recent }
    }

    pub(super) fn check(&self, account: &Account, password: &Secret<String>) -> Check {
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

    pub(super) fn is_recent(&self, now: Instant, check: Check) -> bool {
        self.recent.as_ref().is_some_and(|recent| {
            recent.lock().unwrap_or_else(PoisonError::into_inner).find(now, check).is_some()
        })
    }

    pub(super) fn remember(&self, now: Instant, check: Check) {
        if let Some(recent) = &self.recent {
            recent.lock().unwrap_or_else(PoisonError::into_inner).put(now, check, ());
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
    fn one_check_is_remembered_for_its_time_and_no_other() {
        let (checks, start) = (Checks::new(LIFETIME), Instant::now());
        let ag = account("ag", StoredPassword::Argon2id("$argon2id$one".to_owned()));
        checks.remember(start, checks.check(&ag, &secret("penny")));
        assert!(checks.is_recent(start + LIFETIME / 2, checks.check(&ag, &secret("penny"))));
        assert!(!checks.is_recent(start + LIFETIME, checks.check(&ag, &secret("penny"))));

        checks.remember(start + LIFETIME, checks.check(&ag, &secret("penny")));
        for (other, password) in [
            (ag.clone(), "penny2"),
            (ag.clone(), ""),
            (account("ag", StoredPassword::Argon2id("$argon2id$two".to_owned())), "penny"),
            (account("ag", StoredPassword::Plain(secret("$argon2id$one"))), "penny"),
            (account("gb", StoredPassword::Argon2id("$argon2id$one".to_owned())), "penny"),
            (account("ag", StoredPassword::Argon2id("$argon2id$onep".to_owned())), "enny"),
        ] {
            let check = checks.check(&other, &secret(password));
            assert!(!checks.is_recent(start + LIFETIME, check), "{other:?} {password}");
        }
        assert!(checks.is_recent(start + LIFETIME, checks.check(&ag, &secret("penny"))));
    }

    #[test]
    fn another_process_has_another_key_and_no_password_is_shown() {
        let ag = account("ag", StoredPassword::Plain(secret("penny")));
        let (one, other) = (Checks::new(LIFETIME), Checks::new(Duration::ZERO));
        assert_ne!(one.check(&ag, &secret("penny")), other.check(&ag, &secret("penny")));
        assert!(format!("{one:?}").contains("key: ****"));
        let now = Instant::now();
        other.remember(now, other.check(&ag, &secret("penny")));
        assert!(!other.is_recent(now, other.check(&ag, &secret("penny"))), "none are remembered");
    }
}
