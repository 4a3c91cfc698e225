//! A private PostgreSQL server for tests, benchmarks and the demo: Debian's programs, with a directory of its own and a Unix
//! socket in it. It ends with its value, or with the thread that started it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
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
        let directory = tempfile::Builder::new().prefix("pennypost-pg-").tempdir().expect("a directory");
        let fsync = if durability == Durability::Synced { "on" } else { "off" };
        let defaults =
            ["shared_buffers=32MB", "max_connections=100", "listen_addresses=", "log_min_messages=warning"];
        let settings = defaults.into_iter().chain(settings.iter().copied()).map(str::to_owned);
        let settings = settings.chain([format!("fsync={fsync}")]).collect();
        let mut server = Self { directory, settings, child: None, databases: AtomicU32::new(0) };
        copy_template(&server.data());
        if is_root() {
            let user = format!("{SYSTEM_USER}:");
            run(Command::new("chown").arg("-R").arg(user).arg(server.directory.path()));
        }
        server.resume();
        server
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
        self.directory.path().join(".s.PGSQL.5432")
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
        run(program("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-c", sql])
            .arg("-h")
            .arg(self.directory.path()))
    }

    /// Runs a script with pgbench and returns its report.
    #[must_use]
    pub fn pgbench(&self, database: &str, script: &str, clients: usize, time: Duration) -> String {
        let file = self.directory.path().join("pgbench.sql");
        fs::write(&file, script).expect("the script can be written");
        let (clients, seconds) = (clients.to_string(), time.as_secs().to_string());
        run(program("pgbench")
            .args(["-n", "-M", "prepared", "-j", "2", "-c", &clients, "-T", &seconds, "-U", USER])
            .arg("-h")
            .arg(self.directory.path())
            .arg("-f")
            .args([&file, Path::new(database)]))
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
        let mut postgres = as_system_user(&programs().join("postgres"));
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
        let mut ready = program("pg_isready");
        ready.arg("-q").arg("-h").arg(self.directory.path());
        ready.status().is_ok_and(|status| status.success())
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
fn programs() -> PathBuf {
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

/// Runs a program that refuses to run as root. It ends with the thread that starts it.
fn as_system_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args([&format!("--reuid={SYSTEM_USER}"), &format!("--regid={SYSTEM_USER}")]);
        command.arg("--clear-groups");
    }
    command.args(["--pdeathsig", "QUIT", "--"]).arg(program);
    command
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
    if is_root() {
        run(Command::new("chown").arg(SYSTEM_USER).arg(scratch.path()));
    }
    let data = scratch.path().join("data");
    let mut initdb = as_system_user(&programs().join("initdb"));
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
