//! Delivery, retrieval and removal on a disk without faults.

use super::*;
use crate::offload::Threads;
use std::path::Path;

#[test]
fn message_is_delivered_listed_retrieved_and_removed() {
    let disk = SimDisk::default();
    let store = store(&disk);
    assert_eq!(bodies(&store), [""; 0]);
    for id in ["a", "b", "c"] {
        deliver(&store, id, &message(id)).unwrap();
    }
    assert_eq!(bodies(&store), [served("a"), served("b"), served("c")]);
    let mut maildrop = now(store.open(&gb())).unwrap();
    let ids: Vec<_> = entries(&mut maildrop).into_iter().map(|entry| entry.unique_id).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let head = served("b").split_inclusive("\r\n\r\n").next().unwrap().to_owned();
    assert_eq!(body(&mut maildrop, 2, Extent::Top(0)).unwrap(), head);
    assert_eq!(body(&mut maildrop, 2, Extent::Top(1)).unwrap(), format!("{head}the body of b\r\n"));
    assert_eq!(body(&mut maildrop, 2, Extent::Top(99)).unwrap(), served("b"));
    assert!(matches!(now(maildrop.entry(4)), Err(StoreError::Failed(_))));
    assert!(matches!(now(maildrop.entry(0)), Err(StoreError::Failed(_))));
    drop(maildrop);
    remove(&store, &[]).unwrap();
    remove(&store, &[1, 3]).unwrap();
    assert_eq!(bodies(&store), [served("b")]);
    assert!(
        disk.content(MAILBOX)
            .unwrap()
            .starts_with(b"From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: b\r\n")
    );
    remove(&store, &[1]).unwrap();
    assert_eq!(disk.content(MAILBOX).unwrap(), b"");
}

#[test]
fn each_copy_has_its_own_to_field() {
    let disk = SimDisk::default();
    let store = store(&disk);
    let mut incoming = now(store.begin(&envelope(&[recipient("ag"), recipient("gb")]))).unwrap();
    now(incoming.write(Bytes::from("hello"))).unwrap();
    now(incoming.commit(&trace("x"))).unwrap();
    for account in ["ag", "gb"] {
        let mailbox = String::from_utf8(disk.content(&format!("{account}/MyMailBox.txt")).unwrap()).unwrap();
        assert!(
            mailbox.starts_with(&format!("From: <ag@iit.edu>\r\nTo: <{account}@iit.edu>\r\nSubject:\r\n"))
        );
        assert!(
            mailbox
                .ends_with("(added From To Subject); Sun, 22 Nov 2026 19:15:07 +0000\r\n\r\nhello\r\n.\r\n")
        );
    }
}

#[test]
fn delivery_uses_the_spelling_of_the_account() {
    let disk = SimDisk::default();
    let store = store(&disk);
    for account in ["gb", "GB"] {
        let mut incoming = now(store.begin(&envelope(&[recipient(account)]))).unwrap();
        now(incoming.write(Bytes::from("hello"))).unwrap();
        now(incoming.commit(&trace(account))).unwrap();
        let mailbox = disk.content(&format!("{account}/MyMailBox.txt")).unwrap();
        assert_eq!(String::from_utf8(mailbox).unwrap().matches("Subject:").count(), 1);
    }
}

#[test]
fn large_message_is_spilled_to_an_unlinked_file() {
    let disk = SimDisk::default();
    disk.put(".tmp/0", b"left by a crash");
    let store = store(&disk);
    assert_eq!(disk.content(".tmp/0"), None);
    let large = message("large") + &"0123456789\r\n.345678\r\n".repeat(200_000);
    let mut incoming = now(store.begin(&envelope(&[recipient("gb")]))).unwrap();
    for chunk in large.as_bytes().chunks(65_536) {
        now(incoming.write(Bytes::copy_from_slice(chunk))).unwrap();
        assert!(incoming.memory() <= 1 << 20);
    }
    assert_eq!(disk.list(Path::new(".tmp")).unwrap(), Vec::<PathBuf>::new());
    now(incoming.commit(&trace("large"))).unwrap();
    let expected = served("large") + &"0123456789\r\n..345678\r\n".repeat(200_000);
    assert!(bodies(&store) == [expected]);
}

/// Covers the early writes of spilled messages, appends and compactions.
#[tokio::test]
async fn real_and_simulated_disk_have_the_same_content() {
    // Beside the sources, because temporary file systems may be in memory.
    let root = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let disk = SimDisk::default();
    let simulated = store(&disk);
    let real = TextStore::open(crate::disk::RealDisk::new(root.path()), Threads, "iitkgp.edu").unwrap();
    let large: String = (0..150_000).map(|number| format!("{number}\r\n.{number}\r\n")).collect();
    let both = [recipient("gb"), recipient("ag")];
    for octets in [1_000, 65_536, 400_000] {
        let id = octets.to_string();
        let (mut first, mut second) =
            (simulated.begin(&envelope(&both)).await.unwrap(), real.begin(&envelope(&both)).await.unwrap());
        for (number, chunk) in (message(&id) + &large).as_bytes().chunks(octets).enumerate() {
            first.write(Bytes::copy_from_slice(chunk)).await.unwrap();
            second.write(Bytes::copy_from_slice(chunk)).await.unwrap();
            if number == 2 {
                second.release_memory().await.unwrap();
            }
        }
        first.commit(&trace(&id)).await.unwrap();
        second.commit(&trace(&id)).await.unwrap();
    }
    for (mailbox, messages) in [(MAILBOX, 3), ("ag/MyMailBox.txt", 3), (MAILBOX, 1)] {
        if messages == 1 {
            // Removing more than half compacts the mailbox.
            simulated.open(&gb()).await.unwrap().remove(&[1, 3]).await.unwrap();
            real.open(&gb()).await.unwrap().remove(&[1, 3]).await.unwrap();
        }
        let lies = std::fs::read(root.path().join(mailbox)).unwrap();
        assert!((messages * large.len()..(messages + 1) * large.len()).contains(&lies.len()));
        assert!(lies == disk.content(mailbox).unwrap(), "{mailbox}");
    }
}

/// Completes work at once but reports it on the second poll.
#[derive(Debug, Clone)]
struct Late;

impl Offload for Late {
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'static {
        let (mut done, mut asked) = (Some(work()), false);
        std::future::poll_fn(move |_| match std::mem::replace(&mut asked, true) {
            true => Poll::Ready(done.take().expect("it is not polled again")),
            false => Poll::Pending,
        })
    }
}

#[test]
fn cancelled_write_loses_nothing() {
    let disk = SimDisk::default();
    let late = TextStore { shared: Arc::clone(&store(&disk).shared), offload: Late };
    let large = message("large") + &"0123456789\r\n".repeat(50_000);
    let mut incoming = now(late.begin(&envelope(&[recipient("gb")]))).unwrap();
    now(incoming.write(Bytes::from(large.clone()))).unwrap();
    let more = Bytes::from("0123456789\r\n".repeat(50_000));
    let mut context = Context::from_waker(Waker::noop());
    // The caller drops the future while the first piece is being written.
    assert!(pin!(incoming.write(more)).poll(&mut context).is_pending());
    let trace = trace("large");
    let mut committed = pin!(incoming.commit(&trace));
    // Once per pending piece of work.
    let outcome = (0..4).find_map(|_| match committed.as_mut().poll(&mut context) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    });
    assert_eq!(outcome, Some(Ok(())));
    assert!(bodies(&store(&disk)) == [served("large") + &"0123456789\r\n".repeat(100_000)]);
}

#[test]
fn delivery_during_a_session_survives_its_removal() {
    let disk = SimDisk::default();
    let (smtp, pop3) = (store(&disk), store(&disk));
    deliver(&smtp, "a", &message("a")).unwrap();
    let mut session = now(pop3.open(&gb())).unwrap();
    deliver(&smtp, "b", &message("b")).unwrap();
    assert_eq!(entries(&mut session).len(), 1);
    assert_eq!(now(smtp.open(&gb())).unwrap_err(), StoreError::InUse);
    now(session.remove(&[1])).unwrap();
    assert_eq!(bodies(&smtp), [served("b")]);
}

#[test]
fn record_of_a_person_is_served_and_appended_to() {
    for end in [".\n", ".", ".\r", ".\r\n", ".\n\n \n", ".\n  "] {
        let disk = SimDisk::default();
        disk.put(MAILBOX, PERSONS.replace(".\n", end).as_bytes());
        let store = store(&disk);
        assert_eq!(bodies(&store), [served_persons()], "{end:?}");
        deliver(&store, "a", &message("a")).unwrap();
        deliver(&store, "b", &message("b")).unwrap();
        assert_eq!(bodies(&store), [served_persons(), served("a"), served("b")], "{end:?}");
        remove(&store, &[2]).unwrap();
        assert_eq!(bodies(&store), [served_persons(), served("b")], "{end:?}");
        remove(&store, &[1, 2]).unwrap();
        assert_eq!(disk.content(MAILBOX).unwrap(), b"", "{end:?}");
    }
}

#[test]
fn server_record_without_its_last_line_feed_is_served_and_repaired() {
    let disk = SimDisk::default();
    let store = store(&disk);
    deliver(&store, "a", &message("a")).unwrap();
    let whole = disk.content(MAILBOX).unwrap();
    disk.put(MAILBOX, whole.strip_suffix(b"\n").unwrap());
    assert_eq!(bodies(&store), [served("a")]);
    deliver(&store, "b", &message("b")).unwrap();
    assert!(disk.content(MAILBOX).unwrap().starts_with(&[&whole[..], b"From:"].concat()));
    assert_eq!(bodies(&store), [served("a"), served("b")]);
    assert_eq!(disk.content("gb/MyMailBox.torn"), None);
    remove(&store, &[1]).unwrap();
    assert_eq!(bodies(&store), [served("b")]);
}

#[test]
fn unique_ids_survive_a_conversion_of_line_ends() {
    let disk = SimDisk::default();
    let store = store(&disk);
    disk.put(MAILBOX, PERSONS.replace('\n', "\r\n").as_bytes());
    for (id, text) in [("a", "a"), ("b", "b"), ("b", "duplicate id")] {
        deliver(&store, id, &message(text)).unwrap();
    }
    let ids = || {
        let mut maildrop = now(store.open(&gb())).unwrap();
        entries(&mut maildrop).into_iter().map(|entry| entry.unique_id).collect::<Vec<_>>()
    };
    let before = ids();
    assert_eq!((before.len(), before[1].as_str()), (4, "a"));
    let mailbox = String::from_utf8(disk.content(MAILBOX).unwrap()).unwrap();
    disk.put(MAILBOX, mailbox.replace("\r\n", "\n").as_bytes());
    assert_eq!(ids(), before);
    disk.put(MAILBOX, mailbox.replace("\r\n", "\n").trim_end().as_bytes());
    assert_eq!(ids(), before);
}

#[tokio::test]
async fn lock_error_names_the_lock_file() {
    let root = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    std::fs::create_dir_all(root.path().join("gb/.append.lock")).unwrap();
    let store = TextStore::open(crate::disk::RealDisk::new(root.path()), Threads, "iitkgp.edu").unwrap();
    let incoming = store.begin(&envelope(&[recipient("gb")])).await.unwrap();
    let Err(StoreError::Failed(reason)) = incoming.commit(&trace("a")).await else {
        panic!("a directory cannot be locked")
    };
    assert!(reason.starts_with("cannot lock gb/.append.lock: "), "{reason}");
}

#[test]
fn duplicate_and_missing_ids_become_hashes() {
    let disk = SimDisk::default();
    let store = store(&disk);
    disk.put(MAILBOX, PERSONS.as_bytes());
    for (id, text) in [("a", "a"), ("a", "b"), ("c", "c")] {
        deliver(&store, id, &message(text)).unwrap();
    }
    let mut maildrop = now(store.open(&gb())).unwrap();
    let ids: Vec<_> = entries(&mut maildrop).into_iter().map(|entry| entry.unique_id).collect();
    assert_eq!(ids.iter().map(String::len).collect::<Vec<_>>(), [64, 64, 64, 1]);
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    assert_eq!(ids[3], "c");
}

#[test]
fn unreadable_records_are_reported_and_never_dropped() {
    let disk = SimDisk::default();
    let store = store(&disk);
    deliver(&store, "a", &message("a")).unwrap();
    let good = disk.content(MAILBOX).unwrap();
    let broken = b"not a record\r\n.\r\n";
    disk.put(MAILBOX, &[&good[..], broken, &good, b"torn"].concat());
    let report = check(&disk, &gb(), "iitkgp.edu").unwrap();
    assert_eq!((report.messages, report.octets, report.removed), (2, 2 * (served("a").len() as u64 - 1), 0));
    let offsets: Vec<_> = report.findings.iter().map(|finding| finding.offset as usize).collect();
    assert_eq!(offsets, [good.len(), 2 * good.len() + broken.len()]);
    assert!(report.findings[0].description.contains("From, To, Subject and Received"));
    assert_eq!(
        check(&disk, &Username::parse("nobody").unwrap(), "iitkgp.edu").unwrap(),
        MailboxReport::default()
    );

    assert_eq!(bodies(&store), [served("a"), served("a")]);
    assert_eq!(disk.content("gb/MyMailBox.torn").unwrap(), b"torn");
    remove(&store, &[1, 2]).unwrap();
    assert_eq!(disk.content(MAILBOX).unwrap(), broken);
}

#[test]
fn large_mailbox_is_blanked_before_it_is_compacted() {
    let disk = SimDisk::default();
    let store = store(&disk);
    let large = message("large") + &"x".repeat(2 << 20);
    deliver(&store, "a", &message("a")).unwrap();
    let record = disk.content(MAILBOX).unwrap().len();
    deliver(&store, "large", &large).unwrap();
    deliver(&store, "b", &message("b")).unwrap();
    let length = disk.content(MAILBOX).unwrap().len();
    remove(&store, &[1]).unwrap();
    let blanked = disk.content(MAILBOX).unwrap();
    assert_eq!(blanked.len(), length);
    let expected = format!("#{}\r\n.\r\nFrom:", " ".repeat(record - 6));
    assert!(blanked.starts_with(expected.as_bytes()));
    assert_eq!(check(&disk, &gb(), "iitkgp.edu").unwrap().removed, 1);
    remove(&store, &[1]).unwrap();
    assert_eq!(disk.content(MAILBOX).unwrap().len(), record);
    assert_eq!(bodies(&store), [served("b")]);
}

#[test]
fn delivery_to_an_open_mailbox_needs_one_sync() {
    let disk = SimDisk::default();
    let store = store(&disk);
    let syncs_of = |account: &str| {
        let before = disk.syncs();
        let mut incoming = now(store.begin(&envelope(&[recipient(account)]))).unwrap();
        now(incoming.write(Bytes::from(message(account)))).unwrap();
        now(incoming.commit(&trace(account))).unwrap();
        disk.syncs() - before
    };
    let accounts: Vec<String> = (0..=disk.open_files_max()).map(|number| format!("a{number}")).collect();
    for account in &accounts {
        assert_eq!(
            (syncs_of(account), syncs_of(account)),
            (3, 1),
            "first the record, the folder, and its folder"
        );
    }
    // More mailboxes than may stay open, so the first is closed.
    assert_eq!((syncs_of(&accounts[0]), syncs_of(&accounts[0])), (3, 1));
}

#[test]
fn waiting_deliveries_share_a_sync_and_use_no_thread() {
    let disk = SimDisk::default();
    let store = store(&disk);
    deliver(&store, "first", &message("first")).unwrap();
    let before = disk.syncs();
    let queue = store.shared.queue(&gb());
    let threads = TextStore { shared: Arc::clone(&store.shared), offload: Threads };
    let commit = |id: String, account: &'static str| {
        let threads = threads.clone();
        async move {
            let mut incoming = threads.begin(&envelope(&[recipient(account)])).await?;
            incoming.write(Bytes::from(message(&id))).await?;
            incoming.commit(&trace(&id)).await
        }
    };
    let lock = disk.lock(Path::new("gb/.append.lock")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        // The leader waits for the lock, and the others for the leader.
        let mut leading = pin!(commit("0".into(), "gb"));
        assert!(leading.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        while queue.waiting_count() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting: Vec<_> = (1..8).map(|number| tokio::spawn(commit(number.to_string(), "gb"))).collect();
        while queue.waiting_count() < 7 {
            tokio::task::yield_now().await;
        }
        // Another mailbox is written meanwhile by the remaining thread.
        commit("other".into(), "ag").await.unwrap();
        assert_eq!(disk.syncs() - before, 3);
        drop(lock);
        leading.await.unwrap();
        for delivery in waiting {
            delivery.await.unwrap().unwrap();
        }
    });
    // One sync for the leader's record and one for the others. The first delivery made the directory entry durable.
    assert_eq!(disk.syncs() - before, 3 + 2);
    let mut expected: Vec<_> = (0..8).map(|number| served(&number.to_string())).collect();
    expected.push(served("first"));
    let mut found = bodies(&store);
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}
