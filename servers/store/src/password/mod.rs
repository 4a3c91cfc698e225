//! Passwords of accounts: Argon2id on blocking threads, with limits on concurrent and waiting verifications; the cost of new
//! hashes; a cache of verified passwords.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use mail_core::secret::Secret;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::directory::DirectoryError;

pub mod cost;
mod verified_password_cache;

pub use verified_password_cache::{Fingerprint, VerifiedPasswordCache};

/// Verifications that may wait: a few seconds of work at the default cost.
const WAITING_MAX: usize = 64;

/// Hashes a password with a fresh salt, in PHC form.
///
/// # Panics
/// The cost has parameters that Argon2 does not permit.
#[must_use]
pub fn hash(password: &Secret<String>, cost: Params) -> String {
    Argon2::from(cost)
        .hash_password(password.expose().as_bytes())
        .expect("the parameters were checked and a fresh salt is valid")
        .to_string()
}

/// Whether a text is a complete hash in PHC format.
#[must_use]
pub fn is_hash(phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| hash.hash.is_some() && hash.salt.is_some())
}

/// Constant-time equality of passwords of equal length.
#[must_use]
pub fn same(left: &Secret<String>, right: &Secret<String>) -> bool {
    left.expose().as_bytes().ct_eq(right.expose().as_bytes()).into()
}

/// Limits verifications: each uses a core and the memory of its hash.
#[derive(Debug)]
pub struct Hashing {
    /// One permit per running or waiting verification.
    slots: Semaphore,
    cores: Arc<Semaphore>,
    /// Memory of completed verifications, at most one allocation per core. Fresh memory for each would stay with the allocator's
    /// arena of every blocking thread.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
    hashed: AtomicU64,
}

impl Default for Hashing {
    fn default() -> Self {
        Self::on(std::thread::available_parallelism().map_or(1, usize::from), WAITING_MAX)
    }
}

impl Hashing {
    fn on(cores: usize, waiting_max: usize) -> Self {
        Self {
            slots: Semaphore::new(cores + waiting_max),
            cores: Arc::new(Semaphore::new(cores)),
            memory: Arc::default(),
            hashed: AtomicU64::new(0),
        }
    }

    /// Whether the hash matches the password.
    ///
    /// # Errors
    /// [`DirectoryError::Busy`]: too many verifications are waiting.
    pub async fn verify(&self, phc: &str, password: &Secret<String>) -> Result<bool, DirectoryError> {
        let _slot = self.slots.try_acquire().map_err(|_| DirectoryError::Busy)?;
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let (phc, password, pool) = (phc.to_owned(), password.clone(), Arc::clone(&self.memory));
        let verified = tokio::task::spawn_blocking(move || {
            // The client may have disconnected; the core is busy until the hash is complete.
            let _core = core;
            let mut memory = lock(&pool).pop().unwrap_or_default();
            let is_right = matches(&phc, &password, &mut memory).unwrap_or(false);
            lock(&pool).push(memory);
            is_right
        });
        Ok(verified.await.unwrap_or(false))
    }

    /// Number of verifications so far.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As `Argon2::verify_password`, in memory that grows to the largest hash. `None`: the hash is unusable.
fn matches(phc: &str, password: &Secret<String>, memory: &mut Vec<Block>) -> Option<bool> {
    let hash = PasswordHash::new(phc).ok()?;
    let (expected, salt) = (hash.hash.as_ref()?, hash.salt.as_ref()?);
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map_or(Some(Version::default()), |version| version.try_into().ok())?;
    let params = Params::try_from(&hash).ok()?;
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let mut computed = vec![0; expected.len()];
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut computed, memory)
        .ok()?;
    Some(computed.ct_eq(expected.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn cheap(password: &str) -> String {
        hash(&secret(password), Params::new(1_024, 2, 1, None).expect("valid"))
    }

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let (hashing, phc) = (Hashing::default(), cheap("penny"));
        assert!(hashing.verify(&phc, &secret("penny")).await.expect("not busy"));
        for wrong in ["pennY", "penn", "pennyy", ""] {
            assert!(!hashing.verify(&phc, &secret(wrong)).await.expect("not busy"), "{wrong}");
            assert!(!same(&secret("penny"), &secret(wrong)), "{wrong}");
        }
        assert!(!hashing.verify("$argon2id$broken", &secret("penny")).await.expect("not busy"));
        assert!(same(&secret("penny"), &secret("penny")));
        assert_eq!(hashing.hashed(), 6);
    }

    #[tokio::test]
    async fn verification_is_refused_when_too_many_wait() {
        let (hashing, phc, password) = (Hashing::on(1, 2), cheap("penny"), secret("penny"));
        let verify = || hashing.verify(&phc, &password);
        // The permits are taken, so no verification completes before all five have started.
        let core = hashing.cores.acquire().await.expect("the semaphore is never closed");
        let results = tokio::join!(biased; verify(), verify(), verify(), verify(), verify(), async {
            drop(core);
        });
        let results: [_; 5] = [results.0, results.1, results.2, results.3, results.4];
        let busy = results.iter().filter(|result| matches!(result, Err(DirectoryError::Busy))).count();
        let verified = results.iter().filter(|result| matches!(result, Ok(true))).count();
        assert_eq!((busy, verified), (2, 3));
        assert!(hashing.verify(&phc, &password).await.expect("a slot is free"));
    }

    #[tokio::test]
    async fn abandoned_verification_occupies_its_core_until_the_hash_is_complete() {
        let hashing = Hashing::on(1, 1);
        let password = secret("penny");
        let expensive = cheap("penny").replace("m=1024,t=2", "m=65536,t=10");
        tokio::select! {
            biased;
            // After the first poll, the verification has its core and the hash is being computed.
            _ = hashing.verify(&expensive, &password) => panic!("the hash takes longer"),
            () = std::future::ready(()) => {}
        }
        assert_eq!((hashing.slots.available_permits(), hashing.cores.available_permits()), (2, 0));
        assert!(hashing.cores.acquire().await.is_ok());
    }

    #[test]
    fn hashes_of_equal_passwords_differ() {
        let first = cheap("penny");
        assert!(first.starts_with("$argon2id$v=19$m=1024,t=2,p=1$"), "{first}");
        assert_ne!(first, cheap("penny"));
    }
}
