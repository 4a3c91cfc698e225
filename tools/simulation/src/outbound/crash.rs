//! Runs with one fault: a power failure at a given change of the disk, or a dead host with many messages.

use std::time::Duration;

use mail_store::disk::sim::{SimDisk, Survival};
use tokio::time::sleep;

use super::hosts::{Behaviour, Host, HostPlan};
use super::on_stopped_clock;
use super::process::{LIFETIME, Process};
use super::scenario::is_empty;
use super::world::World;

const POLL: Duration = Duration::from_millis(20);
/// A host that hangs, and a retry, take minutes.
const SLOW_POLL: Duration = Duration::from_secs(5);
/// A message is delivered or returned within this time. It is long enough for a timeout and some retries.
const TIME_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Delivers a message to a host that behaves in this way and to one without faults. The power fails after `changes` changes of the disk.
/// Returns the number of changes in the run.
///
/// # Errors
/// A guarantee was violated.
pub fn crash(behaviour: Behaviour, changes: u64, survival: Survival) -> Result<u64, String> {
    let world = World::new(changes, false, None);
    world.set_plan(HostPlan::First(behaviour));
    on_stopped_clock(deliver(&world, changes, survival))
}

async fn deliver(world: &World, changes: u64, survival: Survival) -> Result<u64, String> {
    let mut disk = SimDisk::default();
    let process = Process::start(world, disk.clone())?;
    let before = disk.changes();
    disk.cut_power_after(changes);
    submit(world, &process, "M1", &[Host::Faulty(0), Host::Good]).await;
    let end = world.now() + TIME_MAX;
    // The power fails at a change of the disk, most often at one that follows an answer soon.
    while !disk.is_without_power() && !is_empty(&disk) && world.now() < end {
        sleep(if world.now() < SLOW_POLL { POLL } else { SLOW_POLL }).await;
    }
    let count = disk.changes() - before;
    if disk.is_without_power() {
        process.kill().await;
        world.with_model(|now, model| model.crash(now));
        disk = disk.after_power_cut(survival);
        let process = Process::start(world, disk.clone())?;
        while !is_empty(&disk) && world.now() < end {
            sleep(SLOW_POLL).await;
        }
        process.shut_down().await;
    } else {
        process.shut_down().await;
    }
    if !is_empty(&disk) {
        return Err("the queue is not empty".into());
    }
    world.with_model(|_, model| model.check(LIFETIME))?;
    world.finish().0.map_or(Ok(count), Err)
}

/// Submits `messages` messages to a host that never answers, then one to a host without faults. Returns the time until it arrives.
///
/// # Errors
/// It does not arrive, or a guarantee was violated.
pub fn dead_host(messages: usize) -> Result<Duration, String> {
    on_stopped_clock(async {
        let world = World::new(0, false, None);
        let process = Process::start(&world, SimDisk::default())?;
        for number in 0..messages {
            submit(&world, &process, &format!("D{number}"), &[Host::Dead]).await;
        }
        // The agent has tried the host.
        sleep(Duration::from_secs(90)).await;
        let begin = world.now();
        submit(&world, &process, "M1", &[Host::Good]).await;
        while world.with_model(|_, model| model.counters.copies) == 0 {
            if world.now() > begin + TIME_MAX {
                return Err("the message does not arrive".into());
            }
            sleep(POLL).await;
        }
        let time = world.now() - begin;
        process.shut_down().await;
        world.finish().0.map_or(Ok(time), Err)
    })
}

/// Submits a message. The power may fail.
async fn submit(world: &World, process: &Process, id: &str, hosts: &[Host]) {
    let recipients: Vec<String> = hosts.iter().map(|host| host.address(id)).collect();
    let message =
        "From: ag@iitkgp.edu\r\nDate: Sun, 22 Nov 2026 19:15:06 +0000\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n";
    for (host, recipient) in hosts.iter().zip(&recipients) {
        let is_prompt = *host == Host::Good;
        world.with_model(|now, model| model.submit(now, recipient, message.as_bytes(), is_prompt));
    }
    if process.submit(world, id, &recipients, message.as_bytes()).await.is_ok() {
        world.with_model(|now, model| recipients.iter().for_each(|recipient| model.accept(now, recipient)));
    }
}
