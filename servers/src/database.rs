//! `pennypost migrate`.

use config::{Config, StoreKind};
use mail_postgres::Database;

use crate::admin::{print, run_blocking};
use crate::configured::database_url;

/// Creates or upgrades the tables of the configured database.
///
/// # Errors
/// A sentence with the cause and the remedy.
pub(crate) fn migrate(config: &Config) -> Result<(), String> {
    if config.store.kind == StoreKind::Text {
        return Err("there is no database to migrate: set `kind = \"postgres\"` and `url` in [store]".into());
    }
    let database = Database::new(database_url(config), 1)?;
    let applied = run_blocking(async { database.migrate().await })?;
    match applied.as_slice() {
        [] => print("the tables are up to date"),
        applied => print(&format!("applied {}", applied.join(", "))),
    }
}
