//! A server with outbound mail, and the mail that a test sends through it.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use mail_core::sasl;
use mail_core::secret::Secret;
use postgres_testing::{Durability, PostgresServer};

use super::dns::{DnsRecord, DnsServer};
use super::{Pop3Client, ServerProcess, SmtpClient, TIMEOUT, TestDir, run_program};

pub(crate) const MESSAGE: &[u8] = b"From: ag@iitkgp.edu\r\nTo: x@example.net\r\nBcc: secret@example.net\r\nSubject: hello\r\n\r\nbody\r\n.dot\r\n";
pub(crate) const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A server that sends mail to other hosts.
pub(crate) struct Sender {
    pub(crate) dir: TestDir,
    pub(crate) server: ServerProcess,
    /// The store; `None`: text files.
    pub(crate) database: Option<PostgresServer>,
}

/// Passwords of the accounts.
const PASSWORDS: [(&str, &str); 2] = [("ag", "secret"), ("gb", "other")];

impl Sender {
    /// Delivers to `port` of the mail servers in `dns`. `keys` are added to `[outbound]`.
    pub(crate) fn start(dns: &DnsServer, port: u16, keys: &str) -> Self {
        Self::with_config(&Self::config(dns, port, keys))
    }

    /// As [`start`](Self::start), with accounts, mail and queue in a database.
    pub(crate) fn start_with_database(dns: &DnsServer, port: u16, keys: &str) -> Self {
        let (dir, database) = Self::dir_with_database(dns, port, keys);
        let server = serve(&dir);
        Self { dir, server, database: Some(database) }
    }

    /// A database with accounts, and a directory whose configuration names it.
    pub(crate) fn dir_with_database(dns: &DnsServer, port: u16, keys: &str) -> (TestDir, PostgresServer) {
        let database = PostgresServer::start(Durability::Unsynced);
        let dir = TestDir::with_config(&format!(
            "{}[auth]\nhash_memory = '1 MiB'\nhash_milliseconds = 1\n[store]\nkind = 'postgres'\nurl = '{}'\nconnections = 8\n",
            Self::config(dns, port, keys),
            database.create_database(),
        ));
        let succeeds = |arguments: &[&str], input: &str| {
            let output = dir.pennypost(arguments, input);
            assert_eq!(output.code, Some(0), "{output:?}");
        };
        succeeds(&["migrate"], "");
        for (name, password) in PASSWORDS {
            succeeds(&["user", "add", name, "--password-stdin"], &format!("{password}\n"));
        }
        (dir, database)
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
        Self { dir, server, database: None }
    }

    /// A client that has signed in as ag.
    pub(crate) fn submission(&self) -> SmtpClient {
        Self::submission_at(&self.server)
    }

    /// As [`submission`](Self::submission), at another server.
    pub(crate) fn submission_at(server: &ServerProcess) -> SmtpClient {
        let mut smtp = SmtpClient::connect(server.address("submission"));
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

    /// The mail of an account.
    pub(crate) fn mail(&self, account: &str) -> String {
        if self.database.is_none() {
            let mail = String::from_utf8_lossy(&self.dir.mailbox(account)).into_owned();
            return if mail.ends_with("\r\n.\r\n") { mail } else { String::new() };
        }
        let mut pop3 = self.log_in(account);
        let messages = (1..=pop3.stat().0).map(|number| pop3.retrieve(number)).collect::<Vec<_>>().concat();
        assert!(pop3.command("QUIT").starts_with("+OK"));
        String::from_utf8_lossy(&messages).into_owned()
    }

    /// Removes the mail of an account.
    pub(crate) fn remove_mail(&self, account: &str) {
        if self.database.is_none() {
            fs::remove_file(self.dir.path(&format!("data/{account}/MyMailBox.txt"))).ok();
            return;
        }
        let mut pop3 = self.log_in(account);
        for number in 1..=pop3.stat().0 {
            assert!(pop3.command(&format!("DELE {number}")).starts_with("+OK"));
        }
        assert!(pop3.command("QUIT").starts_with("+OK"));
    }

    fn log_in(&self, account: &str) -> Pop3Client {
        let (_, password) = PASSWORDS.iter().find(|(name, _)| *name == account).expect("an account");
        self.server.log_in(account, password)
    }

    /// Kills the server and starts another one, which has read the queue.
    pub(crate) fn restart(self) -> Self {
        let Self { dir, server, database } = self;
        server.kill();
        if let Some(database) = &database {
            // As if a minute had passed.
            database.psql("mail0", "UPDATE queue_node SET expires = '-infinity'");
        }
        let mut server = serve(&dir);
        let is_read =
            if database.is_some() { "taken from nodes that have ended" } else { "outbound queue read" };
        server.wait_for_log(is_read);
        Self { dir, server, database }
    }

    /// The mail of ag, after a report has arrived.
    pub(crate) fn report(&self) -> String {
        let start = Instant::now();
        loop {
            let mail = self.mail("ag");
            if !mail.is_empty() {
                return mail;
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
