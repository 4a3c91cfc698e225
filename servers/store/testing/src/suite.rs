//! Tests that every store passes. Each takes an empty store.

use std::collections::BTreeSet;

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::message::address::ReversePath;
use mail_core::users::Username;
use mail_store::{
    Body, DeliveryTarget, Destination, DsnRequest, Entry, Envelope, Extent, IncomingMessage, Maildrop,
    MaildropStore, Origin, StoreError,
};

use crate::sample::{self, account, address, envelope, trace};

/// A store under test.
pub trait TestStore {
    type Store: DeliveryTarget + MaildropStore;

    /// Opens the store again, like a process that starts after the previous ones have ended.
    fn open(&self) -> Self::Store;

    /// Makes the lease of an account invalid: it expires, or another program replaces the mailbox.
    fn invalidate_lease(&self, account: &Username);
}

/// Defines a test for each function of the suite. The argument is an expression that creates a [`TestStore`].
#[macro_export]
macro_rules! store_suite {
    ($store:expr) => {
        $crate::store_suite! { @tests $store;
            committed_message_is_there_after_a_restart
            dropped_message_leaves_nothing
            every_recipient_gets_a_copy
            remote_destination_is_refused
            maildrop_has_one_lease
            delivery_during_a_lease_is_not_in_its_snapshot
            large_message_is_streamed
            entries_come_in_batches_with_the_size_of_the_body
            top_sends_header_and_lines
            unique_ids_are_unique_and_permanent
            removal_is_permanent_and_releases_the_lease
            dropped_lease_removes_nothing
            invalid_lease_is_reported_and_removes_nothing
        }
    };
    (@tests $store:expr; $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                $crate::suite::$test(&$store).await;
            }
        )*
    };
}

const ACCOUNTS: [&str; 2] = ["ag", "gb"];

/// A message with lines that begin with dots.
fn message(id: &str) -> String {
    format!(
        "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: {id}\r\n\r\nfirst {id}\r\n.second\r\n..third\r\n"
    )
}

async fn deliver<S: DeliveryTarget>(store: &S, id: &str, accounts: &[&str]) {
    sample::deliver(store, &envelope(accounts), id, message(id)).await;
}

async fn open<S: MaildropStore>(store: &S, name: &str) -> S::Maildrop {
    store.open(&account(name)).await.expect("the lease is free")
}

/// A message's content without dot-stuffing, and the size of its largest chunk.
async fn content<M: Maildrop>(maildrop: &mut M, number: u64, extent: Extent) -> (Vec<u8>, usize) {
    let mut body = maildrop.body(number, extent).await.expect("the message exists");
    let (mut content, mut largest) = (Vec::new(), 0);
    while let Some(chunk) = body.chunk().await.expect("the content is readable") {
        largest = largest.max(chunk.len());
        content.extend_from_slice(&chunk);
    }
    if body.is_dot_stuffed() {
        let lines = content.split_inclusive(|octet| *octet == b'\n');
        content = lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect();
    }
    (content, largest)
}

async fn entries<M: Maildrop>(maildrop: &mut M) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        let batch = maildrop.entries(entries.len() as u64 + 1).await.expect("the listing is readable");
        if batch.is_empty() {
            return entries;
        }
        entries.extend(batch);
    }
}

fn assert_is_message(content: &[u8], id: &str) {
    let content = String::from_utf8_lossy(content);
    assert!(content.ends_with(&message(id)), "not message {id}: {content}");
}

pub async fn committed_message_is_there_after_a_restart<T: TestStore>(test: &T) {
    deliver(&test.open(), "a", &["gb"]).await;
    let mut maildrop = open(&test.open(), "gb").await;
    assert_eq!(maildrop.count(), 1);
    assert_is_message(&content(&mut maildrop, 1, Extent::Whole).await.0, "a");
}

pub async fn dropped_message_leaves_nothing<T: TestStore>(test: &T) {
    let store = test.open();
    let mut incoming = store.begin(&envelope(&["gb"])).await.expect("delivery begins");
    incoming.write(Bytes::from(message("a"))).await.expect("written");
    incoming.release_memory().await.expect("moved out of memory");
    drop(incoming);
    assert_eq!(open(&store, "gb").await.count(), 0);
}

pub async fn every_recipient_gets_a_copy<T: TestStore>(test: &T) {
    let store = test.open();
    deliver(&store, "a", &ACCOUNTS).await;
    for name in ACCOUNTS {
        let mut maildrop = open(&store, name).await;
        assert_eq!(maildrop.count(), 1, "{name}");
        assert_is_message(&content(&mut maildrop, 1, Extent::Whole).await.0, "a");
    }
}

/// Not for the store in memory, which adds no trace fields.
pub async fn each_copy_names_the_address_that_led_to_it<T: TestStore>(test: &T) {
    let store = test.open();
    let large = format!("{}{}", message("large"), "0123456789012345678901234567\r\n".repeat(20_000));
    for (id, text, accounts) in [
        ("one", message("one"), &ACCOUNTS[..1]),
        ("both", message("both"), &ACCOUNTS),
        ("no-fields", "X: y\r\n\r\ntext\r\n".to_owned(), &ACCOUNTS),
        ("large", large, &ACCOUNTS),
    ] {
        let trace = Trace { delivered_to: true, ..trace(id) };
        sample::deliver_with(&store, &envelope(accounts), &trace, text.clone()).await;
        for name in accounts {
            let mut maildrop = open(&store, name).await;
            let entry = entries(&mut maildrop).await.pop().expect("it was delivered");
            let (content, _) = content(&mut maildrop, entry.number, Extent::Whole).await;
            let added: &[&str] = if id == "no-fields" { &["From", "To", "Subject"] } else { &[] };
            let fields = format!(
                "Return-Path: <ag@iit.edu>\r\nDelivered-To: {name}@iit.edu\r\n{}",
                trace.received(added)
            );
            assert!(content == (fields + &text).as_bytes(), "{name}: {}", String::from_utf8_lossy(&content));
            assert_eq!((entry.octets, &*entry.unique_id), (content.len() as u64, id));
            maildrop.release().await;
        }
    }
}

pub async fn remote_destination_is_refused<T: TestStore>(test: &T) {
    let recipients = vec![Destination::Remote(address("other"))];
    let refused = test
        .open()
        .begin(&Envelope {
            reverse_path: ReversePath::Null,
            recipients,
            origin: Origin::OtherHost,
            dsn: DsnRequest::default(),
            require_tls: false,
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
}

pub async fn maildrop_has_one_lease<T: TestStore>(test: &T) {
    let (store, other) = (test.open(), test.open());
    let lease = open(&store, "gb").await;
    for store in [&store, &other] {
        assert_eq!(store.open(&account("gb")).await.err(), Some(StoreError::InUse));
    }
    let _other_account = open(&other, "ag").await;
    drop(lease);
    let _next = open(&other, "gb").await;
}

pub async fn delivery_during_a_lease_is_not_in_its_snapshot<T: TestStore>(test: &T) {
    let store = test.open();
    deliver(&store, "a", &["gb"]).await;
    let mut maildrop = open(&store, "gb").await;
    deliver(&store, "b", &["gb"]).await;
    assert_eq!((maildrop.count(), entries(&mut maildrop).await.len()), (1, 1));
    assert_is_message(&content(&mut maildrop, 1, Extent::Whole).await.0, "a");
    drop(maildrop);
    assert_eq!(open(&store, "gb").await.count(), 2);
}

pub async fn large_message_is_streamed<T: TestStore>(test: &T) {
    const LINES: usize = 100_000;
    let store = test.open();
    let text = message("large") + &"0123456789012345678901234567\r\n".repeat(LINES);
    let mut incoming = store.begin(&envelope(&["gb"])).await.expect("delivery begins");
    for chunk in text.as_bytes().chunks(50_000) {
        incoming.write(Bytes::copy_from_slice(chunk)).await.expect("written");
        assert!(incoming.memory() < text.len() / 2, "{} octets in memory", incoming.memory());
    }
    incoming.commit(&trace("large")).await.expect("committed");
    let mut maildrop = open(&store, "gb").await;
    let (content, largest) = content(&mut maildrop, 1, Extent::Whole).await;
    assert!(content.ends_with(text.as_bytes()));
    assert!(largest < text.len() / 4, "a chunk of {largest} octets");
}

pub async fn entries_come_in_batches_with_the_size_of_the_body<T: TestStore>(test: &T) {
    const MESSAGES: u64 = 40;
    let store = test.open();
    for number in 1..=MESSAGES {
        deliver(&store, &number.to_string(), &["gb"]).await;
    }
    let mut maildrop = open(&store, "gb").await;
    let listed = entries(&mut maildrop).await;
    assert_eq!(
        listed.iter().map(|entry| entry.number).collect::<Vec<_>>(),
        (1..=MESSAGES).collect::<Vec<_>>()
    );
    assert_eq!(listed.iter().map(|entry| entry.octets).sum::<u64>(), maildrop.octets());
    for entry in &listed {
        assert_eq!(maildrop.entry(entry.number).await.as_ref(), Ok(entry));
        let (content, _) = content(&mut maildrop, entry.number, Extent::Whole).await;
        assert_eq!(content.len() as u64, entry.octets);
    }
    assert!(maildrop.entry(MESSAGES + 1).await.is_err());
}

pub async fn top_sends_header_and_lines<T: TestStore>(test: &T) {
    let store = test.open();
    deliver(&store, "a", &["gb"]).await;
    let mut maildrop = open(&store, "gb").await;
    for (lines, end) in [
        (0, "Subject: a\r\n\r\n"),
        (1, "\r\n\r\nfirst a\r\n"),
        (2, "first a\r\n.second\r\n"),
        (1_000, ".second\r\n..third\r\n"),
    ] {
        let (top, _) = content(&mut maildrop, 1, Extent::Top(lines)).await;
        assert!(top.ends_with(end.as_bytes()), "TOP {lines}: {}", String::from_utf8_lossy(&top));
    }
}

pub async fn unique_ids_are_unique_and_permanent<T: TestStore>(test: &T) {
    let store = test.open();
    for id in ["a", "b", "c", "d"] {
        deliver(&store, id, &["gb"]).await;
    }
    let ids = async |store: &T::Store| -> Vec<String> {
        entries(&mut open(store, "gb").await).await.into_iter().map(|entry| entry.unique_id).collect()
    };
    let before = ids(&store).await;
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), 4, "{before:?}");
    for id in &before {
        assert!((1..=70).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_graphic()), "{id}");
    }
    open(&store, "gb").await.remove(&[2]).await.expect("removed");
    deliver(&store, "e", &["gb"]).await;
    let after = ids(&test.open()).await;
    assert_eq!(after[..3], [&before[..1], &before[2..]].concat());
    assert!(!before.contains(&after[3]), "{after:?}");
}

pub async fn removal_is_permanent_and_releases_the_lease<T: TestStore>(test: &T) {
    let store = test.open();
    for id in ["a", "b", "c"] {
        deliver(&store, id, &["gb"]).await;
    }
    open(&store, "gb").await.remove(&[1, 3]).await.expect("removed");
    let mut maildrop = open(&test.open(), "gb").await;
    assert_eq!(maildrop.count(), 1);
    assert_is_message(&content(&mut maildrop, 1, Extent::Whole).await.0, "b");
    maildrop.remove(&[1]).await.expect("removed");
    assert_eq!(open(&test.open(), "gb").await.count(), 0);
}

pub async fn dropped_lease_removes_nothing<T: TestStore>(test: &T) {
    let store = test.open();
    deliver(&store, "a", &["gb"]).await;
    drop(open(&store, "gb").await);
    assert_eq!(open(&store, "gb").await.count(), 1);
}

pub async fn invalid_lease_is_reported_and_removes_nothing<T: TestStore>(test: &T) {
    let store = test.open();
    deliver(&store, "a", &["gb"]).await;
    let mut maildrop = open(&store, "gb").await;
    maildrop.renew().await.expect("the lease is valid");
    test.invalidate_lease(&account("gb"));
    let read = maildrop.body(1, Extent::Whole).await;
    assert!(matches!(read, Err(StoreError::Lost(_))), "{read:?}");
    if maildrop.lease_lifetime().is_some() {
        assert!(matches!(maildrop.renew().await, Err(StoreError::Lost(_))));
    }
    let removed = maildrop.remove(&[1]).await;
    assert!(matches!(removed, Err(StoreError::Lost(_))), "{removed:?}");
    assert_eq!(open(&store, "gb").await.count(), 1);
}
