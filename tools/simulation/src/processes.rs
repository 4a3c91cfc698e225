//! The server processes: starting, connecting to them, and cleaning up after crashes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use mail_core::message::address::Domain;
use mail_service::budget::Budget;
use mail_service::context::{RelayPolicy, ServiceContext};
use mail_service::throttle::Throttle;
use mail_store::disk::sim::{SimDisk, Survival};
use mail_store::text::TextStore;

use crate::audit::audit;
use crate::checked_store::CheckedStore;
use crate::executor::Group;
use crate::identity::{HOSTNAME, SimDirectory};
use crate::network::{ConnectionHandle, LinkProfile, Socket, connect};
use crate::server::{Protocol, SimContext, serve};
use crate::world::World;

/// Server processes on the same data directory. Each offers both protocols.
const PROCESSES: usize = 2;

/// All server processes. Clones share them.
#[derive(Clone)]
pub(crate) struct Processes {
    world: World,
    slots: Rc<RefCell<[Option<Process>; PROCESSES]>>,
    connections: Rc<RefCell<Vec<(Group, ConnectionHandle)>>>,
}

struct Process {
    group: Group,
    disk: SimDisk,
    context: Arc<SimContext>,
}

impl Processes {
    pub(crate) fn new(world: World) -> Self {
        Self { world, slots: Rc::default(), connections: Rc::default() }
    }

    pub(crate) const fn world(&self) -> &World {
        &self.world
    }

    /// Starts all processes that are not running.
    pub(crate) fn start(&self) {
        for index in 0..PROCESSES {
            if self.slots.borrow()[index].is_none() {
                self.start_process(index);
            }
        }
    }

    fn start_process(&self, index: usize) {
        let world = &self.world;
        let group = world.new_group();
        let disk = world.disk().process();
        let store = match TextStore::open(disk.clone(), world.offload(group), HOSTNAME) {
            Ok(store) => store.compacting_below(world.plan().compaction_octets_max),
            Err(error) => return world.log(|| format!("process {index} cannot start: {error}")),
        };
        let context = ServiceContext {
            authenticator: None,
            memory: Budget::new(64 << 10),
            metrics: Arc::default(),
            hostname: Domain::parse(HOSTNAME).expect("a domain"),
            domains: [HOSTNAME, "iit.edu"].map(|name| Domain::parse(name).expect("a domain")).into(),
            postmaster: None,
            refuse_unknown_user: false,
            relay: RelayPolicy::default(),
            throttle: Throttle::default(),
            directory: SimDirectory,
            store: CheckedStore {
                inner: store,
                leases: Arc::clone(world.leases()),
                violations: Arc::clone(world.violations()),
                bug: world.bug(),
            },
            clock: world.clock().clone(),
        };
        world.log(|| format!("process {index} started"));
        self.slots.borrow_mut()[index] = Some(Process { group, disk, context: Arc::new(context) });
    }

    /// Connects to a random running process, if there is one.
    pub(crate) fn connect(&self, client: &str, protocol: Protocol, profile: LinkProfile) -> Option<Socket> {
        let world = &self.world;
        let slots = self.slots.borrow();
        let running: Vec<(usize, &Process)> = slots
            .iter()
            .enumerate()
            .filter_map(|(index, process)| Some((index, process.as_ref()?)))
            .collect();
        if running.is_empty() {
            world.log(|| format!("{client}: no server for {protocol:?}"));
            return None;
        }
        let (index, process) = running[world.with_random(|random| random.below(running.len()))];
        world.log(|| format!("{client}: {protocol:?} to process {index}, {profile:?}"));
        let (near, far) = world.with_random(|random| connect(world.executor(), profile, random));
        self.connections.borrow_mut().push((process.group, near.handle()));
        let session = serve(world.clone(), Arc::clone(&process.context), protocol, far);
        world.executor().spawn(process.group, session);
        Some(near)
    }

    /// Kills a random process after `changes` more changes of the disk.
    pub(crate) fn kill_one_after(&self, changes: u64) {
        let index = self.world.with_random(|random| random.below(PROCESSES));
        self.world.log(|| format!("process {index} will be killed after {changes} more disk changes"));
        if let Some(process) = &self.slots.borrow()[index] {
            process.disk.kill_after(changes);
        }
    }

    /// Cancels all pending kills.
    pub(crate) fn cancel_kills(&self) {
        self.slots.borrow().iter().flatten().for_each(|process| process.disk.spare());
    }

    /// Removes killed processes, audits the mailboxes they left, and schedules a restart.
    pub(crate) fn reap(&self) {
        let world = &self.world;
        let power_is_cut = world.disk().is_without_power();
        let dead = self.take_dead(power_is_cut);
        if power_is_cut {
            world.log(|| "power cut".to_owned());
            world.model().counters.power_cuts += 1;
            // Clients of a machine without power see no end of the stream.
            self.connections.borrow().iter().for_each(|(_, connection)| connection.blackhole());
        }
        for (index, group) in &dead {
            world.log(|| format!("process {index} died"));
            world.model().counters.kills += usize::from(!power_is_cut);
            world.executor().kill(*group);
            self.connections.borrow_mut().retain(|(owner, _)| owner != group);
        }
        if power_is_cut {
            let survival = world.with_random(|random| match random.below(4) {
                0 => Survival::Nothing,
                1 => Survival::Everything,
                _ => Survival::Some(random.next()),
            });
            world.log(|| format!("surviving unsynced writes: {survival:?}"));
            world.restore_power(survival);
        }
        if power_is_cut || !dead.is_empty() {
            audit(world);
            let processes = self.clone();
            let pause = world.with_random(|random| random.seconds(0..=40));
            world.spawn(async move {
                processes.world.sleep(pause).await;
                processes.start();
            });
        }
    }

    fn take_dead(&self, power_is_cut: bool) -> Vec<(usize, Group)> {
        let mut slots = self.slots.borrow_mut();
        let dead = slots.iter_mut().enumerate().filter_map(|(index, slot)| {
            slot.take_if(|process| power_is_cut || process.disk.is_dead())
                .map(|process| (index, process.group))
        });
        dead.collect()
    }
}
