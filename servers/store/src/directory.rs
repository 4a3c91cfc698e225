//! Accounts: lookup and login for the servers ([`Directory`]), changes for the administrator ([`AccountAdmin`]).
//!
//! Account names are compared without case. Every method returns a name as the directory spells it.

use mail_core::aliases::{Alias, AliasKey, AliasTarget};
use mail_core::message::address::{Address, Domain};
use mail_core::secret::Secret;
use mail_core::users::Username;

/// Finds accounts and verifies passwords.
pub trait Directory: Send + Sync {
    /// The account of that name.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn find(&self, name: &Username) -> impl Future<Output = Result<Option<Username>, DirectoryError>> + Send;

    /// The targets of the alias of an address at a local domain. A directory without aliases has none.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn alias(
        &self,
        _address: &Address,
    ) -> impl Future<Output = Result<Option<Vec<Address>>, DirectoryError>> + Send {
        async { Ok(None) }
    }

    /// The targets of a local domain's catch-all.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn catch_all(
        &self,
        _domain: &Domain,
    ) -> impl Future<Output = Result<Option<Vec<Address>>, DirectoryError>> + Send {
        async { Ok(None) }
    }

    /// The first account, which receives postmaster's mail unless the configuration names another.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn first(&self) -> impl Future<Output = Result<Option<Username>, DirectoryError>> + Send;

    /// The account of that name, if `password` is its password. An unknown name, or `None` for a text that cannot be a name,
    /// costs as much work as a wrong password and has the same result.
    ///
    /// # Errors
    /// The directory cannot be read, or [`DirectoryError::Busy`].
    fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<Option<Username>, DirectoryError>> + Send;
}

/// Changes and lists accounts. Every change is durable on return.
pub trait AccountAdmin: Send + Sync {
    /// A batch of account names after `after`, in the directory's order; empty after the last.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn names(
        &self,
        after: Option<&Username>,
    ) -> impl Future<Output = Result<Vec<Username>, DirectoryError>> + Send;

    /// Adds an account.
    ///
    /// # Errors
    /// [`DirectoryError::Exists`] if the name is taken.
    fn add(
        &self,
        name: &Username,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<(), DirectoryError>> + Send;

    /// Changes a password.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`] if there is no such account.
    fn set_password(
        &self,
        name: &Username,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<(), DirectoryError>> + Send;

    /// Removes an account; its mail remains.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`] if there is no such account.
    fn remove(&self, name: &Username) -> impl Future<Output = Result<(), DirectoryError>> + Send;

    /// Accounts whose passwords need the administrator's attention.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn weak_passwords(&self) -> impl Future<Output = Result<WeakPasswords, DirectoryError>> + Send;

    /// Replaces every plain-text password by its hash; the names of the changed accounts.
    ///
    /// # Errors
    /// The directory cannot be read or written.
    fn hash_plain_passwords(&self) -> impl Future<Output = Result<Vec<Username>, DirectoryError>> + Send;
}

/// Changes and lists aliases. Every change is durable on return.
pub trait AliasAdmin: Send + Sync {
    /// All aliases, in the directory's order.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn aliases(&self) -> impl Future<Output = Result<Vec<Alias>, DirectoryError>> + Send;

    /// Adds targets to an alias, which is created if it does not exist.
    ///
    /// # Errors
    /// The alias would lead back to itself, or the directory cannot be written.
    fn add_alias(
        &self,
        key: &AliasKey,
        targets: Vec<AliasTarget>,
    ) -> impl Future<Output = Result<(), DirectoryError>> + Send;

    /// Removes targets of an alias, or without targets the whole alias.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownAlias`] if there is no such alias or target.
    fn remove_alias(
        &self,
        key: &AliasKey,
        targets: &[AliasTarget],
    ) -> impl Future<Output = Result<(), DirectoryError>> + Send;
}

/// Names of the accounts whose stored passwords need attention.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WeakPasswords {
    /// Stored in plain text.
    pub plain: Vec<Username>,
    /// Stored as a hash that no password matches.
    pub broken: Vec<Username>,
}

/// Failure of a directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    #[error("there is no account `{0}`; `pennypost user list` shows all of them")]
    Unknown(Username),
    #[error("there is no alias `{0}` with these targets; `pennypost alias list` shows all of them")]
    UnknownAlias(AliasKey),
    #[error("the account `{0}` exists already; names are compared without case")]
    Exists(Username),
    #[error("too many passwords are waiting to be verified")]
    Busy,
    #[error("{0}")]
    Failed(String),
}
