//! Messages, bodies and copies in the database.

use mail_core::mailbox::Trace;
use mail_store::disk::RealDisk;
use mail_store::offload::Threads;
use mail_store::text::{TextMailboxes, TextStore};
use mail_store::{Body, Extent, MailboxAdmin, Maildrop, MaildropStore};
use postgres_testing::Durability;
use store_testing::sample::{account, deliver, deliver_with, envelope, trace};

use support::TestDatabase;

#[allow(dead_code, reason = "each test uses a part of it")]
mod support;

const HOSTNAME: &str = "iitkgp.edu";
const HEADER: &str = "From: <ag@iit.edu>\r\nTo: <gb@iit.edu>\r\nSubject: x\r\n\r\n";

fn lines(count: usize) -> String {
    ".0123456789012345678901234567\r\n".repeat(count)
}

/// Larger than a piece.
fn large() -> String {
    HEADER.to_owned() + &lines(20_000)
}

#[tokio::test]
async fn body_is_stored_once_and_deleted_with_its_last_copy() {
    let test = TestDatabase::start(Durability::Unsynced);
    let store = test.store();
    deliver(&store, &envelope(&["ag", "gb", "cd"]), "large", large()).await;
    deliver(&store, &envelope(&["ag", "gb"]), "small", HEADER.to_owned() + "small\r\n").await;
    deliver(&store, &envelope(&["ag"]), "inline", HEADER.to_owned() + "inline\r\n").await;
    let counts = || test.psql("SELECT (SELECT count(*) FROM body), (SELECT count(*) FROM body_piece)");
    assert_eq!(counts(), "2|3\n");
    for (name, numbers, expected) in
        [("ag", &[1, 2, 3][..], "2|3\n"), ("gb", &[1, 2], "1|3\n"), ("cd", &[1], "0|0\n")]
    {
        store.open(&account(name)).await.expect("free").remove(numbers).await.expect("removed");
        assert_eq!(counts(), expected, "after {name}");
    }
    assert_eq!(test.psql("SELECT count(*) FROM message"), "0\n");
    assert_eq!(test.psql("SELECT sum(messages), sum(octets) FROM maildrop"), "0|0\n");
}

#[tokio::test]
async fn copy_is_the_file_that_the_text_store_writes() {
    let test = TestDatabase::start(Durability::Unsynced);
    let text_data = tempfile::tempdir().expect("a directory");
    let disk = RealDisk::new(text_data.path());
    let text = TextStore::open(disk.clone(), Threads, HOSTNAME).expect("opened");
    let store = test.store();
    for (id, message) in [
        ("all", HEADER.to_owned() + ".dot\r\n"),
        ("none", "no header\r\n".to_owned()),
        ("subject", "X: y\r\nSubject: only\r\n.z: 1\r\n\r\n..\r\n".to_owned()),
        ("empty", String::new()),
        ("large", large()),
        (
            "large-header",
            format!("X: y\r\n{}", HEADER.replace("\r\n\r\n", "\r\n")) + &"Y: z\r\n".repeat(20_000),
        ),
    ] {
        for (accounts, delivered_to) in
            [(&["gb"][..], false), (&["ag", "gb"], false), (&["gb"], true), (&["ag", "gb"], true)]
        {
            let trace = Trace { delivered_to, ..trace(&format!("{id}-{}-{delivered_to}", accounts.len())) };
            deliver_with(&store, &envelope(accounts), &trace, message.clone()).await;
            deliver_with(&text, &envelope(accounts), &trace, message.clone()).await;
        }
    }
    let mailboxes = mail_postgres::PostgresMailboxes::new(test.database());
    for name in ["ag", "gb"] {
        let (mut expected, mut copied) = (Vec::new(), Vec::new());
        let name = account(name);
        TextMailboxes::new(disk.clone(), HOSTNAME).copy(&name, &mut expected).await.expect("copied");
        let octets = mailboxes.copy(&name, &mut copied).await.expect("copied");
        assert_eq!(octets, copied.len() as u64);
        assert!(expected == copied, "{}", String::from_utf8_lossy(&copied));

        let report = mailboxes.check(&name).await.expect("readable");
        let mut maildrop = text.open(&name).await.expect("free");
        assert_eq!((report.messages, report.octets), (maildrop.count(), maildrop.octets()));
        assert_eq!(report.findings, []);
        let mut from_database = store.open(&name).await.expect("free");
        let expected = maildrop.entries(1).await.expect("listed");
        assert_eq!(from_database.entries(1).await.expect("listed"), expected);
    }
}

#[tokio::test]
async fn check_reports_wrong_counts_and_lost_content() {
    let test = TestDatabase::start(Durability::Unsynced);
    let store = test.store();
    deliver(&store, &envelope(&["gb", "ag"]), "a", HEADER).await;
    deliver(&store, &envelope(&["gb"]), "b", HEADER).await;
    test.psql("UPDATE maildrop SET octets = octets + 1; DELETE FROM body; UPDATE message SET octets = octets - 1 WHERE unique_id = 'b'");
    let mailboxes = mail_postgres::PostgresMailboxes::new(test.database());
    let findings = mailboxes.check(&account("gb")).await.expect("readable").findings;
    let found: Vec<_> = findings.iter().map(|finding| (finding.offset, &*finding.description)).collect();
    assert!(found[0].1.starts_with("the maildrop counts 2 messages"), "{found:?}");
    assert_eq!(found[1], (1, "the message a has lost its content"));
    assert!(found[2].0 == 2 && found[2].1.starts_with("the message b has "), "{found:?}");
    assert_eq!(found.len(), 3);
    let mut maildrop = store.open(&account("gb")).await.expect("free");
    let mut body = maildrop.body(1, Extent::Whole).await.expect("the row exists");
    assert!(body.chunk().await.is_err());
    drop(body);
    maildrop.release().await;

    mailboxes.purge(&account("gb")).await.expect("purged");
    assert_eq!(test.psql("SELECT account FROM message"), "ag\n");
}

#[tokio::test]
async fn numbers_skip_removed_messages() {
    const MESSAGES: u64 = 40;
    let test = TestDatabase::start(Durability::Unsynced);
    let store = test.store();
    for number in 0..MESSAGES {
        deliver(&store, &envelope(&["gb"]), &format!("id{number}"), format!("{HEADER}{number}\r\n")).await;
    }
    let removed: Vec<_> =
        (1..=MESSAGES).filter(|number| number % 3 == 0 || (10..20).contains(number)).collect();
    store.open(&account("gb")).await.expect("free").remove(&removed).await.expect("removed");
    let left: Vec<_> = (1..=MESSAGES).filter(|number| !removed.contains(number)).collect();
    // Each order starts without knowledge of the positions.
    for step in [1, 7, 11] {
        let mut maildrop = store.open(&account("gb")).await.expect("free");
        assert_eq!(maildrop.count(), left.len() as u64);
        for index in (0..left.len()).map(|index| index * step % left.len()) {
            let number = index as u64 + 1;
            let mut body = maildrop.body(number, Extent::Whole).await.expect("it exists");
            let content = body.chunk().await.expect("readable").expect("not empty");
            let expected = format!("\r\n\r\n{}\r\n", left[index] - 1);
            assert!(content.ends_with(expected.as_bytes()), "message {number} is not {expected}");
            drop(body);
            let entry = maildrop.entry(number).await.expect("it exists");
            assert_eq!(entry.unique_id, format!("id{}", left[index] - 1));
        }
        maildrop.release().await;
    }
}
