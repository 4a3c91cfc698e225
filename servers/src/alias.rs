//! `pennypost alias`: administration of aliases.

use clap::Subcommand;
use config::Config;
use mail_core::aliases::{AliasKey, AliasTarget};
use mail_store::directory::AliasAdmin;

use crate::admin::{print, run_blocking, to_sentence};
use crate::configured::Storage;
use crate::privileges;

/// A subcommand of `pennypost alias`.
#[derive(Debug, Subcommand)]
pub(crate) enum AliasCommand {
    /// Add an alias, or targets to an alias.
    Add {
        /// A name, an address, or @DOMAIN for mail to its unknown addresses.
        #[arg(value_parser = parse_key)]
        alias: AliasKey,
        /// An account, another alias, or an address.
        #[arg(required = true, value_parser = parse_target)]
        targets: Vec<AliasTarget>,
    },
    /// Remove an alias, or only the given targets of it.
    Remove {
        /// The alias.
        #[arg(value_parser = parse_key)]
        alias: AliasKey,
        /// The targets to remove [default: all].
        #[arg(value_parser = parse_target)]
        targets: Vec<AliasTarget>,
    },
    /// List the aliases, one per line.
    List,
}

impl AliasCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// A sentence with the cause and the remedy.
    pub(crate) fn run(self, config: &Config) -> Result<(), String> {
        if config.data.is_dir() {
            privileges::become_owner_of(&config.data)?;
        }
        let storage = Storage::new(config)?;
        let directory = storage.directory()?;
        run_blocking(async {
            storage.check().await?;
            match self {
                Self::Add { alias, targets } => {
                    directory.add_alias(&alias, targets).await.map_err(to_sentence)?;
                    print(&format!("added the alias {alias}"))
                }
                Self::Remove { alias, targets } => {
                    directory.remove_alias(&alias, &targets).await.map_err(to_sentence)?;
                    let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
                    match targets.as_slice() {
                        [] => print(&format!("removed the alias {alias}")),
                        _ => print(&format!("removed {} from the alias {alias}", targets.join(", "))),
                    }
                }
                Self::List => {
                    let aliases = directory.aliases().await.map_err(to_sentence)?;
                    aliases.iter().try_for_each(|alias| print(&alias.to_string()))
                }
            }
        })
    }
}

fn parse_key(text: &str) -> Result<AliasKey, String> {
    AliasKey::parse(text).map_err(|error| error.to_string())
}

fn parse_target(text: &str) -> Result<AliasTarget, String> {
    AliasTarget::parse(text).map_err(|error| error.to_string())
}
