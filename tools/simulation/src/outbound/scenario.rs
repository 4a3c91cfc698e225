//! A random run: messages are submitted and delivered under faults. After the faults end, the queue must become empty.

use std::time::Duration;

use chrono::TimeDelta;
use mail_outbound::queue::QueueFiles;
use mail_store::disk::sim::{SimDisk, Survival};
use tokio::time::sleep;

use super::hosts::{Host, HostPlan};
use super::process::{InjectedBug, LIFETIME, Process};
use super::world::World;

/// A fault at a change of the disk comes within this time, or then.
const CRASH_TIME: Duration = Duration::from_secs(20);
const CRASH_POLL: Duration = Duration::from_millis(20);
const STEPS: usize = 40;
/// After the faults, a message is delivered or returned within its lifetime. The last attempt may come one interval later.
const DRAIN_TIME: Duration = Duration::from_secs(LIFETIME.as_secs() + 24 * 3_600);

/// The run, its disk and its process.
struct Run {
    world: World,
    disk: SimDisk,
    process: Option<Process>,
    messages: usize,
}

pub(super) async fn run(world: World) {
    let disk = SimDisk::default();
    if world.bug() == Some(InjectedBug::IgnoredSyncs) {
        disk.lie_about_syncs();
    }
    let fault_percent = world.with_random(|random| *random.pick(&[0, 20, 50, 80]));
    world.set_plan(HostPlan::Random { fault_percent });
    let mut run = Run { world, disk, process: None, messages: 0 };
    run.start();
    for _ in 0..STEPS {
        if run.world.is_violated() {
            return;
        }
        let pause = run.world.with_random(|random| {
            let seconds_max = *random.pick(&[1, 10, 600, 20_000]);
            random.seconds(0..=seconds_max)
        });
        sleep(pause).await;
        if run.world.with_random(|random| random.percent(50)) {
            run.submit().await
        } else {
            run.fault().await
        }
    }
    run.finish().await;
}

impl Run {
    fn start(&mut self) {
        match Process::start(&self.world, self.disk.clone()) {
            Ok(process) => self.process = Some(process),
            Err(error) => self.world.violation(&format!("the process does not start: {error}")),
        }
    }

    /// Submits a message to some of the hosts.
    async fn submit(&mut self) {
        let Some(process) = &self.process else { return };
        self.messages += 1;
        let (world, number) = (&self.world, self.messages);
        let (recipients, message) = world.with_random(|random| {
            let recipients: Vec<(Host, String)> = (0..random.between(1..=5))
                .map(|index| {
                    let faulty = Host::Faulty(u8::try_from(random.below(3)).expect("a small number"));
                    let host =
                        *random.pick(&[Host::Good, Host::Dead, Host::Refusing, faulty, faulty, faulty]);
                    (host, host.address(&format!("{index}-{number}")))
                })
                .collect();
            let lines = *random.pick(&[1, 10, 500]);
            let body = format!("{number}\r\n..dots\r\n.{}\r\n", random.next()).repeat(lines);
            let date = "Date: Sun, 22 Nov 2026 19:15:06 +0000\r\n";
            (
                recipients,
                format!("From: ag@iitkgp.edu\r\n{date}Message-ID: <{number}@iitkgp.edu>\r\n\r\n{body}"),
            )
        });
        let addresses: Vec<String> = recipients.iter().map(|(_, address)| address.clone()).collect();
        for (host, recipient) in &recipients {
            let is_prompt = *host == Host::Good;
            world.with_model(|now, model| model.submit(now, recipient, message.as_bytes(), is_prompt));
        }
        let accepted = process.submit(world, &format!("M{number}"), &addresses, message.as_bytes()).await;
        world.log(|| format!("message {number} to {addresses:?}: {accepted:?}"));
        world.with_model(|now, model| match accepted {
            Ok(()) => addresses.iter().for_each(|recipient| model.accept(now, recipient)),
            Err(_) => model.counters.refused += 1,
        });
    }

    async fn fault(&mut self) {
        let (kind, changes) = self.world.with_random(|random| {
            let bound = *random.pick(&[1, 10, 1_000, 50_000]);
            (random.below(7), random.below(bound) as u64)
        });
        match kind {
            0 => self.kill_after(changes).await,
            1 => self.cut_power_after(changes).await,
            2 => self.shut_down().await,
            3 => self.fail_disk(changes).await,
            4 => {
                let hours = self.world.with_random(|random| *random.pick(&[-72, -1, 1, 72]));
                self.world.shift_clock(TimeDelta::hours(hours));
            }
            5 => {
                let admits = self.process.as_ref().is_some_and(|process| process.admits_another(&self.world));
                if admits {
                    self.world.violation("a second process delivers the queue");
                }
            }
            _ => {
                let fault_percent = self.world.with_random(|random| *random.pick(&[0, 20, 50, 80]));
                self.world.log(|| format!("{fault_percent}% of the transactions fail"));
                self.world.set_plan(HostPlan::Random { fault_percent });
            }
        }
    }

    /// Kills the process, and starts another one.
    async fn kill_after(&mut self, changes: u64) {
        let Some(process) = self.process.take() else { return };
        self.world.log(|| format!("the process is killed after {changes} changes of the disk"));
        process.disk().kill_after(changes);
        self.crash(process).await;
        self.world.with_model(|_, model| model.counters.kills += 1);
        self.disk = self.disk.process();
        self.restart().await;
    }

    async fn cut_power_after(&mut self, changes: u64) {
        let Some(process) = self.process.take() else { return };
        let survival = self.world.with_random(|random| match random.below(3) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            _ => Survival::Some(random.next()),
        });
        self.world.log(|| format!("the power fails after {changes} changes of the disk; {survival:?}"));
        self.disk.cut_power_after(changes);
        self.crash(process).await;
        self.world.with_model(|_, model| model.counters.power_cuts += 1);
        self.disk = self.disk.after_power_cut(survival);
        self.restart().await;
    }

    /// Waits for the fault. A message is submitted meanwhile, so that it can come at one of its changes.
    async fn crash(&mut self, process: Process) {
        self.process = Some(process);
        self.submit().await;
        let Some(process) = self.process.take() else { return };
        let end = self.world.now() + CRASH_TIME;
        while !process.disk().is_dead() && self.world.now() < end {
            sleep(CRASH_POLL).await;
        }
        // The poll is late.
        self.disk.cut_power_after(u64::MAX / 2);
        process.kill().await;
        self.world.with_model(|now, model| model.crash(now));
    }

    async fn restart(&mut self) {
        let pause = self.world.with_random(|random| random.seconds(0..=600));
        sleep(pause).await;
        self.world.log(|| "a process starts".to_owned());
        self.start();
    }

    async fn shut_down(&mut self) {
        let Some(process) = self.process.take() else { return };
        self.world.log(|| "the process shuts down".to_owned());
        process.shut_down().await;
        self.world.log(|| "the process has ended".to_owned());
        // Messages that hang at the end of its grace period are sent again.
        self.world.with_model(|now, model| {
            model.counters.shutdowns += 1;
            model.crash(now);
        });
        self.disk = self.disk.process();
        self.restart().await;
    }

    /// Fills the disk, or lets its syncs fail, for a while.
    async fn fail_disk(&mut self, octets: u64) {
        let begin = self.world.now();
        let (is_full, time) = self.world.with_random(|random| (random.percent(50), random.seconds(1..=900)));
        if is_full {
            self.world.log(|| format!("the disk has {octets} octets left for {} s", time.as_secs()));
            self.disk.set_free(Some(octets));
        } else {
            self.world.log(|| format!("syncs fail for {} s", time.as_secs()));
            self.disk.fail_syncs(u32::MAX);
        }
        self.submit().await;
        sleep(time).await;
        self.disk.set_free(None);
        self.disk.fail_syncs(0);
        self.world.log(|| "the disk works again".to_owned());
        self.world.with_model(|now, model| model.disk_fault(begin, now));
    }

    /// Ends the faults, and waits until the queue is empty.
    async fn finish(mut self) {
        self.world.set_plan(HostPlan::Random { fault_percent: 0 });
        self.world.log(|| "no more faults".to_owned());
        let end = self.world.now() + DRAIN_TIME + self.world.with_model(|_, model| model.clock_setback());
        while !is_empty(&self.disk) {
            if self.world.now() > end {
                let left = QueueFiles::new(self.disk.clone()).ids();
                return self.world.violation(&format!("the queue is not empty: {left:?}"));
            }
            sleep(Duration::from_secs(60)).await;
        }
        self.shut_down_for_good().await;
        let checked = self.world.with_model(|_, model| model.check(LIFETIME));
        checked.unwrap_or_else(|text| self.world.violation(&text));
    }

    async fn shut_down_for_good(&mut self) {
        if let Some(process) = self.process.take() {
            process.shut_down().await;
        }
    }
}

pub(super) fn is_empty(disk: &SimDisk) -> bool {
    QueueFiles::new(disk.clone()).ids().is_ok_and(|ids| ids.is_empty())
}
