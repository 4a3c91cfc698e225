//! Faults of the disk, the power supply and the processes.

use std::path::Path;
use std::time::Duration;

use mail_store::disk::{Disk, DiskFile, Open};

use crate::identity::ACCOUNTS;
use crate::processes::Processes;
use crate::world::World;

/// Longer than an idle session can hold its maildrop.
const LEASE_TIME_MAX: Duration = Duration::from_secs(11 * 60);

/// Injects a random fault, if the plan of this run permits its kind.
pub(crate) async fn inject_fault(processes: &Processes) {
    let world = processes.world();
    let plan = world.plan();
    let kinds = [plan.kills, plan.power_cuts, plan.disk_full, plan.failing_syncs, plan.index_corruption];
    let kind = world.with_random(|random| random.below(kinds.len()));
    if !kinds[kind] {
        return;
    }
    let amount = world.with_random(|random| {
        let bound = *random.pick(&[1, 10, 1_000, 20_000]);
        random.below(bound) as u64
    });
    match kind {
        0 => processes.kill_one_after(amount),
        1 => {
            world.log(|| format!("the power will be cut after {amount} more disk changes"));
            world.disk().cut_power_after(amount);
        }
        2 => fill_disk(world, amount).await,
        3 => {
            let count = world.with_random(|random| *random.pick(&[1, 2, 5]));
            world.log(|| format!("the next {count} syncs will fail"));
            world.model().counters.disk_faults += 1;
            world.disk().fail_syncs(count);
        }
        _ => corrupt_index(world),
    }
}

/// Limits the free space to `octets` for a while.
async fn fill_disk(world: &World, octets: u64) {
    world.log(|| format!("the disk has {octets} octets left"));
    world.model().counters.disk_faults += 1;
    world.disk().set_free(Some(octets));
    let time = world.with_random(|random| random.seconds(1..=60));
    world.sleep(time).await;
    world.log(|| "the disk has free space again".to_owned());
    world.disk().set_free(None);
}

/// Deletes or damages an index. The index is a cache, so no message may be lost.
fn corrupt_index(world: &World) {
    let account = world.with_random(|random| random.below(ACCOUNTS.len()));
    let path = format!("{}/.index", ACCOUNTS[account]);
    let Some(mut content) = world.disk().content(&path) else { return };
    let disk = world.disk().process();
    let result = if world.with_random(|random| random.percent(50)) {
        world.log(|| format!("{path} is deleted"));
        disk.remove(Path::new(&path))
    } else {
        let (at, flips_bit, mask) = world
            .with_random(|random| (random.below(content.len()), random.percent(70), 1 << random.below(8)));
        world.log(|| format!("{path} is damaged at {at} of {}", content.len()));
        if flips_bit {
            content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
        } else {
            content.truncate(at);
        }
        disk.open(Path::new(&path), Open::Existing).and_then(|file| {
            file.set_len(content.len() as u64)?;
            file.write_all_at(&content, 0)
        })
    };
    // The disk may be full or without power at this time.
    if let Err(error) = result {
        world.log(|| format!("{path} was not changed: {error}"));
    }
}

/// Ends all faults, restarts the machine or not, and waits until the processes have recovered.
pub(crate) async fn recover(processes: &Processes) {
    let world = processes.world();
    world.log(|| "no more faults".to_owned());
    world.disk().set_free(None);
    world.disk().fail_syncs(0);
    if world.with_random(|random| random.percent(50)) {
        world.log(|| "the machine is restarted".to_owned());
        world.disk().cut_power_after(0);
    } else {
        world.disk().cut_power_after(u64::MAX / 2);
        processes.cancel_kills();
    }
    world.sleep(LEASE_TIME_MAX).await;
    processes.start();
}
