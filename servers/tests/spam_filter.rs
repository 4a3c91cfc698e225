//! Incoming mail and a spam filter: a scripted server with Rspamd's HTTP protocol, and Rspamd itself.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use support::dns::DnsServer;
use support::{ServerProcess, TIMEOUT, TestDir, is_installed, send_signal};

/// A request: its head and the message.
struct FilterRequest {
    head: String,
    message: String,
}

/// Answers each request with the next response of a list. An empty one closes the connection.
fn filter(responses: &'static [&'static str]) -> (SocketAddr, mpsc::Receiver<FilterRequest>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        for (response, stream) in responses.iter().zip(listener.incoming().map_while(Result::ok)) {
            let mut reader = BufReader::new(&stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or_default() == 0 || line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                head.push_str(&line);
            }
            let mut message = vec![0; length];
            reader.read_exact(&mut message).expect("the message");
            let message = String::from_utf8(message).expect("text");
            let _ = sender.send(FilterRequest { head, message });
            if !response.is_empty() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", response.len());
                let _ = (&stream).write_all(format!("{head}{response}").as_bytes());
            }
        }
    });
    (address, requests)
}

/// A host for example.net that filters mail.
struct Receiver {
    dir: TestDir,
    server: ServerProcess,
    _dns: DnsServer,
}

impl Receiver {
    fn start(filter: SocketAddr) -> Self {
        let (dir, dns) = (TestDir::new(), DnsServer::start(&[]));
        let config = format!(
            "hostname = 'mx.example.net'\ndomains = ['example.net']\n\
             [outbound]\nmode = 'direct'\nresolver = ['{}']\n[inbound]\nrspamd = 'http://{filter}'\n\
             [metrics]\nlisten = '127.0.0.1:0'\n",
            dns.address
        );
        fs::write(dir.path("pennypost.toml"), config).expect("the file is written");
        let server = dir.serve();
        Self { dir, server, _dns: dns }
    }

    /// Sends a message to gb. Returns the reply.
    fn receive(&self, message: &str) -> String {
        let mut smtp = self.server.smtp();
        smtp.command("EHLO elsewhere.example");
        smtp.deliver("x@elsewhere.example", &["gb@example.net"], message.as_bytes())
    }

    fn mailbox(&self) -> String {
        String::from_utf8(self.dir.mailbox("gb")).expect("text")
    }
}

const MESSAGE: &str = "From: x@elsewhere.example\r\nSubject: offer\r\n\r\n.body\r\n";

#[test]
fn actions_of_the_filter_decide() {
    let (address, requests) = filter(&[
        r#"{"action": "add header", "score": 8.5, "required_score": 15.0, "symbols": {}}"#,
        r#"{"action": "no action", "score": 0.1, "required_score": 15.0}"#,
        r#"{"action": "greylist", "score": 4}"#,
        r#"{"action": "soft reject", "score": 4}"#,
        r#"{"action": "reject", "score": 30.0}"#,
        r#"{"action": "reject", "score": 30.0}"#,
    ]);
    let receiver = Receiver::start(address);
    assert!(receiver.receive(MESSAGE).starts_with("250"));
    let FilterRequest { head, message } = requests.recv_timeout(TIMEOUT).expect("a request");
    assert!(head.starts_with("POST /checkv2 HTTP/1.1\r\n"), "{head}");
    for field in [
        "ip: 127.0.0.1\r\n",
        "helo: elsewhere.example\r\n",
        "from: x@elsewhere.example\r\n",
        "rcpt: gb@example.net\r\n",
    ] {
        assert!(head.contains(field), "{field}: {head}");
    }
    assert_eq!(message, MESSAGE);
    let mailbox = receiver.mailbox();
    assert!(mailbox.contains("\r\nX-Spam-Score: 8.50 / 15.00\r\nX-Spam: Yes\r\n"), "{mailbox}");
    let forged = format!("X-Spam: no, really\r\nx-spam-score: -99\r\n{MESSAGE}");
    assert!(receiver.receive(&forged).starts_with("250"));
    let mailbox = receiver.mailbox();
    assert_eq!(mailbox.matches("X-Spam: Yes").count(), 1, "{mailbox}");
    assert!(!mailbox.contains("really") && !mailbox.contains("-99"), "{mailbox}");
    assert!(mailbox.contains("X-Spam-Score: 0.10 / 15.00\r\n"), "{mailbox}");
    for status in ["451 4.7.1", "451 4.7.1", "550 5.7.1"] {
        let reply = receiver.receive(MESSAGE);
        assert!(reply.starts_with(status), "{reply}");
    }
    assert_eq!(receiver.mailbox(), mailbox);
    assert_eq!(requests.try_iter().count(), 4);
    let start = Instant::now();
    let large = format!("{MESSAGE}{}", "0123456789abcdef\r\n".repeat(200_000));
    assert!(receiver.receive(&large).starts_with("250"), "a large message is not filtered");
    assert!(start.elapsed() < TIMEOUT);
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn filter_that_does_not_work_accepts_mail() {
    let (address, _requests) = filter(&["", "not JSON", "[]"]);
    let mut receiver = Receiver::start(address);
    for _ in 0..3 {
        assert!(receiver.receive(MESSAGE).starts_with("250"));
    }
    receiver.server.wait_for_log("the spam filter does not work");
    // Nobody listens any more.
    let reply = receiver.receive(MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(receiver.mailbox().matches("Subject: offer").count(), 4);
}

/// Debian's Rspamd, without rules except for its test patterns.
struct Rspamd {
    address: SocketAddr,
    process: Child,
    _dir: TestDir,
}

impl Rspamd {
    fn start() -> Self {
        assert!(is_installed("rspamd"), "Rspamd is missing; `cargo xtask setup` installs it");
        let dir = TestDir::new();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("bound");
        drop(free);
        let path = dir.root.path().display();
        let config = format!(
            "options {{\n pidfile = \"{path}/pid\";\n filters = \"\";\n control_socket = \"{path}/control mode=0600\";\n\
             cache_file = \"{path}/cache\";\n hs_cache_dir = \"{path}\";\n rrd = \"\";\n history_file = \"\";\n\
             url_tld = \"{path}/domains\";\n enable_test_patterns = true;\n dns {{ nameserver = [\"127.0.0.1:9\"]; }}\n}}\n\
             logging {{ type = \"console\"; level = \"error\"; }}\n\
             worker \"normal\" {{ bind_socket = \"{address}\"; count = 1; }}\n\
             actions {{ reject = 15; add_header = 6; }}\n"
        );
        fs::write(dir.path("rspamd.conf"), config).expect("the file is written");
        // It compiles a pattern of all of them, and the list of all domains takes a minute.
        fs::write(dir.path("domains"), "example\n").expect("the file is written");
        let mut command = Command::new("rspamd");
        // Root need not give up its rights here.
        command.args(["--no-fork", "--insecure", "--config"]).arg(dir.path("rspamd.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect("rspamd starts");
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            let status = process.try_wait();
            assert!(
                begin.elapsed() < TIMEOUT && matches!(status, Ok(None)),
                "Rspamd does not start: {status:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
        Self { address, process, _dir: dir }
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        // It stops its worker.
        send_signal(self.process.id(), "-TERM");
        let _ = self.process.wait();
    }
}

#[test]
fn rspamd_decides() {
    let rspamd = Rspamd::start();
    let receiver = Receiver::start(rspamd.address);
    // Test patterns of Rspamd: reject, add a header.
    let pattern = |letter| {
        format!("{MESSAGE}{letter}JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n")
    };
    let reply = receiver.receive(&pattern('X'));
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    let reply = receiver.receive(&pattern('Y'));
    assert!(reply.starts_with("250"), "{reply}");
    assert!(receiver.mailbox().contains("\r\nX-Spam: Yes\r\n"), "{}", receiver.mailbox());
    let reply = receiver.receive(MESSAGE);
    assert!(reply.starts_with("250"), "{reply}");
    let mailbox = receiver.mailbox();
    assert_eq!(
        (mailbox.matches("X-Spam: Yes").count(), mailbox.matches("X-Spam-Score: ").count()),
        (1, 2),
        "{mailbox}"
    );
}
