//! The accounts of User.txt: read when it changes, rewritten whole and atomically.

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
use tracing::error;

use crate::accounts::{Accounts, AccountsError};

mod checks;
mod cost;
mod password;

use checks::Checks;
use cost::cost;
use password::{Hashing, hash, is_hash, same};

/// The accounts in a data directory's User.txt.
#[derive(Debug)]
pub struct UserTxt {
    data: PathBuf,
    auth: Auth,
    last: RwLock<Arc<Snapshot>>,
    hashing: Hashing,
    checks: Checks,
}

/// The file as it was read last.
#[derive(Debug, Default)]
struct Snapshot {
    fingerprint: Fingerprint,
    accounts: Vec<Account>,
    by_name: HashMap<Username, usize>,
    /// The accounts whose passwords are checked by a hash.
    hashed: Vec<usize>,
}

/// What changes when the file does: inode, length, and the time of the last change, which nobody can set. All zero: there is no file.
type Fingerprint = (u64, u64, i64, i64);

impl UserTxt {
    /// Opens the accounts of a data directory.
    ///
    /// # Errors
    /// One sentence with the file, the line and the remedy.
    pub fn open(data: &Path, auth: &Auth) -> Result<Self, String> {
        let read = Snapshot::read(&path_in(data))?;
        Ok(Self {
            data: data.to_owned(),
            auth: auth.clone(),
            last: RwLock::new(Arc::new(read)),
            hashing: Hashing::default(),
            checks: Checks::new(Duration::from_secs(auth.cache_seconds)),
        })
    }

    /// How many hashes the checks of passwords have taken so far.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashing.hashed()
    }

    /// Whether there is no account at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current().accounts.is_empty()
    }

    /// Whether there is an account of that name.
    #[must_use]
    pub fn contains(&self, name: &Username) -> bool {
        self.current().account(name).is_some()
    }

    /// The accounts whose passwords stand in plain text.
    #[must_use]
    pub fn plain_passwords(&self) -> Vec<Username> {
        let plain = |account: &&Account| matches!(account.password, StoredPassword::Plain(_));
        self.current().accounts.iter().filter(plain).map(|account| account.name.clone()).collect()
    }

    /// The accounts whose hashes nobody can sign in with: they are not Argon2 hashes in PHC form.
    #[must_use]
    pub fn broken_hashes(&self) -> Vec<Username> {
        let broken = |account: &&Account| match &account.password {
            StoredPassword::Argon2id(phc) => !is_hash(phc),
            StoredPassword::Plain(_) => false,
        };
        self.current().accounts.iter().filter(broken).map(|account| account.name.clone()).collect()
    }

    /// Turns every plain-text password into a hash; the names of the accounts it did that for.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn hash_plain_passwords(&self) -> Result<Vec<Username>, AccountsError> {
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

    /// What User.txt says now. A file that cannot be read, or that has lost every account, leaves the last good one in
    /// force: an editor may rename or truncate it before it writes.
    fn current(&self) -> Arc<Snapshot> {
        let path = path_in(&self.data);
        let seen = fingerprint(&path);
        let last = Arc::clone(&self.last.read().unwrap_or_else(PoisonError::into_inner));
        if last.fingerprint == seen {
            return last;
        }
        let read = Snapshot::read(&path).and_then(|read| {
            if read.accounts.is_empty() && !last.accounts.is_empty() {
                return Err(format!("{} names no account any more", path.display()));
            }
            Ok(read)
        });
        let read = read.unwrap_or_else(|reason| {
            error!("{reason}; the accounts stay as they were");
            Snapshot::new(seen, last.accounts.clone())
        });
        let read = Arc::new(read);
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&read);
        read
    }

    fn hash(&self, password: &Secret<String>) -> Result<StoredPassword, AccountsError> {
        let cost = cost(&self.data, &self.auth).map_err(|error| {
            AccountsError::Failed(format!("cannot write into {}: {error}", self.data.display()))
        })?;
        Ok(StoredPassword::Argon2id(hash(password, cost)))
    }

    /// Changes the file: read afresh under a lock, written aside, synced, renamed, the directory synced.
    fn rewrite<R>(
        &self,
        change: impl FnOnce(&mut UserFile) -> Result<R, AccountsError>,
    ) -> Result<R, AccountsError> {
        let failed = |error: io::Error| {
            AccountsError::Failed(format!("cannot rewrite {}: {error}", path_in(&self.data).display()))
        };
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.data.join(".User.txt.lock"))
            .map_err(failed)?;
        lock.lock().map_err(failed)?;
        let path = path_in(&self.data);
        let mut file = parse(&path).map_err(AccountsError::Failed)?;
        let result = change(&mut file)?;
        replace(&self.data, &path, file.to_string().as_bytes()).map_err(failed)?;
        Ok(result)
    }
}

impl Accounts for UserTxt {
    async fn find(&self, name: &Username) -> Result<Option<Username>, AccountsError> {
        Ok(self.current().account(name).map(|account| account.name.clone()))
    }

    async fn first(&self) -> Result<Option<Username>, AccountsError> {
        Ok(self.current().accounts.first().map(|account| account.name.clone()))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, AccountsError> {
        let current = self.current();
        let account = name.and_then(|name| current.account(name));
        let check = account.map(|account| self.checks.check(account, password));
        if check.is_some_and(|check| self.checks.is_recent(Instant::now(), check)) {
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
        if let Some(check) = check.filter(|_| is_right) {
            self.checks.remember(Instant::now(), check);
        }
        Ok(account.filter(|_| is_right).map(|account| account.name.clone()))
    }

    async fn names(&self, after: Option<&Username>) -> Result<Vec<Username>, AccountsError> {
        let current = self.current();
        let from = after.map_or(0, |name| current.by_name.get(name).map_or(usize::MAX, |at| at + 1));
        Ok(current.accounts.iter().skip(from).map(|account| account.name.clone()).collect())
    }

    async fn add(&self, name: &Username, password: &Secret<String>) -> Result<(), AccountsError> {
        let folder = self.data.join(name.as_str());
        let password = self.hash(password)?;
        self.rewrite(|file| {
            if let Some(account) = file.account(name) {
                return Err(AccountsError::Exists(account.name.clone()));
            }
            DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
                AccountsError::Failed(format!("cannot make the folder {}: {error}", folder.display()))
            })?;
            file.set(Account { name: name.clone(), password });
            Ok(())
        })
    }

    async fn set_password(&self, name: &Username, password: &Secret<String>) -> Result<(), AccountsError> {
        let password = self.hash(password)?;
        self.rewrite(|file| {
            if file.account(name).is_none() {
                return Err(AccountsError::Unknown(name.clone()));
            }
            file.set(Account { name: name.clone(), password });
            Ok(())
        })
    }

    async fn remove(&self, name: &Username) -> Result<(), AccountsError> {
        self.rewrite(
            |file| {
                if file.remove(name) { Ok(()) } else { Err(AccountsError::Unknown(name.clone())) }
            },
        )
    }
}

impl Snapshot {
    fn read(path: &Path) -> Result<Self, String> {
        // Taken first: a change in between is then seen at the next look.
        let fingerprint = fingerprint(path);
        Ok(Self::new(fingerprint, parse(path)?.accounts().cloned().collect()))
    }

    fn new(fingerprint: Fingerprint, accounts: Vec<Account>) -> Self {
        let by_name = accounts.iter().enumerate().map(|(at, account)| (account.name.clone(), at)).collect();
        let hashed = (0..accounts.len()).filter(|at| hash_of(&accounts[*at]).is_some()).collect();
        Self { fingerprint, accounts, by_name, hashed }
    }

    fn account(&self, name: &Username) -> Option<&Account> {
        self.by_name.get(name).map(|at| &self.accounts[*at])
    }

    /// The hash that a password for this name is checked against, and whether it is the account's own. `None` where no
    /// account has one.
    ///
    /// A name without a hash, or without an account, is checked against somebody else's, and always the same one's: so it
    /// costs what the accounts here cost, even where their hashes were made at different costs, and the time does not
    /// tell which accounts there are.
    fn hash_to_check(&self, name: Option<&Username>) -> (Option<&str>, bool) {
        if let Some(phc) = name.and_then(|name| hash_of(self.account(name)?)) {
            return (Some(phc), true);
        }
        let Some(first) = self.hashed.first().and_then(|at| hash_of(&self.accounts[*at])) else {
            return (None, false);
        };
        let folded = name.map(|name| name.as_str().to_ascii_lowercase()).unwrap_or_default();
        // Nobody outside knows the first account's hash, so nobody can tell whose hash a name is given.
        let digest = Blake2b512::new().chain_update(first).chain_update(folded).finalize();
        let draw = u64::from_le_bytes(*digest.first_chunk().expect("a digest has 64 octets"));
        let chosen = usize::try_from(draw % self.hashed.len() as u64).expect("it is less than a usize");
        (hash_of(&self.accounts[self.hashed[chosen]]), false)
    }
}

/// The hash that an account's password can be checked against.
fn hash_of(account: &Account) -> Option<&str> {
    match &account.password {
        StoredPassword::Argon2id(phc) if is_hash(phc) => Some(phc),
        _ => None,
    }
}

/// Reads and parses the file; one that is not there has no accounts.
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
    let aside = data.join(".User.txt.new");
    let _ = fs::remove_file(&aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    if let Ok(meta) = fs::metadata(path) {
        file.set_permissions(meta.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(data)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(text: &str) -> (tempfile::TempDir, UserTxt) {
        let data = tempfile::tempdir().expect("a temporary directory");
        fs::write(path_in(data.path()), text).expect("written");
        let accounts = UserTxt::open(data.path(), &cheap()).expect("a good file");
        (data, accounts)
    }

    fn cheap() -> Auth {
        Auth { hash_memory: "1 MiB".parse().expect("a size"), hash_milliseconds: 1, ..Auth::default() }
    }

    fn name(text: &str) -> Username {
        Username::parse(text).expect("a good name")
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_guides_file_works_and_a_change_is_seen() {
        let (data, accounts) = accounts("ag secret\n");
        assert_eq!(accounts.find(&name("AG")).await.expect("found").expect("there").as_str(), "ag");
        assert!(accounts.verify(Some(&name("ag")), &secret("secret")).await.expect("checked").is_some());
        assert!(accounts.verify(Some(&name("ag")), &secret("Secret")).await.expect("checked").is_none());
        assert!(accounts.find(&name("gb")).await.expect("looked").is_none());

        fs::write(path_in(data.path()), "ag secret\ngb other\n").expect("written");
        assert!(accounts.find(&name("gb")).await.expect("looked").is_some());
        assert_eq!(accounts.plain_passwords(), [name("ag"), name("gb")]);
    }

    #[tokio::test]
    async fn a_broken_file_leaves_the_last_good_one_in_force() {
        let (data, accounts) = accounts("ag secret\n");
        fs::write(path_in(data.path()), "ag\n").expect("written");
        assert!(accounts.find(&name("ag")).await.expect("looked").is_some());
        let error = UserTxt::open(data.path(), &cheap()).expect_err("the file is broken");
        assert!(error.contains("User.txt, line 1:"), "{error}");
        // Administration must not write a file that it could not read.
        assert!(matches!(accounts.add(&name("gb"), &secret("x")).await, Err(AccountsError::Failed(_))));
    }

    #[tokio::test]
    async fn a_file_that_an_editor_has_moved_or_emptied_leaves_the_last_good_one_in_force() {
        let (data, accounts) = accounts("ag secret\n");
        for empty in ["", "# nobody\n"] {
            fs::write(path_in(data.path()), empty).expect("written");
            assert!(accounts.find(&name("ag")).await.expect("looked").is_some(), "{empty:?}");
        }
        fs::remove_file(path_in(data.path())).expect("removed");
        assert!(accounts.find(&name("ag")).await.expect("looked").is_some());

        fs::write(path_in(data.path()), "gb other\n").expect("written");
        assert!(accounts.find(&name("ag")).await.expect("looked").is_none());
        assert!(accounts.find(&name("gb")).await.expect("looked").is_some());
    }

    #[tokio::test]
    async fn accounts_are_added_changed_hashed_and_removed() {
        let (data, accounts) = accounts("# mine\nag secret\n");
        accounts.add(&name("Gb"), &secret("first")).await.expect("added");
        assert!(data.path().join("Gb").is_dir());
        assert!(matches!(accounts.add(&name("gB"), &secret("x")).await, Err(AccountsError::Exists(_))));
        accounts.set_password(&name("gb"), &secret("second")).await.expect("changed");
        assert!(accounts.verify(Some(&name("gb")), &secret("first")).await.expect("checked").is_none());
        assert_eq!(
            accounts.verify(Some(&name("gb")), &secret("second")).await.expect("checked"),
            Some(name("Gb"))
        );
        assert_eq!(accounts.hash_plain_passwords().expect("hashed"), [name("ag")]);
        assert!(accounts.plain_passwords().is_empty());
        assert!(accounts.verify(Some(&name("ag")), &secret("secret")).await.expect("checked").is_some());

        assert_eq!(accounts.names(None).await.expect("listed").len(), 2);
        assert_eq!(accounts.names(Some(&name("ag"))).await.expect("listed"), [name("gb")]);
        accounts.remove(&name("gb")).await.expect("removed");
        assert!(matches!(accounts.remove(&name("gb")).await, Err(AccountsError::Unknown(_))));
        assert!(matches!(
            accounts.set_password(&name("gb"), &secret("x")).await,
            Err(AccountsError::Unknown(_))
        ));
        let text = fs::read_to_string(path_in(data.path())).expect("read");
        assert!(text.starts_with("# mine\nag $argon2id$"), "{text}");
    }

    #[tokio::test]
    async fn a_password_that_was_right_costs_no_hash_for_a_while_and_a_wrong_one_always() {
        let (data, accounts) = accounts("ag plain\n");
        accounts.add(&name("gb"), &secret("right")).await.expect("added");
        let sign_in = async |user: &str, password: &str| {
            accounts.verify(Some(&name(user)), &secret(password)).await.expect("checked").is_some()
        };
        for _ in 0..100 {
            assert!(
                sign_in("gb", "right").await && sign_in("GB", "right").await && sign_in("ag", "plain").await
            );
        }
        assert_eq!(accounts.hashed(), 2);
        for wrong in ["wrong", "wrong", "plain"] {
            assert!(!sign_in("gb", wrong).await);
        }
        assert_eq!(accounts.hashed(), 5);

        accounts.set_password(&name("gb"), &secret("new")).await.expect("changed");
        assert!(!sign_in("gb", "right").await && sign_in("gb", "new").await);
        assert_eq!(accounts.hashed(), 7);
        fs::write(path_in(data.path()), "ag plain\n").expect("written");
        assert!(!sign_in("gb", "new").await && sign_in("ag", "plain").await);
        assert_eq!(accounts.hashed(), 7, "where there are no hashes, none is made");
    }

    #[tokio::test]
    async fn without_a_memory_every_check_costs_a_hash() {
        let (data, accounts) = accounts("");
        accounts.add(&name("ag"), &secret("right")).await.expect("added");
        let forgetful =
            UserTxt::open(data.path(), &Auth { cache_seconds: 0, ..cheap() }).expect("a good file");
        for hashed in 1..=3 {
            assert!(forgetful.verify(Some(&name("ag")), &secret("right")).await.expect("checked").is_some());
            assert_eq!(forgetful.hashed(), hashed);
        }
    }

    #[tokio::test]
    async fn every_name_costs_a_hash_of_this_site() {
        let (data, accounts) = accounts("");
        accounts.add(&name("ag"), &secret("right")).await.expect("added");
        let cheap = fs::read_to_string(path_in(data.path())).expect("read");
        let dear = cheap.replace("ag ", "gb ").replace("m=1024,t=", "m=2048,t=");
        fs::write(
            path_in(data.path()),
            format!("{cheap}{dear}broken $argon2id$v=19$m=1024,t=2,p=1$c2FsdHNhbHQ$!!!\nplain right\n"),
        )
        .expect("written");
        let current = accounts.current();
        let cost_of = |user: &str| {
            let (phc, is_own) = current.hash_to_check(Username::parse(user).ok().as_ref());
            (phc.expect("there are hashes").split('$').nth(3).expect("parameters")[..6].to_owned(), is_own)
        };
        assert_eq!(cost_of("ag"), ("m=1024".to_owned(), true));
        assert_eq!(cost_of("GB"), ("m=2048".to_owned(), true));
        let costs: Vec<_> = (0..100).map(|n| cost_of(&format!("nobody{n}"))).collect();
        for cost in ["m=1024", "m=2048"] {
            let names = costs.iter().filter(|(of_name, is_own)| of_name == cost && !is_own).count();
            assert!((25..=75).contains(&names), "{names} of 100 cost {cost}");
        }
        for user in ["nobody1", "broken", "plain", "../gb", ""] {
            assert_eq!((cost_of(user), cost_of(user).1), (cost_of(&user.to_uppercase()), false), "{user}");
        }
        let hashed = accounts.hashed();
        for user in ["nobody1", "broken", "plain", "ag"] {
            assert!(accounts.verify(Some(&name(user)), &secret("wrong")).await.expect("checked").is_none());
        }
        assert!(accounts.verify(None, &secret("right")).await.expect("checked").is_none());
        assert!(accounts.verify(Some(&name("nobody1")), &secret("right")).await.expect("checked").is_none());
        assert!(accounts.verify(Some(&name("broken")), &secret("right")).await.expect("checked").is_none());
        assert_eq!(accounts.hashed(), hashed + 7);
        assert!(accounts.verify(Some(&name("plain")), &secret("right")).await.expect("checked").is_some());
    }
}
