//! The hash that a password of an unknown account is verified against, so that the time does not reveal which accounts exist.

use blake2::{Blake2b512, Digest};
use mail_core::users::{Account, StoredPassword, Username};

use super::PostgresDirectory;
use crate::accounts::key;
use crate::failure::Failure;

/// The account, an account chosen by $2 with a hash, and the first account with a hash, in one round trip for all names.
const ACCOUNT_AND_DECOYS: &str = "SELECT true, name, password FROM account WHERE account = $1 \
    UNION ALL (SELECT false, name, password FROM account \
    WHERE account >= $2 AND password LIKE '$argon2id$%' ORDER BY account LIMIT 1) \
    UNION ALL (SELECT false, name, password FROM account \
    WHERE password LIKE '$argon2id$%' ORDER BY account LIMIT 1)";

const KEY: &str = "SELECT value FROM setting WHERE name = 'decoy_key'";

/// Characters of a username, by the order of accounts.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

pub(super) struct Found {
    pub(super) account: Option<Account>,
    /// Another account's hash, always the same one for a name.
    pub(super) decoy: Option<String>,
}

impl PostgresDirectory {
    pub(super) async fn account_and_decoy(&self, name: Option<&Username>) -> Result<Found, Failure> {
        let account = name.map(key).unwrap_or_default();
        let decoy = decoy(self.decoy_key().await?, &account);
        let rows = self.database.query(ACCOUNT_AND_DECOYS, &[&account, &decoy]).await?;
        let mut found = Found { account: None, decoy: None };
        for row in &rows {
            let password: &str = row.get(2);
            if !row.get::<_, bool>(0) {
                found.decoy.get_or_insert_with(|| password.to_owned());
            } else if let (Ok(name), Ok(password)) =
                (Username::parse(row.get(1)), StoredPassword::parse(password))
            {
                found.account = Some(Account { name, password });
            }
        }
        Ok(found)
    }

    async fn decoy_key(&self) -> Result<&str, Failure> {
        let read = || async {
            let rows = self.database.query(KEY, &[]).await?;
            Ok(rows.first().map(|row| row.get(0)).unwrap_or_default())
        };
        self.decoy_key.get_or_try_init(read).await.map(String::as_str)
    }
}

/// A text among the accounts that a client cannot predict.
fn decoy(key: &str, account: &str) -> String {
    let digest = Blake2b512::new().chain_update(key).chain_update(account).finalize();
    digest.iter().take(8).map(|octet| char::from(DIGITS[usize::from(*octet) % DIGITS.len()])).collect()
}
