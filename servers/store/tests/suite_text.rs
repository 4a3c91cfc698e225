//! The text store passes the suite on a simulated and on a real disk.

use std::path::PathBuf;

use mail_core::users::Username;
use mail_store::disk::sim::SimDisk;
use mail_store::disk::{Disk, RealDisk};
use mail_store::offload::{Inline, Threads};
use mail_store::text::TextStore;
use store_testing::suite::TestStore;

const HOSTNAME: &str = "iitkgp.edu";

fn mailbox(account: &Username) -> PathBuf {
    PathBuf::from(account.as_str()).join("MyMailBox.txt")
}

mod simulated_disk {
    use super::*;

    struct Simulated(SimDisk);

    impl TestStore for Simulated {
        type Store = TextStore<SimDisk, Inline>;

        fn open(&self) -> Self::Store {
            TextStore::open(self.0.clone(), Inline, HOSTNAME).expect("opened")
        }

        /// Another file takes the mailbox's name.
        fn invalidate_lease(&self, account: &Username) {
            let path = mailbox(account);
            let path = path.to_str().expect("ASCII");
            let content = self.0.content(path).expect("the mailbox exists");
            self.0.remove(&mailbox(account)).expect("removed");
            self.0.put(path, &content);
        }
    }

    store_testing::store_suite!(Simulated(SimDisk::default()));

    #[tokio::test]
    async fn each_copy_names_the_address_that_led_to_it() {
        store_testing::suite::each_copy_names_the_address_that_led_to_it(&Simulated(SimDisk::default()))
            .await;
    }
}

mod real_disk {
    use super::*;

    struct Real(tempfile::TempDir);

    impl TestStore for Real {
        type Store = TextStore<RealDisk, Threads>;

        fn open(&self) -> Self::Store {
            TextStore::open(RealDisk::new(self.0.path()), Threads, HOSTNAME).expect("opened")
        }

        /// Another file takes the mailbox's name.
        fn invalidate_lease(&self, account: &Username) {
            let path = self.0.path().join(mailbox(account));
            let copy = path.with_extension("copy");
            std::fs::copy(&path, &copy).expect("copied");
            std::fs::rename(copy, path).expect("replaced");
        }
    }

    store_testing::store_suite!(Real(tempfile::tempdir().expect("a directory")));
}
