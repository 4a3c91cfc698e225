//! Accounts in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mail_core::secret::Secret;
use mail_core::users::Username;
use mail_store::directory::{AccountAdmin, Directory, DirectoryError, Quota, WeakPasswords};

/// A directory in memory. A clone has the same accounts.
#[derive(Debug, Clone, Default)]
pub struct MemoryDirectory(Arc<Mutex<Vec<Account>>>);

type Account = (Username, Secret<String>);

impl MemoryDirectory {
    fn accounts(&self) -> MutexGuard<'_, Vec<Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory for MemoryDirectory {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(self.accounts().iter().find(|(account, _)| account == name).map(|(account, _)| account.clone()))
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        Ok(self.accounts().first().map(|(account, _)| account.clone()))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        let accounts = self.accounts();
        let is_right =
            |(account, stored): &&Account| Some(account) == name && stored.expose() == password.expose();
        Ok(accounts.iter().find(is_right).map(|(account, _)| account.clone()))
    }
}

impl AccountAdmin for MemoryDirectory {
    /// One name at a time, so that callers cannot depend on the size of a batch.
    async fn names(&self, after: Option<&Username>) -> Result<Vec<Username>, DirectoryError> {
        let accounts = self.accounts();
        let after = after.and_then(|name| accounts.iter().position(|(account, _)| account == name));
        let next = after.map_or(0, |after| after + 1);
        Ok(accounts.get(next).map(|(account, _)| account.clone()).into_iter().collect())
    }

    async fn add(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts();
        if let Some((account, _)) = accounts.iter().find(|(account, _)| account == name) {
            return Err(DirectoryError::Exists(account.clone()));
        }
        accounts.push((name.clone(), password.clone()));
        Ok(())
    }

    async fn set_password(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts();
        let account = accounts.iter_mut().find(|(account, _)| account == name);
        let (_, stored) = account.ok_or_else(|| DirectoryError::Unknown(name.clone()))?;
        *stored = password.clone();
        Ok(())
    }

    async fn rename(&self, name: &Username, new: &Username) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts();
        if name != new && accounts.iter().any(|(account, _)| account == new) {
            return Err(DirectoryError::Exists(new.clone()));
        }
        let account = accounts.iter_mut().find(|(account, _)| account == name);
        let (renamed, _) = account.ok_or_else(|| DirectoryError::Unknown(name.clone()))?;
        *renamed = new.clone();
        Ok(())
    }

    /// Mailboxes in memory have no limits.
    async fn set_quota(&self, name: &Username, _quota: Option<Quota>) -> Result<(), DirectoryError> {
        let accounts = self.accounts();
        let is_known = accounts.iter().any(|(account, _)| account == name);
        if is_known { Ok(()) } else { Err(DirectoryError::Unknown(name.clone())) }
    }

    async fn remove(&self, name: &Username) -> Result<(), DirectoryError> {
        let mut accounts = self.accounts();
        let before = accounts.len();
        accounts.retain(|(account, _)| account != name);
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
