//! `pennypost dkim`: administration of the keys that sign outgoing mail.

use clap::Subcommand;
use config::Config;
use mail_authentication::DkimKeys;
use mail_service::context::Clock as _;

use crate::admin::print;
use crate::context::SystemClock;
use crate::privileges;

/// A subcommand of `pennypost dkim`.
#[derive(Debug, Subcommand)]
pub(crate) enum DkimCommand {
    /// List selector and algorithm of each key.
    List,
    /// Create a new key of each algorithm.
    ///
    /// Old and new keys sign until the old ones are removed. Publish the records of the new ones, which `pennypost dns` prints, then
    /// remove the old keys, and a week later their records.
    Rotate,
    /// Remove a key; mail that it has signed can be verified as long as its DNS record exists.
    Remove {
        /// Selector of the key.
        selector: String,
    },
}

impl DkimCommand {
    /// Runs the command. Running servers use the keys from the next message on.
    ///
    /// # Errors
    /// A sentence with the cause and the remedy.
    pub(crate) fn run(&self, config: &Config) -> Result<(), String> {
        privileges::become_owner_of(&config.data)?;
        match self {
            Self::List => {
                let keys = DkimKeys::read(&config.data)?.ok_or("there are no DKIM keys")?;
                keys.list()
                    .into_iter()
                    .try_for_each(|(selector, algorithm)| print(&format!("{selector} {algorithm}")))
            }
            Self::Rotate => {
                for selector in DkimKeys::rotate(&config.data, SystemClock.utc())? {
                    print(&format!("created {selector}"))?;
                }
                print(
                    "publish the records of the new keys, which `pennypost dns` prints; then remove the old keys with `pennypost dkim remove`",
                )
            }
            Self::Remove { selector } => {
                DkimKeys::remove(&config.data, selector)?;
                print(&format!("removed {selector}; keep its DNS record for a week"))
            }
        }
    }
}
