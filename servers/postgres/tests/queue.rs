//! The outbound queue in the database.

use std::time::{Duration, Instant};

use mail_core::queue::{LogEvent, LogLine, Outcome, QueueId};
use mail_outbound::store::{ARRIVALS_MAX, Arrivals, MessageBody as _, QueueStore as _};
use mail_outbound::{Grouping, Request, SharedSchedule};
use mail_postgres::{Database, PostgresQueue, PostgresStore, QueueRequestError};
use mail_store::disk::RealDisk;
use mail_store::{Body as _, DeliveryTarget as _, Extent, Maildrop as _, MaildropStore as _};
use postgres_testing::Durability;
use store_testing::sample::account;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use queue_suite::{composer, content, id, line, messages, to, try_deliver};
use support::TestDatabase;
use support::proxy::{Cut, Proxy};

#[path = "../../outbound/tests/queue_suite/mod.rs"]
mod queue_suite;
#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

fn store_at(test: &TestDatabase, url: &str) -> (PostgresStore, PostgresQueue) {
    let database = Database::new(url, 4).expect("a valid URL");
    let disk = RealDisk::new(test.disk.path());
    let schedule = SharedSchedule::new(Grouping::Domains, Duration::from_secs(1));
    let store = PostgresStore::with_queue(database, &disk, schedule, composer()).expect("opened");
    let (queue, _) = store.queue_parts().expect("a queue");
    (store, queue)
}

fn store(test: &TestDatabase) -> (PostgresStore, PostgresQueue) {
    store_at(test, &test.url)
}

/// A node with a lease, which is renewed until the test ends.
async fn node(test: &TestDatabase) -> (PostgresStore, PostgresQueue) {
    let (store, queue) = store(test);
    take_lease(test, &queue).await;
    (store, queue)
}

/// Renews the lease of a node, and waits until it has a new one.
async fn take_lease(test: &TestDatabase, queue: &PostgresQueue) -> JoinHandle<()> {
    let nodes = || count(test, "SELECT count(*) FROM queue_node");
    let (queue, before, start) = (queue.clone(), nodes(), Instant::now());
    let renewal = tokio::spawn(async move { queue.renew().await });
    while nodes() == before {
        assert!(start.elapsed() < Duration::from_secs(60), "the node takes no lease");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    renewal
}

fn count(test: &TestDatabase, sql: &str) -> u64 {
    test.psql(sql).trim().parse().expect("a number")
}

fn ids(names: &[&str]) -> Vec<QueueId> {
    names.iter().map(|name| id(name)).collect()
}

const SHORT: &str = "Subject: x\r\n\r\ntext\r\n";

#[tokio::test]
async fn queue_passes_the_suite() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (target, queue) = store(&test);
    queue_suite::message_is_queued_unchanged(&target, &queue).await;
    assert_eq!(queue.damaged().await.expect("readable"), [""; 0]);
    queue_suite::log_gives_the_state(&target, &queue).await;
    queue.remove(&id("A1")).await.expect("removed");
    queue_suite::removed_entry_is_gone(&target, &queue).await;
}

/// Mailboxes and queue refer to one body, which is removed with the last of them.
#[tokio::test]
async fn body_is_stored_once_for_mailboxes_and_queue() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (store, queue) = store(&test);
    for queue_is_first in [true, false] {
        for (name, text) in messages() {
            let envelope = to(&["x"], &["ag", "gb"]);
            try_deliver(&store, &envelope, name, &text).await.expect("accepted");
            assert_eq!(count(&test, "SELECT count(*) FROM body"), 1, "{name}");
            assert_eq!(queue.damaged().await.expect("readable"), [""; 0], "{name}");
            let queued = content(&queue, name).await;
            // The copy in a mailbox has the same text with other trace fields.
            let mut maildrop = store.open(&account("gb")).await.expect("free");
            let (mut copy, mut body) =
                (Vec::new(), maildrop.body(1, Extent::Whole).await.expect("it exists"));
            while let Some(chunk) = body.chunk().await.expect("readable") {
                copy.extend_from_slice(&chunk);
            }
            drop(body);
            assert!(copy.ends_with(text.as_bytes()), "{name}");
            if queue_is_first {
                queue.remove(&id(name)).await.expect("removed");
                assert_eq!(count(&test, "SELECT count(*) FROM body"), 1, "{name}");
            }
            maildrop.remove(&[1]).await.expect("removed");
            store.open(&account("ag")).await.expect("free").remove(&[1]).await.expect("removed");
            if !queue_is_first {
                assert!(content(&queue, name).await == queued, "{name}");
                queue.remove(&id(name)).await.expect("removed");
            }
            assert_eq!(
                test.psql("SELECT (SELECT count(*) FROM body), (SELECT count(*) FROM body_piece)"),
                "0|0\n"
            );
        }
    }
}

#[tokio::test]
async fn small_message_for_other_hosts_is_one_row() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (store, queue) = store(&test);
    try_deliver(&store, &to(&["x", "y"], &[]), "A", SHORT).await.expect("accepted");
    assert_eq!(test.psql("SELECT (SELECT count(*) FROM body), (SELECT count(*) FROM maildrop)"), "0|0\n");
    queue.remove(&id("A")).await.expect("removed");
    let refused = test.store().begin(&to(&["x"], &["gb"])).await;
    assert!(refused.is_err(), "without a queue");
}

#[tokio::test]
async fn mailboxes_and_queue_get_one_copy_if_the_answer_to_commit_is_lost() {
    let test = TestDatabase::start(Durability::Unsynced);
    let proxy = Proxy::start(&test.server);
    let (store, _) = store_at(&test, &proxy.url("mail0"));
    for (name, cut) in [("A", Cut::AfterCommit), ("B", Cut::BeforeCommit)] {
        proxy.cut(cut);
        try_deliver(&store, &to(&["x"], &["gb"]), name, SHORT).await.expect("stored");
        assert_eq!(proxy.pending(), 0, "the connection was cut");
    }
    assert_eq!(test.psql("SELECT unique_id FROM message ORDER BY position"), "A\nB\n");
    assert_eq!(test.psql("SELECT id FROM queue_entry ORDER BY id"), "A\nB\n");
    assert_eq!(test.psql("SELECT DISTINCT copies FROM body"), "2\n");
}

#[tokio::test]
async fn removal_releases_the_body_once_if_the_answer_is_lost() {
    let test = TestDatabase::start(Durability::Unsynced);
    let proxy = Proxy::start(&test.server);
    let (store, queue) = store_at(&test, &proxy.url("mail0"));
    try_deliver(&store, &to(&["x"], &["ag", "gb"]), "A", SHORT).await.expect("stored");
    proxy.cut(Cut::AfterCommit);
    queue.remove(&id("A")).await.expect("removed");
    assert_eq!(proxy.pending(), 0, "the connection was cut");
    assert_eq!(test.psql("SELECT copies FROM body"), "2\n");
}

#[tokio::test]
async fn each_entry_is_claimed_by_one_node() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (store, first) = node(&test).await;
    let (_, second) = node(&test).await;
    const MESSAGES: usize = 2_500;
    let mut deliveries = JoinSet::new();
    for number in 0..MESSAGES {
        let store = store.clone();
        deliveries
            .spawn(async move { try_deliver(&store, &to(&["x"], &[]), &format!("M{number}"), SHORT).await });
    }
    while let Some(delivered) = deliveries.join_next().await {
        delivered.expect("no panic").expect("accepted");
    }
    let (sender, mut arrived) = mpsc::unbounded_channel();
    for queue in [first.clone(), second.clone()] {
        let sender = sender.clone();
        tokio::spawn(async move { while sender.send(queue.arrivals().await.claimed).is_ok() {} });
    }
    let mut claimed = Vec::new();
    while claimed.len() < MESSAGES {
        let batch = arrived.recv().await.expect("the nodes run");
        assert!(batch.len() <= ARRIVALS_MAX, "{}", batch.len());
        claimed.extend(batch);
    }
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), MESSAGES);
    for id in claimed.iter().take(50) {
        let claims =
            [first.read(id).await, second.read(id).await].map(|queued| queued.expect("queued").is_claimed);
        assert_eq!(claims.iter().filter(|is_claimed| **is_claimed).count(), 1, "{id}");
    }
}

/// A node that was frozen for longer than its lease, in the middle of sending a message.
#[tokio::test]
async fn entries_of_an_expired_node_are_taken_over_and_it_stops_sending() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (store, frozen) = node(&test).await;
    try_deliver(&store, &to(&["x"], &[]), "A", SHORT).await.expect("accepted");
    assert_eq!(frozen.arrivals().await.claimed, ids(&["A"]));
    let queued = frozen.read(&id("A")).await.expect("queued");
    assert!(queued.is_claimed);
    let mut body = frozen.body(&queued.content);
    assert!(body.next().await.expect("readable").is_some());

    let name = test.psql("SELECT node FROM queue_node").trim().to_owned();
    let (_, other) = node(&test).await;
    let expire = |age: &str| {
        test.psql(&format!("UPDATE queue_node SET expires = now() - interval '{age}' WHERE node = '{name}'"))
    };
    // Less than the difference that clocks may have.
    expire("1 second");
    assert!(tokio::time::timeout(Duration::from_millis(500), other.arrivals()).await.is_err());
    assert!(!frozen.read(&id("A")).await.expect("queued").is_claimed);
    expire("10 seconds");
    assert_eq!(other.arrivals().await, Arrivals { claimed: ids(&["A"]), ..Arrivals::default() });
    assert!(other.read(&id("A")).await.expect("queued").is_claimed);
    assert_eq!(count(&test, "SELECT count(*) FROM queue_node"), 1, "the expired node is forgotten");

    // Its next renewal takes a new lease, without the entries of the old one. No renewal within the test: 10 s.
    let renewal = take_lease(&test, &frozen).await;
    assert!(!frozen.read(&id("A")).await.expect("queued").is_claimed);
    let mut end = body.next().await;
    while let Ok(Some(_)) = end {
        end = body.next().await;
    }
    assert!(end.is_err(), "without an error, the final dot would follow");
    // The other node does not repeat a delivery that the frozen one records.
    frozen.append(&id("A"), [line("x", Outcome::Delivered)].into()).await.expect("recorded");
    assert!(other.read(&id("A")).await.expect("queued").progress.is_complete());
    renewal.abort();
}

#[tokio::test]
async fn message_that_is_removed_while_it_is_sent_ends_with_an_error() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (store, queue) = store(&test);
    let text = format!("Subject: x\r\n\r\n{}", "a line of the text\r\n".repeat(20_000));
    try_deliver(&store, &to(&["x"], &[]), "A", &text).await.expect("accepted");
    let queued = queue.read(&id("A")).await.expect("queued");
    assert!(queued.octets > 300_000);
    let mut body = queue.body(&queued.content);
    for _ in 0..2 {
        assert!(body.next().await.expect("readable").is_some());
    }
    queue.remove(&id("A")).await.expect("removed");
    let mut end = body.next().await;
    while let Ok(Some(_)) = end {
        end = body.next().await;
    }
    assert!(end.is_err(), "without an error, the final dot would follow");
}

#[tokio::test]
async fn stopped_node_gives_its_entries_back_at_once() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (store, first) = node(&test).await;
    let (_, second) = node(&test).await;
    try_deliver(&store, &to(&["x"], &[]), "A", SHORT).await.expect("accepted");
    assert_eq!(first.arrivals().await.claimed, ids(&["A"]));
    first.release().await;
    assert_eq!(second.arrivals().await.claimed, ids(&["A"]));
}

#[tokio::test]
async fn claim_whose_answer_was_lost_is_found_again() {
    let test = TestDatabase::start(Durability::Unsynced);
    let proxy = Proxy::start(&test.server);
    let (store, queue) = store_at(&test, &proxy.url("mail0"));
    take_lease(&test, &queue).await;
    try_deliver(&store, &to(&["x"], &[]), "A", SHORT).await.expect("accepted");
    proxy.cut(Cut::AfterCommit);
    assert_eq!(queue.arrivals().await.claimed, ids(&["A"]));
    assert_eq!(proxy.pending(), 0, "the connection was cut");
}

#[tokio::test]
async fn requests_reach_the_holder() {
    let test = TestDatabase::start(Durability::Unsynced);
    let (_, admin) = store(&test);
    let retry = |name: Option<&str>| Request::Retry(name.map(id));
    assert!(matches!(admin.request(&retry(Some("A"))).await, Err(QueueRequestError::Queue(_))));
    assert!(matches!(admin.request(&retry(None)).await, Err(QueueRequestError::NotRunning)));
    let (store, holder) = node(&test).await;
    for name in ["A", "B"] {
        try_deliver(&store, &to(&["x"], &["gb"]), name, SHORT).await.expect("accepted");
    }
    let mut claimed: Vec<QueueId> = Vec::new();
    while claimed.len() < 2 {
        claimed.extend(holder.arrivals().await.claimed);
    }
    admin.request(&retry(Some("A"))).await.expect("recorded");
    assert_eq!(holder.arrivals().await, Arrivals { retried: ids(&["A"]), ..Arrivals::default() });
    admin.request(&retry(None)).await.expect("recorded");
    assert_eq!(holder.arrivals().await, Arrivals { retries_all: true, ..Arrivals::default() });
    admin.request(&Request::Hold(id("B"))).await.expect("recorded");
    assert!(holder.read(&id("B")).await.expect("queued").progress.is_held);
    assert!(matches!(admin.request(&retry(Some("B"))).await, Err(QueueRequestError::Held(_))));
    admin.request(&Request::Release(id("B"))).await.expect("recorded");
    // Before the node has read the release.
    admin.request(&retry(Some("B"))).await.expect("recorded");
    assert_eq!(holder.arrivals().await, Arrivals { released: ids(&["B"]), ..Arrivals::default() });
    admin.request(&Request::Drop(id("A"))).await.expect("removed");
    assert!(matches!(admin.request(&Request::Drop(id("A"))).await, Err(QueueRequestError::Queue(_))));
    assert_eq!(test.psql("SELECT id FROM queue_entry"), "B\n");
    assert_eq!(test.psql("SELECT copies FROM body ORDER BY id"), "1\n2\n");
    let log = admin.log(&id("B")).await.expect("readable");
    let events: Vec<_> = log.lines().filter_map(|text| LogLine::parse(text).map(|line| line.event)).collect();
    assert_eq!(events, [LogEvent::Held, LogEvent::Released]);
}
