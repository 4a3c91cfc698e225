//! A text store on the real disk, and deliveries to it.

use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::text::TextStore;
use store_testing::sample;

pub(crate) type Store = TextStore<RealDisk, Threads>;

pub(crate) const HOSTNAME: &str = "iitkgp.edu";

pub(crate) fn open(root: &tempfile::TempDir) -> Store {
    TextStore::open(RealDisk::new(root.path()), Threads, HOSTNAME).expect("the store opens")
}

pub(crate) async fn deliver(store: &Store, id: &str, text: String, accounts: &[&str]) {
    sample::deliver(store, &sample::envelope(accounts), id, text).await;
}
