//! The storage that the configuration selects. Code outside this crate names no concrete store.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use config::Config;

use crate::disk::RealDisk;
use crate::offload::Threads;
use crate::text::{TextMailboxes, TextStore};
use crate::user_txt::UserTxt;

/// Finds and administers accounts.
pub type ConfiguredDirectory = UserTxt;
/// Delivers mail and opens maildrops.
pub type ConfiguredStore = TextStore<ConfiguredDisk, ConfiguredOffload>;
/// The data directory.
pub type ConfiguredDisk = RealDisk;
/// Runs the operations of [`ConfiguredDisk`].
pub type ConfiguredOffload = Threads;
/// Administers mailboxes.
pub type ConfiguredMailboxes = TextMailboxes<RealDisk>;

/// Creates the data directory, accessible to its owner only. Returns the directories that did not exist, parents first.
///
/// # Errors
/// It cannot be created.
pub fn create(config: &Config) -> io::Result<Vec<PathBuf>> {
    let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
    let mut created: Vec<_> = config.data.ancestors().take_while(missing).map(Path::to_owned).collect();
    created.reverse();
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&config.data);
    made.inspect_err(|_| remove_created(&created)).map(|()| created)
}

/// Removes the directories from [`create`] that are empty.
pub fn remove_created(created: &[PathBuf]) {
    for path in created.iter().rev() {
        // One that is in use by now is not empty.
        let _ = fs::remove_dir(path);
    }
}

/// Opens the directory for administration.
///
/// # Errors
/// A sentence with the cause and the remedy.
pub fn open_directory(config: &Config) -> Result<ConfiguredDirectory, String> {
    if !config.data.is_dir() {
        return Err(format!(
            "there is no data directory {}; name it with --data, or create it with `pennypost user add NAME`",
            config.data.display()
        ));
    }
    UserTxt::open(&config.data, &config.auth, &config.domains)
}

/// Opens the directory for servers.
///
/// # Errors
/// As [`open_directory`]; also if there is no account, or not the configured postmaster.
pub fn open_directory_for_serving(config: &Config) -> Result<ConfiguredDirectory, String> {
    let directory = open_directory(config)?;
    if directory.is_empty() {
        return Err(format!(
            "{} names no account; add one with `pennypost user add NAME --data {}`",
            config.data.join("User.txt").display(),
            config.data.display()
        ));
    }
    if let Some(name) = &config.postmaster
        && !directory.contains(name)
    {
        return Err(format!(
            "`postmaster` is set to `{name}`, but User.txt has no such account; add it or name another"
        ));
    }
    Ok(directory)
}

/// Opens the store.
///
/// # Errors
/// A sentence with the cause.
pub fn open_store(config: &Config) -> Result<ConfiguredStore, String> {
    TextStore::open(RealDisk::new(&config.data), Threads, config.hostname.as_str())
        .map_err(|error| format!("cannot use the data directory {}: {error}", config.data.display()))
}

/// The data directory, for other parts of the storage.
#[must_use]
pub fn disk(config: &Config) -> ConfiguredDisk {
    RealDisk::new(&config.data)
}

/// The mailboxes, for administration. Opening them changes nothing.
#[must_use]
pub fn mailboxes(config: &Config) -> ConfiguredMailboxes {
    TextMailboxes::new(RealDisk::new(&config.data), config.hostname.as_str())
}
