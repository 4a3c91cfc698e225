//! `pennypost user`: the accounts, administered.

use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::DirBuilderExt;

use clap::{Args, Subcommand};
use config::Config;
use mail_core::secret::Secret;
use mail_core::users::Username;

use mail_store::MailStore;
use mail_store::accounts::{Accounts, AccountsError};
use mail_store::disk::RealDisk;
use mail_store::text::{TextStore, Threads};
use mail_store::user_txt::UserTxt;

use crate::privileges;

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add an account and make its folder.
    Add(NameAndPassword),
    /// Change an account's password.
    Passwd(NameAndPassword),
    /// Remove an account; its mail is kept unless --purge is given.
    Remove {
        /// The account's name.
        #[arg(value_parser = parse_name)]
        name: Username,
        /// Delete its folder and all of its mail, too.
        #[arg(long)]
        purge: bool,
    },
    /// Show the account names, one a line.
    List,
    /// Turn every password that stands in plain text into an Argon2id hash.
    Hash,
}

/// An account, and where its password comes from.
#[derive(Debug, Args)]
pub struct NameAndPassword {
    /// The account's name.
    #[arg(value_parser = parse_name)]
    name: Username,
    /// Read the password from the first line of standard input instead of asking for it.
    #[arg(long)]
    password_stdin: bool,
}

impl UserCommand {
    /// Does it.
    ///
    /// # Errors
    /// One sentence with the remedy.
    pub fn run(&self, config: &Config) -> Result<(), String> {
        if matches!(self, Self::Add(_)) && !config.data.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&config.data);
            made.and_then(|()| privileges::give(&config.data, config.process.user.as_deref())).map_err(
                |error| format!("cannot make the data directory {}: {error}", config.data.display()),
            )?;
        }
        if !config.data.is_dir() {
            return Err(format!(
                "there is no data directory {}; name an existing one with --data",
                config.data.display()
            ));
        }
        privileges::become_owner_of(&config.data)?;
        let accounts = UserTxt::open(&config.data, &config.auth)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(async {
            match self {
                Self::Add(account) => {
                    let password = account.password()?;
                    accounts.add(&account.name, &password).await.map_err(|error| error.to_string())?;
                    say(&format!("added {}", account.name))
                }
                Self::Passwd(account) => {
                    let password = account.password()?;
                    accounts
                        .set_password(&account.name, &password)
                        .await
                        .map_err(|error| error.to_string())?;
                    say(&format!("changed the password of {}", account.name))
                }
                Self::Remove { name, purge } => remove(config, &accounts, name, *purge).await,
                Self::List => {
                    let names = accounts.names(None).await.map_err(|error| error.to_string())?;
                    names.iter().try_for_each(|name| say(name.as_str()))
                }
                Self::Hash => {
                    let hashed = accounts.hash_plain_passwords().map_err(|error| error.to_string())?;
                    say(&format!("turned {} plain-text passwords into hashes", hashed.len()))
                }
            }
        })
    }
}

async fn remove(config: &Config, accounts: &UserTxt, name: &Username, purge: bool) -> Result<(), String> {
    let found = accounts.find(name).await.map_err(|error| error.to_string())?;
    let Some(name) = found else { return Err(AccountsError::Unknown(name.clone()).to_string()) };
    let folder = config.data.join(name.as_str());
    if !purge {
        accounts.remove(&name).await.map_err(|error| error.to_string())?;
        return say(&format!("removed {name}; its mail is still in {}", folder.display()));
    }
    // The lease keeps a session that reads it from losing mail under its hands. It comes first, so that nothing has
    // changed when it cannot be had.
    let store = TextStore::open(RealDisk::new(&config.data), Threads, config.hostname.as_str())
        .map_err(|error| error.to_string())?;
    let _lease = store.open(&name).await.map_err(|error| format!("{name} was not removed: {error}"))?;
    accounts.remove(&name).await.map_err(|error| error.to_string())?;
    fs::remove_dir_all(&folder)
        .map_err(|error| format!("removed {name}, but not all of its mail: {error}"))?;
    say(&format!("removed {name} and all of its mail"))
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
            let second = rpassword::prompt_password("Once more: ").map_err(unread)?;
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

fn say(line: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| format!("cannot write to standard output: {error}"))
}

fn parse_name(text: &str) -> Result<Username, String> {
    Username::parse(text).map_err(|error| error.to_string())
}
