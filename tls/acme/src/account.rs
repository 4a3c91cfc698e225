//! The account at the directory (RFC 8555 section 7.3), and its file.

use instant_acme::{Account, AccountCredentials, Error, NewAccount};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::Renewal;
use crate::failure::Failure;

/// The error of a directory that does not know the account, such as a test directory after a restart.
const UNKNOWN_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Content of the account's file.
#[derive(Deserialize, Serialize)]
struct StoredAccount {
    /// URL of the directory.
    directory: String,
    contact: String,
    /// The account's URL and private key.
    credentials: AccountCredentials,
}

impl Renewal {
    /// Opens the stored account. If there is none at the configured directory, creates one.
    pub(crate) async fn open_account(&self) -> Result<Account, Failure> {
        let Some(stored) = self.read_account()? else { return self.create_account().await };
        let credentials = serde_json::to_string(&stored).map_err(Error::from)?;
        let account = self.builder().from_credentials(stored.credentials).await?;
        let contact = &self.config.contact;
        // Also tells whether the directory still knows the account.
        match account.update_contacts(&[contact]).await {
            Ok(()) if stored.contact == *contact => Ok(account),
            Ok(()) => {
                let mut stored: StoredAccount = serde_json::from_str(&credentials).map_err(Error::from)?;
                stored.contact.clone_from(contact);
                self.store_account(&stored)?;
                Ok(account)
            }
            Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNKNOWN_ACCOUNT) => {
                warn!("the ACME directory does not know the stored account any more; creating another one");
                self.create_account().await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The account at the configured directory.
    fn read_account(&self) -> Result<Option<StoredAccount>, Failure> {
        let Some(text) = self.files.read_account().map_err(Failure::local)? else { return Ok(None) };
        let stored: StoredAccount = match serde_json::from_str(&text) {
            Ok(stored) => stored,
            Err(error) => {
                let path = self.files.account();
                warn!("{} is not an ACME account: {error}; creating another one", path.display());
                return Ok(None);
            }
        };
        Ok(Some(stored).filter(|stored| stored.directory == self.config.directory.to_string()))
    }

    async fn create_account(&self) -> Result<Account, Failure> {
        let directory = self.config.directory.to_string();
        let contact = self.config.contact.clone();
        let account =
            NewAccount { contact: &[&contact], terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = self.builder().create(&account, directory.clone(), None).await?;
        self.store_account(&StoredAccount { directory, contact, credentials })?;
        info!("account created at the ACME directory {}", self.config.directory);
        Ok(account)
    }

    fn store_account(&self, account: &StoredAccount) -> Result<(), Failure> {
        let text = serde_json::to_string(account).map_err(Error::from)?;
        self.files.store_account(&text).map_err(Failure::local)
    }

    fn builder(&self) -> instant_acme::AccountBuilder {
        Account::builder_with_http(Box::new(self.client.clone()))
    }
}
