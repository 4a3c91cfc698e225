//! Power failure at every octet and operation: acknowledged changes survive, and every other record is intact.

use super::*;

/// Runs `act` on a copy of the disk once for each moment at which the power can fail. Passes the disk after the failure
/// to `judge`, with whether `act` returned `Ok`.
fn at_every_moment(
    disk: &SimDisk,
    survivals: &[Survival],
    act: impl Fn(&Store) -> Result<(), StoreError>,
    judge: impl Fn(&SimDisk, bool, &str),
) {
    let whole = disk.after_power_cut(Survival::Everything);
    let store_of_whole = store(&whole);
    let before = whole.changes();
    act(&store_of_whole).expect("no fault is injected");
    let moments = whole.changes() - before;
    assert!(moments > 3);
    for moment in 0..=moments {
        let disk = disk.after_power_cut(Survival::Everything);
        let store = store(&disk);
        disk.cut_power_after(moment);
        let done = act(&store);
        for survival in survivals {
            let what = format!("power gone after {moment} of {moments} changes, {survival:?}");
            judge(&disk.after_power_cut(*survival), done.is_ok(), &what);
        }
    }
}

/// The messages after a restart. Also checks that the store accepts another delivery.
fn after(disk: &SimDisk, what: &str) -> Vec<String> {
    let store = store(disk);
    let mut found = bodies(&store);
    deliver(&store, "later", &message("later")).unwrap();
    let again = bodies(&self::store(&disk.after_power_cut(Survival::Nothing)));
    assert_eq!(again.split_last(), Some((&served("later"), &found[..])), "{what}");
    found.truncate(again.len() - 1);
    found
}

fn mailbox_of(ids: &[&str]) -> SimDisk {
    let disk = SimDisk::default();
    let store = store(&disk);
    for id in ids {
        deliver(&store, id, &message(id)).unwrap();
    }
    disk
}

#[test]
fn append_is_atomic() {
    let persons = SimDisk::default();
    persons.put(MAILBOX, format!("{PERSONS}{}", PERSONS.trim_end()).as_bytes());
    for (disk, old) in [
        (SimDisk::default(), vec![]),
        (mailbox_of(&["a"]), vec![served("a")]),
        (persons, vec![served_persons(), served_persons()]),
    ] {
        let act = |store: &Store| deliver(store, "new", &message("new"));
        at_every_moment(&disk, &SURVIVALS, act, |disk, done, what| {
            let found = after(disk, what);
            let is_new_there = found.len() > old.len();
            assert!(is_new_there || !done, "{what}");
            let new = [served("new")];
            let expected = old.iter().chain(new.iter().filter(|_| is_new_there));
            assert!(found.iter().eq(expected), "{what}: {found:?}");
        });
    }
}

#[test]
fn tail_repair_loses_nothing() {
    let disk = mailbox_of(&["a"]);
    let whole = String::from_utf8(disk.content(MAILBOX).unwrap()).unwrap();
    for torn in ["F", &whole[..whole.len() - 2], &whole[..whole.len() / 2], "\0\0\0"] {
        disk.put(MAILBOX, format!("{whole}{torn}").as_bytes());
        let act = |store: &Store| deliver(store, "new", &message("new"));
        at_every_moment(&disk, &SURVIVALS, act, |disk, done, what| {
            let found = after(disk, what);
            assert_eq!(found[0], served("a"), "{what}");
            assert!(found.len() == 2 || !done, "{what}");
            assert!(found.len() == 1 || found[1..] == [served("new")], "{what}");
            let kept = disk.content("gb/MyMailBox.torn").unwrap();
            assert!(kept.windows(torn.len()).any(|window| window == torn.as_bytes()), "{what}");
        });
    }
}

/// Checks that the other messages are intact, and that the removed ones are intact or gone; gone if the removal returned `Ok`.
fn judge_removal(found: &[String], done: bool, kept: &[&str], removed: &[&str], what: &str) {
    let all: Vec<String> = kept.iter().chain(removed).map(|id| served(id)).collect();
    assert!(found.iter().all(|body| all.contains(body)), "{what}: {found:?}");
    assert!(kept.iter().all(|id| found.contains(&served(id))), "{what}");
    assert!(!done || found.len() == kept.len(), "{what}");
}

#[test]
fn removal_with_compaction_is_atomic() {
    let disk = mailbox_of(&["a", "b", "c", "d"]);
    let act = |store: &Store| remove(store, &[1, 3]);
    at_every_moment(&disk, &SURVIVALS, act, |disk, done, what| {
        let store = store(disk);
        judge_removal(&bodies(&store), done, &["b", "d"], &["a", "c"], what);
        // Leftovers of the crash do not matter.
        let count = bodies(&store).len() as u64;
        remove(&store, &(1..=count).collect::<Vec<_>>()).unwrap();
        assert_eq!(disk.content(MAILBOX).unwrap(), b"", "{what}");
    });
}

#[test]
fn removal_of_everything_is_atomic() {
    let disk = mailbox_of(&["a", "b"]);
    let act = |store: &Store| remove(store, &[1, 2]);
    at_every_moment(&disk, &SURVIVALS, act, |disk, done, what| {
        judge_removal(&after(disk, what), done, &[], &["a", "b"], what);
    });
}

/// The store without a minimum size for blanking.
fn without_small_mailboxes(store: &Store) -> Store {
    let disk = store.shared.disk.clone();
    let mut store = self::store(&disk);
    Arc::get_mut(&mut store.shared).expect("no other owner").small_octets = 0;
    store
}

#[test]
fn removal_with_blanking_is_atomic() {
    let server = mailbox_of(&["a", "b", "c", "d"]);
    let of_persons = SimDisk::default();
    of_persons.put(MAILBOX, PERSONS.repeat(4).as_bytes());
    let persons = [served_persons(), served_persons(), served_persons(), served_persons()];
    for (disk, all) in [(server, ["a", "b", "c", "d"].map(served)), (of_persons, persons)] {
        let length = disk.content(MAILBOX).unwrap().len();
        let act = |store: &Store| remove(&without_small_mailboxes(store), &[2]);
        at_every_moment(&disk, &SURVIVALS, act, |disk, done, what| {
            assert_eq!(disk.content(MAILBOX).unwrap().len(), length, "{what}");
            let mut found = bodies(&store(disk));
            if found.len() == all.len() {
                assert!(!done, "{what}");
                assert_eq!(found.remove(1), all[1], "{what}");
            }
            assert!(found.iter().eq([&all[0], &all[2], &all[3]]), "{what}");
        });
    }
}

#[test]
fn delivery_after_an_interrupted_compaction_survives_power_failure() {
    // The compacting process is killed at any moment, perhaps before its rename is durable. Another process, which may have the
    // old mailbox open, delivers. Then the power fails.
    let disk_before = mailbox_of(&["a", "b"]);
    let moments = {
        let disk = disk_before.after_power_cut(Survival::Everything);
        deliver(&store(&disk), "c", &message("c")).unwrap();
        let before = disk.changes();
        remove(&store(&disk), &[1]).unwrap();
        disk.changes() - before
    };
    for (moment, has_it_open) in (0..=moments).flat_map(|moment| [(moment, false), (moment, true)]) {
        let disk = disk_before.after_power_cut(Survival::Everything);
        let mut deliverer = store(&disk);
        deliver(&deliverer, "c", &message("c")).unwrap();
        disk.cut_power_after(moment);
        let _died = remove(&store(&disk), &[1]);
        disk.cut_power_after(u64::MAX / 2);
        if !has_it_open {
            deliverer = store(&disk);
        }
        deliver(&deliverer, "d", &message("d")).unwrap();
        let found = bodies(&store(&disk.after_power_cut(Survival::Nothing)));
        let found = found.strip_prefix(&[served("a")]).unwrap_or(&found);
        assert_eq!(found, ["b", "c", "d"].map(served), "{moment} of {moments}, {has_it_open}");
    }
}
