//! The in-memory store and directory pass the suites.

use std::time::Duration;

use mail_core::time::Instant;
use mail_core::users::Username;
use store_testing::suite::TestStore;
use store_testing::{MemoryDirectory, MemoryStore};

struct Memory(MemoryStore);

impl TestStore for Memory {
    type Store = MemoryStore;

    fn open(&self) -> MemoryStore {
        self.0.clone()
    }

    fn invalidate_lease(&self, account: &Username) {
        self.0.expire_lease(account);
    }
}

store_testing::store_suite!(Memory(MemoryStore::new(Duration::from_secs(60), Instant::now)));
store_testing::directory_suite!((MemoryDirectory::default(), ()));
