//! `pennypost user`: account administration.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use config::{Config, StoreKind};
use mail_core::secret::Secret;
use mail_core::users::Username;
use mail_store::directory::{AccountAdmin, Directory, DirectoryError};
use mail_store::{MailboxAdmin, Maildrop, MaildropStore};

use crate::configured::{self, Storage};
use crate::privileges;

/// A subcommand of `pennypost user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add an account and create its folder.
    Add(NameAndPassword),
    /// Change an account's password.
    Passwd(NameAndPassword),
    /// Remove an account, but not its mail unless --purge is given.
    Remove {
        /// The account's name.
        #[arg(value_parser = parse_name)]
        name: Username,
        /// Also delete its folder with all mail.
        #[arg(long)]
        purge: bool,
    },
    /// List the account names, one per line.
    List,
    /// Replace every plain-text password by an Argon2id hash.
    Hash,
}

/// An account, and the source of its password.
#[derive(Debug, Args)]
pub struct NameAndPassword {
    /// The account's name.
    #[arg(value_parser = parse_name)]
    name: Username,
    /// Read the password from the first line of standard input instead of prompting for it.
    #[arg(long)]
    password_stdin: bool,
}

impl UserCommand {
    /// Runs the command. If it fails, a new data directory is removed again.
    ///
    /// # Errors
    /// A sentence with the cause and the remedy.
    pub fn run(&self, config: &Config) -> Result<(), String> {
        let creates = matches!(self, Self::Add(_)) && config.store.kind == StoreKind::Text;
        let created = if creates { create_data_directory(config)? } else { Vec::new() };
        self.run_in_data_directory(config).inspect_err(|_| configured::remove_created(&created))
    }

    fn run_in_data_directory(&self, config: &Config) -> Result<(), String> {
        if config.data.is_dir() {
            privileges::become_owner_of(&config.data)?;
        }
        let storage = Storage::new(config)?;
        let directory = storage.directory()?;
        run_blocking(async {
            storage.check().await?;
            match self {
                Self::Remove { name, purge: true } => {
                    purge(&directory, &storage.store()?, &storage.mailboxes(), name).await
                }
                Self::Remove { name, purge: false } => remove(&directory, &storage.mailboxes(), name).await,
                _ => self.change(&directory).await,
            }
        })
    }

    /// Runs a command that concerns the directory alone.
    async fn change(&self, directory: &impl AccountAdmin) -> Result<(), String> {
        match self {
            Self::Add(account) => {
                directory.add(&account.name, &account.password()?).await.map_err(to_sentence)?;
                print(&format!("added {}", account.name))
            }
            Self::Passwd(account) => {
                directory.set_password(&account.name, &account.password()?).await.map_err(to_sentence)?;
                print(&format!("changed the password of {}", account.name))
            }
            Self::List => {
                let mut after = None;
                loop {
                    let names = directory.names(after.as_ref()).await.map_err(to_sentence)?;
                    names.iter().try_for_each(|name| print(name.as_str()))?;
                    let Some(last) = names.last() else { return Ok(()) };
                    after = Some(last.clone());
                }
            }
            Self::Hash => {
                let hashed = directory.hash_plain_passwords().await.map_err(to_sentence)?;
                print(&format!("replaced {} plain-text passwords by hashes", hashed.len()))
            }
            Self::Remove { .. } => unreachable!("`run` removes accounts"),
        }
    }
}

/// Runs a command to its end. A file size limit fails a write; it does not end the command in the middle of a change.
pub(crate) fn run_blocking<R>(command: impl Future<Output = Result<R, String>>) -> Result<R, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        net::signals::ignore_fatal().map_err(|error| format!("cannot handle signals: {error}"))?;
        command.await
    })
}

/// Creates the data directory, owned by the user that the servers run as. Returns the directories that did not exist.
fn create_data_directory(config: &Config) -> Result<Vec<PathBuf>, String> {
    let owner = config.process.user.as_deref();
    let cannot = |error| format!("cannot create the data directory {}: {error}", config.data.display());
    let created = configured::create(config).map_err(cannot)?;
    if !created.is_empty() {
        privileges::give(&config.data, owner).map_err(|error| {
            configured::remove_created(&created);
            cannot(error)
        })?;
    }
    Ok(created)
}

async fn remove(
    directory: &(impl Directory + AccountAdmin),
    mailboxes: &impl MailboxAdmin,
    name: &Username,
) -> Result<(), String> {
    let name = find(directory, name).await?;
    directory.remove(&name).await.map_err(to_sentence)?;
    print(&format!("removed {name}; its mail is still in {}", mailboxes.location(&name)))
}

/// Takes the lease first, so that no session loses mail while it reads. If the lease is not available, nothing has
/// changed.
async fn purge(
    directory: &(impl Directory + AccountAdmin),
    store: &impl MaildropStore,
    mailboxes: &impl MailboxAdmin,
    name: &Username,
) -> Result<(), String> {
    let name = find(directory, name).await?;
    let lease = store.open(&name).await.map_err(|error| format!("{name} was not removed: {error}"))?;
    let purged = async {
        directory.remove(&name).await.map_err(to_sentence)?;
        let purged = mailboxes.purge(&name).await;
        purged.map_err(|error| format!("removed {name}, but not all of its mail: {error}"))
    };
    let purged = purged.await;
    lease.release().await;
    purged?;
    print(&format!("removed {name} and all of its mail"))
}

async fn find(directory: &impl Directory, name: &Username) -> Result<Username, String> {
    let found = directory.find(name).await.map_err(to_sentence)?;
    found.ok_or_else(|| to_sentence(DirectoryError::Unknown(name.clone())))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn to_sentence(error: DirectoryError) -> String {
    error.to_string()
}

impl NameAndPassword {
    fn password(&self) -> Result<Secret<String>, String> {
        let unread = |error: io::Error| format!("cannot read the password: {error}");
        let password = if self.password_stdin {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map_err(unread)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        } else {
            let first =
                rpassword::prompt_password(format!("Password for {}: ", self.name)).map_err(unread)?;
            let second = rpassword::prompt_password("Repeat the password: ").map_err(unread)?;
            if first != second {
                return Err("the two passwords differ; nothing was changed".into());
            }
            first
        };
        if password.is_empty() || password.contains(|c: char| c.is_control()) {
            return Err(
                "a password has at least one character and no control characters; nothing was changed".into(),
            );
        }
        Ok(Secret::new(password))
    }
}

pub(crate) fn print(line: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| format!("cannot write to standard output: {error}"))
}

pub(crate) fn parse_name(text: &str) -> Result<Username, String> {
    Username::parse(text).map_err(|error| error.to_string())
}
