//! A running `pennypost catch`, and an HTTP client.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, mpsc};

use serde_json::Value;

use super::{LineStream, SmtpClient, TIMEOUT, read_lines};

/// A message without defects.
pub(crate) const MESSAGE: &str = "Date: Sun, 22 Nov 2026 20:15:06 +0100\r\nFrom: Ann <ann@a.example>\r\n\
    To: Bob <bob@b.example>\r\nSubject: Please confirm\r\nMessage-ID: <1@a.example>\r\n\r\n\
    Open https://a.example/confirm?token=x1. Your code is 482913.\r\n";

/// A catcher on free ports. Killed on drop.
pub(crate) struct Catcher {
    child: Child,
    /// Kept open, because `--child` watches it.
    stdin: Option<ChildStdin>,
    pub(crate) ready: Value,
    pub(crate) smtp: SocketAddr,
    pub(crate) web: SocketAddr,
    log: Mutex<mpsc::Receiver<String>>,
}

impl Catcher {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Self::command(arguments);
        for flag in ["--smtp", "--web"] {
            if !arguments.contains(&flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = read_lines(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped"))
            .read_line(&mut line)
            .expect("stdout is text");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| {
            panic!("no ready line, {error}: {line:?} {:?}", log.iter().collect::<Vec<_>>())
        });
        let smtp = ready["smtp"].as_str().expect("an address").parse().expect("an address");
        let web = ready["web"].as_str().and_then(|web| web.strip_prefix("http://")).expect("a URL");
        let web = web.parse().expect("an address");
        let stdin = child.stdin.take();
        Self { child, stdin, ready, smtp, web, log: Mutex::new(log) }
    }

    pub(crate) fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
        command.arg("catch").args(arguments).env_remove("RUST_LOG");
        command
    }

    /// The next line on standard error.
    pub(crate) fn log_line(&self) -> Option<String> {
        self.log.lock().expect("no thread panics").recv_timeout(TIMEOUT).ok()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn smtp(&self) -> SmtpClient {
        connect(self.smtp)
    }

    /// Sends a message whose octets are not changed.
    pub(crate) fn deliver_raw(&self, message: &[u8]) -> String {
        let mut smtp = self.smtp();
        smtp.command("EHLO client.example");
        smtp.command("MAIL FROM:<ann@a.example>");
        smtp.command("RCPT TO:<bob@b.example>");
        assert!(smtp.command("DATA").starts_with("354"));
        smtp.stream.send(&[message, b"\r\n.\r\n"].concat());
        smtp.reply()
    }

    /// Sends a message and returns the reply.
    pub(crate) fn deliver(&self, from: &str, to: &[&str], message: &str) -> String {
        let mut smtp = self.smtp();
        smtp.command("EHLO client.example");
        smtp.command(&format!("MAIL FROM:<{from}>"));
        smtp.deliver_after_mail(to, message.as_bytes())
    }

    /// Sends [`MESSAGE`] to one recipient and returns its id.
    pub(crate) fn deliver_to(&self, to: &str) -> String {
        let reply = self.deliver("ann@a.example", &[to], MESSAGE);
        assert!(reply.starts_with("250"), "{reply}");
        self.json("GET", &format!("/api/v1/wait?to={to}"))["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> HttpResponse {
        self.send(method, path, &[], "")
    }

    pub(crate) fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> HttpResponse {
        let mut stream = self.begin(method, path, headers, body);
        HttpResponse::read(&mut stream)
    }

    /// Sends a request and leaves the response unread.
    pub(crate) fn begin(&self, method: &str, path: &str, headers: &[&str], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.web).expect("the catcher accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("the option is set");
        let has_host = headers.iter().any(|header| header.starts_with("Host:"));
        let host = if has_host { String::new() } else { format!("Host: {}\r\n", self.web) };
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        // The response of HTTP/1.0 ends with the connection.
        let head =
            format!("{method} {path} HTTP/1.0\r\n{host}{headers}Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("the catcher reads");
        stream
    }

    /// A successful request for JSON.
    pub(crate) fn json(&self, method: &str, path: &str) -> Value {
        let response = self.request(method, path);
        assert_eq!(response.status, 200, "{method} {path}: {response:?}");
        response.json()
    }

    pub(crate) fn put(&self, path: &str, body: &str) -> HttpResponse {
        self.send("PUT", path, &["Content-Type: application/json"], body)
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the process runs");
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the system tells the memory");
        line.split_whitespace().next().and_then(|size| size.parse().ok()).expect("a number")
    }

    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("the process runs").count()
    }

    pub(crate) fn signal_terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the exit.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("the process has exited").code()
    }
}

/// Connects to a catcher and reads the greeting.
pub(crate) fn connect(smtp: SocketAddr) -> SmtpClient {
    let mut smtp = SmtpClient { stream: LineStream::connect(smtp) };
    assert_eq!(smtp.reply(), "220 <localhost> Service ready");
    smtp
}

impl Drop for Catcher {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response to a request of HTTP/1.0.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl HttpResponse {
    pub(crate) fn read(stream: &mut impl Read) -> Self {
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).expect("the catcher responds");
        let end = octets.windows(4).position(|window| window == b"\r\n\r\n").expect("a response has a head");
        let head = String::from_utf8(octets[..end].to_vec()).expect("the head is ASCII");
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
        let headers = lines.filter_map(|line| line.split_once(": "));
        Self {
            status,
            headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
            body: octets[end + 4..].to_vec(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
