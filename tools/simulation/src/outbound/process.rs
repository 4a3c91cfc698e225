//! A process: the queue, the agent, and the mailboxes that receive reports.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::{NameServer, Networks, Outbound, OutboundMode};
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, Domain, ReversePath};
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::report::Action;
use mail_core::message::srs::Srs;
use mail_core::secret::Secret;
use mail_outbound::{Agent, Composer, Grouping, Metrics, OutboundQueue, ReportTarget, SharedSchedule};
use mail_store::disk::sim::SimDisk;
use mail_store::offload::Inline;
use mail_store::{
    DeliveryTarget as _, Destination, DsnRequest, Envelope, IncomingMessage as _, Origin, StoreError,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::hosts::SimNetwork;
use super::world::World;

const HOSTNAME: &str = "iitkgp.edu";
const SENDER: &str = "ag@iitkgp.edu";
/// Age of a message that is returned.
pub(super) const LIFETIME: Duration = Duration::from_secs(5 * 24 * 3_600);
const DELAY_REPORT: Duration = Duration::from_secs(4 * 3_600);
/// As in the default configuration.
const RETRY_SECONDS: [u32; 7] = [300, 600, 1_200, 2_400, 3_600, 7_200, 14_400];

/// A bug of the system, to verify that the simulation detects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedBug {
    /// Syncs of the disk have no effect.
    IgnoredSyncs,
    /// A restart forgets the results of all attempts.
    ForgottenResults,
    /// Reports are acknowledged without being stored.
    LostReports,
    /// Two processes may deliver the queue.
    NoLock,
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    disk: SimDisk,
    target: OutboundQueue<SimDisk, Inline>,
    agent: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Process {
    /// # Errors
    /// The queue cannot be opened.
    pub(super) fn start(world: &World, disk: SimDisk) -> Result<Self, String> {
        if world.bug() == Some(InjectedBug::ForgottenResults) {
            forget_results(&disk);
        }
        let target = open(&disk)?;
        let reports = Reports(world.clone());
        let (queue, schedule) = target.parts();
        let agent = Agent::new(queue, schedule, config(), domain(), reports, Metrics::default(), None)?;
        let agent = agent.with_network(Arc::new(SimNetwork(world.clone())));
        let (stop, shutdown) = watch::channel(false);
        let agent = tokio::spawn(agent.run(shutdown));
        Ok(Self { disk, target, agent, stop })
    }

    pub(super) fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Submits a message of a user. It is accepted if this succeeds.
    ///
    /// # Errors
    /// The queue refuses the message, or the process has died.
    pub(super) fn submit(
        &self,
        world: &World,
        id: &str,
        recipients: &[String],
        message: &[u8],
    ) -> impl Future<Output = Result<(), StoreError>> + use<> {
        let destination = |recipient: &String| Destination::Remote(address(recipient));
        let envelope = Envelope {
            reverse_path: ReversePath::Address(address(SENDER)),
            recipients: recipients.iter().map(destination).collect(),
            origin: Origin::ThisHost,
            dsn: DsnRequest::default(),
            require_tls: false,
        };
        let trace = Trace {
            reverse_path: envelope.reverse_path.clone(),
            hello: "client.example".into(),
            peer: None,
            by: HOSTNAME.into(),
            with: "ESMTPA",
            tls: None,
            id: id.to_owned(),
            time: world.utc(),
            authentication_results: None,
            delivered_to: false,
        };
        let (target, message) = (self.target.clone(), message.to_vec());
        async move {
            let mut incoming = target.begin(&envelope).await?;
            for piece in message.chunks(10_000) {
                incoming.write(Bytes::copy_from_slice(piece)).await?;
            }
            incoming.commit(&trace).await
        }
    }

    /// Whether another process could deliver the queue at the same time.
    pub(super) fn admits_another(&self, world: &World) -> bool {
        let disk =
            if world.bug() == Some(InjectedBug::NoLock) { self.disk.copy() } else { self.disk.process() };
        open(&disk).is_ok()
    }

    /// Ends the process without a shutdown.
    pub(super) async fn kill(self) {
        self.disk.kill_after(0);
        self.agent.abort();
        let _ = self.agent.await;
    }

    pub(super) async fn shut_down(self) {
        self.stop.send_replace(true);
        self.agent.await.expect("the agent ends");
    }
}

fn open(disk: &SimDisk) -> Result<OutboundQueue<SimDisk, Inline>, String> {
    let srs = Srs::new(Secret::new(vec![7; 16]), domain());
    let schedule = SharedSchedule::new(Grouping::Domains, DELAY_REPORT);
    OutboundQueue::open(disk, Inline, schedule, Composer::new(srs, None)).map_err(|error| error.to_string())
}

fn forget_results(disk: &SimDisk) {
    use mail_store::disk::Disk as _;
    for path in
        disk.names().iter().filter(|path| path.extension().is_some_and(|extension| extension == "log"))
    {
        // The disk may be without power.
        let _ = disk.remove(path);
    }
}

fn config() -> Outbound {
    Outbound {
        mode: OutboundMode::Direct,
        smarthost: None,
        relay_from: Networks::default(),
        // The addresses of all recipients are literals.
        resolver: vec![NameServer(([127, 0, 0, 1], 9).into())],
        port: 25,
        dane: false,
        trust_anchor: None,
        mta_sts: false,
        mta_sts_port: 443,
        ca: None,
        private_networks: Networks::default(),
        retry_seconds: RETRY_SECONDS.into(),
        lifetime_seconds: seconds(LIFETIME),
        delay_report_seconds: seconds(DELAY_REPORT),
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).expect("a few days")
}

fn domain() -> Domain {
    Domain::parse(HOSTNAME).expect("a domain")
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

/// The mailboxes of senders, on another disk.
#[derive(Debug)]
struct Reports(World);

impl ReportTarget for Reports {
    async fn deliver(&self, sender: &Address, report: Vec<u8>) -> Result<(), StoreError> {
        let Self(world) = self;
        if world.with_random(|random| random.percent(10)) {
            return Err(StoreError::Failed("the mailbox is full".into()));
        }
        let Some(report) = ParsedMessage::parse(&report).report else {
            world.violation("a report is unreadable");
            return Ok(());
        };
        if *sender != address(SENDER) {
            world.violation(&format!("{sender} receives the report to {SENDER}"));
        }
        for recipient in report.recipients {
            let to = recipient.final_recipient;
            world.log(|| format!("{to}: {:?} report", recipient.action));
            world.with_model(|now, model| match recipient.action {
                Action::Delayed => model.report_delay(now, &to),
                Action::Failed if world.bug() == Some(InjectedBug::LostReports) => {}
                _ => model.report(now, &to),
            });
        }
        Ok(())
    }
}
