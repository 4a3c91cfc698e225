//! `pennypost import` and `pennypost export`: mail of an account from and to mbox files, maildirs and .eml files.

mod export;
mod import;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use config::Config;
use mail_core::users::Username;
use mail_store::directory::{Directory, DirectoryError};

use crate::admin::{parse_name, run_blocking, to_sentence};
use crate::configured::{ConfiguredStore, Storage};
use crate::privileges;

pub(crate) use export::read_message;

/// The arguments of both commands.
#[derive(Debug, Args)]
pub(crate) struct TransferArgs {
    /// The format.
    format: Format,
    /// The account's name.
    #[arg(value_parser = parse_name)]
    account: Username,
    /// The mbox file, the maildir, or the directory of .eml files.
    path: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One file with all messages (RFC 4155, mboxrd).
    Mbox,
    /// A directory with `new`, `cur` and `tmp`.
    Maildir,
    /// A directory with one file per message.
    Eml,
}

impl TransferArgs {
    /// Delivers the messages to the account, with their dates. Messages that cannot be stored are reported and skipped; then
    /// the result is `false`.
    ///
    /// # Errors
    /// A sentence with the cause; it says how many messages were imported before.
    pub(crate) fn import(&self, config: &Config) -> Result<bool, String> {
        self.run(config, async |store, account| import::import(self, config, &store, account).await)
    }

    /// Writes the account's messages. Existing files are not overwritten.
    ///
    /// # Errors
    /// A sentence with the cause.
    pub(crate) fn export(&self, config: &Config) -> Result<(), String> {
        self.run(config, async |store, account| export::export(self, &store, &account).await)
    }

    fn run<R>(
        &self,
        config: &Config,
        transfer: impl AsyncFnOnce(ConfiguredStore, Username) -> Result<R, String>,
    ) -> Result<R, String> {
        if config.data.is_dir() {
            privileges::become_owner_of(&config.data)?;
        }
        let storage = Storage::new(config)?;
        let (directory, store) = (storage.directory()?, storage.store()?);
        run_blocking(async {
            storage.check().await?;
            let found = directory.find(&self.account).await.map_err(to_sentence)?;
            let account = found.ok_or_else(|| to_sentence(DirectoryError::Unknown(self.account.clone())))?;
            transfer(store, account).await
        })
    }
}
