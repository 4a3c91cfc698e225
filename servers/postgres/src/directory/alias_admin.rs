//! Changes of aliases. The result of a change is parsed as Aliases.txt would be, so the same rules apply.

use mail_core::aliases::{self, Alias, AliasFile, AliasKey, AliasTarget};
use mail_store::directory::{AliasAdmin, DirectoryError};
use tokio_postgres::Row;

use super::{PostgresDirectory, targets};
use crate::database::Connection;
use crate::failure::Failure;

const ALL: &str = "SELECT alias, targets FROM alias ORDER BY position, alias";

/// Changes of aliases wait for each other, since two of them could make a loop.
pub(crate) const LOCK_ALIASES: &str = "UPDATE setting SET value = '' WHERE name = 'aliases'";

const SET: &str = "INSERT INTO alias (alias, targets, position) \
    SELECT $1, $2, coalesce(max(position), 0) + 1 FROM alias \
    ON CONFLICT (alias) DO UPDATE SET targets = excluded.targets";
const REMOVE: &str = "DELETE FROM alias WHERE alias = $1";

impl PostgresDirectory {
    /// Changes an alias, if the result is valid.
    async fn rewrite(
        &self,
        key: &AliasKey,
        change: impl FnOnce(&mut AliasFile) -> Result<(), DirectoryError> + Send,
    ) -> Result<(), DirectoryError> {
        let connection = self.database.connection().await?;
        connection.run("BEGIN").await?;
        connection.run(LOCK_ALIASES).await?;
        let text: String = all(&connection).await?.iter().map(|alias| format!("{alias}\n")).collect();
        let mut file = self.parse(&text)?;
        change(&mut file)?;
        let file = self.parse(&file.to_string())?;
        match file.get(key) {
            Some(alias) => {
                let targets: Vec<_> = alias.targets.iter().map(ToString::to_string).collect();
                let set = connection.prepare(SET).await?;
                connection.change(&set, &[&key.as_str(), &targets]).await?;
            }
            None => {
                let remove = connection.prepare(REMOVE).await?;
                connection.change(&remove, &[&key.as_str()]).await?;
            }
        }
        connection.commit().await?;
        connection.give_back();
        self.lookups.clear();
        Ok(())
    }

    fn parse(&self, text: &str) -> Result<AliasFile, DirectoryError> {
        aliases::parse(text, &self.domains)
            .map_err(|error| DirectoryError::Failed(format!("nothing was changed: {}", error.reason)))
    }
}

async fn all(connection: &Connection) -> Result<Vec<Alias>, Failure> {
    let statement = connection.prepare(ALL).await?;
    let rows = connection.rows(&statement, &[]).await?;
    Ok(rows.iter().filter_map(alias).collect())
}

fn alias(row: &Row) -> Option<Alias> {
    Some(Alias { key: AliasKey::parse(row.get(0)).ok()?, targets: targets(row) })
}

impl AliasAdmin for PostgresDirectory {
    async fn aliases(&self) -> Result<Vec<Alias>, DirectoryError> {
        let rows = self.database.query(ALL, &[]).await?;
        Ok(rows.iter().filter_map(alias).collect())
    }

    async fn add_alias(&self, key: &AliasKey, targets: Vec<AliasTarget>) -> Result<(), DirectoryError> {
        self.rewrite(key, |file| {
            file.add(key, targets);
            Ok(())
        })
        .await
    }

    async fn remove_alias(&self, key: &AliasKey, targets: &[AliasTarget]) -> Result<(), DirectoryError> {
        self.rewrite(key, |file| match file.remove(key, targets) {
            true => Ok(()),
            false => Err(DirectoryError::UnknownAlias(key.clone())),
        })
        .await
    }
}
