//! Fixtures of the end-to-end tests: the built programs on a temporary data directory, an SMTP and a POP3 client, and sample
//! mails. They do not use the code under test.

#![allow(dead_code, reason = "each test binary uses a part of this module")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(crate) mod account;
pub(crate) mod catch;
pub(crate) mod database_cluster;
pub(crate) mod dns;
pub(crate) mod mail_host;
pub(crate) mod mail_model;
pub(crate) mod mail_server;
pub(crate) mod mails;
pub(crate) mod other_server;
pub(crate) mod pebble;
pub(crate) mod rendering;
pub(crate) mod sender;
pub(crate) mod tls;
#[cfg(target_os = "linux")]
pub(crate) mod unread_log;

/// Timeout of every wait in a test.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A temporary directory with a configuration, and a data directory with the accounts ag (password `secret`) and gb (password
/// `other`).
pub(crate) struct TestDir {
    pub(crate) root: tempfile::TempDir,
}

impl TestDir {
    pub(crate) fn new() -> Self {
        Self::with_config("[pop3]\nrefuse_unknown_user = true\n")
    }

    /// Appends `extra` to the configuration.
    pub(crate) fn with_config(extra: &str) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(root.path().join("data")).expect("the directory is created");
        fs::write(root.path().join("data/User.txt"), "ag secret\ngb other\n").expect("the file is written");
        let config = format!("hostname = 'iitkgp.edu'\ndomains = ['iitkgp.edu', 'iit.edu']\n{extra}");
        fs::write(root.path().join("pennypost.toml"), config).expect("the file is written");
        Self { root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn mailbox(&self, account: &str) -> Vec<u8> {
        fs::read(self.path(&format!("data/{account}/MyMailBox.txt"))).unwrap_or_default()
    }

    /// Starts `pennypost serve` with SMTP, POP3 and web on free ports.
    pub(crate) fn serve(&self) -> ServerProcess {
        ServerProcess::start(
            env!("CARGO_BIN_EXE_pennypost"),
            &["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "127.0.0.1:0"],
            self,
            &["smtp", "pop3", "web"],
        )
    }

    pub(crate) fn smtp_server(&self) -> ServerProcess {
        ServerProcess::start(env!("CARGO_BIN_EXE_smtp-server"), &["--smtp", "127.0.0.1:0"], self, &["smtp"])
    }

    pub(crate) fn pop3_server(&self) -> ServerProcess {
        ServerProcess::start(env!("CARGO_BIN_EXE_pop3-server"), &["--pop3", "127.0.0.1:0"], self, &["pop3"])
    }

    /// Runs `pennypost` with this configuration and waits for its exit.
    pub(crate) fn pennypost(&self, arguments: &[&str], input: &str) -> ProgramOutput {
        let config = self.path("pennypost.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
        command.args(arguments).arg("--config").arg(config);
        run_program(&mut command, input.as_bytes())
    }
}

/// A running server. Killed on drop.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) smtp: Option<SocketAddr>,
    pub(crate) pop3: Option<SocketAddr>,
    /// Address of each listener by its protocol in the log.
    listeners: BTreeMap<String, SocketAddr>,
    log: mpsc::Receiver<String>,
    /// Log lines before the last `listening`.
    pub(crate) early_log: Vec<String>,
}

impl ServerProcess {
    /// Starts a program and waits for a listener of each protocol.
    pub(crate) fn start(program: &str, arguments: &[&str], dir: &TestDir, protocols: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .arg("--config")
            .arg(dir.path("pennypost.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("RUST_LOG", "debug")
            .spawn()
            .expect("the program starts");
        let log = read_lines(child.stderr.take().expect("stderr is piped"));
        let mut server =
            Self { child, smtp: None, pop3: None, listeners: BTreeMap::new(), log, early_log: Vec::new() };
        while !protocols.iter().all(|protocol| server.listeners.contains_key(*protocol)) {
            let line = server.wait_for_log("");
            if !line.contains("listening") {
                server.early_log.push(line);
                continue;
            }
            let address = field(&line, "address").parse().expect("an address");
            server.listeners.insert(field(&line, "protocol").trim_matches('"').to_owned(), address);
        }
        server.smtp = server.listeners.get("smtp").copied();
        server.pop3 = server.listeners.get("pop3").copied();
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Address of the listener of a protocol.
    pub(crate) fn address(&self, protocol: &str) -> SocketAddr {
        *self.listeners.get(protocol).unwrap_or_else(|| panic!("no listener for {protocol}"))
    }

    pub(crate) fn smtp(&self) -> SmtpClient {
        SmtpClient::connect(self.smtp.expect("the server listens for SMTP"))
    }

    pub(crate) fn pop3(&self) -> Pop3Client {
        Pop3Client::connect(self.pop3.expect("the server listens for POP3"))
    }

    /// Logs in over POP3. Retries while the previous session still holds the lease.
    pub(crate) fn log_in(&self, user: &str, password: &str) -> Pop3Client {
        let start = Instant::now();
        loop {
            let mut pop3 = self.pop3();
            pop3.command(&format!("USER {user}"));
            let reply = pop3.command(&format!("PASS {password}"));
            if reply.starts_with("+OK") {
                return pop3;
            }
            assert!(reply.starts_with("-ERR [IN-USE]") && start.elapsed() < TIMEOUT, "{reply}");
        }
    }

    /// The next log line that contains `text`.
    pub(crate) fn wait_for_log(&mut self, text: &str) -> String {
        self.wait_for_log_where(text, |line| line.contains(text))
    }

    /// The next log line that matches `predicate`. `description` is for the panic message.
    pub(crate) fn wait_for_log_where(
        &mut self,
        description: &str,
        predicate: impl Fn(&str) -> bool,
    ) -> String {
        loop {
            match self.log.recv_timeout(TIMEOUT) {
                Ok(line) if predicate(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("no log line {description:?}: {error}; {:?}", self.child.try_wait()),
            }
        }
    }

    /// Kills the process (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process is killed");
        self.child.wait().expect("the process has exited");
    }

    pub(crate) fn signal_terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal, such as `-HUP`.
    pub(crate) fn signal(&self, name: &str) {
        send_signal(self.child.id(), name);
    }

    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("the process has exited").code()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send_signal(process: u32, name: &str) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.expect("kill is installed").success());
}

pub(crate) fn read_lines(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, log) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Without a receiver the pipe is still drained, so that it never fills up.
            let _ = sender.send(line);
        }
    });
    log
}

/// The value of `name=value` in a log line, or of `"name":"value"` in a JSON line.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    if let Some((_, value)) = line.split_once(&format!("\"{name}\":\"")) {
        return value.split('"').next().expect("split yields at least one piece");
    }
    let start =
        line.find(&format!("{name}=")).unwrap_or_else(|| panic!("no {name} in {line}")) + name.len() + 1;
    line[start..].split(' ').next().expect("split yields at least one piece")
}

/// Output of a program.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command with `input` on its standard input and waits for its exit.
pub(crate) fn run_program(command: &mut Command, input: &[u8]) -> ProgramOutput {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // A program may exit before it reads all input.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the process has exited");
    writer.join().expect("the writer does not panic");
    ProgramOutput {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

/// A TCP or TLS stream.
pub(crate) trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

/// Connects from a loopback address of this host.
pub(crate) fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
    // Without CLOEXEC, a program started by a concurrent test would inherit the socket and keep it open.
    let flags = SocketFlags::CLOEXEC;
    let stream = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).expect("a socket");
    bind(&stream, &SocketAddr::from((source, 0))).expect("an address of this host");
    connect(&stream, &address).expect("the server accepts");
    TcpStream::from(stream)
}

/// A client connection of a line-based protocol.
pub(crate) struct LineStream {
    reader: BufReader<Box<dyn ReadWrite>>,
    pub(crate) socket: TcpStream,
}

impl LineStream {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from_socket(TcpStream::connect(address).expect("the server accepts"))
    }

    /// Connects from another address of 127.0.0.0/8.
    pub(crate) fn connect_from(source: [u8; 4], address: SocketAddr) -> Self {
        Self::from_socket(connect_from(source, address))
    }

    fn from_socket(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        socket.set_write_timeout(Some(TIMEOUT)).expect("the option is set");
        socket.set_nodelay(true).expect("the option is set");
        Self::from_stream(socket.try_clone().expect("the socket is cloned"), socket)
    }

    /// Uses a stream that is layered over `socket`.
    pub(crate) fn from_stream(stream: impl ReadWrite + 'static, socket: TcpStream) -> Self {
        Self { reader: BufReader::new(Box::new(stream)), socket }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the server reads");
    }

    /// The next line without its CRLF; empty at the end of the stream.
    pub(crate) fn read_line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).expect("the server replies");
        assert!(line.is_empty() || line.ends_with(b"\r\n"), "no CRLF: {}", line.escape_ascii());
        line.truncate(line.len().saturating_sub(2));
        line
    }

    /// As [`read_line`](Self::read_line), decoded as UTF-8.
    pub(crate) fn read_text(&mut self) -> String {
        String::from_utf8(self.read_line()).expect("replies are UTF-8")
    }

    /// Reads and compares exactly these bytes.
    pub(crate) fn expect_bytes(&mut self, expected: &[u8]) {
        let mut read = vec![0; expected.len()];
        self.reader.read_exact(&mut read).expect("the server replies");
        assert_eq!(read, expected, "{}", read.escape_ascii());
    }

    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.reader.read_to_end(&mut bytes).expect("the server closes the connection in order");
        bytes
    }

    /// Discards remaining data and returns whether the server closed the connection in order.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.reader.read_to_end(&mut Vec::new()).is_ok()
    }
}

pub(crate) struct SmtpClient {
    pub(crate) stream: LineStream,
}

impl SmtpClient {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from_stream(LineStream::connect(address))
    }

    /// Reads the greeting.
    pub(crate) fn from_stream(stream: LineStream) -> Self {
        let mut smtp = Self { stream };
        let greeting = smtp.reply();
        assert!(greeting.starts_with("220 <") && greeting.ends_with("> Service ready"), "{greeting}");
        smtp
    }

    /// The next reply, its lines joined with LF.
    pub(crate) fn reply(&mut self) -> String {
        let mut reply = self.stream.read_text();
        let mut last = reply.clone();
        while last.as_bytes().get(3) == Some(&b'-') {
            last = self.stream.read_text();
            reply = format!("{reply}\n{last}");
        }
        reply
    }

    pub(crate) fn command(&mut self, command: &str) -> String {
        self.stream.send(format!("{command}\r\n").as_bytes());
        self.reply()
    }

    /// Delivers a message to gb and quits.
    pub(crate) fn deliver_to_gb(self, message: &[u8]) {
        self.deliver_to("gb@iit.edu", message);
    }

    /// Delivers a message and quits.
    pub(crate) fn deliver_to(mut self, to: &str, message: &[u8]) {
        self.command("EHLO iit.edu");
        let reply = self.deliver("ag@iit.edu", &[to], message);
        assert!(reply.starts_with("250"), "{reply}");
        self.command("QUIT");
    }

    /// Sends a message with CRLF line ends. Returns the reply to its final dot.
    pub(crate) fn deliver(&mut self, from: &str, to: &[&str], message: &[u8]) -> String {
        let reply = self.command(&format!("MAIL FROM:<{from}>"));
        assert!(reply.starts_with("250"), "{reply}");
        self.deliver_after_mail(to, message)
    }

    /// As [`deliver`](Self::deliver), after MAIL.
    pub(crate) fn deliver_after_mail(&mut self, to: &[&str], message: &[u8]) -> String {
        for to in to {
            let reply = self.command(&format!("RCPT TO:<{to}>"));
            assert!(reply.starts_with("250"), "{reply}");
        }
        assert!(self.command("DATA").starts_with("354"));
        self.stream.send(&mails::dot_stuffed(message));
        self.reply()
    }
}

pub(crate) struct Pop3Client {
    pub(crate) stream: LineStream,
}

impl Pop3Client {
    /// Connects and reads the greeting.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::from_stream(LineStream::connect(address))
    }

    /// Reads the greeting.
    pub(crate) fn from_stream(stream: LineStream) -> Self {
        let mut pop3 = Self { stream };
        assert_eq!(pop3.stream.read_text(), "+OK POP3 server ready");
        pop3
    }

    pub(crate) fn command(&mut self, command: &str) -> String {
        self.stream.send(format!("{command}\r\n").as_bytes());
        self.stream.read_text()
    }

    pub(crate) fn login(&mut self, user: &str, password: &str) {
        let reply = self.command(&format!("USER {user}"));
        assert!(reply.starts_with("+OK"), "{reply}");
        let reply = self.command(&format!("PASS {password}"));
        assert!(reply.starts_with("+OK"), "{reply}");
    }

    /// A multi-line response: its status line, and its lines without dot-stuffing.
    pub(crate) fn multiline(&mut self, command: &str) -> (String, Vec<Vec<u8>>) {
        let status = self.command(command);
        assert!(status.starts_with("+OK"), "{command}: {status}");
        let mut lines = Vec::new();
        loop {
            let mut line = self.stream.read_line();
            if line == b"." {
                return (status, lines);
            }
            if line.starts_with(b".") {
                line.remove(0);
            }
            lines.push(line);
        }
    }

    /// A message with CRLF line ends.
    pub(crate) fn retrieve(&mut self, number: usize) -> Vec<u8> {
        self.multiline(&format!("RETR {number}"))
            .1
            .iter()
            .flat_map(|line| [line, &b"\r\n"[..]].concat())
            .collect()
    }

    /// Message count and octets from `STAT`.
    pub(crate) fn stat(&mut self) -> (usize, usize) {
        let reply = self.command("STAT");
        let numbers: Vec<usize> = reply.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [count, octets] = numbers[..] else { panic!("{reply}") };
        (count, octets)
    }
}
