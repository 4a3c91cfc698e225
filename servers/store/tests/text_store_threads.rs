//! The text store with concurrent deliveries and sessions on the real disk.

mod support;

use bytes::Bytes;
use mail_core::message::address::ReversePath;
use mail_store::disk::RealDisk;
use mail_store::text::check;
use mail_store::{
    Body, DeliveryTarget, DsnRequest, Envelope, Extent, IncomingMessage, Maildrop, MaildropStore, Origin,
    StoreError,
};

use store_testing::sample::account;
use support::{HOSTNAME, Store, deliver, open};

fn text(id: &str) -> String {
    format!("From: a\r\nTo: b\r\nSubject: {id}\r\n\r\n{}", format!("{id}\r\n").repeat(id.len() * 40))
}

/// The unique-ids of an account's messages. Also checks the messages.
async fn ids(store: &Store, name: &str) -> Vec<String> {
    let mut maildrop = store.open(&account(name)).await.expect("the lease is free");
    let mut ids = Vec::new();
    for number in 1..=maildrop.count() {
        let id = maildrop.entry(number).await.expect("it exists").unique_id;
        let mut body = maildrop.body(number, Extent::Whole).await.expect("it exists");
        let mut served = Vec::new();
        while let Some(chunk) = body.chunk().await.expect("readable") {
            served.extend_from_slice(&chunk);
        }
        assert!(served.ends_with(text(&id).as_bytes()), "{id}");
        ids.push(id);
    }
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_deliveries_of_two_stores_stay_intact() {
    let root = tempfile::tempdir().expect("a directory");
    let stores = [open(&root), open(&root)];
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..120 {
        let store = stores[number % 2].clone();
        tasks.spawn(async move {
            let id = format!("id-{number:03}");
            deliver(&store, &id, text(&id), &["ag", "gb"]).await;
        });
    }
    tasks.join_all().await;
    let expected: Vec<_> = (0..120).map(|number| format!("id-{number:03}")).collect();
    assert_eq!(ids(&stores[0], "ag").await, expected);
    assert_eq!(ids(&stores[1], "gb").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removal_and_delivery_run_concurrently() {
    let root = tempfile::tempdir().expect("a directory");
    let (smtp, pop3) = (open(&root), open(&root));
    let sender = tokio::spawn(async move {
        for number in 0..60 {
            let id = format!("{number:03}");
            deliver(&smtp, &id, text(&id), &["gb"]).await;
        }
        smtp
    });
    // Every session removes all messages.
    let mut taken = Vec::new();
    while taken.len() < 60 {
        let mut session = pop3.open(&account("gb")).await.expect("the lease is free");
        assert_eq!(pop3.open(&account("gb")).await.err(), Some(StoreError::InUse));
        for number in 1..=session.count() {
            taken.push(session.entry(number).await.expect("it exists").unique_id);
        }
        let all: Vec<u64> = (1..=session.count()).collect();
        session.remove(&all).await.expect("removed");
    }
    sender.await.expect("no panic");
    let expected: Vec<_> = (0..60).map(|number| format!("{number:03}")).collect();
    assert_eq!(taken, expected);
    assert_eq!(std::fs::read(root.path().join("gb/MyMailBox.txt")).expect("it exists"), b"");
    let report = check(&RealDisk::new(root.path()), &account("gb"), HOSTNAME).expect("readable");
    assert_eq!((report.messages, report.removed, report.findings.len()), (0, 0, 0));
}

#[tokio::test]
async fn dropped_message_leaves_no_file() {
    let root = tempfile::tempdir().expect("a directory");
    let store = open(&root);
    let mut incoming = store
        .begin(&Envelope {
            reverse_path: ReversePath::Null,
            recipients: Vec::new(),
            origin: Origin::OtherHost,
            dsn: DsnRequest::default(),
            require_tls: false,
        })
        .await
        .expect("delivery begins");
    for _ in 0..40 {
        incoming.write(Bytes::from(vec![b'x'; 100_000])).await.expect("written");
    }
    drop(incoming);
    let names = |path| std::fs::read_dir(path).expect("readable").count();
    assert_eq!((names(root.path().to_owned()), names(root.path().join(".tmp"))), (1, 0));
}
