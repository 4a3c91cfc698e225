//! The accounts in User.txt, with their aliases and quotas: read when the file changes, rewritten atomically.

use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use blake2::{Blake2b512, Digest};
use config::Auth;
use mail_core::aliases::{Alias, AliasKey, AliasTarget};
use mail_core::message::address::{Address, Domain};
use mail_core::secret::Secret;
use mail_core::time::Instant;
use mail_core::users::{self, Account, StoredPassword, UserFile, Username};

use crate::aliases_txt::AliasesTxt;
use crate::directory::{AccountAdmin, AliasAdmin, Directory, DirectoryError, Quota, WeakPasswords};
use crate::password::cost::{self, cost};
use crate::password::{Hashing, VerifiedPasswordCache, hash, is_hash, same};
use crate::quotas_txt::QuotasTxt;
use crate::rewrite::rewrite_file;
use crate::watched_file::WatchedFile;

/// The accounts in a data directory's User.txt, and the aliases in its Aliases.txt.
#[derive(Debug)]
pub struct UserTxt {
    data: PathBuf,
    auth: Auth,
    file: WatchedFile<Snapshot>,
    aliases: AliasesTxt,
    quotas: QuotasTxt,
    hashing: Hashing,
    verified: VerifiedPasswordCache,
}

/// The file as last read.
#[derive(Debug, Default)]
struct Snapshot {
    accounts: Vec<Account>,
    by_name: HashMap<Username, usize>,
    /// The accounts with a usable hash.
    hashed: Vec<usize>,
}

impl UserTxt {
    /// Opens the accounts and aliases of a data directory. `domains` are the local domains.
    ///
    /// # Errors
    /// A sentence with the file, the line and the remedy.
    pub fn open(data: &Path, auth: &Auth, domains: &[Domain]) -> Result<Self, String> {
        Ok(Self {
            data: data.to_owned(),
            auth: auth.clone(),
            file: WatchedFile::open(path_in(data), Snapshot::read)?,
            aliases: AliasesTxt::open(data, domains)?,
            quotas: QuotasTxt::open(data)?,
            hashing: Hashing::default(),
            verified: VerifiedPasswordCache::new(Duration::from_secs(auth.cache_seconds)),
        })
    }

    /// Number of hashes computed to verify passwords so far.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashing.hashed()
    }

    /// Reads the files again if they have changed, and logs errors in them.
    pub async fn reload(&self) {
        self.current().await;
        self.aliases.current().await;
        self.quotas.current().await;
    }

    /// The accounts of the file, which is read again if it has changed.
    async fn current(&self) -> Arc<Snapshot> {
        self.file.current(Snapshot::read_again).await
    }

    fn hash(&self, password: &Secret<String>) -> Result<StoredPassword, DirectoryError> {
        let cost = cost(&self.data, &self.auth).map_err(|error| {
            DirectoryError::Failed(format!("cannot write into {}: {error}", self.data.display()))
        })?;
        Ok(StoredPassword::Argon2id(hash(password, cost)))
    }

    /// Changes the file under a lock.
    fn rewrite<R>(
        &self,
        change: impl FnOnce(&mut UserFile) -> Result<R, DirectoryError>,
    ) -> Result<R, DirectoryError> {
        rewrite_file(self.file.path(), || {
            let mut file = parse(self.file.path()).map_err(DirectoryError::Failed)?;
            let result = change(&mut file)?;
            Ok((file.to_string(), result))
        })
    }
}

impl Directory for UserTxt {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(self.current().await.account(name).map(|account| account.name.clone()))
    }

    async fn alias(&self, address: &Address) -> Result<Option<Vec<Address>>, DirectoryError> {
        Ok(self.aliases.targets(address).await)
    }

    async fn catch_all(&self, domain: &Domain) -> Result<Option<Vec<Address>>, DirectoryError> {
        Ok(self.aliases.catch_all(domain).await)
    }

    async fn quota(&self, account: &Username) -> Result<Option<Quota>, DirectoryError> {
        Ok(self.quotas.find(account).await)
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
impl AliasAdmin for UserTxt {
    async fn aliases(&self) -> Result<Vec<Alias>, DirectoryError> {
        Ok(self.aliases.current().await.aliases().cloned().collect())
    }

    async fn add_alias(&self, key: &AliasKey, targets: Vec<AliasTarget>) -> Result<(), DirectoryError> {
        self.aliases.rewrite(|file| {
            file.add(key, targets);
            Ok(())
        })
    }

    async fn remove_alias(&self, key: &AliasKey, targets: &[AliasTarget]) -> Result<(), DirectoryError> {
        self.aliases.rewrite(|file| match file.remove(key, targets) {
            true => Ok(()),
            false => Err(DirectoryError::UnknownAlias(key.clone())),
        })
    }
}

/// The changes block, as those of aliases do.
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

    async fn rename(&self, name: &Username, new: &Username) -> Result<(), DirectoryError> {
        self.rewrite(|file| {
            let taken = file.account(new).filter(|taken| taken.name != *name);
            if let Some(taken) = taken {
                return Err(DirectoryError::Exists(taken.name.clone()));
            }
            if !file.rename(name, new) {
                return Err(DirectoryError::Unknown(name.clone()));
            }
            // Before User.txt is written: if the quota cannot be moved, the account keeps its name.
            self.quotas.rename_locked(name, new)
        })
    }

    async fn set_quota(&self, name: &Username, quota: Option<Quota>) -> Result<(), DirectoryError> {
        let current = self.current().await;
        let account = current.account(name).ok_or_else(|| DirectoryError::Unknown(name.clone()))?;
        self.quotas.set(&account.name, quota)
    }

    async fn remove(&self, name: &Username) -> Result<(), DirectoryError> {
        self.rewrite(|file| {
            if !file.remove(name) {
                return Err(DirectoryError::Unknown(name.clone()));
            }
            self.quotas.remove_locked(name)
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
        let accounts: Vec<_> = parse(path)?.accounts().cloned().collect();
        let by_name = accounts.iter().enumerate().map(|(at, account)| (account.name.clone(), at)).collect();
        let hashed = (0..accounts.len()).filter(|at| hash_of(&accounts[*at]).is_some()).collect();
        Ok(Self { accounts, by_name, hashed })
    }

    /// A file without accounts is an error if it had some.
    fn read_again(path: &Path, previous: &Self) -> Result<Self, String> {
        match Self::read(path)? {
            read if read.accounts.is_empty() && !previous.accounts.is_empty() => {
                Err(format!("{} names no account", path.display()))
            }
            read => Ok(read),
        }
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

fn path_in(data: &Path) -> PathBuf {
    data.join("User.txt")
}

#[cfg(test)]
mod tests;
