//! State that outlives server processes: the clock, the disk, the expected mailboxes, the log and the violations.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mail_core::time::Instant;
use mail_store::disk::sim::{SimDisk, Survival};
use net::metrics::{ConnectionMetrics, ReplyFormat};

use crate::checked_store::{InjectedBug, Leases, Violations};
use crate::executor::{DeferredOffload, Executor, Group, Jobs};
use crate::identity::SimClock;
use crate::model::{Attempt, Model};
use crate::network::LinkProfile;
use crate::random::Random;

/// The task group of everything except server processes.
pub(crate) const NO_PROCESS: Group = 0;

/// The shared state. Clones share it.
#[derive(Clone)]
pub(crate) struct World(Rc<State>);

struct State {
    executor: Executor,
    start: Instant,
    random: RefCell<Random>,
    plan: FaultPlan,
    bug: Option<InjectedBug>,
    model: RefCell<Model>,
    disk: RefCell<SimDisk>,
    jobs: Jobs,
    clock: SimClock,
    connection_metrics: Arc<ConnectionMetrics>,
    leases: Leases,
    violations: Violations,
    log: Option<RefCell<String>>,
    last_group: Cell<Group>,
}

/// Kinds and frequencies of the faults in one run.
#[derive(Debug)]
pub(crate) struct FaultPlan {
    /// Percentage of connections that fail.
    faulty_connections: usize,
    pub(crate) kills: bool,
    pub(crate) power_cuts: bool,
    pub(crate) disk_full: bool,
    pub(crate) failing_syncs: bool,
    pub(crate) index_corruption: bool,
    /// Mailboxes above this size are overwritten in place before they are compacted.
    pub(crate) compaction_octets_max: u64,
    /// Maximum delay of blocking work in milliseconds.
    offload_delay_max: usize,
}

impl FaultPlan {
    fn random(random: &mut Random) -> Self {
        Self {
            faulty_connections: *random.pick(&[0, 20, 60]),
            kills: random.percent(50),
            power_cuts: random.percent(50),
            disk_full: random.percent(40),
            failing_syncs: random.percent(40),
            index_corruption: random.percent(40),
            compaction_octets_max: *random.pick(&[0, 2_000, 1 << 20]),
            offload_delay_max: *random.pick(&[0, 5, 3_000]),
        }
    }
}

impl World {
    pub(crate) fn new(seed: u64, with_log: bool, bug: Option<InjectedBug>) -> Self {
        let mut random = Random::new(seed);
        let disk = SimDisk::default();
        if bug == Some(InjectedBug::IgnoredSyncs) {
            disk.lie_about_syncs();
        }
        let start = Instant::now();
        let world = Self(Rc::new(State {
            executor: Executor::default(),
            start,
            plan: FaultPlan::random(&mut random),
            random: RefCell::new(random),
            bug,
            model: RefCell::default(),
            disk: RefCell::new(disk),
            jobs: Jobs::default(),
            clock: SimClock::new(start),
            connection_metrics: ConnectionMetrics::unregistered(ReplyFormat::Smtp),
            leases: Leases::default(),
            violations: Violations::default(),
            log: with_log.then(RefCell::default),
            last_group: Cell::new(NO_PROCESS),
        }));
        world.log(|| format!("{:?}", world.0.plan));
        world
    }

    /// Virtual time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.0.executor.now()
    }

    /// Virtual time as the machines use it.
    pub(crate) fn instant(&self) -> Instant {
        self.0.start + self.now()
    }

    pub(crate) fn since_start(&self, when: Instant) -> Duration {
        when.saturating_duration_since(self.0.start)
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.0.executor.sleep(time).await;
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(NO_PROCESS, future);
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.0.executor
    }

    pub(crate) fn plan(&self) -> &FaultPlan {
        &self.0.plan
    }

    pub(crate) fn bug(&self) -> Option<InjectedBug> {
        self.0.bug
    }

    pub(crate) fn clock(&self) -> &SimClock {
        &self.0.clock
    }

    pub(crate) fn connection_metrics(&self) -> Arc<ConnectionMetrics> {
        Arc::clone(&self.0.connection_metrics)
    }

    pub(crate) fn leases(&self) -> &Leases {
        &self.0.leases
    }

    pub(crate) fn violations(&self) -> &Violations {
        &self.0.violations
    }

    pub(crate) fn model(&self) -> RefMut<'_, Model> {
        self.0.model.borrow_mut()
    }

    pub(crate) fn disk(&self) -> Ref<'_, SimDisk> {
        self.0.disk.borrow()
    }

    /// Restores the power: replaces the disk by what survived the power cut.
    pub(crate) fn restore_power(&self, survival: Survival) {
        let after = self.disk().after_power_cut(survival);
        self.0.disk.replace(after);
    }

    pub(crate) fn with_random<T>(&self, act: impl FnOnce(&mut Random) -> T) -> T {
        act(&mut self.0.random.borrow_mut())
    }

    /// Appends a line to the log, if there is one.
    pub(crate) fn log(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.0.log {
            let time = self.now().as_secs_f64();
            writeln!(log.borrow_mut(), "{time:>12.6} s  {}", line()).expect("writing to a string succeeds");
        }
    }

    pub(crate) fn take_log(&self) -> String {
        self.0.log.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// Reports a violation, which ends the run.
    pub(crate) fn violation(&self, text: &str) {
        self.log(|| format!("VIOLATION: {text}"));
        self.0.violations.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }

    pub(crate) fn first_violation(&self) -> Option<String> {
        self.0.violations.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    pub(crate) fn acknowledged(&self, client: &str, attempt: Attempt) {
        self.log(|| format!("{client}: message {attempt} acknowledged"));
        let acknowledged = self.model().acknowledged(attempt);
        if let Err(violation) = acknowledged {
            self.violation(&violation);
        }
    }

    /// A random connection profile.
    pub(crate) fn link_profile(&self) -> LinkProfile {
        let faulty = self.0.plan.faulty_connections;
        self.with_random(|random| {
            if random.percent(faulty) { LinkProfile::faulty(random) } else { LinkProfile::reliable(random) }
        })
    }

    /// A new task group for a server process.
    pub(crate) fn new_group(&self) -> Group {
        self.0.last_group.set(self.0.last_group.get() + 1);
        self.0.last_group.get()
    }

    /// Blocking work of a server process.
    pub(crate) fn offload(&self, group: Group) -> DeferredOffload {
        DeferredOffload { group, jobs: Arc::clone(&self.0.jobs) }
    }

    /// Runs one task or advances the clock, and starts queued blocking work. Returns `false` if nothing can happen.
    pub(crate) fn step(&self) -> bool {
        let progress = self.0.executor.step();
        self.0.clock.set(self.now());
        self.start_jobs();
        progress
    }

    fn start_jobs(&self) {
        let jobs = std::mem::take(&mut *self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        for (group, job) in jobs {
            let delay = self.with_random(|random| random.milliseconds(0..=self.0.plan.offload_delay_max));
            let world = self.clone();
            self.0.executor.spawn(group, async move {
                world.sleep(delay).await;
                job();
            });
        }
    }

    /// Drops all tasks.
    pub(crate) fn kill_all(&self) {
        for group in 0..=self.0.last_group.get() {
            self.0.executor.kill(group);
        }
    }
}
