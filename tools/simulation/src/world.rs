//! Everything that there is: the clock, the disk, the processes, the model; and how it ends.

use std::cell::{Ref, RefCell, RefMut};
use std::fmt::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mail_core::message::address::Domain;
use mail_core::time::Instant;
use mail_service::context::ServiceContext;
use mail_service::throttle::Throttle;
use mail_store::disk::sim::{SimDisk, Survival};
use mail_store::disk::{Disk, DiskFile, Open};
use mail_store::text::TextStore;
use net::metrics::{ConnectionMetrics, ReplyFormat};

use crate::Options;
use crate::executor::{DeferredOffload, Executor, Group, Jobs};
use crate::model::{Attempt, Model};
use crate::network::{Cable, Socket, Weather, connect};
use crate::random::Random;
use crate::server::{HOSTNAME, Protocol, SimClock, SimContext, SimDirectory, serve};
use crate::store::{CheckedStore, Leases, Sabotage, Violations};
use crate::{audit, server};

/// What belongs to no process.
pub(crate) const OUTSIDE: Group = 0;
/// Server processes on the one directory; each offers both protocols.
const PROCESSES: usize = 2;
/// A run that goes on for longer has got stuck.
const TIME_MAX: Duration = Duration::from_secs(48 * 3600);

/// A handle on it all. A clone is the same.
#[derive(Clone)]
pub(crate) struct World(Rc<All>);

struct All {
    options: Options,
    executor: Executor,
    start: Instant,
    random: RefCell<Random>,
    model: RefCell<Model>,
    disk: RefCell<SimDisk>,
    processes: RefCell<[Option<Process>; PROCESSES]>,
    groups: RefCell<Group>,
    jobs: Jobs,
    clock: SimClock,
    leases: Leases,
    violations: Violations,
    cables: RefCell<Vec<(Group, Cable)>>,
    log: RefCell<String>,
    connection_metrics: Arc<ConnectionMetrics>,
    habits: Habits,
}

struct Process {
    group: Group,
    disk: SimDisk,
    context: Arc<SimContext>,
}

/// What goes wrong in this run, and how often: some runs have all of it, some nothing.
#[derive(Debug)]
struct Habits {
    /// Connections in a hundred that break.
    foul: usize,
    kills: bool,
    power_cuts: bool,
    full: bool,
    failing_syncs: bool,
    /// Somebody deletes and damages what is only a cache.
    meddling: bool,
    /// Mailboxes larger than this are blanked before they are compacted.
    small_octets: u64,
    /// The longest that a piece of work on the disk waits.
    work_delay_max: usize,
}

impl Habits {
    fn any(random: &mut Random) -> Self {
        Self {
            foul: *random.pick(&[0, 20, 60]),
            kills: random.percent(50),
            power_cuts: random.percent(50),
            full: random.percent(40),
            failing_syncs: random.percent(40),
            meddling: random.percent(40),
            small_octets: *random.pick(&[0, 2_000, 1 << 20]),
            work_delay_max: *random.pick(&[0, 5, 3_000]),
        }
    }
}

impl World {
    pub(crate) fn new(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        let disk = SimDisk::default();
        if options.sabotage == Some(Sabotage::LyingDisk) {
            disk.lie_about_syncs();
        }
        let habits = Habits::any(&mut random);
        let start = Instant::now();
        let world = Self(Rc::new(All {
            options: options.clone(),
            executor: Executor::default(),
            start,
            random: RefCell::new(random),
            model: RefCell::default(),
            disk: RefCell::new(disk),
            processes: RefCell::default(),
            groups: RefCell::new(OUTSIDE),
            jobs: Jobs::default(),
            clock: SimClock::new(start),
            leases: Leases::default(),
            violations: Violations::default(),
            cables: RefCell::default(),
            log: RefCell::default(),
            connection_metrics: ConnectionMetrics::unregistered(ReplyFormat::Smtp),
            habits,
        }));
        world.note(|| format!("{:?}", world.0.habits));
        world
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.executor.now()
    }

    /// The virtual time as the machines count it.
    pub(crate) fn instant(&self) -> Instant {
        self.0.start + self.now()
    }

    pub(crate) fn since_start(&self, when: Instant) -> Duration {
        when.saturating_duration_since(self.0.start)
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.0.executor.sleep(time).await;
    }

    pub(crate) fn connection_metrics(&self) -> Arc<ConnectionMetrics> {
        Arc::clone(&self.0.connection_metrics)
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn(OUTSIDE, future);
    }

    pub(crate) fn model(&self) -> RefMut<'_, Model> {
        self.0.model.borrow_mut()
    }

    pub(crate) fn disk(&self) -> Ref<'_, SimDisk> {
        self.0.disk.borrow()
    }

    pub(crate) fn with_random<T>(&self, act: impl FnOnce(&mut Random) -> T) -> T {
        act(&mut self.0.random.borrow_mut())
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.0.options.with_log {
            let time = self.now().as_secs_f64();
            writeln!(self.0.log.borrow_mut(), "{time:>12.6} s  {}", what()).expect("a text takes any text");
        }
    }

    /// A promise is broken.
    pub(crate) fn fail(&self, what: &str) {
        self.note(|| format!("BROKEN: {what}"));
        self.0.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
    }

    pub(crate) fn first_failure(&self) -> Option<String> {
        self.0.violations.lock().unwrap_or_else(PoisonError::into_inner).first().cloned()
    }

    pub(crate) fn log(&self) -> String {
        self.0.log.borrow().clone()
    }

    pub(crate) fn acknowledged(&self, name: &str, attempt: Attempt) {
        self.note(|| format!("{name}: message {attempt} is acknowledged"));
        let acknowledged = self.model().acknowledged(attempt);
        if let Err(what) = acknowledged {
            self.fail(&what);
        }
    }

    pub(crate) fn weather(&self) -> Weather {
        let foul = self.0.habits.foul;
        self.with_random(
            |random| {
                if random.percent(foul) { Weather::foul(random) } else { Weather::fair(random) }
            },
        )
    }

    pub(crate) fn small_octets(&self) -> u64 {
        self.0.habits.small_octets
    }

    /// Runs until `scenario` is done, a promise is broken, or nothing more happens.
    pub(crate) fn run(&self, scenario: impl Future<Output = ()> + 'static) {
        let done = Rc::new(RefCell::new(false));
        let finished = Rc::clone(&done);
        self.spawn(async move {
            scenario.await;
            *finished.borrow_mut() = true;
        });
        while !*done.borrow() && self.first_failure().is_none() {
            if !self.0.executor.step() {
                self.fail("everybody waits for ever");
            }
            if self.now() > TIME_MAX {
                self.fail("it goes on for ever");
            }
            self.0.clock.set(self.now());
            self.begin_jobs();
            self.bury();
        }
        for group in 0..=*self.0.groups.borrow() {
            self.0.executor.kill(group);
        }
    }

    fn begin_jobs(&self) {
        let jobs = std::mem::take(&mut *self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner));
        for (group, job) in jobs {
            let delay = self.with_random(|random| random.milliseconds(0..=self.0.habits.work_delay_max));
            let world = self.clone();
            self.0.executor.spawn(group, async move {
                world.sleep(delay).await;
                job();
            });
        }
    }

    /// A connection to one of the processes, if one accepts it.
    pub(crate) fn connect(&self, name: &str, protocol: Protocol, weather: Weather) -> Option<Socket> {
        let processes = self.0.processes.borrow();
        let alive: Vec<(usize, &Process)> = processes
            .iter()
            .enumerate()
            .filter_map(|(index, process)| Some((index, process.as_ref()?)))
            .collect();
        if alive.is_empty() {
            self.note(|| format!("{name}: nobody is there for {protocol:?}"));
            return None;
        }
        let (index, process) = alive[self.with_random(|random| random.below(alive.len()))];
        self.note(|| format!("{name}: {protocol:?} to process {index}, {weather:?}"));
        let (client, server) = self.with_random(|random| connect(&self.0.executor, weather, random));
        self.0.cables.borrow_mut().push((process.group, client.cable()));
        self.0
            .executor
            .spawn(process.group, serve(self.clone(), Arc::clone(&process.context), protocol, server));
        Some(client)
    }

    /// Starts every process that does not run.
    pub(crate) fn start(&self) {
        for index in 0..PROCESSES {
            if self.0.processes.borrow()[index].is_none() {
                self.start_process(index);
            }
        }
    }

    fn start_process(&self, index: usize) {
        let group = {
            let mut groups = self.0.groups.borrow_mut();
            *groups += 1;
            *groups
        };
        let disk = self.disk().process();
        let offload = DeferredOffload { group, jobs: Arc::clone(&self.0.jobs) };
        let store = match TextStore::open(disk.clone(), offload, HOSTNAME) {
            Ok(store) => store.compacting_below(self.small_octets()),
            Err(error) => return self.note(|| format!("process {index} does not start: {error}")),
        };
        let context = ServiceContext {
            memory: mail_service::budget::Budget::new(64 << 10),
            metrics: Arc::default(),
            hostname: Domain::parse(HOSTNAME).expect("a domain"),
            domains: [HOSTNAME, "iit.edu"].map(|name| Domain::parse(name).expect("a domain")).into(),
            postmaster: None,
            refuse_unknown_user: false,
            throttle: Throttle::default(),
            directory: SimDirectory,
            store: CheckedStore {
                inner: store,
                leases: Arc::clone(&self.0.leases),
                violations: Arc::clone(&self.0.violations),
                sabotage: self.0.options.sabotage,
            },
            clock: self.0.clock.clone(),
        };
        self.note(|| format!("process {index} starts"));
        self.0.processes.borrow_mut()[index] = Some(Process { group, disk, context: Arc::new(context) });
    }

    /// Ends what is left of processes that died, and looks at what they left behind.
    fn bury(&self) {
        let is_dark = self.disk().is_without_power();
        let is_dead = |process: &Process| is_dark || process.disk.is_dead();
        let dead: Vec<(usize, Group)> = {
            let mut processes = self.0.processes.borrow_mut();
            let dead = processes.iter_mut().enumerate().filter_map(|(index, process)| {
                process.take_if(|process| is_dead(process)).map(|process| (index, process.group))
            });
            dead.collect()
        };
        if is_dark {
            self.note(|| "the power is gone".to_owned());
            self.model().tally.power_cuts += 1;
            // Nobody is there to tell the other side.
            self.0.cables.borrow().iter().for_each(|(_, cable)| cable.fall_silent());
        }
        for (index, group) in &dead {
            self.note(|| format!("process {index} is dead"));
            self.model().tally.kills += usize::from(!is_dark);
            self.0.executor.kill(*group);
            self.0.cables.borrow_mut().retain(|(owner, _)| owner != group);
        }
        if is_dark {
            self.replace_disk();
        }
        if is_dark || !dead.is_empty() {
            audit::audit(self);
            let world = self.clone();
            let pause = self.with_random(|random| random.seconds(0..=40));
            self.spawn(async move {
                world.sleep(pause).await;
                world.start();
            });
        }
    }

    fn replace_disk(&self) {
        let survival = self.with_random(|random| match random.below(4) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            _ => Survival::Some(random.next()),
        });
        self.note(|| format!("of what was not synced there remains: {survival:?}"));
        let after = self.disk().after_power_cut(survival);
        self.0.disk.replace(after);
    }

    /// Goes wrong in one of the ways of this run, and comes right again.
    pub(crate) async fn mishap(&self) {
        let habits = &self.0.habits;
        let possible = [habits.kills, habits.power_cuts, habits.full, habits.failing_syncs, habits.meddling];
        let kind = self.with_random(|random| random.below(possible.len()));
        if !possible[kind] {
            return;
        }
        let changes = self.with_random(|random| {
            let most = *random.pick(&[1, 10, 1_000, 20_000]);
            random.below(most) as u64
        });
        match kind {
            0 => {
                let index = self.with_random(|random| random.below(PROCESSES));
                self.note(|| {
                    format!("process {index} is to be killed after {changes} more changes of the disk")
                });
                if let Some(process) = &self.0.processes.borrow()[index] {
                    process.disk.kill_after(changes);
                }
            }
            1 => {
                self.note(|| format!("the power is to go after {changes} more changes of the disk"));
                self.disk().cut_power_after(changes);
            }
            2 => {
                self.note(|| format!("there is room for {changes} more octets"));
                self.model().tally.disk_faults += 1;
                self.disk().set_free(Some(changes));
                let time = self.with_random(|random| random.seconds(1..=60));
                self.sleep(time).await;
                self.note(|| "there is room again".to_owned());
                self.disk().set_free(None);
            }
            3 => {
                let count = self.with_random(|random| *random.pick(&[1, 2, 5]));
                self.note(|| format!("the next {count} syncs fail"));
                self.model().tally.disk_faults += 1;
                self.disk().fail_syncs(count);
            }
            _ => self.meddle(),
        }
    }

    /// An index can be deleted at any time, and whatever stands in it, it is never believed against the mailbox.
    fn meddle(&self) {
        let account = self.with_random(|random| random.below(server::ACCOUNTS.len()));
        let path = format!("{}/.index", server::ACCOUNTS[account]);
        let Some(mut content) = self.disk().content(&path) else { return };
        let disk = self.disk().process();
        let done = if self.with_random(|random| random.percent(50)) {
            self.note(|| format!("somebody deletes {path}"));
            disk.remove(Path::new(&path))
        } else {
            let (at, kept, mask) = self.with_random(|random| {
                (random.below(content.len()), random.percent(70), 1 << random.below(8))
            });
            self.note(|| format!("somebody damages {path} at {at} of {}", content.len()));
            if kept {
                content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= mask);
            } else {
                content.truncate(at);
            }
            disk.open(Path::new(&path), Open::Existing).and_then(|file| {
                file.set_len(content.len() as u64)?;
                file.write_all_at(&content, 0)
            })
        };
        // A disk that is full or dead now hinders everybody.
        if let Err(error) = done {
            self.note(|| format!("nothing comes of it: {error}"));
        }
    }

    /// Nothing goes wrong from now on. The processes are started again, or left to get over what was.
    pub(crate) async fn recover(&self) {
        self.note(|| "nothing goes wrong from now on".to_owned());
        self.disk().set_free(None);
        self.disk().fail_syncs(0);
        if self.with_random(|random| random.percent(50)) {
            self.note(|| "the machine is switched off and on".to_owned());
            self.disk().cut_power_after(0);
        } else {
            self.disk().cut_power_after(u64::MAX / 2);
            let processes = self.0.processes.borrow();
            processes.iter().flatten().for_each(|process| process.disk.spare());
        }
        self.sleep(crate::pop3_client::LONGEST_LEASE).await;
        self.start();
    }
}

/// The folder of an account.
pub(crate) fn mailbox(account: usize) -> String {
    format!("{}/MyMailBox.txt", server::ACCOUNTS[account])
}
