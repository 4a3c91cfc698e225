//! A server with outbound mail, and the mail that a test sends through it.

use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mail_core::sasl;
use mail_core::secret::Secret;

use super::dns::{DnsRecord, DnsServer};
use super::{ServerProcess, SmtpClient, TIMEOUT, TestDir, run_program};

pub(crate) const MESSAGE: &[u8] = b"From: ag@iitkgp.edu\r\nTo: x@example.net\r\nBcc: secret@example.net\r\nSubject: hello\r\n\r\nbody\r\n.dot\r\n";
pub(crate) const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A server that sends mail to other hosts.
pub(crate) struct Sender {
    pub(crate) dir: TestDir,
    pub(crate) server: ServerProcess,
}

impl Sender {
    /// Delivers to `port` of the mail servers in `dns`. `keys` are added to `[outbound]`.
    pub(crate) fn start(dns: &DnsServer, port: u16, keys: &str) -> Self {
        Self::with_config(&Self::config(dns, port, keys))
    }

    /// A configuration as for [`start`](Self::start).
    pub(crate) fn config(dns: &DnsServer, port: u16, keys: &str) -> String {
        format!(
            "[outbound]\nmode = 'direct'\nport = {port}\nresolver = ['{}']\nprivate_networks = ['127.0.0.0/8']\n{keys}\n\
             [smtp]\nsubmission_listen = ['127.0.0.1:0']\n",
            dns.address
        )
    }

    pub(crate) fn with_config(config: &str) -> Self {
        let dir = TestDir::with_config(config);
        let server = serve(&dir);
        Self { dir, server }
    }

    /// A client that has signed in as ag.
    pub(crate) fn submission(&self) -> SmtpClient {
        let mut smtp = SmtpClient::connect(self.server.address("submission"));
        smtp.command("EHLO client.example");
        let plain = sasl::encode(&Secret::new("\0ag\0secret".into())).expose().clone();
        let reply = smtp.command(&format!("AUTH PLAIN {plain}"));
        assert!(reply.starts_with("235"), "{reply}");
        smtp
    }

    pub(crate) fn submit(&self, recipients: &[&str], message: &[u8]) {
        let reply = self.submission().deliver("ag@iitkgp.edu", recipients, message);
        assert!(reply.starts_with("250"), "{reply}");
    }

    pub(crate) fn queue(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pennypost"));
        command.arg("queue").args(arguments).arg("--config").arg(self.dir.path("pennypost.toml"));
        let output = run_program(&mut command, b"");
        assert_eq!(output.code, Some(0), "{output:?}");
        output.stdout
    }

    pub(crate) fn wait_until_queue(&self, description: &str, is_expected: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let list = self.queue(&["list"]);
            if is_expected(&list) {
                return list;
            }
            assert!(start.elapsed() < TIMEOUT, "the queue is not {description}: {list}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The mail of ag, after a report has arrived.
    pub(crate) fn report(&self) -> String {
        let start = Instant::now();
        loop {
            let mailbox = String::from_utf8_lossy(&self.dir.mailbox("ag")).into_owned();
            if mailbox.ends_with("\r\n.\r\n") {
                return mailbox;
            }
            assert!(start.elapsed() < TIMEOUT, "no report: {}", self.queue(&["list"]));
            thread::sleep(Duration::from_millis(20));
        }
    }
}

pub(crate) fn serve(dir: &TestDir) -> ServerProcess {
    let arguments = ["serve", "--smtp", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--web", "off"];
    ServerProcess::start(env!("CARGO_BIN_EXE_pennypost"), &arguments, dir, &["smtp", "submission", "pop3"])
}

pub(crate) fn example_net(address: Ipv4Addr) -> DnsServer {
    DnsServer::start(&[
        DnsRecord::Mx("example.net", 10, "mx.example.net"),
        DnsRecord::A("mx.example.net", address),
    ])
}
