//! The files of the queue: power failure at every change, torn logs, full disks, edited entries, two processes.

use std::path::Path;

use chrono::{DateTime, TimeZone as _, Utc};
use mail_core::message::address::{Address, ReversePath};
use mail_core::queue::{Entry, LogEvent, LogLine, Outcome, QueueId, Recipient, Status};
use mail_core::smtp::parameter::RcptParameters;
use mail_outbound::queue::{Queue, QueueFiles};
use mail_outbound::store::QueueError;
use mail_store::StoreError;
use mail_store::disk::sim::{SimDisk, Survival};

const SURVIVALS: [Survival; 2] = [Survival::Nothing, Survival::Everything];
const MESSAGE: &[u8] = b"Subject: hello\r\n\r\nbody\r\n";

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

fn time() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 29, 17, 11, 49).unwrap()
}

fn entry() -> Entry {
    Entry {
        received: time(),
        reverse_path: ReversePath::Address(address("ag@iitkgp.edu")),
        recipients: ["x@example.net", "y@example.com"]
            .map(|to| Recipient { address: address(to), parameters: RcptParameters::default() })
            .into(),
        ret: None,
        envid: None,
        eight_bit: false,
        utf8: false,
        require_tls: false,
        tls_optional: false,
    }
}

fn id(text: &str) -> QueueId {
    text.parse().expect("an id")
}

fn insert(queue: &Queue<SimDisk>, name: &str) -> Result<(), StoreError> {
    queue.insert(&id(name), entry().format().as_bytes(), |put| put(MESSAGE))
}

fn delivered(to: &str) -> LogLine {
    LogLine::recipient(time(), &address(to), Outcome::Delivered, "mx [192.0.2.1]: 250 ok")
}

fn statuses(disk: &SimDisk, name: &str) -> Vec<Status> {
    let queued = QueueFiles::new(disk.clone()).read(&id(name)).expect("the entry is readable");
    queued.progress.recipients.iter().map(|recipient| recipient.status).collect()
}

/// Runs `act` with a power failure after each of its changes. Passes the disk after the restart, and whether `act` succeeded.
fn at_every_change(
    disk: &SimDisk,
    act: impl Fn(&Queue<SimDisk>) -> Result<(), StoreError>,
    judge: impl Fn(&SimDisk, bool, &str),
) {
    let whole = disk.after_power_cut(Survival::Everything);
    let queue = Queue::open(whole.clone()).expect("the queue opens");
    let before = whole.changes();
    act(&queue).expect("no fault is injected");
    let changes = whole.changes() - before;
    assert!(changes > 1, "{changes}");
    for change in 0..=changes {
        let disk = disk.after_power_cut(Survival::Everything);
        let queue = Queue::open(disk.clone()).expect("the queue opens");
        disk.cut_power_after(change);
        let is_done = act(&queue).is_ok();
        for survival in SURVIVALS {
            let restarted = disk.after_power_cut(survival);
            // A new process removes what is incomplete.
            drop(Queue::open(restarted.clone()).expect("the queue opens"));
            judge(
                &restarted,
                is_done,
                &format!("power gone after {change} of {changes} changes, {survival:?}"),
            );
        }
    }
}

#[test]
fn accepted_message_survives_a_power_failure_and_no_part_of_a_message_remains() {
    at_every_change(
        &SimDisk::default(),
        |queue| insert(queue, "A1"),
        |disk, is_accepted, what| {
            let files = QueueFiles::new(disk.clone());
            match files.ids().unwrap().as_slice() {
                [] => assert!(!is_accepted, "{what}"),
                [only] => {
                    let queued = files.read(only).unwrap();
                    assert_eq!((queued.entry, queued.octets), (entry(), 24), "{what}");
                }
                more => panic!("{what}: {more:?}"),
            }
            let names = disk.names();
            assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{what}: {names:?}");
        },
    );
}

#[test]
fn log_keeps_what_was_recorded_and_ignores_a_torn_line() {
    let disk = SimDisk::default();
    let queue = Queue::open(disk.clone()).unwrap();
    insert(&queue, "A1").unwrap();
    queue.append(&id("A1"), &[delivered("x@example.net")]).unwrap();
    drop(queue);
    let act = |queue: &Queue<SimDisk>| queue.append(&id("A1"), &[delivered("y@example.com")]);
    at_every_change(&disk, act, |disk, is_recorded, what| {
        let found = statuses(disk, "A1");
        assert_eq!(found[0], Status::Done, "{what}");
        assert!(found[1] == Status::Done || !is_recorded, "{what}");
        // The next line follows a complete line.
        let queue = Queue::open(disk.clone()).unwrap();
        queue.append(&id("A1"), &[LogLine::entry(time(), LogEvent::Held)]).unwrap();
        assert!(queue.read(&id("A1")).unwrap().progress.is_held, "{what}");
        let log = String::from_utf8(queue.log(&id("A1")).unwrap()).unwrap();
        assert!(log.lines().all(|line| LogLine::parse(line).is_some()), "{what}: {log}");
    });
}

#[test]
fn change_whose_sync_failed_is_durable_after_the_next_call() {
    for failing_syncs in 1..4 {
        let disk = SimDisk::default();
        let queue = Queue::open(disk.clone()).unwrap();
        insert(&queue, "A1").unwrap();
        insert(&queue, "A2").unwrap();
        disk.fail_syncs(failing_syncs);
        // The first line of a log creates it.
        let line = [delivered("x@example.net")];
        while queue.append(&id("A1"), &line).is_err() {}
        disk.fail_syncs(failing_syncs);
        assert!(queue.remove(&id("A2")).is_err());
        while queue.append(&id("A2"), &line).is_err() {}
        let survivor = disk.after_power_cut(Survival::Nothing);
        assert_eq!(statuses(&survivor, "A1")[0], Status::Done, "{failing_syncs} failing syncs");
        let files = QueueFiles::new(survivor);
        assert_eq!(files.ids().unwrap(), [id("A1")], "{failing_syncs} failing syncs");
    }
}

#[test]
fn log_that_ends_at_any_octet_is_read() {
    let disk = SimDisk::default();
    let queue = Queue::open(disk.clone()).unwrap();
    insert(&queue, "A1").unwrap();
    queue.append(&id("A1"), &[delivered("x@example.net"), delivered("y@example.com")]).unwrap();
    let log = disk.content("queue/A1.log").unwrap();
    for end in 0..log.len() {
        disk.put("queue/A1.log", &log[..end]);
        let complete_lines = log[..end].iter().filter(|octet| **octet == b'\n').count();
        let done = statuses(&disk, "A1").iter().filter(|status| **status == Status::Done).count();
        assert_eq!(done, complete_lines, "after {end} octets");
    }
}

#[test]
fn full_disk_refuses_the_message_and_leaves_nothing() {
    let disk = SimDisk::default();
    let queue = Queue::open(disk.clone()).unwrap();
    disk.set_free(Some(10));
    let error = insert(&queue, "A1").expect_err("there is no space");
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    disk.set_free(None);
    assert_eq!(queue.ids().unwrap(), []);
    assert!(!disk.names().iter().any(|name| name.to_string_lossy().contains("A1")), "{:?}", disk.names());
}

#[test]
fn edited_entry_is_reported_with_its_line() {
    let disk = SimDisk::default();
    let queue = Queue::open(disk.clone()).unwrap();
    for (text, part) in [
        ("received: soon\nfrom: <>\nto: <x@y>\n\n", "line 1: not an RFC 3339 time"),
        ("received: 2026-11-29T17:11:49Z\nfrom: <>\nto: <>\n\n", "line 3: not a forward-path"),
        ("received: 2026-11-29T17:11:49Z\nfrom: <>\n\n", "no line `to:`"),
        ("received: 2026-11-29T17:11:49Z\nto: <x@y>\n\n", "no line `from:`"),
        ("received: 2026-11-29T17:11:49Z\nfrom: <>\nto: <x@y>\ncolour: red\n\n", "line 4: unknown key"),
        ("received: 2026-11-29T17:11:49Z\nfrom: <>\nto: <x@y>\n", "no blank line"),
        ("", "no blank line"),
        ("\0\0\0\0\n\n", "line 1"),
    ] {
        disk.put("queue/A1", text.as_bytes());
        let error = queue.read(&id("A1")).expect_err(text).to_string();
        assert!(error.contains(part) && error.contains("queue/A1"), "{text:?}: {error}");
    }
}

#[test]
fn only_one_process_delivers_a_queue() {
    let disk = SimDisk::default();
    let first = Queue::open(disk.process()).unwrap();
    let error = Queue::open(disk.process()).expect_err("the first process delivers");
    assert!(error.to_string().contains("another process delivers the queue"), "{error}");
    drop(first);
    drop(Queue::open(disk.process()).unwrap());
}

#[test]
fn removed_entry_has_no_files() {
    let disk = SimDisk::default();
    let queue = Queue::open(disk.clone()).unwrap();
    insert(&queue, "A1").unwrap();
    queue.append(&id("A1"), &[delivered("x@example.net")]).unwrap();
    queue.remove(&id("A1")).unwrap();
    assert!(matches!(queue.read(&id("A1")), Err(QueueError::NotFound(_))));
    queue.remove(&id("A1")).expect("removal of a removed entry succeeds");
    assert!(!disk.names().iter().any(|name| name.starts_with(Path::new("queue/A1"))), "{:?}", disk.names());
}
