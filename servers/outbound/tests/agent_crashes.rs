//! The agent with misbehaving hosts, and a power failure at every change of the disk. Each recipient is delivered at least once or
//! returned once. It is delivered again only if an answer was lost on the network, or its record on the disk.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::Utc;
use config::{Config, Outbound};
use futures::future;
use futures::stream::{self, StreamExt as _};
use mail_core::message::address::{Address, Domain, ReversePath};
use mail_core::message::parsed::ParsedMessage;
use mail_core::message::srs::Srs;
use mail_core::queue::{Entry, QueueId, Recipient};
use mail_core::secret::Secret;
use mail_core::smtp::parameter::RcptParameters;
use mail_host::MailHost;
use mail_outbound::queue::{Queue, QueueFiles};
use mail_outbound::{Agent, Composer, Grouping, Metrics, OutboundQueue, ReportTarget, SharedSchedule};
use mail_store::StoreError;
use mail_store::disk::sim::{SimDisk, Survival};
use mail_store::offload::Inline;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

#[allow(dead_code, reason = "these tests count messages as the script sees them")]
#[path = "../../tests/support/mail_host.rs"]
mod mail_host;

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A run with a power failure may hang with its host for this time before the process is killed.
const HANG_TIME: Duration = Duration::from_millis(500);
const ID: &str = "A1";
const CONCURRENT_RUNS: usize = 16;
const SURVIVALS: [Survival; 3] = [Survival::Nothing, Survival::Everything, Survival::Some(7)];

/// The answers to the first attempt for a recipient. Every later attempt is accepted, unless the recipient is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Accepts,
    RefusesRecipient,
    DefersRecipient,
    DefersMessage,
    RefusesMessage,
    TalksEndlessly,
    DropsAtData,
    /// Has received the message.
    DropsBeforeAnswer,
    DropsAfterAnswer,
    /// Sends nothing more, and keeps the connection open.
    Hangs,
}

const BEHAVIOURS: [Behaviour; 9] = [
    Behaviour::Accepts,
    Behaviour::RefusesRecipient,
    Behaviour::DefersRecipient,
    Behaviour::DefersMessage,
    Behaviour::RefusesMessage,
    Behaviour::TalksEndlessly,
    Behaviour::DropsAtData,
    Behaviour::DropsBeforeAnswer,
    Behaviour::DropsAfterAnswer,
];

/// Counters of events of all runs, by recipient.
#[derive(Debug, Default)]
struct Seen {
    attempts: HashMap<String, usize>,
    copies: HashMap<String, usize>,
    lost_answers: HashMap<String, usize>,
    reports: HashMap<String, usize>,
}

type SharedSeen = Arc<Mutex<Seen>>;

fn count(counts: &mut HashMap<String, usize>, address: &str) -> usize {
    let count = counts.entry(address.to_owned()).or_default();
    *count += 1;
    *count
}

thread_local! {
    /// The recipient of the transaction and the number of its attempt. A connection has its own thread.
    static TRANSACTION: RefCell<(String, usize)> = RefCell::default();
}

/// A host at `address` that answers as the local part of the recipient's address says, a number of [`BEHAVIOURS`].
fn host(address: Ipv4Addr, port: u16, seen: &SharedSeen) -> MailHost {
    let seen = Arc::clone(seen);
    MailHost::with_script(address, port, move |line| {
        let mut seen = seen.lock().expect("no thread panics");
        if let Some(rest) = line.strip_prefix("RCPT TO:<") {
            let recipient = rest.split('>').next().unwrap_or_default().to_owned();
            let attempt = count(&mut seen.attempts, &recipient);
            TRANSACTION.set((recipient, attempt));
        }
        let (recipient, attempt) = TRANSACTION.with_borrow(Clone::clone);
        let behaviour = behaviour(&recipient)?;
        let is_first = attempt == 1;
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        let answer = match (verb, behaviour) {
            ("RCPT", Behaviour::RefusesRecipient) => Some("550 5.1.1 no such user".to_owned()),
            ("RCPT", Behaviour::DefersRecipient) if is_first => Some("451 4.7.1 greylisted".to_owned()),
            ("RCPT", Behaviour::TalksEndlessly) if is_first => Some("250-x\r\n".repeat(200_000) + "250 x"),
            ("DATA", Behaviour::DropsAtData) if is_first => Some(String::new()),
            ("DATA", Behaviour::Hangs) if is_first => {
                drop(seen);
                std::thread::sleep(TIMEOUT);
                return Some(String::new());
            }
            (".", Behaviour::RefusesMessage) => Some("554 5.6.0 no".to_owned()),
            (".", Behaviour::DefersMessage) if is_first => Some("452 4.2.2 full".to_owned()),
            (".", Behaviour::DropsBeforeAnswer) if is_first => {
                count(&mut seen.lost_answers, &recipient);
                Some(String::new())
            }
            ("MAIL" | "QUIT" | "RSET", Behaviour::DropsAfterAnswer) if is_first => Some(String::new()),
            _ => None,
        };
        let is_received = answer.as_ref().is_none_or(String::is_empty);
        if line == "." && is_received {
            count(&mut seen.copies, &recipient);
        }
        answer
    })
}

fn behaviour(recipient: &str) -> Option<Behaviour> {
    let (number, _) = recipient.split_once('-')?;
    match number.parse::<usize>().ok()? {
        number if number == BEHAVIOURS.len() => Some(Behaviour::Hangs),
        number => BEHAVIOURS.get(number).copied(),
    }
}

/// The mailboxes of senders, on another disk.
#[derive(Debug)]
struct Reports(SharedSeen);

impl ReportTarget for Reports {
    async fn deliver(&self, _sender: &Address, report: Vec<u8>) -> Result<(), StoreError> {
        let parsed = ParsedMessage::parse(&report).report.expect("a report");
        let mut seen = self.0.lock().expect("no thread panics");
        for recipient in parsed.recipients {
            count(&mut seen.reports, &recipient.final_recipient);
        }
        Ok(())
    }
}

struct Bench {
    config: Outbound,
    seen: SharedSeen,
    bad: MailHost,
    good: MailHost,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn start(bad: Ipv4Addr, good: Ipv4Addr) -> Self {
        let seen = SharedSeen::default();
        let bad = host(bad, 0, &seen);
        let good = host(good, bad.address.port(), &seen);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let ca = certificate(dir.path());
        let text = format!(
            "[outbound]\nmode = 'direct'\nport = {}\nprivate_networks = ['127.0.0.0/8']\nresolver = ['127.0.0.1:9']\n\
             retry_seconds = [1]\ndane = false\nmta_sts = false\nca = '{}'\n",
            bad.address.port(),
            ca.display()
        );
        let file = dir.path().join("pennypost.toml");
        std::fs::write(&file, text).expect("the file is written");
        let config =
            Config::read(&file).expect("a valid configuration").outbound.expect("the section exists");
        Self { config, seen, bad, good, _dir: dir }
    }

    /// The recipients of a run: at the host that misbehaves, and at one that does not.
    fn recipients(&self, behaviour: usize, run: &str) -> [String; 2] {
        [
            format!("{behaviour}-{run}@[{}]", self.bad.address.ip()),
            format!("0-{behaviour}-{run}@[{}]", self.good.address.ip()),
        ]
    }

    /// A disk whose queue has accepted a message.
    fn disk(&self, recipients: &[String]) -> SimDisk {
        let disk = SimDisk::default();
        let queue = Queue::open(disk.clone()).expect("the queue opens");
        let recipient =
            |text: &String| Recipient { address: address(text), parameters: RcptParameters::default() };
        let entry = Entry {
            received: Utc::now(),
            reverse_path: ReversePath::Address(address("ag@iitkgp.edu")),
            recipients: recipients.iter().map(recipient).collect(),
            ret: None,
            envid: None,
            eight_bit: false,
            utf8: false,
            require_tls: false,
            tls_optional: false,
        };
        let head = entry.format();
        queue
            .insert(&id(), head.as_bytes(), |put| put(b"Subject: hello\r\n\r\nbody\r\n"))
            .expect("the entry is stored");
        disk
    }

    /// Delivers the queue until it is empty, the power fails, or `limit` has passed. Returns whether it is empty.
    async fn deliver(&self, disk: &SimDisk, limit: Duration) -> bool {
        let schedule = SharedSchedule::new(Grouping::Domains, Duration::from_secs(3_600));
        let domain = Domain::parse("iitkgp.edu").expect("a domain");
        let srs = Srs::new(Secret::new(vec![7; 16]), domain.clone());
        let Ok(target) = OutboundQueue::open(disk, Inline, schedule, Composer::new(srs, None)) else {
            assert!(disk.is_without_power(), "the queue does not open");
            return false;
        };
        let reports = Reports(Arc::clone(&self.seen));
        let (queue, schedule) = target.parts();
        let agent =
            Agent::new(queue, schedule, self.config.clone(), domain, reports, Metrics::default(), None);
        let Ok(agent) = agent else {
            assert!(disk.is_without_power(), "the agent does not start");
            return false;
        };
        let (_stop, shutdown) = watch::channel(false);
        // Dropped at the end, as if the process were killed.
        let run = async {
            let end = Instant::now() + limit;
            loop {
                if disk.is_without_power() || Instant::now() > end {
                    return false;
                }
                let ids = QueueFiles::new(disk.clone()).ids();
                if ids.is_ok_and(|ids| ids.is_empty()) && !disk.is_without_power() {
                    return true;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            is_empty = run => is_empty,
            () = agent.run(shutdown) => panic!("the agent has ended"),
        }
    }

    /// Checks the guarantees for a run. `lost_records`: results whose record on the disk may be lost.
    fn check(&self, recipients: &[String; 2], behaviour: Behaviour, lost_records: usize, what: &str) {
        let seen = self.seen.lock().expect("no thread panics");
        let of =
            |counts: &HashMap<String, usize>, address: &str| counts.get(address).copied().unwrap_or_default();
        let is_refused = matches!(behaviour, Behaviour::RefusesRecipient | Behaviour::RefusesMessage);
        for (recipient, is_refused) in recipients.iter().zip([is_refused, false]) {
            let (copies, reports) = (of(&seen.copies, recipient), of(&seen.reports, recipient));
            let lost = of(&seen.lost_answers, recipient) + lost_records;
            let expected = 1..=1 + lost;
            let (results, others) = if is_refused { (reports, copies) } else { (copies, reports) };
            assert!(
                expected.contains(&results) && others == 0,
                "{what}: {recipient} has {copies} copies and {reports} reports, {lost} answers or records were lost"
            );
        }
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

fn id() -> QueueId {
    ID.parse().expect("an id")
}

/// A root certificate, so that those of the system are not read.
fn certificate(directory: &Path) -> PathBuf {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    let path = directory.join("ca.pem");
    let pem = parameters.self_signed(&key).expect("a certificate").pem();
    std::fs::write(&path, pem).expect("the file is written");
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn misbehaving_hosts_lose_and_duplicate_nothing() {
    let bench = Bench::start(Ipv4Addr::new(127, 0, 0, 31), Ipv4Addr::new(127, 0, 0, 32));
    let runs = BEHAVIOURS.into_iter().enumerate().map(|(number, behaviour)| {
        let bench = &bench;
        async move {
            let recipients = bench.recipients(number, "whole");
            let disk = bench.disk(&recipients);
            assert!(bench.deliver(&disk, TIMEOUT).await, "{behaviour:?}: the queue is not empty");
            bench.check(&recipients, behaviour, 0, &format!("{behaviour:?}"));
        }
    });
    timeout(2 * TIMEOUT, future::join_all(runs)).await.expect("all runs end");
}

#[tokio::test(flavor = "multi_thread")]
async fn power_failure_at_every_change_loses_nothing() {
    let bench = Bench::start(Ipv4Addr::new(127, 0, 0, 33), Ipv4Addr::new(127, 0, 0, 34));
    for (number, behaviour) in BEHAVIOURS.into_iter().enumerate() {
        let recipients = bench.recipients(number, "whole");
        let disk = bench.disk(&recipients);
        let before = disk.changes();
        assert!(bench.deliver(&disk, TIMEOUT).await, "{behaviour:?}: the queue is not empty");
        let changes = disk.changes() - before;
        assert!(changes > 4, "{behaviour:?}: {changes}");
        let crashes = (0..=changes).flat_map(|change| SURVIVALS.map(|survival| (change, survival)));
        // The short form takes every second change, and another survival each time.
        let step = if std::env::var_os("PENNYPOST_LONG").is_some() { 1 } else { 2 * SURVIVALS.len() + 1 };
        let runs = crashes.step_by(step).map(|(change, survival)| crash(&bench, number, change, survival));
        let all = stream::iter(runs).for_each_concurrent(CONCURRENT_RUNS, |run| run);
        timeout(5 * TIMEOUT, all).await.expect("all runs end");
    }
}

/// One run with a power failure after some changes, and a restart.
async fn crash(bench: &Bench, number: usize, change: u64, survival: Survival) {
    let behaviour = BEHAVIOURS[number];
    let what = format!("{behaviour:?}, power gone after {change} changes, {survival:?}");
    let survivor = match survival {
        Survival::Nothing => "nothing",
        Survival::Everything => "everything",
        Survival::Some(_) => "some",
    };
    let recipients = bench.recipients(number, &format!("{change}-{survivor}"));
    let disk = bench.disk(&recipients);
    disk.cut_power_after(change);
    bench.deliver(&disk, TIMEOUT).await;
    let restarted = disk.after_power_cut(survival);
    assert!(bench.deliver(&restarted, TIMEOUT).await, "{what}: the queue is not empty");
    bench.check(&recipients, behaviour, 1, &what);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_process_with_a_host_that_hangs_delivers_after_its_restart() {
    let bench = Bench::start(Ipv4Addr::new(127, 0, 0, 35), Ipv4Addr::new(127, 0, 0, 36));
    let recipients = bench.recipients(BEHAVIOURS.len(), "hang");
    let disk = bench.disk(&recipients);
    assert!(!bench.deliver(&disk, HANG_TIME).await, "the host hangs");
    let restarted = disk.after_power_cut(Survival::Everything);
    assert!(bench.deliver(&restarted, TIMEOUT).await, "the queue is not empty");
    bench.check(&recipients, Behaviour::Hangs, 0, "hang");
}
