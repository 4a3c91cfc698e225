//! `pennypost user`: account administration.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use config::{ByteSize, Config, StoreKind};
use mail_core::secret::Secret;
use mail_core::users::Username;
use mail_store::directory::{AccountAdmin, Directory, DirectoryError, Quota};
use mail_store::{DeliveryTarget, MailboxAdmin, MailboxStatus, Maildrop, MaildropStore};

use crate::check::all_names;
use crate::configured::{self, Storage};
use crate::user_rename::rename;
use crate::{privileges, user_csv};

/// SASL PLAIN carries as much (RFC 4954 section 4).
const PASSWORD_OCTETS_MAX: usize = 1_000;

/// A subcommand of `pennypost user`.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add an account and create its folder, or add the accounts of a file.
    Add(AddArgs),
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
    /// Give an account another name; its mail, password, quota and aliases stay.
    ///
    /// Its maildrop must not be in use. Mail that the servers are receiving at this moment for the old name goes to the old folder;
    /// stop the servers first to exclude it.
    Rename {
        /// The account's name.
        #[arg(value_parser = parse_name)]
        name: Username,
        /// The new name.
        #[arg(value_parser = parse_name)]
        new: Username,
    },
    /// Limit the size of an account's mailbox.
    ///
    /// At the soft limit, mail is refused for now (452), and senders repeat it for some days. A message that would exceed the hard
    /// limit is returned to its sender (552).
    Quota {
        /// The account's name.
        #[arg(value_parser = parse_name)]
        name: Username,
        /// The soft limit, such as `900 MiB`, or `none`.
        soft: QuotaLimit,
        /// The hard limit [default: the soft limit].
        hard: Option<ByteSize>,
    },
    /// List the account names, one per line.
    List {
        /// Also show the size and the quota of each mailbox.
        #[arg(long)]
        usage: bool,
    },
    /// Replace every plain-text password by an Argon2id hash.
    Hash,
}

/// The accounts to add.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    account: Option<NameAndPassword>,
    /// Add the accounts of a CSV file with a name and a password per line; - is standard input. Lines that cannot be added are
    /// reported, and the others are added.
    #[arg(long, value_name = "FILE", conflicts_with = "NameAndPassword", required_unless_present = "name")]
    from_csv: Option<PathBuf>,
}

/// A soft limit, or `none`.
#[derive(Debug, Clone, Copy)]
pub enum QuotaLimit {
    None,
    Size(ByteSize),
}

impl FromStr for QuotaLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Size) }
    }
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
                Self::Rename { name, new } => {
                    let (store, mailboxes) = (storage.store()?, storage.mailboxes());
                    rename(&directory, &store, &mailboxes, config, [name, new]).await
                }
                Self::List { usage: true } => print_usage(&directory, &storage.store()?).await,
                _ => self.change(&directory).await,
            }
        })
    }

    /// Runs a command that concerns the directory alone.
    async fn change(&self, directory: &impl AccountAdmin) -> Result<(), String> {
        match self {
            Self::Add(AddArgs { from_csv: Some(file), .. }) => user_csv::add(directory, file).await,
            Self::Add(AddArgs { account, .. }) => {
                let account = account.as_ref().expect("clap requires a name or a file");
                directory.add(&account.name, &account.password()?).await.map_err(to_sentence)?;
                print(&format!("added {}", account.name))
            }
            Self::Passwd(account) => {
                directory.set_password(&account.name, &account.password()?).await.map_err(to_sentence)?;
                print(&format!("changed the password of {}", account.name))
            }
            Self::Quota { name, soft, hard } => {
                let quota = match (soft, hard) {
                    (QuotaLimit::None, None) => None,
                    (QuotaLimit::None, Some(_)) => {
                        return Err("`none` has no hard limit; nothing was changed".into());
                    }
                    (QuotaLimit::Size(soft), hard) => {
                        Some(Quota::new(soft.get(), hard.unwrap_or(*soft).get())?)
                    }
                };
                directory.set_quota(name, quota).await.map_err(to_sentence)?;
                match quota {
                    Some(quota) => print(&format!("the quota of {name} is {quota}")),
                    None => print(&format!("{name} has no quota of its own")),
                }
            }
            Self::List { .. } => all_names(directory).await?.iter().try_for_each(|name| print(name.as_str())),
            Self::Hash => {
                let hashed = directory.hash_plain_passwords().await.map_err(to_sentence)?;
                print(&format!("replaced {} plain-text passwords by hashes", hashed.len()))
            }
            Self::Remove { .. } | Self::Rename { .. } => {
                unreachable!("`run_in_data_directory` removes and renames accounts")
            }
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

async fn print_usage(
    directory: &(impl Directory + AccountAdmin),
    store: &impl DeliveryTarget,
) -> Result<(), String> {
    for name in all_names(directory).await? {
        let MailboxStatus { octets, .. } =
            store.mailbox_status(&name).await.map_err(|error| format!("{name}: {error}"))?;
        match directory.quota(&name).await.map_err(to_sentence)? {
            Some(quota) => print(&format!("{name}: {octets} octets, quota {quota}"))?,
            None => print(&format!("{name}: {octets} octets"))?,
        }
    }
    Ok(())
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
        check_password(password)
    }
}

/// # Errors
/// The text cannot be a password.
pub(crate) fn check_password(password: String) -> Result<Secret<String>, String> {
    let octets = 1..=PASSWORD_OCTETS_MAX;
    if !octets.contains(&password.len()) || password.contains(|c: char| c.is_control()) {
        return Err(format!(
            "a password has 1 to {PASSWORD_OCTETS_MAX} octets and no control characters; nothing was changed"
        ));
    }
    Ok(Secret::new(password))
}

pub(crate) fn print(line: &str) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| format!("cannot write to standard output: {error}"))
}

pub(crate) fn parse_name(text: &str) -> Result<Username, String> {
    Username::parse(text).map_err(|error| error.to_string())
}
