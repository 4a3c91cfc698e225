//! `[store]`: where accounts and mail are kept.

use std::ops::RangeInclusive;

use mail_core::secret::Secret;
use serde::{Deserialize, Deserializer};

use crate::InvalidValue;

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    pub kind: StoreKind,
    /// `postgresql://user:password@host/database`; required by [`StoreKind::Postgres`].
    #[serde(deserialize_with = "url")]
    pub url: Option<Secret<String>>,
    /// Maximum connections of this process to the database, 8 to 1000.
    pub connections: usize,
}

/// The kind of store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// Text files in the data directory.
    #[default]
    Text,
    /// A PostgreSQL database.
    Postgres,
}

/// Four writers of deliveries keep theirs for up to a minute while the database is slow.
const CONNECTIONS: RangeInclusive<usize> = 8..=1_000;

impl Default for Store {
    fn default() -> Self {
        Self { kind: StoreKind::Text, url: None, connections: 16 }
    }
}

impl Store {
    pub(crate) fn validate(&self) -> Result<(), InvalidValue> {
        let require = |valid, key, reason: &str| InvalidValue::require(valid, "[store]", key, reason);
        let is_postgres = self.kind == StoreKind::Postgres;
        let url = self.url.as_ref().map(Secret::expose);
        require(
            !is_postgres || url.is_some(),
            "kind",
            "is \"postgres\", so `url = \"postgresql://user@host/database\"` is needed",
        )?;
        require(
            is_postgres || url.is_none(),
            "url",
            "is for a database, so `kind = \"postgres\"` is needed",
        )?;
        require(
            url.is_none_or(|url| url.starts_with("postgresql://")),
            "url",
            "must start with postgresql://",
        )?;
        require(CONNECTIONS.contains(&self.connections), "connections", "must be between 8 and 1000")
    }
}

fn url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret<String>>, D::Error> {
    String::deserialize(deserializer).map(|url| Some(Secret::new(url)))
}
