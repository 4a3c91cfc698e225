//! Changes of accounts. A change is attempted once: if the answer is lost, the administrator looks at the result.

use mail_core::secret::Secret;
use mail_core::users::{StoredPassword, Username};
use mail_store::directory::{AccountAdmin, DirectoryError, Quota, WeakPasswords};
use mail_store::password::cost::{self, Params};
use mail_store::password::{hash, is_hash};
use tokio_postgres::Row;

use super::{PostgresDirectory, name};
use crate::accounts::key;
use crate::database::Values;
use crate::failure::Failure;

/// Rows of one batch.
const BATCH: i64 = 1_000;

const NAMES: &str = "SELECT name FROM account ORDER BY position, account LIMIT $1";
const NAMES_AFTER: &str = "SELECT name FROM account \
    WHERE (position, account) > (SELECT position, account FROM account WHERE account = $2) \
    ORDER BY position, account LIMIT $1";

const ADD: &str = "INSERT INTO account (account, name, password, position) \
    SELECT $1, $2, $3, coalesce(max(position), 0) + 1 FROM account ON CONFLICT DO NOTHING";
const CREATE_MAILDROP: &str = "INSERT INTO maildrop (account) VALUES ($1) ON CONFLICT DO NOTHING";
const SET_PASSWORD: &str = "UPDATE account SET password = $2 WHERE account = $1";
const RENAME: &str = "UPDATE account SET account = $2, name = $3 WHERE account = $1 \
    AND ($1 = $2 OR NOT EXISTS (SELECT FROM account WHERE account = $2))";
const REMOVE: &str = "DELETE FROM account WHERE account = $1";

const SET_QUOTA: &str = "INSERT INTO quota (account, soft, hard) SELECT account, $2, $3 FROM account WHERE account = $1 \
    ON CONFLICT (account) DO UPDATE SET soft = excluded.soft, hard = excluded.hard";
const RENAME_QUOTA: &str = "UPDATE quota SET account = $2 WHERE account = $1";
const REMOVE_QUOTA: &str = "DELETE FROM quota WHERE account = $1";
const LOCK: &str = "SELECT FROM account WHERE account = $1 FOR UPDATE";

/// Plain-text passwords, and texts that are no hash.
const SUSPICIOUS: &str = "SELECT name, password FROM account WHERE password !~ \
    '^\\$argon2id\\$(v=[0-9]+\\$)?m=[0-9]+,t=[0-9]+,p=[0-9]+\\$[A-Za-z0-9+/]+\\$[A-Za-z0-9+/]+$' \
    ORDER BY position, account LIMIT $1";

const REPLACE_PASSWORD: &str = "UPDATE account SET password = $3 WHERE account = $1 AND password = $2";

const COST: &str = "SELECT value FROM setting WHERE name = 'hash_cost'";
const SET_COST: &str = "INSERT INTO setting (name, value) VALUES ('hash_cost', $1) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl PostgresDirectory {
    /// Executes statements in one transaction, if the first changes a row. Returns whether it did.
    async fn change(&self, statements: &[(&str, Values<'_>)]) -> Result<bool, Failure> {
        let connection = self.database.connection().await?;
        connection.run("BEGIN").await?;
        for (index, (sql, values)) in statements.iter().enumerate() {
            let statement = connection.prepare(sql).await?;
            if connection.change(&statement, values).await? == 0 && index == 0 {
                connection.run("ROLLBACK").await?;
                connection.give_back();
                return Ok(false);
            }
        }
        let committed = connection.commit().await;
        // The change may have been made although its answer was lost.
        self.lookups.clear();
        committed?;
        connection.give_back();
        Ok(true)
    }

    async fn hash(&self, password: &Secret<String>) -> Result<String, DirectoryError> {
        Ok(hash(password, self.cost().await?))
    }

    /// The cost of new hashes, which is the same on all nodes.
    async fn cost(&self) -> Result<Params, Failure> {
        let rows = self.database.query(COST, &[]).await?;
        if let Some(cost) = rows.first().and_then(|row| cost::stored(row.get(0), &self.auth)) {
            return Ok(cost);
        }
        let measured = cost::measured(&self.auth);
        self.change(&[(SET_COST, &[&cost::description(&measured, &self.auth)])]).await?;
        Ok(measured)
    }

    async fn suspicious(&self) -> Result<Vec<(Username, StoredPassword)>, Failure> {
        let rows = self.database.query(SUSPICIOUS, &[&BATCH]).await?;
        let account = |row: &Row| Some((name(row)?, StoredPassword::parse(row.get(1)).ok()?));
        Ok(rows.iter().filter_map(account).collect())
    }
}

impl AccountAdmin for PostgresDirectory {
    async fn names(&self, after: Option<&Username>) -> Result<Vec<Username>, DirectoryError> {
        let rows = match after.map(key) {
            None => self.database.query(NAMES, &[&BATCH]).await?,
            Some(after) => self.database.query(NAMES_AFTER, &[&BATCH, &after]).await?,
        };
        Ok(rows.iter().filter_map(name).collect())
    }

    async fn add(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        self.add_with_password(name, &self.hash(password).await?).await
    }

    async fn set_password(&self, name: &Username, password: &Secret<String>) -> Result<(), DirectoryError> {
        let hash = self.hash(password).await?;
        match self.change(&[(SET_PASSWORD, &[&key(name), &hash])]).await? {
            true => Ok(()),
            false => Err(DirectoryError::Unknown(name.clone())),
        }
    }

    async fn rename(&self, name: &Username, new: &Username) -> Result<(), DirectoryError> {
        let (old_key, new_key) = (key(name), key(new));
        let renamed = self
            .change(&[(RENAME, &[&old_key, &new_key, &new.as_str()]), (RENAME_QUOTA, &[&old_key, &new_key])])
            .await?;
        if renamed {
            return Ok(());
        }
        let rows = self.database.query(super::ACCOUNT, &[&old_key]).await?;
        match rows.is_empty() {
            true => Err(DirectoryError::Unknown(name.clone())),
            false => Err(DirectoryError::Exists(new.clone())),
        }
    }

    async fn set_quota(&self, name: &Username, quota: Option<Quota>) -> Result<(), DirectoryError> {
        let key = key(name);
        let is_known = match quota {
            Some(Quota { soft, hard }) => {
                let limit = |octets: u64| i64::try_from(octets).unwrap_or(i64::MAX);
                self.change(&[(SET_QUOTA, &[&key, &limit(soft), &limit(hard)])]).await?
            }
            None => self.change(&[(LOCK, &[&key]), (REMOVE_QUOTA, &[&key])]).await?,
        };
        if is_known { Ok(()) } else { Err(DirectoryError::Unknown(name.clone())) }
    }

    async fn remove(&self, name: &Username) -> Result<(), DirectoryError> {
        let key = key(name);
        match self.change(&[(REMOVE, &[&key]), (REMOVE_QUOTA, &[&key])]).await? {
            true => Ok(()),
            false => Err(DirectoryError::Unknown(name.clone())),
        }
    }

    /// At most a batch of them.
    async fn weak_passwords(&self) -> Result<WeakPasswords, DirectoryError> {
        let mut weak = WeakPasswords::default();
        for (name, password) in self.suspicious().await? {
            match password {
                StoredPassword::Plain(_) => weak.plain.push(name),
                StoredPassword::Argon2id(phc) if !is_hash(&phc) => weak.broken.push(name),
                StoredPassword::Argon2id(_) => {}
            }
        }
        Ok(weak)
    }

    async fn hash_plain_passwords(&self) -> Result<Vec<Username>, DirectoryError> {
        let mut hashed = Vec::new();
        loop {
            let before = hashed.len();
            for (name, password) in self.suspicious().await? {
                let StoredPassword::Plain(plain) = password else { continue };
                let hash = self.hash(&plain).await?;
                if self.change(&[(REPLACE_PASSWORD, &[&key(&name), plain.expose(), &hash])]).await? {
                    hashed.push(name);
                }
            }
            if hashed.len() == before {
                return Ok(hashed);
            }
        }
    }
}

impl PostgresDirectory {
    /// Adds an account with the second field of a line of User.txt.
    ///
    /// # Errors
    /// As [`AccountAdmin::add`].
    pub async fn add_with_password(&self, name: &Username, password: &str) -> Result<(), DirectoryError> {
        let account = key(name);
        let added = self
            .change(&[(ADD, &[&account, &name.as_str(), &password]), (CREATE_MAILDROP, &[&account])])
            .await?;
        if added {
            return Ok(());
        }
        let rows = self.database.query(super::ACCOUNT, &[&account]).await?;
        Err(DirectoryError::Exists(rows.first().and_then(super::name).unwrap_or_else(|| name.clone())))
    }
}
