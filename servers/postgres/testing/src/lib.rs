//! A private PostgreSQL server for tests, benchmarks and the demo: Debian's programs, with a directory of its own and a Unix
//! socket in it. It ends with its value, or with the thread that started it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Name of the database's superuser.
const USER: &str = "pennypost";
/// User of the system that runs the server for root, because PostgreSQL refuses to run as root.
const SYSTEM_USER: &str = "postgres";
const DEFAULT_PORT: u16 = 5432;
const START_LIMIT: Duration = Duration::from_secs(60);

/// Whether changes must survive a crash of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As in production.
    Synced,
    /// Changes survive a crash of the server only. Faster.
    Unsynced,
}

/// A running server.
#[derive(Debug)]
pub struct PostgresServer {
    directory: TempDir,
    settings: Vec<String>,
    child: Option<Child>,
    databases: AtomicU32,
    /// Also a part of the socket's name.
    port: u16,
}

impl PostgresServer {
    /// Starts a server without databases.
    ///
    /// # Panics
    /// PostgreSQL is not installed or does not start; likewise below.
    #[must_use]
    pub fn start(durability: Durability) -> Self {
        Self::start_with(durability, &[])
    }

    /// Starts a server with settings such as `max_connections=20`.
    #[must_use]
    pub fn start_with(durability: Durability, settings: &[&str]) -> Self {
        let mut server = Self::prepare(durability, settings, DEFAULT_PORT);
        server.resume();
        server
    }

    /// Starts a server that also listens on a port of 127.0.0.1, with TLS. The certificate and its key are in PEM form.
    #[must_use]
    pub fn start_tls(certificate: &str, key: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let mut server = Self::prepare(
            Durability::Unsynced,
            &["listen_addresses=127.0.0.1", "ssl=on"],
            free.expect("a free port").port(),
        );
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600);
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let mut file = options.open(server.data().join(name)).expect("created");
            file.write_all(text.as_bytes()).expect("written");
        }
        give_to_system_user(server.directory.path());
        server.resume();
        server
    }

    fn prepare(durability: Durability, settings: &[&str], port: u16) -> Self {
        let directory = tempfile::Builder::new().prefix("pennypost-pg-").tempdir().expect("a directory");
        let fsync = if durability == Durability::Synced { "on" } else { "off" };
        let defaults =
            ["shared_buffers=32MB", "max_connections=100", "listen_addresses=", "log_min_messages=warning"];
        let settings = defaults.into_iter().chain(settings.iter().copied()).map(str::to_owned);
        let settings = settings.chain([format!("fsync={fsync}"), format!("port={port}")]).collect();
        let server = Self { directory, settings, child: None, databases: AtomicU32::new(0), port };
        copy_template(&server.data());
        give_to_system_user(server.directory.path());
        server
    }

    /// The port of 127.0.0.1, if the server was started with TLS.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The directory of the Unix socket.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// The socket that clients connect to.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(format!(".s.PGSQL.{}", self.port))
    }

    /// Creates an empty database and returns its URL.
    #[must_use]
    pub fn create_database(&self) -> String {
        let name = format!("mail{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        Self::url_at(self.directory.path(), database)
    }

    /// The URL of a database through a socket in another directory.
    #[must_use]
    pub fn url_at(socket_directory: &Path, database: &str) -> String {
        let host = socket_directory.to_str().expect("a UTF-8 path").replace('/', "%2F");
        format!("postgresql://{USER}@{host}/{database}")
    }

    /// Executes SQL and returns the output: a line for each row, with columns separated by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql];
        run(self.client("psql").args(options))
    }

    /// Runs a script with pgbench and returns its report.
    #[must_use]
    pub fn pgbench(&self, database: &str, script: &str, clients: usize, time: Duration) -> String {
        let file = self.directory.path().join("pgbench.sql");
        fs::write(&file, script).expect("the script can be written");
        let (clients, seconds) = (clients.to_string(), time.as_secs().to_string());
        run(self
            .client("pgbench")
            .args(["-n", "-M", "prepared", "-j", "2", "-c", &clients, "-T", &seconds, "-f"])
            .args([&file, Path::new(database)]))
    }

    /// The content of a database as SQL.
    #[must_use]
    pub fn dump(&self, database: &str) -> String {
        run(self.client("pg_dump").args(["--no-sync", database]))
    }

    /// Replaces a database by the content of a dump. Clients lose their connections.
    pub fn restore(&self, database: &str, dump: &str) {
        let file = self.directory.path().join("dump.sql");
        fs::write(&file, dump).expect("the dump can be written");
        self.psql("postgres", &format!("DROP DATABASE {database} WITH (FORCE)"));
        self.psql("postgres", &format!("CREATE DATABASE {database}"));
        let options = ["-X", "-q", "-1", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", database, "-f"];
        run(self.client("psql").args(options).arg(&file));
    }

    /// A program that connects as the superuser.
    fn client(&self, name: &str) -> Command {
        let mut command = program(name);
        command.arg("-h").arg(self.directory.path()).args(["-p", &self.port.to_string(), "-U", USER]);
        command
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Ends the server as a crash does: without a checkpoint, in the middle of every transaction.
    pub fn crash(&mut self) {
        self.end(Signal::QUIT);
    }

    /// Ends the server after rolling back open transactions.
    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Process id of the server.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the server again and waits until it accepts connections.
    pub fn resume(&mut self) {
        let log = File::options().create(true).append(true).open(self.directory.path().join("log"));
        let log = log.expect("the log can be written");
        let mut postgres = as_system_user(&programs().join("postgres"), "QUIT");
        postgres.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        postgres.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
        // Ctrl-C in a terminal is for the demo, which ends the server last.
        postgres.process_group(0);
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir("/");
        self.child = Some(postgres.spawn().expect("PostgreSQL starts"));
        let started = Instant::now();
        while !self.is_ready() {
            assert!(started.elapsed() < START_LIMIT, "PostgreSQL does not start: {}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn is_ready(&self) -> bool {
        self.client("pg_isready").arg("-q").status().is_ok_and(|status| status.success())
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut child) = self.child.take() else { return };
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let _ = kill_process(id.expect("a process has an id"), signal);
        let _ = child.wait();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The directory of the newest installed version's programs.
///
/// # Panics
/// PostgreSQL is not installed.
#[must_use]
pub fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter(|version| version.path().join("bin/postgres").exists())
        .max_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    let newest = newest.expect("PostgreSQL is not installed: run `cargo xtask setup`");
    newest.path().join("bin")
}

fn program(name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    command.current_dir("/");
    command
}

/// Runs a program that refuses to run as root. It gets `signal`, such as `QUIT`, when the thread that starts it ends.
#[must_use]
pub fn as_system_user(program: &Path, signal: &str) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args([&format!("--reuid={SYSTEM_USER}"), &format!("--regid={SYSTEM_USER}")]);
        command.arg("--clear-groups");
    }
    command.args(["--pdeathsig", signal, "--"]).arg(program);
    command
}

/// Lets programs of [`as_system_user`] change a directory and its files.
///
/// # Panics
/// The owner cannot be changed.
pub fn give_to_system_user(directory: &Path) {
    if is_root() {
        run(Command::new("chown").arg("-R").arg(format!("{SYSTEM_USER}:")).arg(directory));
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Copies an empty data directory. Creating one takes seconds, so it is kept in the target directory.
fn copy_template(to: &Path) {
    let target = std::env::current_exe().expect("a program has a path");
    let target = target.ancestors().find(|path| path.ends_with("debug") || path.ends_with("release"));
    let template = target.map_or_else(std::env::temp_dir, Path::to_owned).join("postgres-template");
    if !template.exists() {
        create_template(&template).expect("the template can be created");
    }
    run(Command::new("cp").arg("-R").arg(&template).arg(to));
}

fn create_template(template: &Path) -> io::Result<()> {
    let scratch = tempfile::Builder::new().prefix("pennypost-initdb-").tempdir()?;
    give_to_system_user(scratch.path());
    let data = scratch.path().join("data");
    let mut initdb = as_system_user(&programs().join("initdb"), "QUIT");
    initdb.args([
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--wal-segsize=4",
        "-U",
        USER,
    ]);
    run(initdb.arg("-D").arg(&data).current_dir("/"));
    // Another process may create the template at the same time; the first one wins.
    let copies = tempfile::tempdir_in(template.parent().unwrap_or(template))?;
    let copy = copies.path().join("data");
    run(Command::new("cp").arg("-R").arg(&data).arg(&copy));
    match fs::rename(&copy, template) {
        Err(_) if template.exists() => Ok(()),
        renamed => renamed,
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
