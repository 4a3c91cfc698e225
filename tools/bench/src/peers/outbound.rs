//! Mail to other hosts, next to Postfix: relayed to smtp-sink with one and with 20 destinations, and a queue of waiting messages:
//! its delivery, and the start with it.
//!
//! Both servers write each message to their queue and sync it before they accept it. Pennypost finds the destinations in the DNS,
//! Postfix in its transport table.

mod sinks;

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use xtask::shell::{self, Result, command, print, stdout_of};

use self::sinks::{DESTINATIONS, Sinks, domain};
use super::pennypost::Pennypost;
use super::postfix::Postfix;
use super::server_process::{LogReader, path_error, resident_memory};
use super::table::{Row, Target, Unit, format_value, median};
use super::{Accounts, Extent, TIMEOUT, prepare_peers};

const MESSAGE_BYTES: usize = 4096;
const SESSIONS: usize = 20;
/// Messages of a round: enough for it to run for a second or more.
const RELAYED: usize = 10_000;
const RELAYED_POSTFIX: usize = 4_000;
const WAITING: usize = 100_000;
/// For a quick run.
const QUICK_DIVISOR: usize = 10;
/// Log line of Pennypost.
const QUEUE_READ: &str = "outbound queue read";

pub(super) fn rows(extent: Extent) -> Result<Vec<Row>> {
    let folder = prepare_peers()?;
    let bench = Bench::new(&folder, if extent.is_quick { QUICK_DIVISOR } else { 1 })?;
    let mut rows = bench.relay_rows(extent.rounds)?;
    rows.extend(bench.waiting_rows(extent.rounds)?);
    Ok(rows)
}

struct Bench<'a> {
    folder: &'a Path,
    sinks: Sinks,
    /// Divides the numbers of messages.
    divisor: usize,
}

impl<'a> Bench<'a> {
    fn new(folder: &'a Path, divisor: usize) -> Result<Self> {
        let sinks = Sinks::start(folder)?;
        let sections = format!(
            "[outbound]\nmode = \"direct\"\nport = {}\nresolver = [\"{}\"]\n\
             private_networks = [\"127.0.0.0/8\"]\nrelay_from = [\"127.0.0.0/8\"]\n",
            sinks.port, sinks.dns.address
        );
        // The server needs an account; nothing is delivered to it.
        let accounts = Accounts { receiving: vec!["u".to_owned()], ..Accounts::default() };
        Pennypost::create_data(&folder.join("pennypost"), &accounts, &sections)?;
        Ok(Self { folder, sinks, divisor })
    }

    fn pennypost(&self) -> Result<Pennypost> {
        Pennypost::start(&self.folder.join("pennypost"))
    }

    fn postfix(&self, delivers: bool) -> Result<Postfix> {
        Postfix::start_relay(&self.folder.join("postfix"), &self.sinks.transports(), delivers)
    }

    fn relay_rows(&self, rounds: usize) -> Result<Vec<Row>> {
        let (pennypost, postfix) = (self.pennypost()?, self.postfix(true)?);
        let mut rows = Vec::new();
        for (destinations, name) in [(1, "1 destination"), (DESTINATIONS, "20 destinations")] {
            let (mut own, mut peer) = (Vec::new(), Vec::new());
            // The first round opens connections and fills caches.
            for round in 0..=rounds {
                for (server, smtp, messages, rates) in [
                    ("Pennypost", pennypost.smtp, RELAYED, &mut own),
                    ("Postfix", postfix.smtp, RELAYED_POSTFIX, &mut peer),
                ] {
                    let rate = self.relay(smtp, destinations, messages / self.divisor)?;
                    print(&format!(
                        "outbound, {name}, round {round}, {server}: {}",
                        format_value(Unit::Rate, rate)
                    ));
                    rates.extend((round > 0).then_some(rate));
                }
            }
            rows.push(Row {
                name: format!("outbound: relayed messages of 4 KiB, {name}"),
                unit: Unit::Rate,
                pennypost: Some(median(&own)),
                peers: vec![("Postfix".to_owned(), median(&peer))],
                target: Some(Target::Ratio(5.0)),
            });
        }
        Ok(rows)
    }

    /// Messages per second, from the first connection to the arrival of the last message.
    fn relay(&self, smtp: SocketAddr, destinations: u8, messages: usize) -> Result<f64> {
        let before = self.sinks.received()?;
        let begin = Instant::now();
        send(smtp, destinations, messages)?;
        self.sinks.wait_for(before + messages)?;
        Ok(messages as f64 / begin.elapsed().as_secs_f64())
    }

    fn waiting_rows(&self, rounds: usize) -> Result<Vec<Row>> {
        let messages = WAITING / self.divisor;
        let row = |name: String, unit, own: f64, target| Row {
            name: format!("outbound: {name}"),
            unit,
            pennypost: Some(own),
            peers: Vec::new(),
            target,
        };
        let queue = self.folder.join("pennypost/data/queue");
        let empty = self.start_with_queue(0)?;
        fill(&queue, messages)?;
        let starts = (0..rounds).map(|_| self.start_with_queue(messages)).collect::<Result<Vec<_>>>()?;
        let median_of = |value: fn(&Start) -> f64| median(&starts.iter().map(value).collect::<Vec<_>>());
        let bytes = (median_of(|start| start.memory) - empty.memory).max(0.0) / messages as f64;
        print(&format!("outbound: memory of a waiting message: {bytes:.0} bytes"));
        let mut rows = vec![
            row(
                format!("start with {messages} waiting messages, until it accepts mail"),
                Unit::Time,
                median_of(|start| start.listening),
                Some(Target::AtMost(1.0)),
            ),
            row(
                format!("start with {messages} waiting messages, until all are scheduled"),
                Unit::Time,
                median_of(|start| start.scheduled),
                Some(Target::AtMost(1.0)),
            ),
            row("memory of a waiting message".to_owned(), Unit::Memory, bytes, Some(Target::AtMost(200.0))),
        ];
        let own = self.drain(&queue, messages)?;
        print(&format!(
            "outbound, delivery of {messages} waiting messages, Pennypost: {}",
            format_value(Unit::Time, own)
        ));
        let peer = self.drain_postfix(messages)?;
        print(&format!(
            "outbound, delivery of {messages} waiting messages, Postfix: {}",
            format_value(Unit::Time, peer)
        ));
        rows.push(Row {
            peers: vec![("Postfix".to_owned(), peer)],
            ..row(format!("delivery of {messages} waiting messages, 20 destinations"), Unit::Time, own, None)
        });
        Ok(rows)
    }

    /// Starts Pennypost with a queue that holds this number of messages, none of them due.
    fn start_with_queue(&self, messages: usize) -> Result<Start> {
        let begin = Instant::now();
        let pennypost = self.pennypost()?;
        let listening = begin.elapsed().as_secs_f64();
        let mut log = LogReader::from_start(&pennypost.log);
        while messages > 0 && !log.lines()?.iter().any(|line| line.contains(QUEUE_READ)) {
            if begin.elapsed() > TIMEOUT {
                return Err(format!("Pennypost has not read its queue; see {}", pennypost.log.display()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        let scheduled = begin.elapsed().as_secs_f64();
        print(&format!(
            "outbound, start with {messages} messages: accepts mail after {}, all are scheduled after {}",
            format_value(Unit::Time, listening),
            format_value(Unit::Time, scheduled)
        ));
        Ok(Start { listening, scheduled, memory: resident_memory(pennypost.server.id())? as f64 })
    }

    /// Makes all messages due. Returns the seconds from the start to the arrival of the last one.
    fn drain(&self, queue: &Path, messages: usize) -> Result<f64> {
        for number in 0..messages {
            let log = queue.join(format!("{}.log", id(number)));
            fs::remove_file(&log).map_err(|error| path_error(&log, &error))?;
        }
        shell::run(&mut command("sync"))?;
        let before = self.sinks.received()?;
        let begin = Instant::now();
        let _pennypost = self.pennypost()?;
        self.sinks.wait_for(before + messages)?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Seconds from the start of the queue manager to the arrival of the last message.
    fn drain_postfix(&self, messages: usize) -> Result<f64> {
        let postfix = self.postfix(false)?;
        send(postfix.smtp, DESTINATIONS, messages)?;
        shell::run(&mut command("sync"))?;
        let before = self.sinks.received()?;
        let begin = Instant::now();
        postfix.deliver(&self.folder.join("postfix"))?;
        self.sinks.wait_for(before + messages)?;
        Ok(begin.elapsed().as_secs_f64())
    }
}

/// A start of Pennypost.
struct Start {
    /// Seconds until it accepts mail.
    listening: f64,
    /// Seconds until all messages are scheduled.
    scheduled: f64,
    /// Bytes.
    memory: f64,
}

/// Sends messages to the first `destinations` over 20 connections: one smtp-source for each destination.
fn send(smtp: SocketAddr, destinations: u8, messages: usize) -> Result {
    let count = usize::from(destinations);
    let (sessions, messages) = ((SESSIONS / count).to_string(), (messages / count).to_string());
    let start = |number| {
        let mut source = command("smtp-source");
        source.args(["-d", "-s", &sessions, "-m", &messages, "-l", &MESSAGE_BYTES.to_string()]);
        source.args([
            "-f",
            "sender@source.test",
            "-M",
            "source.test",
            "-t",
            &format!("x@{}", domain(number)),
        ]);
        source.arg(smtp.to_string());
        source.spawn().map_err(|error| format!("cannot run `{}`: {error}", shell::command_line(&source)))
    };
    let sources = (1..=destinations).map(start).collect::<Result<Vec<_>>>()?;
    for mut source in sources {
        let status = source.wait().map_err(|error| format!("cannot wait for smtp-source: {error}"))?;
        if !status.success() {
            return Err(format!("smtp-source failed with {status}"));
        }
    }
    Ok(())
}

fn id(number: usize) -> String {
    format!("01KB{number:022}")
}

/// Writes entries with an attempt in their logs, so that they wait for their next one.
fn fill(queue: &Path, messages: usize) -> Result {
    let now = stdout_of(command("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])).ok_or("`date` failed")?;
    let mut body = "Subject: waiting\r\n\r\n".to_owned();
    while body.len() < MESSAGE_BYTES {
        body.push_str("The quick brown fox jumps over the lazy dog, again and again.\r\n");
    }
    for number in 0..messages {
        let recipient = format!("x@{}", domain(1 + (number % usize::from(DESTINATIONS)) as u8));
        let mut entry = format!("received: {now}\nfrom: <sender@source.test>\nto: <{recipient}>\n\n");
        let _ = write!(entry, "Message-ID: <{number}@source.test>\r\n{body}");
        let log =
            format!("{now} <{recipient}> deferred mx.sink.test [127.0.1.1]: 451 4.7.1 Try again later\n");
        let path = queue.join(id(number));
        let written = fs::write(&path, entry).and_then(|()| fs::write(path.with_extension("log"), log));
        written.map_err(|error| path_error(&path, &error))?;
    }
    shell::run(&mut command("sync"))
}
