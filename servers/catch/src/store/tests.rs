use std::time::Duration;

use super::*;
use crate::record::{Envelope, Timings};

/// A record of a message that was received at `time`.
pub(crate) fn record(time: &str, from: &str, to: &[&str]) -> Record {
    let received: DateTime<Utc> = time.parse().expect("a time");
    Record {
        id: Ulid::generate().to_string(),
        received,
        size: 0,
        read: false,
        tags: Vec::new(),
        envelope: Envelope {
            from: from.to_owned(),
            to: to.iter().map(|address| (*address).to_owned()).collect(),
            ..Envelope::default()
        },
        session: Session {
            id: "session".to_owned(),
            client: None,
            connected: received,
            hello: "client".to_owned(),
            protocol: "ESMTP".to_owned(),
            tls: None,
            cipher: None,
            user: None,
        },
        dialogue: Vec::new(),
        timings: Timings::default(),
        lint: Vec::new(),
        faults: Vec::new(),
    }
}

/// A message with the tags that a new one gets.
pub(crate) fn stored(octets: &str, mut record: Record) -> Message {
    let analysis = Analysis::of(octets.as_bytes());
    record.size = octets.len() as u64;
    record.tags = initial_tags(&analysis, &record.envelope);
    Message::new(analysis, &record)
}

fn insert_octets(store: &Store, record: Record, octets: &[u8]) -> Arc<Message> {
    let mut spool = store.files().spool();
    spool.write(octets).expect("the file is written");
    let published =
        store.publish(store.blocking_turn(), spool, record.received).expect("the file is renamed");
    store.insert(published, Analysis::of(octets), record)
}

fn insert(store: &Store, record: Record) -> Arc<Message> {
    insert_octets(store, record, b"Subject: s\r\n\r\nbody\r\n")
}

fn new_record() -> Record {
    record(&Utc::now().to_rfc3339(), "a@a.example", &["b+urgent@b.example"])
}

fn temporary(keep: Keep) -> Store {
    Store::open(Files::temporary().expect("a directory"), keep)
}

fn file_count(store: &Store) -> usize {
    std::fs::read_dir(store.files().root().join("messages")).expect("the directory exists").count()
}

#[test]
fn count_keeps_the_newest_messages_and_deletes_the_files_of_the_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(Files::permanent(directory.path()).expect("not in use"), Keep::Count(3));
    let ids: Vec<_> = (0..10).map(|_| insert(&store, new_record()).id.clone()).collect();
    let kept: Vec<_> = store.newest(|_| true).iter().map(|message| message.id.clone()).collect();
    assert_eq!(kept, ids[7..].iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(file_count(&store), 6);
    assert!(store.message(&ids[0]).is_none() && store.files().read(&ids[0]).is_none());
}

#[test]
fn age_deletes_older_messages() {
    let store = temporary(Keep::Age(Duration::from_hours(1)));
    let old = Utc::now() - chrono::TimeDelta::hours(2);
    insert(&store, record(&old.to_rfc3339(), "", &[]));
    assert_eq!(store.len(), 0);
    insert(&store, new_record());
    store.prune();
    assert_eq!(store.len(), 1);
    assert_eq!(store.prune_interval(), Some(Duration::from_secs(60)));
}

#[test]
fn temporary_directory_is_removed_with_the_store() {
    let store = temporary(Keep::Count(3));
    insert(&store, new_record());
    let root = store.files().root().to_owned();
    assert!(root.exists());
    drop(store);
    assert!(!root.exists());
}

#[test]
fn permanent_directory_keeps_messages_and_their_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Store::open(Files::permanent(directory.path()).expect("not in use"), Keep::Count(2));
    let store = open();
    let (first, second) = (insert(&store, new_record()), insert(&store, new_record()));
    store.update(&first, |state| state.read = true);
    std::fs::write(directory.path().join("messages/notes.eml"), "not the catcher's")
        .expect("the file is written");
    let reason = Files::permanent(directory.path()).map(|_| ()).expect_err("in use");
    assert!(reason.contains("another catcher"), "{reason}");
    drop(store);

    let store = open();
    let kept = store.newest(|_| true);
    assert_eq!(kept.iter().map(|message| &message.id).collect::<Vec<_>>(), [&second.id, &first.id]);
    assert!(kept[1].state().read && !kept[0].state().read);
    assert_eq!(kept[0].envelope.to, ["b+urgent@b.example"]);
    assert!(directory.path().join("messages/notes.eml").exists());
}

#[test]
fn messages_after_an_id_are_those_stored_later() {
    let store = temporary(Keep::Count(10));
    let messages: Vec<_> = (0..3).map(|_| insert(&store, new_record())).collect();
    let after = |id: &str| store.after(Some(id)).iter().map(|message| message.sequence).collect::<Vec<_>>();
    assert_eq!(after(&messages[0].id), [1, 2]);
    assert_eq!(after(&messages[2].id), [0; 0]);
    store.delete(&messages[..1]);
    assert_eq!(after(&messages[0].id), [1, 2], "a deleted message");
    assert_eq!(store.after(None).len(), 2);
}

#[test]
fn ids_ascend_in_the_order_of_storing_whatever_the_clock_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = || Store::open(Files::permanent(directory.path()).expect("not in use"), Keep::Count(2_000));
    let store = open();
    let mut changes = store.changes();
    // Records of the same time, an earlier one, and from several threads.
    let now = Utc::now();
    let earlier = now - chrono::TimeDelta::hours(1);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for time in [now, now, earlier].iter().cycle().take(100) {
                    insert(&store, record(&time.to_rfc3339(), "", &[]));
                }
            });
        }
    });
    let published = std::iter::from_fn(|| match changes.try_recv() {
        Ok(Change::New(message)) => Some(message.id.clone()),
        _ => None,
    });
    let published: Vec<_> = published.collect();
    assert!(published.len() == 400 && published.is_sorted_by(|a, b| a < b), "{published:?}");
    let listed: Vec<_> = store.after(None).iter().map(|message| message.id.clone()).collect();
    assert_eq!(listed, published);
    drop(store);
    let store = open();
    let next = insert(&store, record(&earlier.to_rfc3339(), "", &[]));
    assert!(Some(&next.id) > published.last(), "after a restart");
}

#[test]
fn unpublished_file_is_deleted() {
    let store = temporary(Keep::Count(3));
    let mut spool = store.files().spool();
    spool.write(b"Subject: s\r\n").expect("the file is written");
    assert_eq!(file_count(&store), 0);
    spool.release_memory().expect("the file is written");
    assert_eq!(file_count(&store), 1);
    drop(spool);
    assert_eq!(file_count(&store), 0);
}

#[test]
fn temporary_directory_has_large_messages_only() {
    let store = temporary(Keep::Count(3));
    let small = insert(&store, new_record());
    assert_eq!(file_count(&store), 0);
    let large = format!("Subject: s\r\n\r\n{}", "0123456789abcde\r\n".repeat(20_000));
    let large = (insert_octets(&store, new_record(), large.as_bytes()), large);
    assert_eq!(file_count(&store), 2);
    assert_eq!(store.files().read(&large.0.id).as_deref(), Some(large.1.as_bytes()));
    assert_eq!(store.files().read(&small.id).as_deref(), Some(&b"Subject: s\r\n\r\nbody\r\n"[..]));
    for message in [&small, &large.0] {
        let record = store.files().read_record(&message.id).expect("a record");
        assert_eq!(record.envelope.to, ["b+urgent@b.example"]);
    }
    store.clear();
    assert!(file_count(&store) == 0 && store.files().read(&small.id).is_none());
}

#[test]
fn many_messages_are_compared_in_their_order() {
    let store = temporary(Keep::Count(20_000));
    let record = new_record();
    for _ in 0..PARALLEL_MESSAGES_MIN + 1 {
        insert(&store, record.clone());
    }
    let sequences: Vec<_> =
        store.newest(|message| message.sequence % 3 == 1).iter().map(|message| message.sequence).collect();
    let expected: Vec<_> = (0..=PARALLEL_MESSAGES_MIN as u64).rev().filter(|at| at % 3 == 1).collect();
    assert_eq!(sequences, expected);
}

#[test]
fn totals_follow_every_change() {
    let store = temporary(Keep::Count(3));
    let totals = || {
        let Totals { messages, unread, octets, tags } = store.totals();
        (
            messages,
            unread,
            octets,
            tags.into_iter().map(|(tag, count)| format!("{tag} {count}")).collect::<Vec<_>>(),
        )
    };
    let tagged = || Record { tags: vec!["urgent".to_owned()], ..new_record() };
    let messages: Vec<_> = (0..5).map(|_| insert(&store, tagged())).collect();
    assert_eq!(totals(), (3, 3, 0, vec!["urgent 3".to_owned()]));
    store.update(&messages[4], |state| {
        state.read = true;
        state.tags = vec!["new".to_owned()];
    });
    store.update(&messages[0], |state| state.read = true);
    assert_eq!(
        totals(),
        (3, 2, 0, vec!["new 1".to_owned(), "urgent 2".to_owned()]),
        "the first one is deleted"
    );
    store.delete(&messages[3..]);
    assert_eq!(totals(), (1, 1, 0, vec!["urgent 1".to_owned()]));
    store.clear();
    assert_eq!(totals(), (0, 0, 0, Vec::new()));
}

#[test]
fn changes_are_broadcast() {
    let store = temporary(Keep::Count(10));
    let mut changes = store.changes();
    let message = insert(&store, new_record());
    store.update(&message, |state| state.read = true);
    store.update(&message, |state| state.read = true);
    store.delete(&[Arc::clone(&message), message]);
    store.clear();
    let mut kinds = Vec::new();
    while let Ok(change) = changes.try_recv() {
        kinds.push(match change {
            Change::New(_) => "new",
            Change::Updated(_) => "updated",
            Change::Deleted(_) => "deleted",
            Change::Truncated => "truncated",
        });
    }
    assert_eq!(kinds, ["new", "updated", "deleted", "truncated"], "the second update changes nothing");
}
