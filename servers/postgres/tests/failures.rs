//! Failures of the database and of its connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use config::Auth;
use mail_postgres::{Database, PostgresDirectory};
use mail_store::directory::Directory;
use mail_store::{
    Body, DeliveryTarget, Extent, IncomingMessage, Maildrop, MaildropStore, StoreError, StoreHealth,
};
use postgres_testing::{Durability, PostgresServer};
use store_testing::sample::{account, deliver, envelope, trace};
use tokio::net::UnixListener;
use tokio::time::Instant;

use support::TestDatabase;
use support::proxy::{Cut, Proxy};

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

const MESSAGE: &str = "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: x\r\n\r\ntext\r\n";

async fn try_deliver(store: &impl DeliveryTarget, id: &str, accounts: &[&str]) -> Result<(), StoreError> {
    let mut incoming = store.begin(&envelope(accounts)).await?;
    incoming.write(Bytes::from_static(MESSAGE.as_bytes())).await?;
    incoming.commit(&trace(id)).await
}

#[tokio::test]
async fn session_that_lost_its_lease_removes_nothing() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (frozen, other) = (test.store(), test.store());
    deliver(&frozen, &envelope(&["gb"]), "a", MESSAGE).await;
    let mut first = frozen.open(&account("gb")).await.expect("free");
    assert_eq!(first.entry(1).await.expect("it exists").unique_id, "a");
    // As if the node was frozen for longer than its lease.
    test.psql("UPDATE lease SET expires = now()");
    let second = other.open(&account("gb")).await.expect("expired");
    assert!(matches!(first.renew().await, Err(StoreError::Lost(_))));
    assert!(matches!(first.remove(&[1]).await, Err(StoreError::Lost(_))));
    assert_eq!(test.psql("SELECT count(*) FROM message"), "1\n");
    // The lost session does not release the lease of the other.
    assert_eq!(frozen.open(&account("gb")).await.err(), Some(StoreError::InUse));
    second.remove(&[1]).await.expect("removed");
    assert_eq!(frozen.open(&account("gb")).await.expect("released").count(), 0);
}

#[tokio::test]
async fn delivery_is_stored_once_if_the_answer_to_commit_is_lost() {
    let test = TestDatabase::start(Durability::Unsynced);
    let proxy = Proxy::start(&test.server);
    let store = test.store_at(&proxy.url("mail0"));
    for (id, cut) in [("a", Cut::AfterCommit), ("b", Cut::BeforeCommit), ("c", Cut::AfterCommit)] {
        proxy.cut(cut);
        try_deliver(&store, id, &["ag", "gb"]).await.expect("stored");
        assert_eq!(proxy.pending(), 0, "the connection was cut");
    }
    assert_eq!(
        test.psql("SELECT account, unique_id FROM message ORDER BY account, position"),
        "ag|a\nag|b\nag|c\ngb|a\ngb|b\ngb|c\n"
    );
    assert_eq!(test.psql("SELECT messages, next_position FROM maildrop"), "3|4\n3|4\n");
}

/// The client that retrieves the message in the meantime sees it once, too.
#[tokio::test]
async fn delivery_is_not_repeated_if_the_message_was_removed_before_the_second_attempt() {
    let test = TestDatabase::start(Durability::Unsynced);
    let proxy = Proxy::start(&test.server);
    let store = test.store_at(&proxy.url("mail0"));
    deliver(&store, &envelope(&["gb"]), "first", MESSAGE).await;
    proxy.cut(Cut::AfterCommit);
    proxy.hold();
    let delivery = tokio::spawn(async move { try_deliver(&store, "a", &["gb"]).await });
    proxy.wait_until_cut().await;
    test.store().open(&account("gb")).await.expect("free").remove(&[1, 2]).await.expect("removed");
    proxy.resume();
    delivery.await.expect("no panic").expect("stored");
    assert_eq!(test.psql("SELECT count(*) FROM message"), "0\n");
}

#[tokio::test]
async fn removal_succeeds_if_the_answer_to_commit_is_lost() {
    let test = TestDatabase::start(Durability::Unsynced);
    let proxy = Proxy::start(&test.server);
    let store = test.store_at(&proxy.url("mail0"));
    for cut in [Cut::AfterCommit, Cut::BeforeCommit] {
        for id in ["a", "b"] {
            deliver(&store, &envelope(&["gb"]), &format!("{id}-{cut:?}"), MESSAGE).await;
        }
        let maildrop = store.open(&account("gb")).await.expect("free");
        proxy.cut(cut);
        maildrop.remove(&[1, 2]).await.expect("removed");
        assert_eq!(test.psql("SELECT messages, octets FROM maildrop"), "0|0\n");
        assert_eq!(test.psql("SELECT count(*) FROM lease"), "0\n");
    }
}

/// Waits until `count` has grown by `more`.
async fn wait_for_more(count: &impl Fn() -> usize, more: usize) {
    let (before, start) = (count(), Instant::now());
    while count() < before + more {
        assert!(start.elapsed() < Duration::from_secs(60), "{} of {more} deliveries", count() - before);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each 250 is one message, whatever the server was doing when it crashed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_messages_exist_once_after_crashes_under_load() {
    const SENDERS: usize = 6;
    const CRASHES: usize = 3;
    let mut test = TestDatabase::start(Durability::Synced);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (store, acknowledged, stopped) = (test.store(), Arc::clone(&acknowledged), stopped.clone());
            tokio::spawn(async move {
                for number in 0_u64.. {
                    if *stopped.borrow() {
                        break;
                    }
                    let id = format!("{sender}-{number}");
                    let accounts = if number % 3 == 0 { &["ag", "gb"][..] } else { &["gb"] };
                    if try_deliver(&store, &id, accounts).await.is_ok() {
                        acknowledged.lock().expect("not poisoned").push((id, accounts.len()));
                    }
                }
            })
        })
        .collect();
    let count = || acknowledged.lock().expect("not poisoned").len();
    for _ in 0..CRASHES {
        wait_for_more(&count, 40).await;
        tokio::task::block_in_place(|| {
            test.server.crash();
            test.server.resume();
        });
    }
    wait_for_more(&count, 20).await;
    stop.send_replace(true);
    for sender in senders {
        sender.await.expect("no panic");
    }
    let rows = tokio::task::block_in_place(|| test.psql("SELECT unique_id, account FROM message"));
    let mut copies: HashMap<&str, usize> = HashMap::new();
    for row in rows.lines() {
        let (id, _) = row.split_once('|').expect("two columns");
        *copies.entry(id).or_default() += 1;
    }
    let acknowledged = acknowledged.lock().expect("not poisoned");
    for (id, accounts) in acknowledged.iter() {
        assert_eq!(copies.get(id.as_str()), Some(accounts), "copies of {id}");
    }
    let counted = "SELECT count(*) FROM maildrop WHERE messages <> \
        (SELECT count(*) FROM message WHERE message.account = maildrop.account)";
    assert_eq!(tokio::task::block_in_place(|| test.psql(counted)), "0\n");
}

#[tokio::test]
async fn slow_clients_hold_no_connections() {
    let test = TestDatabase::start(Durability::Unsynced);
    // Four connections.
    let store = test.store();
    let large = MESSAGE.to_owned() + &"0123456789012345678901234567\r\n".repeat(20_000);
    let (mut readers, mut senders) = (Vec::new(), Vec::new());
    for number in 0..12 {
        let name = format!("reader{number}");
        deliver(&store, &envelope(&[&name]), &name, large.clone()).await;
        let mut maildrop = store.open(&account(&name)).await.expect("free");
        let mut body = maildrop.body(1, Extent::Whole).await.expect("it exists");
        assert!(body.chunk().await.expect("readable").is_some());
        readers.push((maildrop, body));
        let mut incoming = store.begin(&envelope(&["gb"])).await.expect("begun");
        incoming.write(Bytes::from(large.clone())).await.expect("written");
        senders.push(incoming);
    }
    let started = Instant::now();
    try_deliver(&store, "a", &["gb"]).await.expect("stored");
    assert_eq!(store.open(&account("gb")).await.expect("free").count(), 1);
    assert!(started.elapsed() < Duration::from_secs(4), "waited for a connection");
    for (number, incoming) in senders.into_iter().enumerate() {
        incoming.commit(&trace(&format!("slow{number}"))).await.expect("stored");
    }
    for (_, mut body) in readers {
        while body.chunk().await.expect("readable").is_some() {}
    }
}

#[tokio::test]
async fn unknown_schema_version_is_refused() {
    let test = TestDatabase::start_empty(Durability::Unsynced);
    let database = test.database();
    let sentence = database.check_schema().await.expect_err("no tables");
    assert!(
        sentence.contains("run `pennypost migrate`") || sentence.contains("with `pennypost migrate`"),
        "{sentence}"
    );
    assert_eq!(database.migrate().await.expect("migrated").len(), 2);
    assert_eq!(database.migrate().await.expect("migrated"), [""; 0]);
    database.check_schema().await.expect("known");
    test.psql("UPDATE refinery_schema_history SET version = 999 WHERE version = 2");
    for sentence in [database.check_schema().await.err(), database.migrate().await.err()] {
        let sentence = sentence.expect("unknown");
        assert!(sentence.contains("version 999") && sentence.contains("newer program"), "{sentence}");
    }
    assert!(test.store().check_writable().await.is_err());
    test.psql("DELETE FROM refinery_schema_history WHERE version = 999");
    let sentence = database.check_schema().await.expect_err("old");
    assert!(sentence.contains("run `pennypost migrate`"), "{sentence}");
}

/// Time is paused: it passes when everything waits.
#[tokio::test(start_paused = true)]
async fn unreachable_database_fails_within_the_limits() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = PostgresServer::url_at(directory.path(), "mail");
    fails_within_the_limits(&url).await;
    // A server that accepts connections and never answers.
    let _listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("bound");
    fails_within_the_limits(&url).await;
}

async fn fails_within_the_limits(url: &str) {
    let disk = tempfile::tempdir().expect("a directory");
    let database = Database::new(url, 4).expect("valid");
    let store =
        mail_postgres::PostgresStore::new(database.clone(), &mail_store::disk::RealDisk::new(disk.path()))
            .expect("opened");
    let directory = PostgresDirectory::new(database, &Auth::default(), &[]);
    let started = Instant::now();
    assert!(directory.find(&account("gb")).await.is_err());
    assert!(matches!(store.open(&account("gb")).await, Err(StoreError::Failed(_))));
    assert!(store.check_writable().await.is_err());
    assert!(started.elapsed() <= Duration::from_secs(26), "{:?}", started.elapsed());
    let started = Instant::now();
    assert!(matches!(try_deliver(&store, "a", &["gb"]).await, Err(StoreError::Failed(_))));
    assert!(started.elapsed() <= Duration::from_secs(61), "{:?}", started.elapsed());
}

/// A frozen host accepts TCP connections.
#[tokio::test]
async fn frozen_host_does_not_delay_the_connection_to_another() {
    let test = TestDatabase::start(Durability::Unsynced);
    let frozen = tempfile::tempdir().expect("a directory");
    let _listener = UnixListener::bind(frozen.path().join(".s.PGSQL.5432")).expect("bound");
    let frozen = frozen.path().to_str().expect("UTF-8").replace('/', "%2F");
    let store = test.store_at(&test.url.replace('@', &format!("@{frozen},")));
    let started = Instant::now();
    try_deliver(&store, "a", &["gb"]).await.expect("stored");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn full_and_read_only_databases_are_reported() {
    let test = TestDatabase::start(Durability::Unsynced);
    let store = test.store();
    store.check_writable().await.expect("writable");
    // The error of a full disk.
    test.psql(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON message EXECUTE FUNCTION full_disk()",
    );
    assert!(matches!(try_deliver(&store, "a", &["gb"]).await, Err(StoreError::Full(_))));
    test.psql("DROP TRIGGER full_disk ON message");
    try_deliver(&store, "b", &["gb"]).await.expect("recovered");

    test.psql("ALTER DATABASE mail0 SET default_transaction_read_only = on");
    let standby = test.store();
    assert!(standby.check_writable().await.is_err());
    test.psql("BEGIN READ WRITE; ALTER DATABASE mail0 RESET default_transaction_read_only; COMMIT");
    standby.check_writable().await.expect("recovered");
}

/// A message that the database refuses does not take the others of its group with it.
#[tokio::test]
async fn refused_message_does_not_affect_its_group() {
    let test = TestDatabase::start(Durability::Unsynced);
    let store = test.store();
    try_deliver(&store, "same", &["gb"]).await.expect("stored");
    let deliveries = ["b", "c", "same", "d", "e", "f"].map(|id| try_deliver(&store, id, &["gb"]));
    let [b, c, same, d, e, f] = deliveries;
    let (b, c, same, d, e, f) = tokio::join!(b, c, same, d, e, f);
    assert!([b, c, d, e, f].iter().all(Result::is_ok));
    assert!(matches!(same, Err(StoreError::Failed(_))), "the id is not unique");
    assert_eq!(
        test.psql("SELECT count(*), max(messages) FROM message JOIN maildrop USING (account)"),
        "6|6\n"
    );
}
