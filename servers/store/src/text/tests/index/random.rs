//! Random sequences of deliveries, removals, edits, damage, kills and power failures. After each step, the index agrees with a scan.

use proptest::prelude::*;
use std::path::Path;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Deliver(usize),
    Remove { every: u64, blanks: bool },
    Edit(usize),
    DropIndex,
    DamageIndex(usize),
    Kill { act: Box<Self>, after: u64 },
    PowerCut(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let change = || {
        prop_oneof![
            3 => (1..4_usize).prop_map(Act::Deliver),
            3 => (1..4_u64, any::<bool>()).prop_map(|(every, blanks)| Act::Remove { every, blanks }),
        ]
    };
    let act = prop_oneof![
        6 => change(),
        2 => (0..5_usize).prop_map(Act::Edit),
        1 => Just(Act::DropIndex),
        1 => (0..9_000_usize).prop_map(Act::DamageIndex),
        4 => (change(), 0..3_000_u64).prop_map(|(act, after)| Act::Kill { act: Box::new(act), after }),
        1 => any::<u64>().prop_map(Act::PowerCut),
    ];
    prop::collection::vec(act, 1..12)
}

/// Applies the step and returns the disk after it.
fn perform(act: &Act, disk: &mut SimDisk, serial: &mut u64) {
    let mut fresh = || {
        *serial += 1;
        format!("{serial:08}")
    };
    match act {
        Act::Deliver(count) => {
            let store = store(&disk.process());
            (0..*count).for_each(|_| deliver(&store, &fresh(), &message("new")).unwrap());
        }
        Act::Remove { every, blanks } => {
            let disk = disk.process();
            let store = if *blanks { that_blanks(&disk) } else { store(&disk) };
            let session = now(store.open(&gb())).unwrap();
            let numbers: Vec<u64> = (1..=session.count()).filter(|number| number % every == 0).collect();
            now(session.remove(&numbers)).unwrap();
        }
        Act::Edit(kind) => edit(*kind, disk),
        Act::DropIndex => drop(disk.remove(Path::new(INDEX))),
        Act::DamageIndex(at) => {
            if let Ok(file) = disk.open(Path::new(INDEX), Open::Existing) {
                file.write_all_at(&[0x55], *at as u64).unwrap();
            }
        }
        Act::Kill { act, after } => {
            let process = disk.process();
            process.kill_after(*after);
            match &**act {
                Act::Deliver(_) => drop(
                    TextStore::open(process, Inline, HOSTNAME)
                        .and_then(|store| deliver(&store, &fresh(), &message("new"))),
                ),
                Act::Remove { every, .. } => {
                    drop(TextStore::open(process, Inline, HOSTNAME).and_then(|store| {
                        let session = now(store.open(&gb()))?;
                        let numbers: Vec<u64> =
                            (1..=session.count()).filter(|number| number % every == 0).collect();
                        now(session.remove(&numbers))
                    }))
                }
                _ => unreachable!("changes alone are killed"),
            }
        }
        Act::PowerCut(seed) => *disk = disk.after_power_cut(Survival::Some(*seed)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn index_agrees_with_a_scan_after_random_events(acts in acts(), logins in any::<u16>(), stopped in any::<bool>()) {
        let mut disk = mailbox_of(4);
        let mut serial = 0;
        for (step, act) in acts.iter().enumerate() {
            disk.stop_clock(stopped);
            perform(act, &mut disk, &mut serial);
            if logins >> step & 1 == 1 {
                assert_agrees(&disk, &format!("after {:?}", &acts[..=step]));
            }
        }
        assert_agrees(&disk, "at the end");
    }
}
