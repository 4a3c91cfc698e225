//! Durable deliveries of 4 KiB messages, sent by Postfix's smtp-source and counted in the mailboxes.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use xtask::shell::{self, Result, command, print};

use super::postfix::wait_for_deliveries;
use super::server_process::{Server, accepts, free_port, path_error};
use super::table::{Row, Target, Unit, format_value, median};
use super::{Accounts, MailPath, Testbed};

/// `1u` to `2000u`, the names smtp-source generates.
const MAILBOXES: usize = 2_000;

/// Parameters of one smtp-source run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) sessions: usize,
    pub(super) messages: usize,
    /// The recipient of all messages; `None` distributes them over 2,000 mailboxes.
    pub(super) one_mailbox: Option<&'a str>,
    pub(super) message_bytes: usize,
    /// Several messages per session; otherwise one.
    pub(super) reuse_sessions: bool,
    /// Sends this file instead of a message of `message_bytes`.
    pub(super) message: Option<&'a Path>,
}

pub(super) const LOAD: Load = Load {
    sessions: 20,
    messages: 0,
    one_mailbox: None,
    message_bytes: 4096,
    reuse_sessions: true,
    message: None,
};
const SHARED_MAILBOX: &str = "hot";

pub(super) fn accounts() -> Accounts {
    let numbered = (1..=MAILBOXES).map(|number| format!("{number}u"));
    Accounts { receiving: numbered.chain([SHARED_MAILBOX.to_owned()]).collect(), ..Accounts::default() }
}

pub(super) fn rows(testbed: &mut Testbed, rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let sink = Sink::start(&testbed.folder)?;
    // Creating a mailbox is not part of a delivery.
    MailPath::ALL
        .iter()
        .try_for_each(|path| testbed.deliver(*path, Load { messages: MAILBOXES, ..LOAD }).map(drop))?;
    // Enough messages for each measurement to run for a second or more.
    for (work, load, messages, target) in [
        ("deliveries, 20 sessions, 2,000 mailboxes", LOAD, [10_000, 2_000, 1_000], Some(6.0)),
        (
            "deliveries, 1 session, 2,000 mailboxes",
            Load { sessions: 1, ..LOAD },
            [4_000, 1_000, 400],
            Some(3.0),
        ),
        (
            "deliveries, 20 sessions, one mailbox",
            Load { one_mailbox: Some(SHARED_MAILBOX), ..LOAD },
            [10_000, 2_000, 60],
            Some(6.0),
        ),
        (
            "deliveries, one per session, 20 at a time",
            Load { reuse_sessions: false, ..LOAD },
            [10_000, 2_000, 1_000],
            None,
        ),
    ] {
        let is_first = rows.is_empty();
        let row = testbed.compare(
            work,
            Unit::Rate,
            rounds,
            &MailPath::ALL,
            MailPath::smtp_name,
            |testbed, path| {
                let [pennypost, maildir, mbox] = messages;
                match path {
                    MailPath::Pennypost => {
                        if is_first {
                            sink.measure()?;
                        }
                        testbed.deliver(path, Load { messages: pennypost, ..load })
                    }
                    MailPath::Maildir => testbed.deliver(path, Load { messages: maildir, ..load }),
                    MailPath::Mbox => testbed.deliver(path, Load { messages: mbox, ..load }),
                }
            },
        )?;
        rows.push(Row { target: target.map(Target::Ratio), ..row });
    }
    let compared_with_sink = Row {
        name: "the first, compared with a server that stores nothing".to_owned(),
        unit: Unit::Rate,
        pennypost: rows[0].pennypost,
        peers: vec![("smtp-sink".to_owned(), median(&sink.rates.borrow()))],
        target: Some(Target::Ratio(0.4)),
    };
    rows.insert(1, compared_with_sink);
    Ok(rows)
}

impl Testbed {
    /// Messages per second, from the first connection to the last message in its mailbox.
    pub(super) fn deliver(&self, path: MailPath, load: Load) -> Result<f64> {
        let before = self.count(path, load.one_mailbox)?;
        let begin = Instant::now();
        let mut log = self.postfix.log();
        send(self.smtp(path), path.domain(), load)?;
        // Postfix accepts a message before it delivers it.
        if path != MailPath::Pennypost {
            wait_for_deliveries(&mut log, load.messages)?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let arrived = self.count(path, load.one_mailbox)? - before;
        if arrived != load.messages {
            return Err(format!(
                "{}: only {arrived} of {} messages are in the mailboxes",
                path.smtp_name(),
                load.messages
            ));
        }
        Ok(load.messages as f64 / seconds)
    }

    /// Number of messages in one mailbox, or in all.
    fn count(&self, path: MailPath, mailbox: Option<&str>) -> Result<usize> {
        let folder = |all: &Path| mailbox.map_or_else(|| all.to_owned(), |name| all.join(name));
        match path {
            MailPath::Pennypost => matching_lines(&folder(&self.pennypost.data), "MyMailBox.txt", "^\\.\r$"),
            MailPath::Mbox => matching_lines(&folder(&self.mail.join("mbox")), "inbox", "^From "),
            MailPath::Maildir => {
                let all = self.mail.join("maildir");
                let names = match mailbox {
                    Some(name) => vec![all.join(name)],
                    None => entries(&all)?,
                };
                names.iter().map(|name| entries(&name.join("new")).map(|files| files.len())).sum()
            }
        }
    }
}

/// Runs `smtp-source`, several times if there are more messages than mailboxes, because it numbers recipients from 1.
pub(super) fn send(address: SocketAddr, domain: &str, load: Load) -> Result {
    let Load { sessions, messages, one_mailbox, message_bytes, reuse_sessions, message } = load;
    let mut left = messages;
    while left > 0 {
        let now = if one_mailbox.is_some() { left } else { left.min(MAILBOXES) };
        let mut source = command("smtp-source");
        source.args(["-s", &sessions.min(now).to_string(), "-m", &now.to_string()]);
        match message {
            Some(file) => source.arg("-F").arg(file),
            None => source.args(["-l", &message_bytes.to_string()]),
        };
        source.args(["-f", "sender@peers.test", "-M", "source.peers.test"]);
        if reuse_sessions {
            source.arg("-d");
        }
        match one_mailbox {
            Some(name) => source.args(["-t", &format!("{name}@{domain}")]),
            None => source.args(["-N", "-t", &format!("u@{domain}")]),
        };
        shell::run(source.arg(address.to_string()))?;
        left -= now;
    }
    Ok(())
}

/// smtp-sink, a server that stores nothing; shows the limit of the load program.
struct Sink {
    address: SocketAddr,
    rates: RefCell<Vec<f64>>,
    _server: Server,
}

impl Sink {
    fn start(folder: &Path) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let log = folder.join("smtp-sink.log");
        let mut sink = command("smtp-sink");
        // smtp-sink refuses to run as root.
        let mut server =
            Server::start("smtp-sink", sink.args(["-u", "nobody", &address.to_string(), "1000"]), &log)?;
        server.wait_for(&log, || accepts(address))?;
        Ok(Self { address, rates: RefCell::default(), _server: server })
    }

    fn measure(&self) -> Result {
        let messages = 20_000;
        let begin = Instant::now();
        send(self.address, "sink.test", Load { messages, ..LOAD })?;
        let rate = messages as f64 / begin.elapsed().as_secs_f64();
        print(&format!("smtp-sink: {}", format_value(Unit::Rate, rate)));
        self.rates.borrow_mut().push(rate);
        Ok(())
    }
}

/// Number of matching lines in all files of this name below a folder.
pub(super) fn matching_lines(folder: &Path, name: &str, pattern: &str) -> Result<usize> {
    let mut grep = command("grep");
    grep.args([
        "--recursive",
        "--text",
        "--count",
        "--no-filename",
        &format!("--include={name}"),
        "--",
        pattern,
    ])
    .arg(folder);
    let found = grep.output().map_err(|error| format!("cannot run grep: {error}"))?;
    Ok(String::from_utf8_lossy(&found.stdout).lines().filter_map(|line| line.parse::<usize>().ok()).sum())
}

fn entries(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        // The first delivery creates the Maildir.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(path_error(folder, &error)),
    }
}
