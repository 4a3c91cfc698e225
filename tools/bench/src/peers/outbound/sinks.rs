//! smtp-sink, once for each destination: servers that count messages and store nothing.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use xtask::shell::{Result, command};

use crate::peers::dns::{DnsRecord, DnsServer};
use crate::peers::server_process::{Server, accepts, free_port, path_error};

pub(super) const DESTINATIONS: u8 = 20;
/// Fails if no message arrives within this time.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Octets at the end of an output that contain a whole counter.
const COUNTER_OCTETS: u64 = 128;

/// The mail servers of the destinations, and their DNS.
pub(super) struct Sinks {
    pub(super) port: u16,
    pub(super) dns: DnsServer,
    /// Outputs of the servers.
    outputs: Vec<PathBuf>,
    _servers: Vec<Server>,
}

/// A destination; numbers count from 1.
pub(super) fn domain(number: u8) -> String {
    format!("d{number}.sink.test")
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, number)
}

impl Sinks {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let (mut outputs, mut servers) = (Vec::new(), Vec::new());
        for number in 1..=DESTINATIONS {
            let address = SocketAddr::from((address(number), port));
            let output = folder.join(format!("smtp-sink-{number}"));
            let mut sink = command("smtp-sink");
            // smtp-sink refuses to run as root.
            sink.args([
                "-c",
                "-u",
                "nobody",
                "-h",
                &format!("mx{number}.sink.test"),
                &address.to_string(),
                "1000",
            ]);
            let mut server = Server::start("smtp-sink", &mut sink, &output)?;
            server.wait_for(&output, || accepts(address))?;
            outputs.push(output);
            servers.push(server);
        }
        let names: Vec<_> =
            (1..=DESTINATIONS).map(|number| (domain(number), format!("mx{number}.sink.test"))).collect();
        let records: Vec<_> = (1..=DESTINATIONS)
            .zip(&names)
            .flat_map(|(number, (domain, host))| {
                [DnsRecord::Mx(domain, 10, host), DnsRecord::A(host, address(number))]
            })
            .collect();
        Ok(Self { port, dns: DnsServer::start(&records), outputs, _servers: servers })
    }

    /// The transport table of Postfix, with which it needs no DNS.
    pub(super) fn transports(&self) -> String {
        (1..=DESTINATIONS)
            .map(|number| format!("{} smtp:[{}]:{}\n", domain(number), address(number), self.port))
            .collect()
    }

    /// Number of messages that have arrived.
    pub(super) fn received(&self) -> Result<usize> {
        self.outputs.iter().map(|output| received(output).map_err(|error| path_error(output, &error))).sum()
    }

    /// Waits until exactly this number of messages has arrived.
    pub(super) fn wait_for(&self, messages: usize) -> Result {
        let (mut last, mut changed) = (self.received()?, Instant::now());
        while last < messages {
            if changed.elapsed() > STALL_TIMEOUT {
                return Err(format!("{last} of {messages} messages have arrived, and no more"));
            }
            thread::sleep(POLL_INTERVAL);
            let now = self.received()?;
            if now != last {
                (last, changed) = (now, Instant::now());
            }
        }
        if last == messages {
            Ok(())
        } else {
            Err(format!("{last} messages have arrived instead of {messages}"))
        }
    }
}

/// The last complete counter in an output.
fn received(output: &Path) -> std::io::Result<usize> {
    let mut file = File::open(output)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(COUNTER_OCTETS)))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(last_counter(&text))
}

/// `sess=1 quit=0 mesg=7` and a carriage return, many times.
fn last_counter(text: &str) -> usize {
    let counters = text.rsplit_once('\r').map_or("", |(complete, _)| complete);
    let (_, count) = counters.rsplit_once("mesg=").unwrap_or_default();
    count.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_is_the_last_complete_one() {
        assert_eq!(last_counter(""), 0);
        assert_eq!(last_counter("sess=1 quit=0 mesg=7\r"), 7);
        assert_eq!(last_counter("t=0 mesg=7\rsess=2 quit=0 mesg=19\rsess=2 quit=0 mesg=2"), 19);
    }
}
