//! Accounts and aliases.

use std::sync::Arc;
use std::time::Duration;

use config::Auth;
use mail_core::aliases::{AliasKey, AliasTarget};
use mail_core::message::address::{Address, Domain, Host};
use mail_core::secret::Secret;
use mail_core::time::Instant;
use mail_core::users::{Account, StoredPassword, Username};
use mail_store::directory::{Directory, DirectoryError, Quota};
use mail_store::password::{Hashing, VerifiedPasswordCache, is_hash, same};
use tokio::sync::OnceCell;
use tokio_postgres::Row;

use crate::accounts::key;
use crate::database::{Database, OPERATION_LIMIT};
use crate::failure::{Failure, repeat};
use lookups::{KnownAccount, Lookups};

mod account_admin;
mod alias_admin;
mod decoy;
mod lookups;

pub(crate) use alias_admin::LOCK_ALIASES;

const ALIASES: &str = "SELECT alias, targets FROM alias WHERE alias = ANY($1)";
const ACCOUNT: &str = "SELECT account.name, coalesce(own.soft, others.soft), coalesce(own.hard, others.hard) \
    FROM account LEFT JOIN quota AS own ON own.account = account.account \
    LEFT JOIN quota AS others ON others.account = '' WHERE account.account = $1";
const FIRST: &str = "SELECT name FROM account ORDER BY position, account LIMIT 1";

/// Accounts and aliases in a database. Lookups are cached for a second.
#[derive(Debug)]
pub struct PostgresDirectory {
    pub(crate) database: Database,
    auth: Auth,
    /// The local domains.
    domains: Arc<[Domain]>,
    hashing: Hashing,
    verified: VerifiedPasswordCache,
    lookups: Lookups,
    /// Selects the hash that an unknown name is verified against.
    decoy_key: OnceCell<String>,
}

impl PostgresDirectory {
    /// Uses the tables of a database. `domains` are the local domains.
    #[must_use]
    pub fn new(database: Database, auth: &Auth, domains: &[Domain]) -> Self {
        Self {
            database,
            auth: auth.clone(),
            domains: domains.into(),
            hashing: Hashing::default(),
            verified: VerifiedPasswordCache::new(Duration::from_secs(auth.cache_seconds)),
            lookups: Lookups::default(),
            decoy_key: OnceCell::new(),
        }
    }

    /// Forgets cached lookups, after a change.
    pub(crate) fn forget_lookups(&self) {
        self.lookups.clear();
    }

    /// Reads the aliases and, if one is given, the account in one round trip, and remembers them for a second. Returns the targets
    /// of each alias, and the account.
    async fn look_up(
        &self,
        aliases: &[String],
        account: Option<&str>,
    ) -> Result<(Vec<Option<Vec<AliasTarget>>>, Option<KnownAccount>), Failure> {
        let now = Instant::now();
        let (alias_rows, account_rows) = repeat(OPERATION_LIMIT, || async {
            let connection = self.database.connection().await?;
            let (find_aliases, find_account) =
                (connection.prepare(ALIASES).await?, connection.prepare(ACCOUNT).await?);
            let rows = tokio::try_join!(biased;
                async {
                    match aliases {
                        [] => Ok(Vec::new()),
                        _ => connection.rows(&find_aliases, &[&aliases]).await,
                    }
                },
                async {
                    match &account {
                        None => Ok(Vec::new()),
                        Some(account) => connection.rows(&find_account, &[account]).await,
                    }
                },
            )?;
            connection.give_back();
            Ok(rows)
        })
        .await?;
        let mut found = Vec::with_capacity(aliases.len());
        for alias in aliases {
            let row = alias_rows.iter().find(|row| row.get::<_, &str>(0) == alias);
            found.push(row.map(targets));
            self.lookups.aliases.insert(now, alias, row.map(targets));
        }
        let known = account_rows.first().and_then(known_account);
        if let Some(account) = account {
            self.lookups.accounts.insert(now, account, known.clone());
        }
        Ok((found, known))
    }

    async fn known_account(&self, name: &Username) -> Result<Option<KnownAccount>, Failure> {
        let key = key(name);
        if let Some(known) = self.lookups.accounts.find(Instant::now(), &key) {
            return Ok(known);
        }
        let (_, known) = self.look_up(&[], Some(&key)).await?;
        Ok(known)
    }

    /// The targets of the first of these aliases that exists.
    async fn first_alias(
        &self,
        keys: &[String],
        others: &[String],
        account: Option<&str>,
        host: &Host,
    ) -> Result<Option<Vec<Address>>, DirectoryError> {
        let now = Instant::now();
        let known: Option<Vec<_>> = keys.iter().map(|key| self.lookups.aliases.find(now, key)).collect();
        let found = match known {
            Some(known) => known,
            None => {
                let (mut found, _) = self.look_up(&[keys, others].concat(), account).await?;
                found.truncate(keys.len());
                found
            }
        };
        let targets = found.into_iter().flatten().next();
        Ok(targets.map(|targets| targets.iter().map(|target| target.at(host)).collect()))
    }
}

/// The account's name as the administrator spelled it.
fn name(row: &Row) -> Option<Username> {
    Username::parse(row.get(0)).ok()
}

/// A row of [`ACCOUNT`].
fn known_account(row: &Row) -> Option<KnownAccount> {
    let limit = |column| row.get::<_, Option<i64>>(column).and_then(|limit| u64::try_from(limit).ok());
    let quota = limit(1).zip(limit(2)).map(|(soft, hard)| Quota { soft, hard });
    Some(KnownAccount { name: name(row)?, quota })
}

fn targets(row: &Row) -> Vec<AliasTarget> {
    let targets: Vec<&str> = row.get(1);
    targets.into_iter().filter_map(|target| AliasTarget::parse(target).ok()).collect()
}

impl Directory for PostgresDirectory {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(self.known_account(name).await?.map(|account| account.name))
    }

    /// Also reads what routing asks for next: the catch-all and the account.
    async fn alias(&self, address: &Address) -> Result<Option<Vec<Address>>, DirectoryError> {
        let Host::Domain(domain) = &address.host else { return Ok(None) };
        let keys: Vec<_> = AliasKey::candidates(address).iter().map(AliasKey::to_string).collect();
        let account = address.local.username().map(|name| key(&name));
        let catch_all = [AliasKey::catch_all(domain).to_string()];
        self.first_alias(&keys, &catch_all, account.as_deref(), &address.host).await
    }

    async fn catch_all(&self, domain: &Domain) -> Result<Option<Vec<Address>>, DirectoryError> {
        let keys = [AliasKey::catch_all(domain).to_string()];
        self.first_alias(&keys, &[], None, &Host::Domain(domain.clone())).await
    }

    async fn quota(&self, account: &Username) -> Result<Option<Quota>, DirectoryError> {
        Ok(self.known_account(account).await?.and_then(|account| account.quota))
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        let rows = self.database.query(FIRST, &[]).await?;
        Ok(rows.first().and_then(name))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        let decoy::Found { account, decoy } = self.account_and_decoy(name).await?;
        let fingerprint = account.as_ref().map(|account| self.verified.fingerprint(account, password));
        if fingerprint.is_some_and(|fingerprint| self.verified.contains(Instant::now(), fingerprint)) {
            return Ok(account.map(|account| account.name));
        }
        let own = account.as_ref().and_then(usable_hash);
        let hash_is_right = match own.or(decoy.as_deref()) {
            Some(phc) => self.hashing.verify(phc, password).await?,
            None => false,
        };
        let is_right = account.as_ref().is_some_and(|account| match &account.password {
            StoredPassword::Plain(plain) => same(plain, password),
            StoredPassword::Argon2id(_) => own.is_some() && hash_is_right,
        });
        if let Some(fingerprint) = fingerprint.filter(|_| is_right) {
            self.verified.insert(Instant::now(), fingerprint);
        }
        Ok(account.filter(|_| is_right).map(|account| account.name))
    }
}

/// The account's hash, if it is usable.
fn usable_hash(account: &Account) -> Option<&str> {
    match &account.password {
        StoredPassword::Argon2id(phc) if is_hash(phc) => Some(phc),
        _ => None,
    }
}
