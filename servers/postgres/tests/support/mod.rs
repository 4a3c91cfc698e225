//! A private server with a database that has the tables.

#[allow(dead_code, reason = "only one of the tests uses it")]
pub(crate) mod proxy;

use mail_postgres::{Database, PostgresStore};
use mail_store::disk::RealDisk;
use postgres_testing::{Durability, PostgresServer};

pub(crate) struct TestDatabase {
    pub(crate) server: PostgresServer,
    pub(crate) url: String,
    pub(crate) disk: tempfile::TempDir,
}

impl TestDatabase {
    pub(crate) fn start(durability: Durability) -> Self {
        let test = Self::start_empty(durability);
        // A test's own runtime must not block.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let migrated = runtime.expect("a runtime").block_on(test.database().migrate());
                migrated.expect("migrated");
            });
        });
        test
    }

    /// A database without tables.
    pub(crate) fn start_empty(durability: Durability) -> Self {
        let server = PostgresServer::start(durability);
        let url = server.create_database();
        Self { server, url, disk: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn database(&self) -> Database {
        Database::new(&self.url, 4).expect("a valid URL")
    }

    pub(crate) fn store(&self) -> PostgresStore {
        self.store_at(&self.url)
    }

    /// A store that connects through another socket.
    pub(crate) fn store_at(&self, url: &str) -> PostgresStore {
        let database = Database::new(url, 4).expect("a valid URL");
        PostgresStore::new(database, &RealDisk::new(self.disk.path())).expect("opened")
    }

    pub(crate) fn psql(&self, sql: &str) -> String {
        self.server.psql("mail0", sql)
    }
}
