//! The store and the directory in PostgreSQL pass the suites.

use config::Auth;
use mail_core::users::Username;
use mail_postgres::{PostgresDirectory, PostgresStore};
use postgres_testing::Durability;
use store_testing::suite::TestStore;

use support::TestDatabase;

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

impl TestStore for TestDatabase {
    type Store = PostgresStore;

    fn open(&self) -> PostgresStore {
        self.store()
    }

    fn invalidate_lease(&self, account: &Username) {
        let sql =
            format!("UPDATE lease SET expires = now() - interval '1 second' WHERE account = '{account}'");
        self.psql(&sql);
    }
}

store_testing::store_suite!(TestDatabase::start(Durability::Unsynced));

#[tokio::test]
async fn each_copy_names_the_address_that_led_to_it() {
    let test = TestDatabase::start(Durability::Unsynced);
    store_testing::suite::each_copy_names_the_address_that_led_to_it(&test).await;
}

fn empty_directory() -> (PostgresDirectory, TestDatabase) {
    let test = TestDatabase::start(Durability::Unsynced);
    let auth =
        Auth { hash_memory: "1 MiB".parse().expect("a size"), hash_milliseconds: 1, ..Auth::default() };
    (PostgresDirectory::new(test.database(), &auth, &[]), test)
}

store_testing::directory_suite!(empty_directory());
