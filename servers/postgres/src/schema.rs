//! The version of the tables.

use std::ops::DerefMut;

use tokio_postgres::error::SqlState;

use crate::database::Database;
use crate::failure::Failure;

mod embedded {
    #![allow(unreachable_pub, reason = "the macro's functions")]
    refinery::embed_migrations!("migrations");
}

const VERSION: &str = "SELECT max(version) FROM refinery_schema_history";

/// Applies the migrations that are missing.
pub(crate) async fn migrate(database: &Database) -> Result<Vec<String>, String> {
    let fail = |error: &dyn std::fmt::Display| {
        format!("cannot migrate the database {}: {error}", database.location())
    };
    match version(database).await.map_err(|failure| fail(&failure))? {
        Some(version) if version > known_version() => return Err(too_new(version)),
        _ => {}
    }
    let mut connection = database.owned().await.map_err(|failure| fail(&failure))?;
    // A migration may rewrite a large table.
    let unlimited = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    connection.batch_execute(unlimited).await.map_err(|error| fail(&error))?;
    let runner = embedded::migrations::runner();
    let report = runner.run_async(connection.deref_mut()).await.map_err(|error| fail(&error))?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

pub(crate) async fn check(database: &Database) -> Result<(), Failure> {
    match version(database).await? {
        Some(version) if version == known_version() => Ok(()),
        Some(version) if version > known_version() => Err(Failure::Permanent(too_new(version))),
        Some(version) => Err(Failure::Permanent(format!(
            "its tables have version {version} and this program needs {}; run `pennypost migrate`",
            known_version()
        ))),
        None => Err(Failure::Permanent("it has no tables; create them with `pennypost migrate`".into())),
    }
}

fn too_new(version: i32) -> String {
    format!(
        "its tables have version {version} and this program knows versions up to {}; use a newer program",
        known_version()
    )
}

fn known_version() -> i32 {
    let migrations = embedded::migrations::runner();
    migrations.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// The version of the tables; `None` if there are none.
async fn version(database: &Database) -> Result<Option<i32>, Failure> {
    let connection = database.connection().await?;
    let rows = connection.query(VERSION, &[]).await;
    if let Err(error) = &rows
        && error.code() == Some(&SqlState::UNDEFINED_TABLE)
    {
        return Ok(None);
    }
    let version = rows?.first().and_then(|row| row.get::<_, Option<i32>>(0));
    connection.give_back();
    Ok(version)
}
