//! The storage that the configuration selects. Other modules name no concrete store.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use config::{Config, StoreKind};
use mail_outbound::{Composer, OutboundQueue, SharedSchedule};
use mail_postgres::{
    Database, PostgresDirectory, PostgresMailboxes, PostgresQueue, PostgresStore, SignInCounts,
};
use mail_store::directory::Directory;
use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::text::{TextMailboxes, TextStore};
use mail_store::user_txt::UserTxt;
use mail_store::{Either, FanOut, StoreError};

/// Finds and administers accounts.
pub(crate) type ConfiguredDirectory = Either<UserTxt, PostgresDirectory>;
/// Delivers mail and opens maildrops. Mail for other hosts goes into the queue, if there is one.
pub(crate) type ConfiguredStore =
    Either<FanOut<TextStore<ConfiguredDisk, ConfiguredOffload>, Option<ConfiguredTextQueue>>, PostgresStore>;
/// The queue in the data directory.
pub(crate) type ConfiguredTextQueue = OutboundQueue<ConfiguredDisk, ConfiguredOffload>;
/// Administers mailboxes.
pub(crate) type ConfiguredMailboxes = Either<TextMailboxes<ConfiguredDisk>, PostgresMailboxes>;
/// Exchanges failed sign-ins with other nodes.
pub(crate) type ConfiguredSignInCounts = SignInCounts;
/// The data directory.
pub(crate) type ConfiguredDisk = RealDisk;
/// Runs the operations of [`ConfiguredDisk`].
pub(crate) type ConfiguredOffload = Threads;

/// The storage of a process.
pub(crate) struct Storage<'a> {
    config: &'a Config,
    database: Option<Database>,
}

impl<'a> Storage<'a> {
    /// Opens nothing yet.
    ///
    /// # Errors
    /// A sentence: there is no data directory, or the database's URL cannot be used.
    pub(crate) fn new(config: &'a Config) -> Result<Self, String> {
        let database = match config.store.kind {
            StoreKind::Text if config.data.is_dir() => None,
            StoreKind::Text => {
                return Err(format!(
                    "there is no data directory {}; name it with --data, or create it with `pennypost user add NAME`",
                    config.data.display()
                ));
            }
            StoreKind::Postgres => Some(Database::new(database_url(config), config.store.connections)?),
        };
        Ok(Self { config, database })
    }

    pub(crate) const fn is_database(&self) -> bool {
        self.database.is_some()
    }

    /// Waits for work that dropped sessions have left.
    pub(crate) async fn finish(&self) {
        if let Some(database) = &self.database {
            database.finish().await;
        }
    }

    /// TCP ports of the database's hosts.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub(crate) fn ports(&self) -> Result<Vec<u16>, String> {
        if self.is_database() { Database::ports(database_url(self.config)) } else { Ok(Vec::new()) }
    }

    /// Checks that the database can be used. Call it once before the others are used.
    ///
    /// # Errors
    /// A sentence with the cause and the remedy.
    pub(crate) async fn check(&self) -> Result<(), String> {
        match &self.database {
            Some(database) => database.check_schema().await,
            None => Ok(()),
        }
    }

    /// # Errors
    /// A sentence with the file, the line and the remedy.
    pub(crate) fn directory(&self) -> Result<ConfiguredDirectory, String> {
        let Config { data, auth, domains, .. } = self.config;
        match &self.database {
            Some(database) => Ok(Either::Right(PostgresDirectory::new(database.clone(), auth, domains))),
            None => UserTxt::open(data, auth, domains).map(Either::Left),
        }
    }

    /// The store without the outbound queue, for administration.
    ///
    /// # Errors
    /// A sentence with the cause.
    pub(crate) fn store(&self) -> Result<ConfiguredStore, String> {
        let store = match &self.database {
            Some(database) => PostgresStore::new(database.clone(), &disk(self.config)).map(Either::Right),
            None => return self.text_store(None),
        };
        store.map_err(|error| self.unusable(&error))
    }

    /// The store of a server that accepts mail for other hosts. `composer` makes the entries of the queue.
    ///
    /// # Errors
    /// A sentence with the cause.
    pub(crate) fn store_with_queue(
        &self,
        composer: Composer,
        schedule: SharedSchedule,
    ) -> Result<ConfiguredStore, String> {
        let disk = disk(self.config);
        if let Some(database) = &self.database {
            let store = PostgresStore::with_queue(database.clone(), &disk, schedule, composer);
            return store.map(Either::Right).map_err(|error| self.unusable(&error));
        }
        let queue = OutboundQueue::open(&disk, Threads, schedule, composer)
            .map_err(|error| format!("cannot use the outbound queue: {error}"))?;
        self.text_store(Some(queue))
    }

    fn text_store(&self, remote: Option<ConfiguredTextQueue>) -> Result<ConfiguredStore, String> {
        let store = TextStore::open(disk(self.config), Threads, self.config.hostname.as_str());
        let mailboxes = store.map_err(|error| self.unusable(&error))?;
        Ok(Either::Left(FanOut { mailboxes, remote }))
    }

    fn unusable(&self, error: &StoreError) -> String {
        format!("cannot use the data directory {}: {error}", self.config.data.display())
    }

    /// The counts of failed sign-ins that nodes exchange; `None` for text files.
    pub(crate) fn sign_in_counts(&self) -> Option<ConfiguredSignInCounts> {
        self.database.clone().map(SignInCounts::new)
    }

    /// The outbound queue in the database, for administration; `None` for text files.
    pub(crate) fn database_queue(&self) -> Option<PostgresQueue> {
        self.database.clone().map(PostgresQueue::new)
    }

    /// The mailboxes, for administration. Opening them changes nothing.
    pub(crate) fn mailboxes(&self) -> ConfiguredMailboxes {
        match &self.database {
            Some(database) => Either::Right(PostgresMailboxes::new(database.clone())),
            None => Either::Left(TextMailboxes::new(disk(self.config), self.config.hostname.as_str())),
        }
    }
}

/// The name of the accounts' place, for messages to the administrator.
pub(crate) const fn accounts_place(config: &Config) -> &'static str {
    match config.store.kind {
        StoreKind::Text => "User.txt",
        StoreKind::Postgres => "accounts",
    }
}

/// The name of the aliases' place, likewise.
pub(crate) const fn aliases_place(config: &Config) -> &'static str {
    match config.store.kind {
        StoreKind::Text => "Aliases.txt",
        StoreKind::Postgres => "aliases",
    }
}

/// Reads the files of accounts, aliases and quotas again if they have changed, and logs errors in them.
pub(crate) async fn reload(directory: &ConfiguredDirectory) {
    if let Either::Left(files) = directory {
        files.reload().await;
    }
}

/// The URL of the database.
pub(crate) fn database_url(config: &Config) -> &str {
    config.store.url.as_ref().map_or("", |url| url.expose().as_str())
}

/// Checks that servers can start: there is an account, and the configured postmaster.
///
/// # Errors
/// A sentence with the remedy.
pub(crate) async fn check_accounts(config: &Config, directory: &impl Directory) -> Result<(), String> {
    let place = match config.store.kind {
        StoreKind::Text => config.data.join("User.txt").display().to_string(),
        StoreKind::Postgres => "the database".to_owned(),
    };
    let fail = |error: mail_store::directory::DirectoryError| error.to_string();
    if directory.first().await.map_err(fail)?.is_none() {
        let data = match config.store.kind {
            StoreKind::Text => format!(" --data {}", config.data.display()),
            StoreKind::Postgres => String::new(),
        };
        return Err(format!("{place} names no account; add one with `pennypost user add NAME{data}`"));
    }
    if let Some(name) = &config.postmaster
        && directory.find(name).await.map_err(fail)?.is_none()
    {
        let place = accounts_place(config);
        return Err(format!(
            "`postmaster` is set to `{name}`, but {place} has no such account; add it or name another"
        ));
    }
    Ok(())
}

/// Creates the data directory, accessible to its owner only. Returns the directories that did not exist, parents first.
///
/// # Errors
/// It cannot be created.
pub(crate) fn create(config: &Config) -> io::Result<Vec<PathBuf>> {
    let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
    let mut created: Vec<_> = config.data.ancestors().take_while(missing).map(Path::to_owned).collect();
    created.reverse();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&config.data);
    made.inspect_err(|_| remove_created(&created)).map(|()| created)
}

/// Removes the directories from [`create`] that are empty.
pub(crate) fn remove_created(created: &[PathBuf]) {
    for path in created.iter().rev() {
        // One that is in use by now is not empty.
        let _ = fs::remove_dir(path);
    }
}

/// The data directory, for other parts of the storage.
pub(crate) fn disk(config: &Config) -> ConfiguredDisk {
    RealDisk::new(&config.data)
}
