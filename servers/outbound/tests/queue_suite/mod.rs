//! The rules of every queue. The text queue and the one in PostgreSQL pass the same tests.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeZone as _, Utc};
use mail_core::message::address::Address;
use mail_core::message::address::Domain;
use mail_core::message::srs::Srs;
use mail_core::queue::{LogEvent, LogLine, Outcome, QueueId, Status};
use mail_core::secret::Secret;
use mail_outbound::Composer;
use mail_outbound::store::{MessageBody as _, QueueError, QueueStore};
use mail_store::{DeliveryTarget, Destination, Envelope, IncomingMessage as _, Origin, StoreError};
use store_testing::sample::{envelope, trace};

/// Messages that a queue must return unchanged, after the trace field.
pub(crate) fn messages() -> Vec<(&'static str, String)> {
    let header = "From: <ag@iit.edu>\r\nTo: <x@example.net>\r\nSubject: x\r\n";
    vec![
        ("small", format!("{header}\r\n.dot\r\n\r\nlast\r\n")),
        ("no-body", header.to_owned()),
        ("empty-body", format!("{header}\r\n")),
        ("no-header", "text\r\n".to_owned()),
        ("empty", String::new()),
        ("pieces", format!("{header}\r\n{}", "0123456789012345678901234567\r\n".repeat(20_000))),
        ("header", format!("{header}{}\r\nx\r\n", "X-Field: y\r\n".repeat(30_000))),
    ]
}

pub(crate) fn composer() -> Composer {
    let domain = Domain::parse("iitkgp.edu").expect("a domain");
    Composer::new(Srs::new(Secret::new(vec![7; 32]), domain), None)
}

/// A message of this host for these addresses at `example.net`, and for the mailboxes of these accounts.
pub(crate) fn to(remote: &[&str], accounts: &[&str]) -> Envelope {
    let mut envelope = Envelope { origin: Origin::OtherHost, ..envelope(accounts) };
    envelope.recipients.extend(remote.iter().map(|name| Destination::Remote(address(name))));
    envelope
}

pub(crate) fn address(name: &str) -> Address {
    Address::parse(&format!("{name}@example.net")).expect("an address")
}

pub(crate) fn id(text: &str) -> QueueId {
    text.parse().expect("an id")
}

pub(crate) async fn try_deliver(
    target: &impl DeliveryTarget,
    envelope: &Envelope,
    id: &str,
    text: &str,
) -> Result<(), StoreError> {
    let mut incoming = target.begin(envelope).await?;
    for chunk in text.as_bytes().chunks(10_000) {
        incoming.write(Bytes::copy_from_slice(chunk)).await?;
    }
    incoming.commit(&trace(id)).await
}

pub(crate) async fn content<Q: QueueStore>(queue: &Q, name: &str) -> Vec<u8> {
    let queued = queue.read(&id(name)).await.expect("it is queued");
    let (mut octets, mut body) = (Vec::new(), queue.body(&queued.content));
    while let Some(piece) = body.next().await.expect("readable") {
        octets.extend_from_slice(&piece);
    }
    assert_eq!(octets.len() as u64, queued.octets, "{name}");
    octets
}

fn time() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 29, 17, 11, 49).unwrap()
}

pub(crate) fn line(name: &str, outcome: Outcome) -> LogLine {
    LogLine::recipient(time(), &address(name), outcome, "mx [192.0.2.1]: reply")
}

/// The message as the queue has it: a Received field, and an empty line after a header without a body.
fn expected(id: &str, text: &str) -> String {
    let received = trace(id).received(&[]);
    let has_header = text.contains(": ");
    match text {
        _ if !has_header => format!("{received}\r\n{text}"),
        _ if text.contains("\r\n\r\n") => format!("{received}{text}"),
        _ => format!("{received}{text}\r\n"),
    }
}

pub(crate) async fn message_is_queued_unchanged(target: &impl DeliveryTarget, queue: &impl QueueStore) {
    for (name, text) in messages() {
        try_deliver(target, &to(&["x", "y"], &[]), name, &text).await.expect("accepted");
        let queued = queue.read(&id(name)).await.expect("it is queued");
        assert_eq!(queued.entry.received, trace(name).time);
        let to: Vec<_> = queued.entry.recipients.iter().map(|recipient| &recipient.address).collect();
        assert_eq!(to, [&address("x"), &address("y")]);
        assert!(queued.entry.reverse_path.to_string().starts_with("<SRS0="), "forwarded mail");
        let found = content(queue, name).await;
        assert!(found == expected(name, &text).as_bytes(), "{name}: {}", String::from_utf8_lossy(&found));
    }
}

pub(crate) async fn log_gives_the_state(target: &impl DeliveryTarget, queue: &impl QueueStore) {
    try_deliver(target, &to(&["x", "y"], &[]), "A1", "Subject: x\r\n\r\n").await.expect("accepted");
    let append = |lines: Vec<LogLine>| {
        let lines: Arc<[LogLine]> = lines.into();
        async move { queue.append(&id("A1"), lines).await.expect("appended") }
    };
    let statuses = || async {
        let queued = queue.read(&id("A1")).await.expect("it is queued");
        let statuses = queued.progress.recipients.iter().map(|it| (it.status, it.attempts));
        (statuses.collect::<Vec<_>>(), queued.progress.is_held)
    };
    append(vec![line("x", Outcome::Deferred), line("y", Outcome::Delivered)]).await;
    assert_eq!(statuses().await, (vec![(Status::Pending, 1), (Status::Done, 1)], false));
    // Two attempts in one second have equal lines.
    append(vec![line("x", Outcome::Deferred)]).await;
    append(vec![LogLine::entry(time(), LogEvent::Held)]).await;
    assert_eq!(statuses().await, (vec![(Status::Pending, 2), (Status::Done, 1)], true));
    append(vec![LogLine::entry(time(), LogEvent::Released), line("x", Outcome::Failed)]).await;
    assert_eq!(statuses().await, (vec![(Status::Unreported, 3), (Status::Done, 1)], false));
    let states = queue.read_states(vec![id("A1")]).await;
    let (entry, progress) = states[0].1.as_ref().expect("readable");
    assert_eq!((entry.recipients.len(), progress.recipients[0].attempts), (2, 3));
}

pub(crate) async fn removed_entry_is_gone(target: &impl DeliveryTarget, queue: &impl QueueStore) {
    for name in ["A1", "A2"] {
        try_deliver(target, &to(&["x"], &[]), name, "Subject: x\r\n\r\n").await.expect("accepted");
    }
    queue.remove(&id("A1")).await.expect("removed");
    assert!(matches!(queue.read(&id("A1")).await, Err(QueueError::NotFound(_))));
    queue.append(&id("A1"), [line("x", Outcome::Delivered)].into()).await.expect("ignored");
    queue.remove(&id("A1")).await.expect("removal of a removed entry succeeds");
    assert!(matches!(queue.read(&id("A1")).await, Err(QueueError::NotFound(_))));
    assert!(queue.read(&id("A2")).await.is_ok());
}
