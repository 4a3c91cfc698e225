//! A server whose standard error is a full disk, a closed pipe or anything else that tells nothing about its address.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use super::{TIMEOUT, TestDir, field, send_signal};

/// An `smtp-server` whose log the test does not read. Killed on drop.
pub(crate) struct UnreadLogServer(pub(crate) Child);

impl UnreadLogServer {
    /// `launcher` runs the program whose path and arguments follow its own.
    pub(crate) fn start(dir: &TestDir, launcher: &[&str], stderr: impl Into<Stdio>) -> Self {
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
    pub(crate) fn wait_for_listener(log: &mut BufReader<ChildStderr>, protocol: &str) -> SocketAddr {
        loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("the log is text") > 0, "the server has exited");
            if line.contains("listening") && line.contains(&format!("protocol=\"{protocol}\"")) {
                return field(line.trim_end(), "address").parse().expect("an address");
            }
        }
    }

    /// The only listener of a process whose log is unreadable, from /proc.
    pub(crate) fn address(&mut self) -> SocketAddr {
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

    /// Sends SIGTERM and expects an exit with 0.
    pub(crate) fn expect_exit(mut self) {
        send_signal(self.0.id(), "-TERM");
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

impl Drop for UnreadLogServer {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
