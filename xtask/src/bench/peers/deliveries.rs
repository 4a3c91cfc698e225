//! Durable deliveries of 4 KiB messages, sent by Postfix's own smtp-source, counted in the mailboxes.

use std::cell::RefCell;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use super::figures::{Row, Target, Unit, median, spell};
use super::postfix::delivered;
use super::process::{Server, accepts, at, free_port};
use super::{Accounts, Rig, Way};
use crate::shell::{self, Result, command, say};

/// `1u` to `2000u`: as smtp-source numbers its recipients.
const MAILBOXES: usize = 2_000;

/// What is sent in one go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) sessions: usize,
    pub(super) messages: usize,
    /// One mailbox for all, or each message to the next of the 2,000.
    pub(super) one_mailbox: Option<&'a str>,
    pub(super) octets: usize,
    /// The sessions stay open; otherwise each message has one of its own.
    pub(super) stay: bool,
}

const LOAD: Load = Load { sessions: 20, messages: 0, one_mailbox: None, octets: 4096, stay: true };
const HOT: &str = "hot";

pub(super) fn accounts() -> Accounts {
    let numbered = (1..=MAILBOXES).map(|number| format!("{number}u"));
    Accounts { silent: numbered.chain([HOT.to_owned()]).collect(), ..Accounts::default() }
}

pub(super) fn rows(rig: &mut Rig, rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let sink = Sink::start(&rig.folder)?;
    // What makes a mailbox is no delivery's.
    Way::ALL.iter().try_for_each(|way| rig.deliver(*way, Load { messages: MAILBOXES, ..LOAD }).map(drop))?;
    // So many messages that each takes a second or more where nobody else uses the machine.
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
            Load { one_mailbox: Some(HOT), ..LOAD },
            [10_000, 2_000, 60],
            Some(6.0),
        ),
        (
            "deliveries, each in a session of its own, 20 at a time",
            Load { stay: false, ..LOAD },
            [10_000, 2_000, 1_000],
            None,
        ),
    ] {
        let is_first = rows.is_empty();
        let row = rig.compare(work, Unit::Rate, rounds, &Way::ALL, Way::smtp, |rig, way| {
            let [ours, maildir, mbox] = messages;
            match way {
                Way::Ours => {
                    if is_first {
                        sink.measure()?;
                    }
                    rig.deliver(way, Load { messages: ours, ..load })
                }
                Way::Maildir => rig.deliver(way, Load { messages: maildir, ..load }),
                Way::Mbox => rig.deliver(way, Load { messages: mbox, ..load }),
            }
        })?;
        rows.push(Row { target: target.map(Target::Times), ..row });
    }
    let beside_sink = Row {
        work: "the first, beside a server that stores nothing".to_owned(),
        unit: Unit::Rate,
        ours: rows[0].ours,
        others: vec![("smtp-sink".to_owned(), median(&sink.figures.borrow()))],
        target: Some(Target::Times(0.4)),
    };
    rows.insert(1, beside_sink);
    Ok(rows)
}

impl Rig {
    /// Messages a second, from the first connection until the last message is in its mailbox.
    pub(super) fn deliver(&self, way: Way, load: Load) -> Result<f64> {
        let before = self.count(way, load.one_mailbox)?;
        let begin = Instant::now();
        let mut log = self.postfix.log();
        send(self.smtp(way), way.domain(), load)?;
        // Postfix takes a message before it delivers it.
        if way != Way::Ours {
            delivered(&mut log, load.messages)?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let arrived = self.count(way, load.one_mailbox)? - before;
        if arrived != load.messages {
            return Err(format!(
                "{}: {arrived} of {} messages are in the mailboxes",
                way.smtp(),
                load.messages
            ));
        }
        Ok(load.messages as f64 / seconds)
    }

    /// How many messages lie in one mailbox, or in all.
    fn count(&self, way: Way, mailbox: Option<&str>) -> Result<usize> {
        let folder = |all: &Path| mailbox.map_or_else(|| all.to_owned(), |name| all.join(name));
        match way {
            Way::Ours => lines(&folder(&self.ours.data), "MyMailBox.txt", "^\\.\r$"),
            Way::Mbox => lines(&folder(&self.mail.join("mbox")), "inbox", "^From "),
            Way::Maildir => {
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

/// `smtp-source`, again and again where there are more messages than mailboxes: it numbers them from 1.
fn send(address: SocketAddr, domain: &str, load: Load) -> Result {
    let Load { sessions, messages, one_mailbox, octets, stay } = load;
    let mut left = messages;
    while left > 0 {
        let now = if one_mailbox.is_some() { left } else { left.min(MAILBOXES) };
        let mut source = command("smtp-source");
        source.args([
            "-s",
            &sessions.min(now).to_string(),
            "-m",
            &now.to_string(),
            "-l",
            &octets.to_string(),
        ]);
        source.args(["-f", "sender@peers.test", "-M", "source.peers.test"]);
        if stay {
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

/// A server that stores nothing: what the load itself costs.
struct Sink {
    address: SocketAddr,
    figures: RefCell<Vec<f64>>,
    _server: Server,
}

impl Sink {
    fn start(folder: &Path) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let log = folder.join("smtp-sink.log");
        let mut sink = command("smtp-sink");
        // It refuses to run as root.
        let mut server =
            Server::start("smtp-sink", sink.args(["-u", "nobody", &address.to_string(), "1000"]), &log)?;
        server.wait_for(&log, || accepts(address))?;
        Ok(Self { address, figures: RefCell::default(), _server: server })
    }

    fn measure(&self) -> Result {
        let messages = 20_000;
        let begin = Instant::now();
        send(self.address, "sink.test", Load { messages, ..LOAD })?;
        let figure = messages as f64 / begin.elapsed().as_secs_f64();
        say(&format!("smtp-sink: {}", spell(Unit::Rate, figure)));
        self.figures.borrow_mut().push(figure);
        Ok(())
    }
}

/// Lines that fit, in all files of a name below a folder.
fn lines(folder: &Path, name: &str, pattern: &str) -> Result<usize> {
    let mut grep = command("grep");
    // It says by its exit status whether there is one.
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
        // A Maildir is made by the first delivery.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(at(folder, &error)),
    }
}
