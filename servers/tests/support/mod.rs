//! What the end-to-end tests share: the built programs on a data directory of their own, a plain SMTP and a
//! plain POP3 dialogue over a socket, and mails to send. None of it uses the code under test.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(crate) mod mails;
pub(crate) mod tls;

/// How long anything here may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory with the accounts ag and gb, and a configuration beside it.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with("[pop3]\nrefuse_unknown_user = true\n")
    }

    /// `more` is added to the configuration.
    pub(crate) fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(folder.path().join("data")).expect("made");
        fs::write(folder.path().join("data/User.txt"), "ag secret\ngb other\n").expect("written");
        let config = format!("hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n{more}");
        fs::write(folder.path().join("pennypost.toml"), config).expect("written");
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn mailbox(&self, account: &str) -> Vec<u8> {
        fs::read(self.path(&format!("data/{account}/MyMailBox.txt"))).unwrap_or_default()
    }

    /// `pennypost serve` with both protocols and the web on free ports.
    pub(crate) fn serve(&self) -> Daemon {
        Daemon::start(
            env!("CARGO_BIN_EXE_pennypost"),
            &["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "127.0.0.1:0"],
            self,
            &["smtp", "pop3", "web"],
        )
    }

    pub(crate) fn smtp_server(&self) -> Daemon {
        Daemon::start(env!("CARGO_BIN_EXE_smtp-server"), &["--smtp", "127.0.0.1:0"], self, &["smtp"])
    }

    pub(crate) fn pop3_server(&self) -> Daemon {
        Daemon::start(env!("CARGO_BIN_EXE_pop3-server"), &["--pop3", "127.0.0.1:0"], self, &["pop3"])
    }

    /// Runs `pennypost` with these arguments and this configuration to its end.
    pub(crate) fn pennypost(&self, arguments: &[&str], input: &str) -> Finished {
        let config = self.path("pennypost.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
        command.args(arguments).arg("--config").arg(config);
        finish(&mut command, input.as_bytes())
    }
}

/// A server process. It is ended when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) smtp: Option<SocketAddr>,
    pub(crate) pop3: Option<SocketAddr>,
    /// Where each protocol listens.
    doors: BTreeMap<String, SocketAddr>,
    log: mpsc::Receiver<String>,
    /// What it logged before it listened.
    pub(crate) early_log: Vec<String>,
}

impl Daemon {
    /// Starts a program, and waits until it listens for these protocols.
    pub(crate) fn start(program: &str, arguments: &[&str], place: &Place, protocols: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--config")
            .arg(place.path("pennypost.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("RUST_LOG", "debug")
            .spawn()
            .expect("the program was built");
        let log = read_lines(child.stderr.take().expect("stderr is piped"));
        let mut daemon =
            Self { child, smtp: None, pop3: None, doors: BTreeMap::new(), log, early_log: Vec::new() };
        while !protocols.iter().all(|protocol| daemon.doors.contains_key(*protocol)) {
            let line = daemon.wait_for_log("");
            if !line.contains("listening") {
                daemon.early_log.push(line);
                continue;
            }
            let address = field(&line, "address").parse().expect("an address");
            daemon.doors.insert(field(&line, "protocol").trim_matches('"').to_owned(), address);
        }
        daemon.smtp = daemon.doors.get("smtp").copied();
        daemon.pop3 = daemon.doors.get("pop3").copied();
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens for this protocol.
    pub(crate) fn door(&self, protocol: &str) -> SocketAddr {
        *self.doors.get(protocol).unwrap_or_else(|| panic!("it does not listen for {protocol}"))
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn smtp(&self) -> Smtp {
        Smtp::connect(self.smtp.expect("it listens for SMTP"))
    }

    pub(crate) fn pop3(&self) -> Pop3 {
        Pop3::connect(self.pop3.expect("it listens for POP3"))
    }

    /// A POP3 session that has signed in; one that has just ended may hold the lease for another moment.
    pub(crate) fn signed_in(&self, user: &str, password: &str) -> Pop3 {
        let start = Instant::now();
        loop {
            let mut pop3 = self.pop3();
            pop3.command(&format!("USER {user}"));
            let reply = pop3.command(&format!("PASS {password}"));
            if reply.starts_with("+OK") {
                return pop3;
            }
            assert!(reply.starts_with("-ERR [IN-USE]") && start.elapsed() < PATIENCE, "{reply}");
        }
    }

    /// The next log line that holds `text`.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        self.wait_for_log_where(text, |line| line.contains(text))
    }

    /// The next log line of which that is so; `what` it says, for who reads that it never came.
    pub(crate) fn wait_for_log_where(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(line) if is_it(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("the log never said {what:?}: {error}; {:?}", self.child.try_wait()),
            }
        }
    }

    /// SIGKILL: no chance to clean up.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    pub(crate) fn signal_terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(killed.expect("kill is there").success());
    }

    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("waited for").code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (lines, log) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                // Nobody asks any more, but the pipe must not fill.
            }
        }
    });
    log
}

/// `name=value` of a log line, or `"name":"value"` where it is JSON.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    if let Some((_, value)) = line.split_once(&format!("\"{name}\":\"")) {
        return value.split('"').next().expect("split gives one piece at least");
    }
    let start =
        line.find(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len() + 1;
    line[start..].split(' ').next().expect("split gives one piece at least")
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end with `input` on its standard input.
pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // A program may end without reading all of its input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("waited for");
    writer.join().expect("the writer does not panic");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A socket, or what lies over one.
pub(crate) trait Channel: Read + Write + Send {}
impl<T: Read + Write + Send> Channel for T {}

/// A connection from one of this machine's many addresses.
pub(crate) fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    // A program that another test starts meanwhile would keep it open, and the server never see its end.
    let flags = SocketFlags::CLOEXEC;
    let stream = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
    bind(&stream, &SocketAddr::from((source, 0))).expect("an address of this machine");
    connect(&stream, &address).expect("the server accepts");
    TcpStream::from(stream)
}

/// A line dialogue over a socket.
pub(crate) struct Wire {
    stream: BufReader<Box<dyn Channel>>,
    pub(crate) socket: TcpStream,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).expect("the server accepts"))
    }

    /// As a client elsewhere: this machine has all of 127.0.0.0/8.
    pub(crate) fn connect_from(source: [u8; 4], address: SocketAddr) -> Self {
        Self::on(connect_from(source, address))
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_write_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        Self::over(stream.try_clone().expect("cloned"), stream)
    }

    /// The same over what lies over a socket.
    pub(crate) fn over(channel: impl Channel + 'static, socket: TcpStream) -> Self {
        Self { stream: BufReader::new(Box::new(channel)), socket }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.get_mut().write_all(octets).expect("the server reads");
    }

    /// The next line without its CRLF; empty at the end.
    pub(crate) fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("the server answers");
        assert!(line.is_empty() || line.ends_with(b"\r\n"), "no CRLF: {}", line.escape_ascii());
        line.truncate(line.len().saturating_sub(2));
        line
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8(self.line()).expect("replies are UTF-8")
    }

    /// As many octets as these, which they have to be.
    pub(crate) fn expect(&mut self, octets: &[u8]) {
        let mut read = vec![0; octets.len()];
        self.stream.read_exact(&mut read).expect("the server answers");
        assert_eq!(read, octets, "{}", read.escape_ascii());
    }

    /// Everything that the server still has to say before it closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the server closes in order");
        rest
    }

    /// Whether the server has closed, after anything that it still had to say.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.stream.read_to_end(&mut Vec::new()).is_ok()
    }
}

/// An SMTP client of a few lines.
pub(crate) struct Smtp {
    pub(crate) wire: Wire,
}

impl Smtp {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::greeted(Wire::connect(address))
    }

    /// Reads the greeting.
    pub(crate) fn greeted(wire: Wire) -> Self {
        let mut smtp = Self { wire };
        assert_eq!(smtp.reply(), "220 <iitkgp.edu> Service ready");
        smtp
    }

    /// The next reply, its lines joined with LF.
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = self.wire.text();
        let mut last = reply.clone();
        while last.as_bytes().get(3) == Some(&b'-') {
            last = self.wire.text();
            reply = format!("{reply}\n{last}");
        }
        reply
    }

    pub(crate) fn command(&mut self, command: &str) -> String {
        self.wire.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// Delivers a message to gb and signs off.
    pub(crate) fn deliver_one(self, message: &[u8]) {
        self.deliver_to("gb@iit.edu", message);
    }

    /// Delivers a message and signs off.
    pub(crate) fn deliver_to(mut self, to: &str, message: &[u8]) {
        self.command("EHLO iit.edu");
        let reply = self.deliver("ag@iit.edu", &[to], message);
        assert!(reply.starts_with("250"), "{reply}");
        self.command("QUIT");
    }

    /// Sends a message whose lines end with CRLF; the reply to its final dot.
    pub(crate) fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> String {
        let mail = self.command(&format!("MAIL FROM:<{from}>"));
        assert!(mail.starts_with("250"), "{mail}");
        self.deliver_after_mail(to, message)
    }

    /// The same, in a transaction that has begun.
    pub(crate) fn deliver_after_mail(&mut self, to: &[&str], message: &[u8]) -> String {
        for to in to {
            let recipient = self.command(&format!("RCPT TO:<{to}>"));
            assert!(recipient.starts_with("250"), "{recipient}");
        }
        assert!(self.command("DATA").starts_with("354"));
        self.wire.send(&mails::stuffed(message));
        self.reply()
    }
}

/// A POP3 client of a few lines.
pub(crate) struct Pop3 {
    pub(crate) wire: Wire,
}

impl Pop3 {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::greeted(Wire::connect(address))
    }

    /// Reads the greeting.
    pub(crate) fn greeted(wire: Wire) -> Self {
        let mut pop3 = Self { wire };
        assert_eq!(pop3.wire.text(), "+OK POP3 server ready");
        pop3
    }

    pub(crate) fn command(&mut self, command: &str) -> String {
        self.wire.send(format!("{command}\r\n").as_bytes());
        self.wire.text()
    }

    pub(crate) fn login(&mut self, user: &str, password: &str) {
        let reply = self.command(&format!("USER {user}"));
        assert!(reply.starts_with("+OK"), "{reply}");
        let reply = self.command(&format!("PASS {password}"));
        assert!(reply.starts_with("+OK"), "{reply}");
    }

    /// A multi-line answer: the first line, and the lines up to the dot with its dot-stuffing undone.
    pub(crate) fn multi(&mut self, command: &str) -> (String, Vec<Vec<u8>>) {
        let first = self.command(command);
        assert!(first.starts_with("+OK"), "{command}: {first}");
        let mut lines = Vec::new();
        loop {
            let mut line = self.wire.line();
            if line == b"." {
                return (first, lines);
            }
            if line.starts_with(b".") {
                line.remove(0);
            }
            lines.push(line);
        }
    }

    /// The whole message, its lines ending with CRLF.
    pub(crate) fn retrieve(&mut self, number: usize) -> Vec<u8> {
        self.multi(&format!("RETR {number}"))
            .1
            .iter()
            .flat_map(|line| [line, &b"\r\n"[..]].concat())
            .collect()
    }

    /// The numbers of `STAT`: messages and octets.
    pub(crate) fn stat(&mut self) -> (usize, usize) {
        let reply = self.command("STAT");
        let numbers: Vec<usize> = reply.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [count, octets] = numbers[..] else { panic!("{reply}") };
        (count, octets)
    }
}
