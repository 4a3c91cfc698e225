//! Cached data is read on the caller's thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::disk::RealDisk;

/// Counts the work that it runs.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Counting {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Offload for Counting {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::ready(work())
    }
}

#[test]
fn cached_maildrop_is_read_without_the_offload() {
    const MESSAGES: u64 = 300;
    // Beside the sources, because not every temporary file system supports RWF_NOWAIT.
    let root = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let offload = Counting::default();
    let store = TextStore::open(RealDisk::new(root.path()), offload.clone(), "iitkgp.edu").unwrap();
    for number in 1..=MESSAGES {
        let mut incoming = now(store.begin(&envelope(&[recipient("gb")]))).unwrap();
        now(incoming.write(message(&number.to_string()).into())).unwrap();
        now(incoming.commit(&trace(&number.to_string()))).unwrap();
    }
    let mut maildrop = now(store.open(&gb())).unwrap();
    let before = offload.count();
    for number in 1..=MESSAGES {
        assert_eq!(now(maildrop.entry(number)).unwrap().unique_id, number.to_string());
        let mut body = now(maildrop.body(number, Extent::Whole)).unwrap();
        assert_eq!(now(body.chunk()).unwrap().unwrap(), served(&number.to_string()));
        assert_eq!(now(body.chunk()).unwrap(), None);
    }
    assert_eq!(offload.count(), before);
    assert!(matches!(now(maildrop.entry(0)), Err(StoreError::Failed(_))));
    std::fs::write(root.path().join("gb/.index"), "").unwrap();
    assert_eq!(now(maildrop.entry(1)).unwrap().unique_id, "1");
    assert!(offload.count() > before, "a scan of the mailbox runs on the offload");
}
