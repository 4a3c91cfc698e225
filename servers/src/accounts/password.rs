//! Argon2id, off the async threads, on a bounded number of them.

use std::sync::{Arc, LazyLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use mail_core::secret::Secret;
use mail_core::users::StoredPassword;
use tokio::sync::Semaphore;

/// A hash that no password is behind; checking against it costs what checking a real one costs.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash(&Secret::new("nobody has this password".to_owned())));

/// Hashes a password with a fresh salt, in PHC form.
#[must_use]
pub fn hash(password: &Secret<String>) -> String {
    Argon2::default()
        .hash_password(password.expose().as_bytes())
        .expect("the default parameters and a fresh salt are valid")
        .to_string()
}

/// Whether a text is a hash that a password can be checked against.
pub(super) fn is_hash(phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| hash.hash.is_some() && hash.salt.is_some())
}

/// The bound on how many passwords are checked at one time: each takes a core and 19 MiB.
#[derive(Debug, Clone)]
pub struct Hashing {
    permits: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { permits: Arc::new(Semaphore::new(cores)) }
    }
}

impl Hashing {
    /// Whether `password` is the stored one; `None` stands for an account that is not there. With `costly`
    /// every check takes a hash, so that the time does not tell which accounts there are.
    pub(super) async fn verify(
        &self,
        stored: Option<StoredPassword>,
        password: &Secret<String>,
        costly: bool,
    ) -> bool {
        let (phc, right) = match stored {
            Some(StoredPassword::Argon2id(phc)) => (Some(phc), None),
            Some(StoredPassword::Plain(plain)) => (None, Some(same(&plain, password))),
            None => (None, Some(false)),
        };
        if phc.is_none() && !costly {
            return right.unwrap_or(false);
        }
        let password = password.clone();
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let hashed = tokio::task::spawn_blocking(move || {
            let phc = phc.as_deref().unwrap_or(&NOBODY);
            PasswordHash::new(phc).is_ok_and(|hash| {
                Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok()
            })
        });
        let hashed = hashed.await.unwrap_or(false);
        right.unwrap_or(hashed)
    }
}

/// Equality in a time that does not tell where the first difference stands.
fn same(left: &Secret<String>, right: &Secret<String>) -> bool {
    let (left, right) = (left.expose().as_bytes(), right.expose().as_bytes());
    left.len() == right.len()
        && left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_is_right() {
        let hashing = Hashing::default();
        let plain = StoredPassword::Plain(secret("penny"));
        let hashed = StoredPassword::Argon2id(hash(&secret("penny")));
        for (stored, costly) in [(&plain, false), (&plain, true), (&hashed, true)] {
            assert!(hashing.verify(Some(stored.clone()), &secret("penny"), costly).await);
            for wrong in ["pennY", "penn", "pennyy", "", "nobody has this password"] {
                assert!(!hashing.verify(Some(stored.clone()), &secret(wrong), costly).await, "{wrong}");
            }
        }
        for costly in [false, true] {
            assert!(!hashing.verify(None, &secret("nobody has this password"), costly).await);
        }
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let first = hash(&secret("penny"));
        assert!(first.starts_with("$argon2id$v=19$"), "{first}");
        assert_ne!(first, hash(&secret("penny")));
    }
}
