//! Minimal SMTP and POP3 clients over plain sockets.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::TIMEOUT;

/// An SMTP session.
#[derive(Debug)]
pub struct Smtp(LineStream);

/// A POP3 session.
#[derive(Debug)]
pub struct Pop3(LineStream);

impl Smtp {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut smtp = Self(LineStream::connect(address));
        smtp.0.expect("220");
        smtp.0.command("HELO iit.edu", "250");
        smtp
    }

    /// Delivers a message. Its lines may end with LF.
    ///
    /// # Panics
    /// The server refuses it.
    pub fn deliver(&mut self, from: &str, to: &str, message: &str) {
        self.0.command(&format!("MAIL FROM:<{from}>"), "250");
        self.0.command(&format!("RCPT TO:<{to}>"), "250");
        self.0.command("DATA", "354");
        let stuffed = message
            .lines()
            .map(|line| format!("{}{line}\r\n", if line.starts_with('.') { "." } else { "" }))
            .collect::<String>();
        self.0.send(&stuffed);
        self.0.command(".", "250");
    }
}

impl Pop3 {
    /// Logs in. Retries while another session has the maildrop.
    pub(crate) fn sign_in(address: SocketAddr, account: &str, password: &str) -> Self {
        let start = Instant::now();
        loop {
            let mut pop3 = Self(LineStream::connect(address));
            pop3.0.expect("+OK");
            pop3.0.command(&format!("USER {account}"), "+OK");
            pop3.0.send(&format!("PASS {password}\r\n"));
            let reply = pop3.0.line();
            if reply.starts_with("+OK") {
                return pop3;
            }
            assert!(reply.starts_with("-ERR [IN-USE]") && start.elapsed() < TIMEOUT, "{reply}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Number of messages.
    ///
    /// # Panics
    /// The server sends an error or an invalid reply.
    pub fn count(&mut self) -> usize {
        let reply = self.0.command("STAT", "+OK");
        reply.split(' ').nth(1).and_then(|count| count.parse().ok()).expect("STAT returns numbers")
    }

    /// Retrieves a message and removes dot-stuffing.
    pub fn retrieve(&mut self, number: usize) -> Vec<u8> {
        self.0.command(&format!("RETR {number}"), "+OK");
        let mut message = Vec::new();
        loop {
            let line = self.0.octets();
            match line.as_slice() {
                b".\r\n" => return message,
                [b'.', rest @ ..] => message.extend(rest),
                line => message.extend(line),
            }
        }
    }

    /// Removes the marked messages and releases the maildrop.
    pub fn quit(mut self) {
        self.0.command("QUIT", "+OK");
    }
}

#[derive(Debug)]
struct LineStream(BufReader<TcpStream>);

impl LineStream {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a valid timeout");
        stream.set_nodelay(true).expect("an open socket");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("the server reads");
    }

    fn command(&mut self, command: &str, reply: &str) -> String {
        self.send(&format!("{command}\r\n"));
        self.expect(reply)
    }

    fn expect(&mut self, start: &str) -> String {
        let line = self.line();
        assert!(line.starts_with(start), "expected {start}: {line}");
        line
    }

    fn line(&mut self) -> String {
        String::from_utf8_lossy(&self.octets()).trim_end().to_owned()
    }

    fn octets(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("the server answers");
        assert!(!line.is_empty(), "the server closed the connection");
        line
    }
}
