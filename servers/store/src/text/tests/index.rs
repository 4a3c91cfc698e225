//! The index always agrees with a scan of the mailbox, and every valid index is used.

use mail_core::mailbox::scan::records;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use mail_core::mailbox::{HashedId, Kind, Message, Record};

use super::*;
use crate::disk::{DiskFile, Open, Status};

mod random;

const INDEX: &str = "gb/.index";
const HOSTNAME: &str = "iitkgp.edu";

/// The entries that a session must see, by a scan of the mailbox.
fn scanned(mailbox: &[u8]) -> Vec<Entry> {
    let records = records(mailbox, HOSTNAME);
    let messages: Vec<_> = records.iter().filter_map(|record| Some((record, record.message()?))).collect();
    let describe = |(number, (record, message)): (u64, &(&Record, &Message))| {
        let same = |id: &str| messages.iter().filter(|(_, other)| other.id() == Some(id)).count();
        let unique_id = message.id().filter(|id| same(id) == 1).map_or_else(
            || {
                let mut hash = HashedId::default();
                hash.update(&mailbox[record.offset as usize..record.text_end() as usize]);
                hash.finish()
            },
            str::to_owned,
        );
        Entry { number, octets: message.octets, unique_id }
    };
    (1..).zip(&messages).map(describe).collect()
}

/// Opens the maildrop and compares its entries with a scan and with the bodies.
fn assert_agrees(disk: &SimDisk, what: &str) {
    let served = bodies(&store(&disk.process()));
    let mailbox = disk.content(MAILBOX).unwrap_or_default();
    let mut session = now(store(&disk.process()).open(&gb())).unwrap();
    let expected = scanned(&mailbox);
    assert_eq!(entries(&mut session), expected, "{what}");
    assert_eq!(session.count(), expected.len() as u64, "{what}");
    assert_eq!(session.octets(), expected.iter().map(|entry| entry.octets).sum::<u64>(), "{what}");
    assert_eq!(served.len(), expected.len(), "{what}");
    drop(session);
    if let Some(last) = expected.last() {
        // The lookup starts without earlier entries.
        let mut session = now(store(&disk.process()).open(&gb())).unwrap();
        assert_eq!(now(session.entry(last.number)).as_ref(), Ok(last), "{what}");
    }
    assert_eq!(check(disk, &gb(), HOSTNAME).unwrap().findings.len(), broken(&mailbox), "{what}");
}

fn broken(mailbox: &[u8]) -> usize {
    let is_broken = |record: &Record| matches!(record.kind, Kind::Broken(_));
    records(mailbox, HOSTNAME).iter().filter(|record| is_broken(record)).count()
}

/// The store without a minimum size for blanking.
fn that_blanks(disk: &SimDisk) -> Store {
    let mut store = store(disk);
    Arc::get_mut(&mut store.shared).expect("no other owner").small_octets = 0;
    store
}

/// A mailbox of short messages.
fn mailbox_of(count: usize) -> SimDisk {
    let disk = SimDisk::default();
    deliver(&store(&disk), "number", &message("number")).unwrap();
    let record = String::from_utf8(disk.content(MAILBOX).unwrap()).unwrap();
    let mailbox: String =
        (0..count).map(|number| record.replace("number", &format!("{number:06}"))).collect();
    disk.put(MAILBOX, mailbox.as_bytes());
    disk
}

#[test]
fn login_with_a_valid_index_reads_a_constant_amount() {
    let mut costs = Vec::new();
    for count in [10, 3_000] {
        let disk = mailbox_of(count);
        assert_agrees(&disk, "cold");
        deliver(&store(&disk), "one more", &message("more")).unwrap();
        let before = disk.octets_read();
        let mut session = now(store(&disk).open(&gb())).unwrap();
        let login = disk.octets_read() - before;
        assert_eq!(session.count(), count as u64 + 1);
        assert_eq!(now(session.entry(count as u64)).unwrap().unique_id, format!("{:06}", count - 1));
        costs.push((login, disk.octets_read() - before - login <= 64 * 64));
    }
    assert_eq!(costs, [(136, true), (136, true)]);
}

#[test]
fn removal_and_delivery_update_the_index() {
    for blanks in [false, true] {
        let disk = mailbox_of(1_000);
        let open = || if blanks { that_blanks(&disk) } else { store(&disk) };
        assert_agrees(&disk, "cold");
        let header = |disk: &SimDisk| disk.content(INDEX).unwrap()[..136].to_vec();
        for (round, removed) in
            [vec![1], vec![256, 257], (3..300).step_by(3).collect(), vec![1, 900]].iter().enumerate()
        {
            remove(&open(), removed).unwrap();
            deliver(&open(), &format!("new{round}"), &message("new")).unwrap();
            let carried = header(&disk);
            let before = disk.octets_read();
            drop(now(open().open(&gb())).unwrap());
            assert_eq!(disk.octets_read() - before, 136, "the login reads only the header");
            assert_eq!(header(&disk), carried);
            assert_agrees(&disk, &format!("blanks: {blanks}, round {round}"));
        }
        let all: Vec<u64> = (1..=scanned(&disk.content(MAILBOX).unwrap()).len() as u64).collect();
        remove(&open(), &all).unwrap();
        assert_agrees(&disk, "empty");
        deliver(&open(), "last", &message("last")).unwrap();
        assert_agrees(&disk, "not empty any more");
    }
}

/// An index with used slots, and its mailbox.
fn with_removed() -> SimDisk {
    let disk = mailbox_of(5);
    remove(&that_blanks(&disk), &[2]).unwrap();
    deliver(&store(&disk), &"long".repeat(10), &message("long")).unwrap();
    assert_agrees(&disk, "as it is");
    disk
}

#[test]
fn damage_of_the_index_is_detected() {
    let disk = with_removed();
    let index = disk.content(INDEX).unwrap();
    let used: Vec<usize> = (0..136).chain(4096..4104).chain(8192..index.len()).collect();
    assert_eq!(index.len(), 8192 + 6 * 64);
    let write = |octets: &[u8]| {
        let file = disk.open(Path::new(INDEX), Open::OrCreate).unwrap();
        file.set_len(octets.len() as u64).unwrap();
        file.write_all_at(octets, 0).unwrap();
    };
    for at in used {
        let mut bad = index.clone();
        bad[at] ^= 0x10;
        write(&bad);
        assert_agrees(&disk, &format!("octet {at} is another"));
        write(&index[..at]);
        assert_agrees(&disk, &format!("{at} octets are left"));
    }
    disk.remove(Path::new(INDEX)).unwrap();
    assert_agrees(&disk, "no index");
}

#[test]
fn index_damaged_during_a_session_is_rebuilt() {
    for at in [4096, 8192, 8192 + 64 * 5] {
        let disk = with_removed();
        let expected = scanned(&disk.content(MAILBOX).unwrap());
        let mut session = now(store(&disk).open(&gb())).unwrap();
        let file = disk.open(Path::new(INDEX), Open::Existing).unwrap();
        file.write_all_at(&[9], at).unwrap();
        assert_eq!(entries(&mut session), expected);
        assert_eq!(body(&mut session, 2, Extent::Whole).unwrap(), served("000002"));
        now(session.remove(&[2])).unwrap();
        assert_agrees(&disk, "after the removal");
        assert_eq!(scanned(&disk.content(MAILBOX).unwrap()).len(), expected.len() - 1);
    }
    let disk = with_removed();
    let session = now(store(&disk).open(&gb())).unwrap();
    disk.remove(Path::new(INDEX)).unwrap();
    now(session.remove(&[1])).unwrap();
    assert_agrees(&disk, "deleted");
}

#[test]
fn index_of_another_boot_or_host_name_is_invalid() {
    let disk = with_removed();
    // Only the mark of a removal survived, and neither length nor ctime of the mailbox reveal it.
    let after = disk.after_power_cut(Survival::Everything);
    let mailbox = after.content(MAILBOX).unwrap();
    after.stop_clock(true);
    let file = after.open(Path::new(MAILBOX), Open::Existing).unwrap();
    file.write_all_at(b"#", records(&mailbox, HOSTNAME)[2].offset).unwrap();
    assert_eq!(after.content(INDEX), disk.content(INDEX));
    assert_eq!(file.status().unwrap(), disk.status(Path::new(MAILBOX)).unwrap());
    assert_agrees(&after, "after the power failure");

    let before = disk.octets_read();
    let other = TextStore::open(disk.clone(), Inline, "another.edu").unwrap();
    drop(now(other.open(&gb())).unwrap());
    assert!(disk.octets_read() - before > mailbox.len() as u64, "the mailbox is scanned again");
}

#[test]
fn index_is_built_in_memory_on_a_full_disk() {
    let disk = mailbox_of(600);
    disk.set_free(Some(0));
    for _ in 0..2 {
        assert_agrees(&disk, "full");
    }
    remove(&that_blanks(&disk), &[5]).unwrap();
    assert_agrees(&disk, "full, after a removal");
    disk.set_free(None);
    assert_agrees(&disk, "space available again");
    assert!(disk.content(INDEX).unwrap().len() > 600 * 64);
}

#[test]
fn index_that_cannot_be_updated_is_deleted() {
    let disk = mailbox_of(4);
    assert_agrees(&disk, "cold");
    disk.stop_clock(true);
    // Longer than a delivery indexes: the header covers it, the entries do not.
    deliver(&store(&disk), "large", &(message("large") + &"x".repeat(1 << 20))).unwrap();
    disk.set_free(Some(0));
    remove(&that_blanks(&disk), &[2]).unwrap();
    disk.set_free(None);
    assert_agrees(&disk, "after a removal by an index in memory");
}

/// A disk on which `act` runs before every append lock except the first.
#[derive(Debug, Clone)]
struct Busy {
    disk: SimDisk,
    locks: Arc<AtomicU32>,
    act: fn(&SimDisk, u32),
}

impl Disk for Busy {
    type File = <SimDisk as Disk>::File;
    type Lock = <SimDisk as Disk>::Lock;

    fn open(&self, path: &Path, open: Open) -> io::Result<Self::File> {
        self.disk.open(path, open)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        if path.ends_with(".append.lock") {
            let locks = self.locks.fetch_add(1, Ordering::Relaxed);
            if locks > 0 {
                (self.act)(&self.disk, locks);
            }
        }
        self.disk.try_lock(path)
    }

    fn open_files_max(&self) -> usize {
        self.disk.open_files_max()
    }

    fn is_out_of_descriptors(error: &io::Error) -> bool {
        SimDisk::is_out_of_descriptors(error)
    }

    fn status(&self, path: &Path) -> io::Result<Status> {
        self.disk.status(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(path)
    }

    fn boot_id(&self) -> Option<String> {
        self.disk.boot_id()
    }
}

#[test]
fn large_mailbox_is_scanned_during_deliveries_and_edits() {
    type Act = fn(&SimDisk, u32);
    let nothing: Act = |_, _| {};
    let deliver_one: Act =
        |disk, number| deliver(&store(disk), &format!("new{number}"), &message("new")).unwrap();
    let edit_once: Act = |disk, number| {
        if number == 1 {
            edit(4, disk)
        }
    };
    let copy_and_deliver: Act = |disk, number| {
        edit(if number == 1 { 2 } else { 4 }, disk);
        deliver(&store(disk), &format!("new{number}"), &message("new")).unwrap();
    };
    let removed: Act = |disk, _| drop(disk.remove(Path::new(INDEX)));
    for (act, locks, added) in
        [(nothing, 2, 0), (deliver_one, 2, 1), (edit_once, 4, 0), (copy_and_deliver, 5, 5), (removed, 2, 0)]
    {
        let disk = SimDisk::default();
        for id in ["a", "b", "c"] {
            deliver(&store(&disk), id, &(message(id) + &format!("{}\r\n", "x".repeat(1_000)).repeat(1_500)))
                .unwrap();
        }
        let busy = Busy { disk: disk.clone(), locks: Arc::default(), act };
        let store = TextStore::open(busy.clone(), Inline, HOSTNAME).unwrap();
        let session = now(store.open(&gb())).unwrap();
        assert_eq!((session.count(), busy.locks.load(Ordering::Relaxed)), (3 + added, locks));
        drop(session);
        assert_agrees(&disk, &format!("{locks} locks, {added} added"));
    }
}

#[test]
fn message_regains_its_id_when_the_duplicate_is_removed() {
    let disk = mailbox_of(3);
    let mailbox = disk.content(MAILBOX).unwrap();
    disk.put(MAILBOX, &[&mailbox[..], &mailbox[..mailbox.len() / 3]].concat());
    assert_agrees(&disk, "copied by a person");
    remove(&that_blanks(&disk), &[4]).unwrap();
    assert_agrees(&disk, "and removed again");
    assert_eq!(scanned(&disk.content(MAILBOX).unwrap())[0].unique_id, "000000");
}

#[test]
fn unique_id_survives_completion_of_the_last_line() {
    let disk = SimDisk::default();
    disk.put(MAILBOX, PERSONS.trim_end().as_bytes());
    let id = |disk: &SimDisk| now(now(store(disk).open(&gb())).unwrap().entry(1)).unwrap().unique_id;
    let before = id(&disk);
    deliver(&store(&disk), "a", &message("a")).unwrap();
    assert_eq!(id(&disk), before);
    assert_agrees(&disk, "a person's record is completed");
}

#[test]
fn check_reports_a_wrong_index() {
    let disk = with_removed();
    assert_eq!(check(&disk, &gb(), HOSTNAME).unwrap().findings, []);
    // Two valid entries of another mailbox.
    let mailbox = disk.content(MAILBOX).unwrap();
    let other = String::from_utf8(mailbox.clone()).unwrap().replace("000003", "00xx03");
    let file = disk.open(Path::new(MAILBOX), Open::Existing).unwrap();
    disk.stop_clock(true);
    file.write_all_at(other.as_bytes(), 0).unwrap();
    let report = check(&disk, &gb(), HOSTNAME).unwrap();
    let offsets: Vec<_> = report.findings.iter().map(|finding| finding.offset).collect();
    assert_eq!(offsets, [records(&mailbox, HOSTNAME)[3].offset]);
    assert!(report.findings[0].description.contains(".index"));
}

#[test]
fn index_on_a_real_disk_is_valid_after_each_change() {
    let root = tempfile::tempdir().unwrap();
    let disk = crate::disk::RealDisk::new(root.path());
    let mut store = TextStore::open(disk.clone(), Inline, HOSTNAME).unwrap();
    let fits = |messages: u64, what: &str| {
        let folder = Folder::new(&gb());
        let mailbox = disk.status(&folder.mailbox()).unwrap();
        let validity = crate::text::index::IndexValidity::of(&disk, HOSTNAME);
        let index = crate::text::index::Index::open_valid(&disk, validity, &folder, mailbox).expect(what);
        assert!(index.is_complete() && index.header.messages() == messages, "{what}");
    };
    let deliver = |store: &TextStore<crate::disk::RealDisk, Inline>, id: &str| {
        let mut incoming = now(store.begin(&envelope(&[recipient("gb")]))).unwrap();
        now(incoming.write(Bytes::from(message(id)))).unwrap();
        now(incoming.commit(&trace(id))).unwrap();
    };
    for id in ["a", "b", "c", "d"] {
        deliver(&store, id);
    }
    drop(now(store.open(&gb())).unwrap());
    fits(4, "after the first login");
    deliver(&store, "e");
    fits(5, "after a delivery");
    now(now(store.open(&gb())).unwrap().remove(&[1])).unwrap();
    fits(4, "after a compaction");
    deliver(&store, "f");
    fits(5, "after a delivery behind a compaction");
    Arc::get_mut(&mut store.shared).expect("no session is open").small_octets = 0;
    now(now(store.open(&gb())).unwrap().remove(&[2])).unwrap();
    fits(4, "after blanking");
    let store = TextStore::open(disk.clone(), Inline, HOSTNAME).unwrap();
    now(now(store.open(&gb())).unwrap().remove(&[1, 2, 3, 4])).unwrap();
    fits(0, "after everything is removed");
}

/// An edit by a person, which changes the ctime.
fn edit(kind: usize, disk: &SimDisk) {
    let Some(mut mailbox) = disk.content(MAILBOX) else { return };
    match kind {
        0 => mailbox.extend_from_slice(PERSONS.as_bytes()),
        1 => mailbox.extend_from_slice(PERSONS.trim_end().as_bytes()),
        // Repeats the first record, or adds an unreadable one.
        2 => {
            let first = records(&mailbox, HOSTNAME).first().map_or(0, |record| record.end() as usize);
            let copy = mailbox[..first].to_vec();
            mailbox.extend_from_slice(&copy);
        }
        3 => mailbox.extend_from_slice(b"not a record\n.\n"),
        // An edit in place that keeps the length.
        _ => {
            for octet in mailbox.iter_mut().filter(|octet| **octet == b'y') {
                *octet = b'z';
            }
            disk.stop_clock(false);
            disk.open(Path::new(MAILBOX), Open::Existing).unwrap().write_all_at(&mailbox, 0).unwrap();
            disk.stop_clock(true);
            return;
        }
    }
    // A dot without a line end ends a record only at the end of the file.
    disk.put(MAILBOX, &mailbox);
}
