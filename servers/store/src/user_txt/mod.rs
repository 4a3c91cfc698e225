//! The accounts in User.txt: read when the file changes, rewritten atomically.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use blake2::{Blake2b512, Digest};
use config::Auth;
use mail_core::secret::Secret;
use mail_core::time::Instant;
use mail_core::users::{self, Account, StoredPassword, UserFile, Username};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tracing::error;

use crate::directory::{AccountAdmin, Directory, DirectoryError, WeakPasswords};

mod cost;
mod password;
mod verified_password_cache;

use cost::cost;
use password::{Hashing, hash, is_hash, same};
use verified_password_cache::VerifiedPasswordCache;

/// The accounts in a data directory's User.txt.
#[derive(Debug)]
pub struct UserTxt {
    data: PathBuf,
    auth: Auth,
    last: RwLock<Arc<Snapshot>>,
    /// Held while the file is read again, so that it is read once for all waiting sessions.
    reading: Mutex<()>,
    hashing: Hashing,
    verified: VerifiedPasswordCache,
}

/// The file as last read.
#[derive(Debug, Default)]
struct Snapshot {
    fingerprint: Fingerprint,
    accounts: Vec<Account>,
    by_name: HashMap<Username, usize>,
    /// The accounts with a usable hash.
    hashed: Vec<usize>,
}

/// Inode, length and ctime of the file; all zero if it does not exist.
type Fingerprint = (u64, u64, i64, i64);

impl UserTxt {
    /// Opens the accounts of a data directory.
    ///
    /// # Errors
    /// A sentence with the file, the line and the remedy.
    pub fn open(data: &Path, auth: &Auth) -> Result<Self, String> {
        let read = Snapshot::read(&path_in(data))?;
        Ok(Self {
            data: data.to_owned(),
            auth: auth.clone(),
            last: RwLock::new(Arc::new(read)),
            reading: Mutex::new(()),
            hashing: Hashing::default(),
            verified: VerifiedPasswordCache::new(Duration::from_secs(auth.cache_seconds)),
        })
    }

    /// Number of hashes computed to verify passwords so far.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashing.hashed()
    }

    /// Whether the file had no account when it was last read.
    pub(crate) fn is_empty(&self) -> bool {
        self.last().accounts.is_empty()
    }

    /// Whether the file had the account when it was last read.
    pub(crate) fn contains(&self, name: &Username) -> bool {
        self.last().account(name).is_some()
    }

    fn last(&self) -> Arc<Snapshot> {
        Arc::clone(&self.last.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The accounts of the file, which is read again, off the async threads, if it has changed.
    async fn current(&self) -> Arc<Snapshot> {
        let seen = fingerprint(&path_in(&self.data));
        let last = self.last();
        if last.fingerprint == seen {
            return last;
        }
        let _reading = self.reading.lock().await;
        let last = self.last();
        if last.fingerprint == seen {
            return last;
        }
        let path = path_in(&self.data);
        let read = spawn_blocking(move || Arc::new(last.read_again(&path, seen))).await;
        let read = read.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&read);
        read
    }

    fn hash(&self, password: &Secret<String>) -> Result<StoredPassword, DirectoryError> {
        let cost = cost(&self.data, &self.auth).map_err(|error| {
            DirectoryError::Failed(format!("cannot write into {}: {error}", self.data.display()))
        })?;
        Ok(StoredPassword::Argon2id(hash(password, cost)))
    }

    /// Changes the file under a lock: reads it, writes and syncs a new file, renames it, syncs the directory.
    fn rewrite<R>(
        &self,
        change: impl FnOnce(&mut UserFile) -> Result<R, DirectoryError>,
    ) -> Result<R, DirectoryError> {
        let failed = |error: io::Error| {
            DirectoryError::Failed(format!("cannot rewrite {}: {error}", path_in(&self.data).display()))
        };
        // The directory is locked, because a lock file could not be removed safely after a failure.
        let directory = File::open(&self.data).map_err(failed)?;
        directory.lock().map_err(failed)?;
        let path = path_in(&self.data);
        let mut file = parse(&path).map_err(DirectoryError::Failed)?;
        let result = change(&mut file)?;
        replace(&self.data, &path, file.to_string().as_bytes()).map_err(failed)?;
        Ok(result)
    }
}

impl Directory for UserTxt {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(self.current().await.account(name).map(|account| account.name.clone()))
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        Ok(self.current().await.accounts.first().map(|account| account.name.clone()))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        let current = self.current().await;
        let account = name.and_then(|name| current.account(name));
        let fingerprint = account.map(|account| self.verified.fingerprint(account, password));
        if fingerprint.is_some_and(|fingerprint| self.verified.contains(Instant::now(), fingerprint)) {
            return Ok(account.map(|account| account.name.clone()));
        }
        let (phc, is_own) = current.hash_to_check(name);
        let hash_is_right = match phc {
            Some(phc) => self.hashing.verify(phc, password).await?,
            None => false,
        };
        let is_right = account.is_some_and(|account| match &account.password {
            StoredPassword::Plain(plain) => same(plain, password),
            StoredPassword::Argon2id(_) => is_own && hash_is_right,
        });
        if let Some(fingerprint) = fingerprint.filter(|_| is_right) {
            self.verified.insert(Instant::now(), fingerprint);
        }
        Ok(account.filter(|_| is_right).map(|account| account.name.clone()))
    }
}

/// The changes block: the administrator's program has no other tasks.
impl AccountAdmin for UserTxt {
    async fn names(&self, after: Option<&Username>) -> Result<Vec<Username>, DirectoryError> {
        let current = self.current().await;
        let from = after.map_or(0, |name| current.by_name.get(name).map_or(usize::MAX, |at| at + 1));
        Ok(current.accounts.iter().skip(from).map(|account| account.name.clone()).collect())
    }

    async fn add(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        let folder = self.data.join(name.as_str());
        let is_new_cost = !cost::is_stored(&self.data);
        let password = self.hash(password)?;
        let mut is_new_folder = false;
        let added = self.rewrite(|file| {
            if let Some(account) = file.account(name) {
                return Err(DirectoryError::Exists(account.name.clone()));
            }
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => is_new_folder = true,
                // A removed account's mail was kept.
                Err(_) if folder.is_dir() => {}
                Err(error) => {
                    let text = format!("cannot create the folder {}: {error}", folder.display());
                    return Err(DirectoryError::Failed(text));
                }
            }
            file.set(Account { name: name.clone(), password });
            Ok(())
        });
        if added.is_err() && is_new_folder {
            // Fails if the folder has mail by now.
            let _ = fs::remove_dir(&folder);
        }
        if added.is_err() && is_new_cost {
            cost::remove(&self.data);
        }
        added
    }

    async fn set_password(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        let password = self.hash(password)?;
        self.rewrite(|file| {
            if file.account(name).is_none() {
                return Err(DirectoryError::Unknown(name.clone()));
            }
            file.set(Account { name: name.clone(), password });
            Ok(())
        })
    }

    async fn remove(&self, name: &Username) -> Result<(), DirectoryError> {
        self.rewrite(|file| match file.remove(name) {
            true => Ok(()),
            false => Err(DirectoryError::Unknown(name.clone())),
        })
    }

    async fn weak_passwords(&self) -> Result<WeakPasswords, DirectoryError> {
        let mut weak = WeakPasswords::default();
        for Account { name, password } in &self.current().await.accounts {
            match password {
                StoredPassword::Plain(_) => weak.plain.push(name.clone()),
                StoredPassword::Argon2id(phc) if !is_hash(phc) => weak.broken.push(name.clone()),
                StoredPassword::Argon2id(_) => {}
            }
        }
        Ok(weak)
    }

    async fn hash_plain_passwords(&self) -> Result<Vec<Username>, DirectoryError> {
        self.rewrite(|file| {
            let mut hashed = Vec::new();
            for Account { name, password } in file.accounts().cloned().collect::<Vec<_>>() {
                if let StoredPassword::Plain(plain) = password {
                    file.set(Account { name: name.clone(), password: self.hash(&plain)? });
                    hashed.push(name);
                }
            }
            Ok(hashed)
        })
    }
}

impl Snapshot {
    fn read(path: &Path) -> Result<Self, String> {
        // Taken before the read, so that a change in between is noticed later.
        let fingerprint = fingerprint(path);
        Ok(Self::new(fingerprint, parse(path)?.accounts().cloned().collect()))
    }

    fn new(fingerprint: Fingerprint, accounts: Vec<Account>) -> Self {
        let by_name = accounts.iter().enumerate().map(|(at, account)| (account.name.clone(), at)).collect();
        let hashed = (0..accounts.len()).filter(|at| hash_of(&accounts[*at]).is_some()).collect();
        Self { fingerprint, accounts, by_name, hashed }
    }

    /// The file's accounts now. If it cannot be read or has no account any more, the previous accounts stay in force:
    /// an editor may rename or truncate the file before it writes.
    fn read_again(&self, path: &Path, seen: Fingerprint) -> Self {
        let read = match Self::read(path) {
            Ok(read) if read.accounts.is_empty() && !self.accounts.is_empty() => {
                Err(format!("{} names no account", path.display()))
            }
            read => read,
        };
        read.unwrap_or_else(|reason| {
            error!("{reason}; the previous accounts stay in force");
            Self::new(seen, self.accounts.clone())
        })
    }

    fn account(&self, name: &Username) -> Option<&Account> {
        self.by_name.get(name).map(|at| &self.accounts[*at])
    }

    /// The hash to verify a password for this name against, and whether it belongs to the account. `None` if no account has a
    /// hash.
    ///
    /// A name without an account or hash is verified against the hash of another account, always the same one. The time then does
    /// not reveal which accounts exist, even if their hashes have different costs.
    fn hash_to_check(&self, name: Option<&Username>) -> (Option<&str>, bool) {
        if let Some(phc) = name.and_then(|name| hash_of(self.account(name)?)) {
            return (Some(phc), true);
        }
        let Some(first) = self.hashed.first().and_then(|at| hash_of(&self.accounts[*at])) else {
            return (None, false);
        };
        let folded = name.map(|name| name.as_str().to_ascii_lowercase()).unwrap_or_default();
        // The first account's hash is secret, so the selection cannot be predicted.
        let digest = Blake2b512::new().chain_update(first).chain_update(folded).finalize();
        let draw = u64::from_le_bytes(*digest.first_chunk().expect("a digest has 64 octets"));
        let chosen = usize::try_from(draw % self.hashed.len() as u64).expect("it is less than a usize");
        (hash_of(&self.accounts[self.hashed[chosen]]), false)
    }
}

/// The account's hash, if it is usable.
fn hash_of(account: &Account) -> Option<&str> {
    match &account.password {
        StoredPassword::Argon2id(phc) if is_hash(phc) => Some(phc),
        _ => None,
    }
}

/// Reads and parses the file. A missing file has no accounts.
fn parse(path: &Path) -> Result<UserFile, String> {
    match fs::read_to_string(path) {
        Ok(text) => users::parse(&text).map_err(|error| format!("{}, {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(UserFile::default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn fingerprint(path: &Path) -> Fingerprint {
    fs::metadata(path)
        .map(|meta| (meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
        .unwrap_or_default()
}

fn path_in(data: &Path) -> PathBuf {
    data.join("User.txt")
}

fn replace(data: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let new = data.join(".User.txt.new");
    let _ = fs::remove_file(&new);
    let renamed = write_new(&new, path, text).and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed?;
    File::open(data)?.sync_all()
}

/// Writes and syncs a file with the permissions of `path`.
fn write_new(new: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    if let Ok(meta) = fs::metadata(path) {
        file.set_permissions(meta.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
