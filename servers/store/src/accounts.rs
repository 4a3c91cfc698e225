//! Who has mail here: the [`Accounts`] trait.

use mail_core::secret::Secret;
use mail_core::users::Username;

/// The accounts of a mail system. Names are compared without case and come back as they are spelled there.
pub trait Accounts: Send + Sync {
    /// The account of that name.
    fn find(&self, name: &Username) -> impl Future<Output = Result<Option<Username>, AccountsError>> + Send;

    /// The first account, which gets postmaster's mail unless somebody else is named.
    fn first(&self) -> impl Future<Output = Result<Option<Username>, AccountsError>> + Send;

    /// The account of that name, if that is its password. An unknown name, or `None` for what cannot be a
    /// name, takes the same work and gives the same answer as a wrong password.
    fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<Option<Username>, AccountsError>> + Send;

    /// Some account names after `after`, in the order of the accounts; empty when there are none.
    fn names(
        &self,
        after: Option<&Username>,
    ) -> impl Future<Output = Result<Vec<Username>, AccountsError>> + Send;

    /// Adds an account, durable on return.
    ///
    /// # Errors
    /// [`AccountsError::Exists`] when the name is taken, in whatever case.
    fn add(
        &self,
        name: &Username,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<(), AccountsError>> + Send;

    /// Changes a password, durable on return.
    ///
    /// # Errors
    /// [`AccountsError::Unknown`] when there is no such account.
    fn set_password(
        &self,
        name: &Username,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<(), AccountsError>> + Send;

    /// Removes an account, durable on return; its mail is not touched.
    ///
    /// # Errors
    /// [`AccountsError::Unknown`] when there is no such account.
    fn remove(&self, name: &Username) -> impl Future<Output = Result<(), AccountsError>> + Send;
}

/// What can go wrong with accounts.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    #[error("there is no account `{0}`; `pennypost user list` shows all of them")]
    Unknown(Username),
    #[error("there is an account `{0}` already; names are compared without case")]
    Exists(Username),
    #[error("too many passwords wait to be checked")]
    Busy,
    #[error("{0}")]
    Failed(String),
}
