//! A server whose standard error accepts nothing: mail is unaffected, and signals work.

#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use support::{SmtpClient, TIMEOUT, TestDir, field};

/// More lines than a pipe and the queue hold, at the level `debug`.
const MAILS: usize = 1_100;

/// Killed on drop.
struct Server(Child);

impl Server {
    fn start(dir: &TestDir, launcher: &[&str], stderr: impl Into<Stdio>) -> Self {
        let program = env!("CARGO_BIN_EXE_smtp-server");
        let line: Vec<&str> = launcher.iter().copied().chain([program]).collect();
        let child = Command::new(line[0])
            .args(&line[1..])
            .args(["--smtp", "127.0.0.1:0", "--config"])
            .arg(dir.path("pennypost.toml"))
            .env("RUST_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        Self(child)
    }

    /// Reads the log until the server listens for `protocol`.
    fn wait_for_listener(log: &mut BufReader<ChildStderr>, protocol: &str) -> SocketAddr {
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("the log is text") > 0, "the server has exited");
            if line.contains("listening") && line.contains(&format!("protocol=\"{protocol}\"")) {
                return field(line.trim_end(), "address").parse().expect("an address");
            }
        }
    }

    /// The only listener of a process whose log is unreadable, from /proc.
    fn address(&mut self) -> SocketAddr {
        let start = Instant::now();
        loop {
            if let Some(port) = self.listening_port() {
                return SocketAddr::from(([127, 0, 0, 1], port));
            }
            assert_eq!(self.0.try_wait().expect("the child exists"), None, "the server has exited");
            assert!(start.elapsed() < TIMEOUT, "the server does not listen");
            std::thread::yield_now();
        }
    }

    fn listening_port(&self) -> Option<u16> {
        let process = format!("/proc/{}", self.0.id());
        let links = fs::read_dir(format!("{process}/fd")).ok()?.flatten();
        let sockets: Vec<String> = links
            .filter_map(|link| {
                fs::read_link(link.path())
                    .ok()?
                    .to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')
                    .map(str::to_owned)
            })
            .collect();
        let table = fs::read_to_string(format!("{process}/net/tcp")).ok()?;
        table.lines().find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let is_own = columns.get(3) == Some(&"0A") && sockets.iter().any(|inode| inode == columns[9]);
            let (_, port) = columns.get(1).filter(|_| is_own)?.split_once(':')?;
            u16::from_str_radix(port, 16).ok()
        })
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.0.id().to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    /// Sends SIGTERM and expects an exit with 0.
    fn expect_exit(mut self) {
        self.signal("-TERM");
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.0.try_wait().expect("the child exists") {
                assert_eq!(status.code(), Some(0), "{status}");
                return;
            }
            std::thread::yield_now();
        }
        panic!("the server ignores SIGTERM");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn full_device() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has the device")
}

/// Refuses one recipient and delivers `count` mails over one connection.
fn deliver(address: SocketAddr, count: usize) {
    let mut smtp = SmtpClient::connect(address);
    smtp.command("EHLO iit.edu");
    smtp.command("MAIL FROM:<ag@iit.edu>");
    assert!(smtp.command("RCPT TO:<nobody@iit.edu>").starts_with("550 "));
    smtp.command("RSET");
    for number in 0..count {
        let message = format!("Subject: {number}\r\n\r\ntext\r\n");
        let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message.as_bytes());
        assert!(reply.starts_with("250 "), "mail {number}: {reply}");
    }
    assert!(smtp.command("QUIT").starts_with("221 "));
}

#[test]
fn unread_log_pipe_delays_neither_mail_nor_shutdown() {
    let dir = TestDir::new();
    let mut server = Server::start(&dir, &[], Stdio::piped());
    let mut log = BufReader::new(server.0.stderr.take().expect("stderr is piped"));
    let address = Server::wait_for_listener(&mut log, "smtp");
    deliver(address, MAILS);
    server.expect_exit();
    drop(log);
}

#[test]
fn closed_log_pipe_drops_lines_and_counts_them() {
    let dir = TestDir::with_config("[metrics]\nlisten = '127.0.0.1:0'\n");
    let mut server = Server::start(&dir, &[], Stdio::piped());
    let mut log = BufReader::new(server.0.stderr.take().expect("stderr is piped"));
    // Both lines are read in either order.
    let mut addresses = [None, None];
    while addresses.contains(&None) {
        let mut line = String::new();
        assert!(log.read_line(&mut line).expect("the log is text") > 0, "the server has exited");
        for (address, protocol) in addresses.iter_mut().zip(["smtp", "metrics"]) {
            if line.contains("listening") && line.contains(&format!("protocol=\"{protocol}\"")) {
                *address = Some(field(line.trim_end(), "address").parse().expect("an address"));
            }
        }
    }
    drop(log);
    let [Some(smtp), Some(metrics)] = addresses else { unreachable!("the loop ends with both") };
    deliver(smtp, 5);
    let start = Instant::now();
    loop {
        let mut stream = TcpStream::connect(metrics).expect("the server accepts");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("the server reads");
        let mut body = String::new();
        stream.read_to_string(&mut body).expect("the server replies");
        let value = body.lines().find_map(|line| line.strip_prefix("pennypost_log_dropped_total "));
        if value.expect("the counter exists").parse::<u64>().expect("a number") > 0 {
            break;
        }
        assert!(start.elapsed() < TIMEOUT, "no line is counted");
    }
    server.expect_exit();
}

#[test]
fn full_log_disk_leaves_mail_unaffected() {
    let dir = TestDir::new();
    let mut server = Server::start(&dir, &[], full_device());
    let address = server.address();
    deliver(address, 5);
    server.expect_exit();
}

#[test]
fn closed_standard_error_leaves_mail_unaffected() {
    let dir = TestDir::new();
    let mut server = Server::start(&dir, &["sh", "-c", "exec \"$0\" \"$@\" 2>&-"], Stdio::null());
    let address = server.address();
    deliver(address, 5);
    server.expect_exit();
}

#[test]
fn startup_error_with_a_full_log_disk_exits_with_2() {
    let dir = TestDir::with_config("[nothing]\n");
    let mut server = Server::start(&dir, &[], full_device());
    assert_eq!(server.0.wait().expect("the program exits").code(), Some(2));
}

#[test]
fn file_size_limit_refuses_mail_with_452_even_if_the_log_reaches_it() {
    let dir = TestDir::new();
    let log = File::create(dir.path("log")).expect("the file is created");
    let mut server = Server::start(&dir, &["prlimit", "--fsize=20000:"], log);
    let address = server.address();
    let mut smtp = SmtpClient::connect(address);
    smtp.command("EHLO iit.edu");
    let message = format!("Subject: large\r\n\r\n{}", "0123456789\r\n".repeat(2_000));
    for _ in 0..3 {
        let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], message.as_bytes());
        assert!(reply.starts_with("452 "), "{reply}");
    }
    let reply = smtp.deliver("ag@iit.edu", &["gb@iit.edu"], b"Subject: small\r\n\r\ntext\r\n");
    assert!(reply.starts_with("250 "), "{reply}");
    smtp.command("QUIT");
    for _ in 0..200 {
        assert!(SmtpClient::connect(address).command("QUIT").starts_with("221 "));
    }
    server.expect_exit();
    assert_eq!(fs::metadata(dir.path("log")).expect("the file exists").len(), 20_000);
}

#[test]
fn refused_recipient_is_logged_with_sender_and_recipient() {
    let dir = TestDir::new();
    let mut server = dir.smtp_server();
    let mut smtp = server.smtp();
    smtp.command("EHLO iit.edu");
    smtp.command("MAIL FROM:<ag@iit.edu>");
    assert!(smtp.command("RCPT TO:<nobody@iit.edu>").starts_with("550 "));
    let line = server.wait_for_log("recipient refused");
    assert!(line.contains("from=<ag@iit.edu> to=<nobody@iit.edu>"), "{line}");
}

#[test]
fn hangup_signal_leaves_the_server_running() {
    let dir = TestDir::new();
    let mut server = Server::start(&dir, &[], Stdio::null());
    let address = server.address();
    // A session proves that the handlers are installed, which precedes the first accept.
    deliver(address, 1);
    server.signal("-HUP");
    deliver(address, 1);
    server.expect_exit();
}
