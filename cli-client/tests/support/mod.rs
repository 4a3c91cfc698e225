//! What the tests of the terminal client share: the built programs on a data directory of their own, and servers of a
//! few lines that misbehave as a test wants.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long anything here may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `pennypost serve` with the accounts ag (secret) and gb (other). It ends when this is dropped.
pub(crate) struct Servers {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) smtp: SocketAddr,
    pub(crate) pop3: SocketAddr,
    /// Where each protocol listens.
    pub(crate) doors: BTreeMap<String, SocketAddr>,
    /// Of its certificate, as its log has it.
    pub(crate) fingerprint: String,
    child: Child,
}

impl Servers {
    pub(crate) fn start() -> Self {
        Self::start_with("[pop3]\nrefuse_unknown_user = true\n", &["smtp", "pop3"])
    }

    /// With a certificate of its own making, and TLS from the first byte on two more addresses.
    pub(crate) fn start_with_tls() -> Self {
        let config = "[tls]\nself_signed = true\n[smtp]\ntls_listen = ['127.0.0.1:0']\n[pop3]\ntls_listen = ['127.0.0.1:0']\n";
        Self::start_with(config, &["smtp", "smtps", "pop3", "pop3s"])
    }

    /// `more` is added to the configuration; it is there when it listens for these protocols.
    fn start_with(more: &str, protocols: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(folder.path().join("data")).expect("made");
        fs::write(folder.path().join("data/User.txt"), "ag secret\ngb other\n").expect("written");
        let config = folder.path().join("pennypost.toml");
        fs::write(&config, format!("hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n{more}"))
            .expect("written");
        let mut child = Command::new(pennypost())
            .args(["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("RUST_LOG", "info")
            .spawn()
            .expect("pennypost can be run");
        let mut log = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let mut doors = BTreeMap::new();
        let mut fingerprint = String::new();
        while !protocols.iter().all(|protocol| doors.contains_key(*protocol)) {
            let line = log.next().expect("pennypost serve ends before it listens").expect("its log is text");
            if let Some(found) = field(&line, "fingerprint") {
                fingerprint = found.to_owned();
            }
            if let (true, Some(protocol)) = (line.contains("listening"), field(&line, "protocol")) {
                let address = field(&line, "address").and_then(|address| address.parse().ok());
                doors.insert(protocol.to_owned(), address.expect("it says where it listens"));
            }
        }
        // Its pipe must not fill up.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Self { folder, smtp: doors["smtp"], pop3: doors["pop3"], doors, fingerprint, child }
    }

    /// The terminal client, pointed at these servers.
    pub(crate) fn client(&self) -> Command {
        client(self.smtp, self.pop3, self.folder.path())
    }

    /// The scriptable face for gb.
    pub(crate) fn gb(&self, arguments: &[&str]) -> Finished {
        finish(self.client().args(arguments).args(["--user", "gb", "--password-stdin"]), b"other\n")
    }

    /// Delivers a message to gb as it is, without the client's help.
    pub(crate) fn deliver(&self, message: &[u8]) {
        let mut wire = Wire::connect(self.smtp);
        wire.line();
        for command in ["HELO iit.edu", "MAIL FROM:<ag@iit.edu>", "RCPT TO:<gb@iit.edu>", "DATA"] {
            wire.send(format!("{command}\r\n").as_bytes());
            assert!(wire.line().starts_with(['2', '3']), "{command}");
        }
        wire.send(message);
        wire.send(b".\r\n");
        assert!(wire.line().starts_with("250"));
    }

    pub(crate) fn mailbox(&self, account: &str) -> String {
        let path = self.folder.path().join("data").join(account).join("MyMailBox.txt");
        fs::read_to_string(path).unwrap_or_default()
    }

    /// SIGKILL: sessions are cut off.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    pub(crate) fn drafts(&self) -> Vec<PathBuf> {
        let Ok(folder) = fs::read_dir(self.folder.path().join("drafts")) else { return Vec::new() };
        folder.map(|entry| entry.expect("a readable folder").path()).collect()
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `name=value` of a log line, without quotation marks.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = line.split_once(&format!("{name}="))?;
    value.split(' ').next().map(|value| value.trim_matches('"'))
}

/// The server program, which is built beside this one.
fn pennypost() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_mail-client"))
        .with_file_name(format!("pennypost{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built: run `cargo build --workspace` first", program.display());
    program
}

/// The terminal client with a home and a drafts folder of its own.
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

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).expect("the client writes UTF-8")
    }
}

/// Runs a program to its end with `input` on its standard input.
pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client can be run");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // A program may end without reading all of its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("waited for");
    writer.join().expect("the writer does not panic");
    Finished {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("errors are UTF-8"),
    }
}

/// A line dialogue over a socket.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server accepts"))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.get_mut().write_all(octets).expect("the other side reads");
    }

    /// The next line, with its end; empty when the other side has closed.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the other side answers");
        line
    }
}

/// A server of one connection: says `greeting`, answers each line with the next of `replies`, reads a message behind a
/// 354, and closes. What it was told comes back from [`FakeServer::heard`].
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<Vec<String>>,
}

impl FakeServer {
    pub(crate) fn start(greeting: &'static str, replies: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let thread = std::thread::spawn(move || {
            let mut wire = Wire::over(listener.accept().expect("the client connects").0);
            wire.send(greeting.as_bytes());
            let mut heard = Vec::new();
            for reply in replies {
                heard.push(wire.line().trim_end().to_owned());
                wire.send(reply.as_bytes());
                if reply.starts_with("354") {
                    while !matches!(wire.line().as_str(), ".\r\n" | "") {}
                }
            }
            heard
        });
        Self { address, thread }
    }

    pub(crate) fn heard(self) -> Vec<String> {
        self.thread.join().expect("the client kept to what the test expects of it")
    }
}

/// An address where nobody listens, and which no other test is given by chance, as a connection has it.
pub(crate) fn nowhere() -> SocketAddr {
    static HELD: LazyLock<[TcpStream; 2]> = LazyLock::new(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let near = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        [listener.accept().expect("somebody has connected").0, near]
    });
    HELD[0].local_addr().expect("it is connected")
}
