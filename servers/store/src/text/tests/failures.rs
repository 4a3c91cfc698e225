//! Full and failing disks, invalid messages, and mailboxes that another program edits.

use super::*;
use crate::disk::{DiskFile, Open};
use std::path::Path;

#[test]
fn full_disk_leaves_the_mailbox_unchanged() {
    let disk = SimDisk::default();
    let store = store(&disk);
    deliver(&store, "a", &message("a")).unwrap();
    let before = disk.content(MAILBOX).unwrap();
    for free in 0..before.len() as u64 {
        disk.set_free(Some(free));
        assert!(
            matches!(deliver(&store, "b", &message("b")), Err(StoreError::Full(_))),
            "{free} octets free"
        );
        assert_eq!(disk.content(MAILBOX).unwrap(), before);
    }
    // A message that must be spilled is refused with the piece after the one that does not fit.
    let large = Bytes::from(message("large") + &"x".repeat(2 << 20));
    let mut incoming = now(store.begin(&envelope(&[recipient("gb")]))).unwrap();
    now(incoming.write(large.clone())).unwrap();
    let full = now(incoming.write(large.clone())).unwrap_err();
    assert!(matches!(full, StoreError::Full(_)));
    assert_eq!(now(incoming.write(Bytes::from("more"))), Err(full.clone()));
    assert_eq!(now(incoming.commit(&trace("large"))), Err(full.clone()));
    // Or at commit, if no piece follows; or by `release_memory`.
    for asked_for in [false, true] {
        let mut incoming = now(store.begin(&envelope(&[recipient("gb")]))).unwrap();
        now(incoming.write(large.clone())).unwrap();
        if asked_for {
            assert_eq!(now(incoming.release_memory()), Err(full.clone()));
        }
        assert_eq!(now(incoming.commit(&trace("large"))), Err(full.clone()));
    }
    assert_eq!(disk.content(MAILBOX).unwrap(), before);
    // The removal succeeds without space for a compaction.
    deliver_with_room(&disk, &store, "b");
    disk.set_free(Some(10));
    remove(&store, &[1]).unwrap();
    assert_eq!(disk.content("gb/.MyMailBox.new"), None);
    assert_eq!(bodies(&store), [served("b")]);
    deliver_with_room(&disk, &store, "c");
    assert_eq!(bodies(&store), [served("b"), served("c")]);
}

fn deliver_with_room(disk: &SimDisk, store: &Store, id: &str) {
    disk.set_free(None);
    deliver(store, id, &message(id)).unwrap();
}

#[test]
fn failed_sync_undoes_the_delivery() {
    for failing in 1..=3 {
        let disk = SimDisk::default();
        let store = store(&disk);
        deliver(&store, "a", &message("a")).unwrap();
        let before = disk.content(MAILBOX).unwrap();
        disk.fail_syncs(failing);
        assert!(matches!(deliver(&store, "b", &message("b")), Err(StoreError::Failed(_))));
        assert_eq!(disk.content(MAILBOX).unwrap(), before);
        disk.fail_syncs(0);
        deliver(&store, "c", &message("c")).unwrap();
        for disk in [disk.clone(), disk.after_power_cut(Survival::Nothing)] {
            assert_eq!(bodies(&super::store(&disk)), [served("a"), served("c")]);
        }
    }
}

#[test]
fn removal_with_failed_sync_removes_nothing() {
    let disk = SimDisk::default();
    let store = store(&disk);
    for id in ["a", "b"] {
        deliver(&store, id, &message(id)).unwrap();
    }
    disk.fail_syncs(1);
    assert!(matches!(remove(&store, &[1, 2]), Err(StoreError::Failed(_))));
    for survival in SURVIVALS {
        assert_eq!(bodies(&super::store(&disk.after_power_cut(survival))), [served("a"), served("b")]);
    }
    assert_eq!(bodies(&store), [served("a"), served("b")]);
}

#[test]
fn message_with_bare_line_ends_is_refused() {
    for text in ["a\n.\nb", "a\rb", "a\0b", "a\r"] {
        let disk = SimDisk::default();
        assert!(matches!(deliver(&store(&disk), "a", text), Err(StoreError::Failed(_))));
        assert_eq!(disk.content(MAILBOX), None);
    }
}

#[test]
fn replaced_mailbox_ends_the_lease() {
    let disk = SimDisk::default();
    let store = store(&disk);
    for id in ["a", "b"] {
        deliver(&store, id, &message(id)).unwrap();
    }
    let text = String::from_utf8(disk.content(MAILBOX).unwrap()).unwrap();
    type Edit<'a> = &'a dyn Fn(&dyn DiskFile);
    let in_place: [Edit<'_>; 3] = [
        &|file| file.set_len(text.len() as u64 - 1).unwrap(),
        &|file| file.write_all_at(text.replacen("id b", "id x", 1).as_bytes(), 0).unwrap(),
        &|file| {
            file.write_all_at(text.replacen("the body of a\r\n", "", 1).as_bytes(), 0).unwrap();
            file.set_len(text.len() as u64 - 15).unwrap();
        },
    ];
    for edit in in_place {
        disk.put(MAILBOX, text.as_bytes());
        let mut session = now(store.open(&gb())).unwrap();
        edit(&disk.open(Path::new(MAILBOX), Open::Existing).unwrap());
        let edited = disk.content(MAILBOX).unwrap();
        assert!(matches!(body(&mut session, 2, Extent::Whole), Err(StoreError::Lost(_))));
        assert!(matches!(now(session.remove(&[1, 2])), Err(StoreError::Lost(_))));
        assert_eq!(disk.content(MAILBOX).unwrap(), edited);
    }
    disk.put(MAILBOX, text.as_bytes());
    let mut session = now(store.open(&gb())).unwrap();
    disk.put(MAILBOX, text.as_bytes());
    assert!(matches!(body(&mut session, 1, Extent::Top(0)), Err(StoreError::Lost(_))));
    assert!(matches!(now(session.remove(&[1])), Err(StoreError::Lost(_))));
    assert_eq!(disk.content(MAILBOX).unwrap(), text.as_bytes());
}

/// Never runs its work, like a runtime that shuts down.
#[derive(Debug, Clone)]
struct Never;

impl Offload for Never {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        drop(work);
        std::future::pending()
    }
}

#[test]
fn delivery_fails_when_its_leader_is_lost() {
    let disk = SimDisk::default();
    let store = store(&disk);
    let never = TextStore { shared: Arc::clone(&store.shared), offload: Never };
    let mut incoming = now(never.begin(&envelope(&[recipient("gb")]))).unwrap();
    now(incoming.write(Bytes::from(message("lost")))).unwrap();
    let outcome = now(incoming.commit(&trace("lost")));
    assert_eq!(outcome, Err(StoreError::Failed("the delivery was interrupted".into())));
    deliver(&store, "a", &message("a")).unwrap();
    assert_eq!(bodies(&store), [served("a")]);
}
