//! Shared fixtures: the built programs on a temporary data directory, and scripted fake servers.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::Duration;

/// Timeout of every wait in a test.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A running `pennypost serve` with the accounts ag (password `secret`) and gb (password `other`). Killed on drop.
pub(crate) struct Servers {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) smtp: SocketAddr,
    pub(crate) pop3: SocketAddr,
    /// Address of each listener by its protocol in the log.
    pub(crate) listeners: BTreeMap<String, SocketAddr>,
    /// Fingerprint of the certificate, from the log.
    pub(crate) fingerprint: String,
    child: Child,
}

impl Servers {
    pub(crate) fn start() -> Self {
        Self::start_with("[pop3]\nrefuse_unknown_user = true\n", &["smtp", "pop3"])
    }

    /// With a self-signed certificate and implicit TLS listeners.
    pub(crate) fn start_with_tls() -> Self {
        Self::start_with_tls_and("")
    }

    /// As [`start_with_tls`](Self::start_with_tls). `extra` is appended to the configuration.
    pub(crate) fn start_with_tls_and(extra: &str) -> Self {
        let config = "[tls]\nself_signed = true\n[smtp]\ntls_listen = ['127.0.0.1:0']\n[pop3]\ntls_listen = ['127.0.0.1:0']\n";
        Self::start_with(&format!("{config}{extra}"), &["smtp", "smtps", "pop3", "pop3s"])
    }

    /// With the page's listener. `extra` is appended to the configuration.
    pub(crate) fn start_with_web(extra: &str) -> Self {
        Self::start_at("127.0.0.1:0", extra, &["smtp", "pop3", "web"])
    }

    /// Appends `extra` to the configuration and waits for a listener of each protocol.
    fn start_with(extra: &str, protocols: &[&str]) -> Self {
        Self::start_at("off", extra, protocols)
    }

    fn start_at(web: &str, extra: &str, protocols: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("data")).expect("the directory is created");
        fs::write(directory.path().join("data/User.txt"), "ag secret\ngb other\n")
            .expect("the file is written");
        let config = directory.path().join("pennypost.toml");
        fs::write(&config, format!("hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n{extra}"))
            .expect("the file is written");
        let mut child = Command::new(pennypost())
            .args(["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", web, "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("RUST_LOG", "info")
            .spawn()
            .expect("pennypost starts");
        let mut log = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let mut listeners = BTreeMap::new();
        let mut fingerprint = String::new();
        while !protocols.iter().all(|protocol| listeners.contains_key(*protocol)) {
            let line = log.next().expect("pennypost serve listens before it exits").expect("the log is text");
            if let Some(found) = field(&line, "fingerprint") {
                fingerprint = found.to_owned();
            }
            if let (true, Some(protocol)) = (line.contains("listening"), field(&line, "protocol")) {
                let address = field(&line, "address").and_then(|address| address.parse().ok());
                listeners.insert(protocol.to_owned(), address.expect("the log contains the address"));
            }
        }
        // Drain the pipe, so that it never fills up.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Self { directory, smtp: listeners["smtp"], pop3: listeners["pop3"], listeners, fingerprint, child }
    }

    /// The terminal client for these servers.
    pub(crate) fn client(&self) -> Command {
        client(self.smtp, self.pop3, self.directory.path())
    }

    /// Runs a script command as gb.
    pub(crate) fn run_as_gb(&self, arguments: &[&str]) -> ProgramOutput {
        run_program(self.client().args(arguments).args(["--user", "gb", "--password-stdin"]), b"other\n")
    }

    /// Delivers a message to gb without the client.
    pub(crate) fn deliver(&self, message: &[u8]) {
        let mut stream = LineStream::connect(self.smtp);
        stream.line();
        for command in ["HELO iit.edu", "MAIL FROM:<ag@iit.edu>", "RCPT TO:<gb@iit.edu>", "DATA"] {
            stream.send(format!("{command}\r\n").as_bytes());
            assert!(stream.line().starts_with(['2', '3']), "{command}");
        }
        stream.send(message);
        stream.send(b".\r\n");
        assert!(stream.line().starts_with("250"));
    }

    pub(crate) fn mailbox(&self, account: &str) -> String {
        let path = self.directory.path().join("data").join(account).join("MyMailBox.txt");
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Kills the servers with open sessions (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process is killed");
        self.child.wait().expect("the process has exited");
    }

    pub(crate) fn drafts(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.directory.path().join("drafts")) else { return Vec::new() };
        entries.map(|entry| entry.expect("a readable directory").path()).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of `name=value` in a log line, without quotation marks.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = line.split_once(&format!("{name}="))?;
    value.split(' ').next().map(|value| value.trim_matches('"'))
}

/// The server program in the same target directory.
fn pennypost() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_mail-client"))
        .with_file_name(format!("pennypost{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built: run `cargo build --workspace` first", program.display());
    program
}

/// The terminal client with its own home and drafts directories.
pub(crate) fn client(smtp: SocketAddr, pop3: SocketAddr, home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mail-client"));
    command
        .args(["--smtp", &smtp.to_string(), "--pop3", &pop3.to_string(), "--drafts"])
        .arg(home.join("drafts"))
        .env("HOME", home)
        .env("TERM", "xterm")
        .current_dir(home);
    command
}

/// Output of a program.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl ProgramOutput {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).expect("the client writes UTF-8")
    }
}

/// Runs a program with `input` on its standard input and waits for its exit.
pub(crate) fn run_program(command: &mut Command, input: &[u8]) -> ProgramOutput {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // A program may exit before it reads all input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the process has exited");
    writer.join().expect("the writer does not panic");
    ProgramOutput {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("errors are UTF-8"),
    }
}

/// A client or server side of a line-based protocol.
pub(crate) struct LineStream {
    stream: BufReader<TcpStream>,
}

impl LineStream {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("the server accepts"))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        stream.set_nodelay(true).expect("the option is set");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the peer reads");
    }

    /// The next line with its line end; empty if the peer has closed the connection.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the peer replies");
        line
    }
}

/// A server for one connection: sends `greeting`, answers each line with the next of `replies`, reads a message after a 354,
/// and closes. [`FakeServer::received`] returns the lines.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl FakeServer {
    pub(crate) fn start(greeting: &'static str, replies: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let thread = std::thread::spawn(move || {
            let mut stream = LineStream::new(listener.accept().expect("the client connects").0);
            stream.send(greeting.as_bytes());
            let mut received = Vec::new();
            for reply in replies {
                received.push(stream.line().trim_end().to_owned());
                stream.send(reply.as_bytes());
                if reply.starts_with("354") {
                    while !matches!(stream.line().as_str(), ".\r\n" | "") {}
                }
            }
            received
        });
        Self { address, thread }
    }

    pub(crate) fn received(self) -> Vec<String> {
        self.thread.join().expect("the client sent what the script expects")
    }
}

/// An address without a listener. An open connection keeps the port from being assigned to other tests.
pub(crate) fn refused_address() -> SocketAddr {
    static CONNECTION: LazyLock<[TcpStream; 2]> = LazyLock::new(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("the listener is bound"))
            .expect("the listener accepts");
        [listener.accept().expect("the client connects").0, client]
    });
    CONNECTION[0].local_addr().expect("the socket is connected")
}

/// The output of a successful command with `--json`.
pub(crate) fn json(output: &ProgramOutput) -> serde_json::Value {
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{}", output.text());
    serde_json::from_slice(&output.stdout).expect("the output is JSON")
}
