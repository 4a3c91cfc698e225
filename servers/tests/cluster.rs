//! The files of `deploy/cluster/` with the real programs: two nodes behind HAProxy, and three PostgreSQL servers with Patroni and etcd.
//! Every part is killed and frozen while clients send and retrieve.
//!
//! The short form kills the primary and freezes a node; `PENNYPOST_LONG=1` injects every fault twice.

mod support;

use std::env;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use support::database_cluster::DatabaseCluster;
use support::mail_model::Model;
use support::tls::TlsClient;
use support::{LineStream, Pop3Client, TIMEOUT, is_installed};

const ACCOUNTS: [(&str, &str); 4] = [("ag", "secret"), ("gb", "other"), ("cd", "third"), ("ef", "fourth")];
const SENDERS: usize = 6;
/// Acknowledgements that show that mail flows.
const FLOW: usize = 20;
/// Limit of the time between Patroni's promotion of a host and the flow of mail.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);
/// Limit of other waits for the flow of mail. A node repeats a transaction for a minute.
const FLOW_LIMIT: Duration = Duration::from_secs(150);
/// Longer than the lease of a maildrop.
const BEYOND_LEASE: Duration = Duration::from_secs(65);

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillPrimaryHost,
    FreezePrimaryHost,
    /// Patroni remains.
    KillPrimaryServer,
    /// The server remains, and takes connections after another one has been promoted.
    FreezePrimaryPatroni,
    KillNode(usize),
    FreezeNode(usize, Duration),
    KillEtcdLeader,
    FreezeEtcdLeader,
    KillHaproxy,
    FreezeHaproxy,
}

impl Fault {
    const fn is_kill(self) -> bool {
        use Fault::{KillEtcdLeader, KillHaproxy, KillNode, KillPrimaryHost, KillPrimaryServer};
        matches!(self, KillPrimaryHost | KillPrimaryServer | KillNode(_) | KillEtcdLeader | KillHaproxy)
    }
}

/// The whole system, its clients, and what happened to it.
struct Run {
    cluster: DatabaseCluster,
    model: Arc<Model>,
    report: String,
    kills: usize,
    freezes: usize,
}

impl Run {
    fn inject(&mut self, fault: Fault) {
        self.model.wait_for_more(FLOW, FLOW_LIMIT);
        self.cluster.wait_until_healthy();
        let start = Instant::now();
        let primary = self.cluster.primary().expect("it is healthy");
        let promoted = match fault {
            Fault::KillPrimaryHost | Fault::FreezePrimaryHost | Fault::FreezePrimaryPatroni => {
                Some(self.replace_primary(fault, start, primary))
            }
            _ => {
                self.disturb(fault);
                None
            }
        };
        let flows = self.model.wait_for_more_after(promoted.unwrap_or(start), FLOW, FLOW_LIMIT);
        if fault.is_kill() {
            self.kills += 1;
        } else {
            self.freezes += 1;
        }
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        match promoted {
            Some(promoted) => {
                let recovery = flows - promoted;
                let promotion = seconds(promoted - start);
                let _ = writeln!(
                    self.report,
                    "{fault:?}: promotion after {promotion}, mail after further {}",
                    seconds(recovery)
                );
                assert!(recovery < RECOVERY_LIMIT, "{}", self.report);
            }
            None => {
                let _ = writeln!(self.report, "{fault:?}: {FLOW} messages within {}", seconds(flows - start));
            }
        }
        if promoted.is_some() {
            self.cluster.hosts[primary].reset();
        }
    }

    /// A fault of the primary after which another host is promoted. Returns the time of the promotion.
    fn replace_primary(&mut self, fault: Fault, start: Instant, primary: usize) -> Instant {
        let host = &mut self.cluster.hosts[primary];
        match fault {
            Fault::KillPrimaryHost => host.kill(),
            Fault::FreezePrimaryHost => host.signal(Signal::STOP),
            _ => host.patroni.signal(Signal::STOP),
        }
        self.cluster.wait_for_promotion(start, primary)
    }

    fn disturb(&mut self, fault: Fault) {
        match fault {
            Fault::KillPrimaryServer => {
                let primary = self.cluster.primary().expect("it is healthy");
                self.cluster.hosts[primary].signal_postgres(Signal::KILL);
            }
            Fault::KillNode(node) => {
                self.cluster.nodes[node].kill();
                sleep(Duration::from_secs(3));
                self.cluster.nodes[node].start();
            }
            Fault::FreezeNode(node, time) => {
                self.cluster.nodes[node].signal(Signal::STOP);
                sleep(time);
                self.cluster.nodes[node].signal(Signal::CONT);
            }
            Fault::KillEtcdLeader => {
                let leader = self.cluster.etcd_leader();
                self.cluster.hosts[leader].etcd.kill();
                sleep(Duration::from_secs(10));
                self.cluster.hosts[leader].etcd.start();
            }
            Fault::FreezeEtcdLeader => {
                let leader = self.cluster.etcd_leader();
                self.cluster.hosts[leader].etcd.signal(Signal::STOP);
                sleep(Duration::from_secs(10));
                self.cluster.hosts[leader].etcd.signal(Signal::CONT);
            }
            Fault::KillHaproxy => {
                self.cluster.haproxy.kill();
                self.cluster.haproxy.start();
            }
            _ => {
                self.cluster.haproxy.signal(Signal::STOP);
                sleep(Duration::from_secs(5));
                self.cluster.haproxy.signal(Signal::CONT);
            }
        }
    }
}

/// The page, and POP3 with TLS at HAProxy.
fn check_listeners(cluster: &DatabaseCluster) {
    let tls = TlsClient::new(&cluster.authority.file());
    let stream = TcpStream::connect(cluster.page).expect("HAProxy listens");
    let mut page = tls.stream(stream, "mail.example.org");
    page.write_all(b"GET /readyz HTTP/1.1\r\nHost: mail.example.org\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut response = String::new();
    // HAProxy may end without a close_notify.
    let _ = page.read_to_string(&mut response);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let stream = tls.encrypt(LineStream::connect(cluster.pop3s), "mail.example.org");
    let mut pop3 = Pop3Client::from_stream(stream);
    pop3.login("gb", "other");
    assert_eq!(pop3.stat(), (0, 0));
    assert!(pop3.command("QUIT").starts_with("+OK"));
}

fn wait_until_nodes_answer(cluster: &DatabaseCluster) {
    let started = Instant::now();
    let greets = || {
        let mut greeting = [0; 3];
        let stream = TcpStream::connect(cluster.smtp);
        stream.and_then(|mut stream| stream.read_exact(&mut greeting)).is_ok_and(|()| greeting == *b"220")
    };
    while !greets() {
        assert!(started.elapsed() < TIMEOUT, "no node answers through HAProxy");
        sleep(Duration::from_millis(50));
    }
}

fn schedule() -> Vec<Fault> {
    use Fault::{
        FreezeEtcdLeader, FreezeHaproxy, FreezeNode, FreezePrimaryHost, FreezePrimaryPatroni, KillEtcdLeader,
        KillHaproxy, KillNode, KillPrimaryHost, KillPrimaryServer,
    };
    if env::var_os("PENNYPOST_LONG").is_none() {
        return vec![FreezeNode(1, Duration::from_secs(3)), KillPrimaryHost];
    }
    let round = |node| {
        [
            KillPrimaryHost,
            KillNode(node),
            FreezePrimaryHost,
            FreezeNode(1 - node, Duration::from_secs(10)),
            KillEtcdLeader,
            KillHaproxy,
            FreezePrimaryPatroni,
            FreezeEtcdLeader,
            KillPrimaryServer,
            FreezeHaproxy,
            FreezeNode(node, BEYOND_LEASE),
            KillNode(1 - node),
        ]
    };
    [round(0), round(1)].concat()
}

/// Every acknowledged message exists exactly once, nothing that was removed comes back, and mail flows soon after a promotion.
#[test]
fn cluster_loses_and_duplicates_nothing_when_its_parts_are_killed_and_frozen() {
    for program in ["etcd", "patroni", "haproxy"] {
        assert!(is_installed(program), "{program} is missing; `cargo xtask setup` installs it");
    }
    let cluster = DatabaseCluster::start(&ACCOUNTS);
    wait_until_nodes_answer(&cluster);
    check_listeners(&cluster);
    let (smtp, pop3, model) = (cluster.smtp, cluster.pop3, Arc::new(Model::default()));
    let mut clients = Vec::new();
    for sender in 0..SENDERS {
        let model = Arc::clone(&model);
        let accounts = ACCOUNTS.map(|(account, _)| account);
        clients.push(thread::spawn(move || model.send(sender, &accounts, |_| smtp)));
    }
    for (account, password) in ACCOUNTS {
        let model = Arc::clone(&model);
        clients.push(thread::spawn(move || model.retrieve(account, password, |_| pop3)));
    }
    let mut run = Run { cluster, model, report: String::new(), kills: 0, freezes: 0 };
    for fault in schedule() {
        run.inject(fault);
    }
    run.model.wait_for_more(FLOW, FLOW_LIMIT);
    run.model.stop();
    clients.into_iter().for_each(|client| client.join().expect("no panic"));
    for (account, password) in ACCOUNTS {
        run.model.drain(account, password, pop3, FLOW_LIMIT);
    }
    let totals = run.model.verify();
    println!("{}{} kills, {} freezes: {totals:?}", run.report, run.kills, run.freezes);
    for (rows, expected) in [
        ("SELECT count(*) FROM message", "0\n"),
        ("SELECT count(*) FROM body", "0\n"),
        ("SELECT count(*) FROM body_piece", "0\n"),
        ("SELECT sum(messages), sum(octets) FROM maildrop", "0|0\n"),
    ] {
        assert_eq!(run.cluster.psql("mail", rows), expected, "{rows}");
    }
}
