//! The system of `deploy/cluster/` on one machine: three hosts with etcd, Patroni and PostgreSQL, two nodes, and HAProxy. Each part can be
//! killed and frozen.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use postgres_testing::{as_system_user, give_to_system_user, programs};
use rustix::process::{Pid, Signal, kill_process};

use super::mail_server::Authority;
use super::rendering::{adapted, free_addresses};
use super::{ProgramOutput, TestDir, run_program};

const ETCD: &str = include_str!("../../../deploy/cluster/etcd");
const PATRONI: &str = include_str!("../../../deploy/cluster/patroni.yml");
const DATABASE: &str = include_str!("../../../deploy/cluster/database.sql");
const PENNYPOST: &str = include_str!("../../../deploy/cluster/pennypost.toml");
const HAPROXY: &str = include_str!("../../../deploy/cluster/haproxy.cfg");

/// Longer than a host is copied from another one after a failed pg_rewind.
const SETTLE_LIMIT: Duration = Duration::from_secs(300);
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// A program that can be started again.
pub(crate) struct Program {
    name: String,
    command: Box<dyn Fn() -> Command>,
    log: PathBuf,
    child: Option<Child>,
}

impl Program {
    fn new(name: &str, directory: &Path, command: impl Fn() -> Command + 'static) -> Self {
        let log = directory.join(format!("{name}.log"));
        Self { name: name.to_owned(), command: Box::new(command), log, child: None }
    }

    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).expect("the log can be written");
        let errors = log.try_clone().expect("the log is open");
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(log).stderr(errors).current_dir("/");
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.child = Some(child);
    }

    fn id(&self) -> Option<i32> {
        self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.id().into_iter().for_each(|id| send(id, signal));
    }

    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            child.wait().expect("it was started");
        }
    }
}

impl Drop for Program {
    #[allow(clippy::print_stderr, reason = "the logs explain a failed test")]
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let start = log.len().saturating_sub(16_000);
            eprintln!("== {}\n{}", self.name, String::from_utf8_lossy(&log.as_bytes()[start..]));
        }
    }
}

fn send(process: i32, signal: Signal) {
    // The process may have ended.
    let _ = kill_process(Pid::from_raw(process).expect("a process has an id"), signal);
}

/// One of the hosts of the database.
pub(crate) struct DatabaseHost {
    pub(crate) etcd: Program,
    pub(crate) patroni: Program,
    directory: PathBuf,
    rest: SocketAddr,
    etcd_address: SocketAddr,
    postgres: SocketAddr,
    is_primary: Arc<AtomicBool>,
}

impl DatabaseHost {
    /// The server and its children, which do not end or freeze with Patroni.
    fn postgres_processes(&self) -> Vec<i32> {
        let file = fs::read_to_string(self.directory.join("data/postmaster.pid")).unwrap_or_default();
        let Some(server) = file.lines().next().and_then(|line| line.trim().parse().ok()) else {
            return Vec::new();
        };
        let processes = fs::read_dir("/proc").expect("mounted").flatten();
        let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
        let children = ids.filter(|id| {
            let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let parent = status.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
            parent.and_then(|parent| parent.parse().ok()) == Some(server)
        });
        [server].into_iter().chain(children).collect()
    }

    pub(crate) fn signal_postgres(&self, signal: Signal) {
        self.postgres_processes().into_iter().for_each(|process| send(process, signal));
    }

    /// As a host that loses power, except for etcd.
    pub(crate) fn kill(&mut self) {
        self.patroni.kill();
        self.signal_postgres(Signal::KILL);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.patroni.signal(signal);
        self.signal_postgres(signal);
    }

    /// Resets the host, as a watchdog does. A Patroni (3.0.2) that is resumed can overwrite the lock of the new primary; one that is
    /// started while the old primary runs can release commits that wait for the synchronous standby.
    pub(crate) fn reset(&mut self) {
        self.kill();
        self.patroni.start();
    }
}

/// The whole system. It ends with its value.
pub(crate) struct DatabaseCluster {
    pub(crate) hosts: Vec<DatabaseHost>,
    pub(crate) nodes: Vec<Program>,
    pub(crate) haproxy: Program,
    /// Addresses of HAProxy.
    pub(crate) smtp: SocketAddr,
    pub(crate) pop3: SocketAddr,
    pub(crate) page: SocketAddr,
    pub(crate) pop3s: SocketAddr,
    pub(crate) authority: Authority,
    node_dirs: Vec<TestDir>,
    /// Each host that became the primary, and the time.
    promotions: Promotions,
    ended: Arc<AtomicBool>,
    _directory: tempfile::TempDir,
}

impl DatabaseCluster {
    /// Starts everything, with tables and these accounts.
    pub(crate) fn start(accounts: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("pennypost-cluster-").tempdir().expect("a directory");
        let authority = Authority::new();
        let mut hosts = database_hosts(directory.path(), &authority);
        for host in &mut hosts {
            host.etcd.start();
            host.patroni.start();
        }
        let (promotions, ended) = watch(&hosts);
        let node_addresses = [(); 2].map(|()| free_addresses::<4>());
        let databases: Vec<_> = hosts.iter().map(|host| host.postgres).collect();
        let node_dirs: Vec<_> = node_addresses.iter().map(|own| node(own, &databases, &authority)).collect();
        let nodes = node_dirs.iter().map(|dir| {
            let config = dir.path("pennypost.toml");
            Program::new("pennypost", dir.root.path(), move || {
                let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
                command.arg("serve").arg("--config").arg(&config).env("RUST_LOG", "info");
                command
            })
        });
        let nodes = nodes.collect();
        let [page, smtp, submission, submissions, pop3, pop3s] = free_addresses();
        let addresses = [page, smtp, submission, submissions, pop3, pop3s];
        let haproxy = haproxy(directory.path(), &addresses, &node_addresses, &authority);
        let mut cluster = Self {
            hosts,
            nodes,
            haproxy,
            smtp,
            pop3,
            page,
            pop3s,
            authority,
            node_dirs,
            promotions,
            ended,
            _directory: directory,
        };
        cluster.wait_until_healthy();
        cluster.create_database(accounts);
        cluster.nodes.iter_mut().for_each(Program::start);
        cluster.haproxy.start();
        cluster
    }

    fn create_database(&self, accounts: &[(&str, &str)]) {
        self.psql("postgres", DATABASE);
        let succeeds = |arguments: &[&str], input: &str| {
            let ProgramOutput { code, stdout, stderr } = self.node_dirs[0].pennypost(arguments, input);
            assert_eq!(code, Some(0), "{arguments:?}: {stdout}{stderr}");
        };
        succeeds(&["migrate"], "");
        for (name, password) in accounts {
            succeeds(&["user", "add", name, "--password-stdin"], &format!("{password}\n"));
        }
        succeeds(&["check"], "");
    }

    /// Executes SQL on the primary.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let host = &self.hosts[self.primary().expect("a primary")];
        let mut psql = Command::new(programs().join("psql"));
        let (ip, port) = (host.postgres.ip(), host.postgres.port());
        psql.arg(format!("host={ip} port={port} user=postgres dbname={database} sslmode=require"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        psql.env("PGPASSWORD", "password-of-postgres").env("HOME", "/nonexistent").current_dir("/");
        let output = run_program(&mut psql, sql.as_bytes());
        assert_eq!(output.code, Some(0), "{sql}: {}", output.stderr);
        output.stdout
    }

    /// The host that Patroni calls primary.
    pub(crate) fn primary(&self) -> Option<usize> {
        self.hosts.iter().position(|host| host.is_primary.load(Ordering::Relaxed))
    }

    /// The host whose etcd leads.
    pub(crate) fn etcd_leader(&self) -> usize {
        let started = Instant::now();
        loop {
            let leads = |host: &DatabaseHost| {
                // The reply has the member's id twice, in the header and as the leader.
                let status = http(host.etcd_address, "POST", "/v3/maintenance/status", "{}");
                let value = |name: &str| {
                    let (_, rest) = status.split_once(&format!("\"{name}\":\""))?;
                    rest.split('"').next().map(str::to_owned)
                };
                value("leader").is_some() && value("leader") == value("member_id")
            };
            if let Some(leader) = self.hosts.iter().position(leads) {
                return leader;
            }
            assert!(started.elapsed() < SETTLE_LIMIT, "etcd has no leader");
            sleep(POLL_PAUSE);
        }
    }

    /// Waits until another host than `old` is promoted after `start`. Returns the time.
    pub(crate) fn wait_for_promotion(&self, start: Instant, old: usize) -> Instant {
        loop {
            let promotions = self.promotions.lock().expect("not poisoned");
            let found = promotions.iter().find(|(time, host)| *time > start && *host != old);
            if let Some((time, _)) = found {
                return *time;
            }
            drop(promotions);
            assert!(start.elapsed() < SETTLE_LIMIT, "no host is promoted");
            sleep(POLL_PAUSE);
        }
    }

    /// Waits until there are one primary and two standbys, of which one is synchronous.
    pub(crate) fn wait_until_healthy(&self) {
        let started = Instant::now();
        loop {
            let state = http(self.hosts[0].rest, "GET", "/cluster", "");
            let count = |text: &str| state.matches(text).count();
            // Newer versions call a standby that follows the primary `streaming`.
            let is_healthy = count("\"state\": \"running\"") + count("\"state\": \"streaming\"") == 3
                && count("\"role\": \"leader\"") == 1
                && count("\"role\": \"sync_standby\"") == 1
                && self.primary().is_some();
            if is_healthy {
                return;
            }
            assert!(
                started.elapsed() < SETTLE_LIMIT,
                "the database is not healthy: {state}\n{}",
                self.states()
            );
            sleep(POLL_PAUSE * 4);
        }
    }

    /// The state of each host in its own view, with the standbys that it streams to.
    fn states(&self) -> String {
        self.hosts.iter().map(|host| http(host.rest, "GET", "/patroni", "") + "\n").collect()
    }
}

impl Drop for DatabaseCluster {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for host in &mut self.hosts {
            host.kill();
        }
    }
}

/// The lines of db1 for host `number`, except those that list all hosts.
fn for_host(text: &str, number: usize, shared: &str) -> String {
    let own = |line: &str| {
        if line.trim_start().starts_with(shared) {
            return line.to_owned();
        }
        line.replace("192.0.2.11", &format!("192.0.2.1{number}")).replace("db1", &format!("db{number}"))
    };
    text.lines().map(|line| own(line) + "\n").collect()
}

/// Replaces the addresses of all hosts.
fn with_addresses(text: &str, addresses: &[[SocketAddr; 4]; 3]) -> String {
    let mut text = text.to_owned();
    for (number, own) in (1..).zip(addresses) {
        for (port, address) in [2379, 2380, 8008, 5432].into_iter().zip(own) {
            text = text.replace(&format!("192.0.2.1{number}:{port}"), &address.to_string());
        }
    }
    text
}

fn database_hosts(directory: &Path, authority: &Authority) -> Vec<DatabaseHost> {
    let addresses = [(); 3].map(|()| free_addresses::<4>());
    let host = |number: usize| {
        let directory = directory.join(format!("db{number}"));
        fs::create_dir(&directory).expect("created");
        database_host(number, directory, &addresses, authority)
    };
    let hosts = (1..=3).map(host).collect();
    give_to_system_user(directory);
    hosts
}

fn database_host(
    number: usize,
    directory: PathBuf,
    addresses: &[[SocketAddr; 4]; 3],
    authority: &Authority,
) -> DatabaseHost {
    let certificate = TestDir::new();
    authority.issue(&["127.0.0.1"], &certificate);
    for name in ["certificate.pem", "key.pem"] {
        fs::copy(certificate.path(name), directory.join(name)).expect("copied");
    }
    let owner_reads = fs::Permissions::from_mode(0o600);
    fs::set_permissions(directory.join("key.pem"), owner_reads).expect("changed");
    let patroni = with_addresses(&for_host(PATRONI, number, "hosts:"), addresses);
    let root = directory.to_str().expect("UTF-8").to_owned();
    let patroni = adapted(
        &patroni,
        &[
            ("192.0.2.0/24", "127.0.0.1/32"),
            ("/usr/lib/postgresql/15/bin", programs().to_str().expect("UTF-8")),
            ("/var/lib/postgresql/15/mail", &format!("{root}/data")),
            ("/var/lib/postgresql/patroni.pgpass", &format!("{root}/pgpass")),
            ("/var/run/postgresql", &root),
            ("/etc/patroni/tls/fullchain.pem", &format!("{root}/certificate.pem")),
            ("/etc/patroni/tls/privkey.pem", &format!("{root}/key.pem")),
        ],
    );
    let config = directory.join("patroni.yml");
    fs::write(&config, patroni).expect("written");
    let patroni = Program::new("patroni", &directory, move || {
        // At SIGTERM, Patroni stops PostgreSQL.
        let mut command = as_system_user(Path::new("patroni"), "TERM");
        command.arg(&config).env("HOME", config.parent().expect("a directory"));
        command
    });
    let etcd = with_addresses(&for_host(ETCD, number, "ETCD_INITIAL_CLUSTER="), addresses);
    let variables = variables(&adapted(&etcd, &[("/var/lib/etcd/mail", &format!("{root}/etcd"))]));
    let etcd = Program::new("etcd", &directory, move || {
        let mut command = as_system_user(Path::new("etcd"), "KILL");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command
    });
    let [etcd_address, _, rest, postgres] = addresses[number - 1];
    DatabaseHost { etcd, patroni, directory, rest, etcd_address, postgres, is_primary: Arc::default() }
}

/// The variables of a file for systemd.
fn variables(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('=').expect("a variable"));
    pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// The time of each promotion, with the number of the host.
type Promotions = Arc<Mutex<Vec<(Instant, usize)>>>;

/// Asks each host whether it is the primary.
fn watch(hosts: &[DatabaseHost]) -> (Promotions, Arc<AtomicBool>) {
    let (promotions, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    for (index, host) in hosts.iter().enumerate() {
        let (promotions, ended) = (Arc::clone(&promotions), Arc::clone(&ended));
        let (address, is_primary) = (host.rest, Arc::clone(&host.is_primary));
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let is_now = http(address, "GET", "/primary", "").starts_with("HTTP/1.0 200");
                if is_now && !is_primary.load(Ordering::Relaxed) {
                    promotions.lock().expect("not poisoned").push((Instant::now(), index));
                }
                is_primary.store(is_now, Ordering::Relaxed);
                sleep(POLL_PAUSE);
            }
        });
    }
    (promotions, ended)
}

/// A response, or nothing if there is none within a second.
fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else { return String::new() };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut response = Vec::new();
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_end(&mut response);
    String::from_utf8_lossy(&response).into_owned()
}

/// The directory of a node, which listens on `[smtp, pop3, web, metrics]`.
fn node(own: &[SocketAddr; 4], databases: &[SocketAddr], authority: &Authority) -> TestDir {
    let dir = TestDir::new();
    authority.issue(&["mail.example.org"], &dir);
    let root = dir.root.path().to_str().expect("UTF-8");
    let databases: Vec<String> = databases.iter().map(ToString::to_string).collect();
    let [smtp, pop3, web, metrics] = own.map(|address| address.to_string());
    let config = adapted(
        PENNYPOST,
        &[
            ("\"example.org\"", "\"example.org\", \"iit.edu\""),
            ("/var/lib/pennypost", &format!("{root}/data")),
            ("@db1,db2,db3/", &format!("@{}/", databases.join(","))),
            ("/etc/pennypost/tls/database-ca.pem", authority.file().to_str().expect("UTF-8")),
            ("/etc/pennypost/tls/fullchain.pem", &format!("{root}/certificate.pem")),
            ("/etc/pennypost/tls/privkey.pem", &format!("{root}/key.pem")),
            ("192.0.2.21:2526", &smtp),
            ("192.0.2.21:2111", &pop3),
            ("192.0.2.21:8080", &web),
            ("192.0.2.21:9090", &metrics),
            ("192.0.2.10\"", "127.0.0.1\""),
        ],
    );
    let config = config + "\n[auth]\nhash_memory = '1 MiB'\nhash_milliseconds = 1\n";
    fs::write(dir.path("pennypost.toml"), config).expect("written");
    dir
}

/// HAProxy at `[page, smtp, submission, submissions, pop3, pop3s]`.
fn haproxy(
    directory: &Path,
    addresses: &[SocketAddr; 6],
    nodes: &[[SocketAddr; 4]; 2],
    authority: &Authority,
) -> Program {
    let dir = TestDir::new();
    authority.issue(&["mail.example.org"], &dir);
    let parts = ["certificate.pem", "key.pem"].map(|name| fs::read(dir.path(name)).expect("it exists"));
    let certificate = directory.join("haproxy.pem");
    fs::write(&certificate, parts.concat()).expect("written");
    let mut text =
        adapted(HAPROXY, &[("/etc/pennypost/tls/haproxy.pem", certificate.to_str().expect("UTF-8"))]);
    for (port, address) in [443, 25, 587, 465, 110, 995].into_iter().zip(addresses) {
        let bind = |end: &str| (format!("bind :{port}{end}"), format!("bind {address}{end}"));
        let (from, to) = bind(if [443, 465, 995].contains(&port) { " " } else { "\n" });
        text = adapted(&text, &[(&from, &to)]);
    }
    // The nodes have the same ports in the file.
    for (name, [smtp, pop3, web, metrics]) in ["192.0.2.21", "192.0.2.22"].into_iter().zip(nodes) {
        let own = |line: &str| {
            if !line.contains(&format!("{name}:")) {
                return line.to_owned();
            }
            let ports = [(2526, smtp), (2111, pop3), (8080, web)];
            let line = ports.into_iter().fold(line.to_owned(), |line, (port, address)| {
                line.replace(&format!("{name}:{port}"), &address.to_string())
            });
            line.replace("port 9090", &format!("port {}", metrics.port()))
        };
        text = text.lines().map(|line| own(line) + "\n").collect();
    }
    let config = directory.join("haproxy.cfg");
    fs::write(&config, text).expect("written");
    Program::new("haproxy", directory, move || {
        let mut command = Command::new("haproxy");
        command.arg("-f").arg(&config);
        command
    })
}
