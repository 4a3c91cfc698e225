//! Delivery to other hosts from the queue of text files.

mod outbound_cases;
mod support;

use support::dns::DnsServer;
use support::sender::Sender;

fn start(dns: &DnsServer, port: u16, keys: &str) -> Sender {
    Sender::start(dns, port, keys)
}
