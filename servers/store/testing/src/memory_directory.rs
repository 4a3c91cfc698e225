//! Accounts in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail_core::secret::Secret;
use mail_core::users::Username;
use mail_store::directory::{AccountAdmin, Directory, DirectoryError, Quota, WeakPasswords};

/// A directory in memory. A clone has the same accounts.
#[derive(Debug, Clone, Default)]
pub struct MemoryDirectory(Arc<Mutex<Vec<Account>>>);

#[derive(Debug)]
struct Account {
    name: Username,
    password: Secret<String>,
    quota: Option<Quota>,
}

impl MemoryDirectory {
    fn accounts(&self) -> MutexGuard<'_, Vec<Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value that `read` finds in an account.
    fn with_account<T>(&self, name: &Username, read: impl FnOnce(&Account) -> T) -> Option<T> {
        self.accounts().iter().find(|account| account.name == *name).map(read)
    }

    /// Changes an account.
    fn change(&self, name: &Username, change: impl FnOnce(&mut Account)) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts();
        let account = accounts.iter_mut().find(|account| account.name == *name);
        account.map(change).ok_or_else(|| DirectoryError::Unknown(name.clone()))
    }
}

impl Directory for MemoryDirectory {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(self.with_account(name, |account| account.name.clone()))
    }

    async fn quota(&self, name: &Username) -> Result<Option<Quota>, DirectoryError> {
        Ok(self.with_account(name, |account| account.quota).flatten())
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        Ok(self.accounts().first().map(|account| account.name.clone()))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        let found = name.and_then(|name| {
            self.with_account(name, |account| {
                (account.password.expose() == password.expose()).then(|| account.name.clone())
            })
        });
        Ok(found.flatten())
    }
}

impl AccountAdmin for MemoryDirectory {
    /// One name at a time, so that callers cannot depend on the size of a batch.
    async fn names(&self, after: Option<&Username>) -> Result<Vec<Username>, DirectoryError> {
        let accounts = self.accounts();
        let after = after.and_then(|name| accounts.iter().position(|account| account.name == *name));
        let next = after.map_or(0, |after| after + 1);
        Ok(accounts.get(next).map(|account| account.name.clone()).into_iter().collect())
    }

    async fn add(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts();
        if let Some(account) = accounts.iter().find(|account| account.name == *name) {
            return Err(DirectoryError::Exists(account.name.clone()));
        }
        accounts.push(Account { name: name.clone(), password: password.clone(), quota: None });
        Ok(())
    }

    async fn set_password(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        self.change(name, |account| account.password = password.clone())
    }

    async fn rename(&self, name: &Username, new: &Username) -> Result<(), DirectoryError> {
        if name != new && self.with_account(new, |_| ()).is_some() {
            return Err(DirectoryError::Exists(new.clone()));
        }
        self.change(name, |account| account.name = new.clone())
    }

    async fn set_quota(&self, name: &Username, quota: Option<Quota>) -> Result<(), DirectoryError> {
        self.change(name, |account| account.quota = quota)
    }

    async fn remove(&self, name: &Username) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts();
        let before = accounts.len();
        accounts.retain(|account| account.name != *name);
        if accounts.len() < before { Ok(()) } else { Err(DirectoryError::Unknown(name.clone())) }
    }

    /// Passwords in memory are not stored, so none needs attention.
    async fn weak_passwords(&self) -> Result<WeakPasswords, DirectoryError> {
        Ok(WeakPasswords::default())
    }

    async fn hash_plain_passwords(&self) -> Result<Vec<Username>, DirectoryError> {
        Ok(Vec::new())
    }
}
