//! A DNS server on a free port of the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{A, CNAME, MX, PTR, SOA, SRV, TXT};
use hickory_server::proto::rr::{Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;

/// Answers until it is dropped.
pub(crate) struct DnsServer {
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
    _server: Server<Catalog>,
}

/// A record: the owner and its data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DnsRecord<'a> {
    A(&'a str, Ipv4Addr),
    Mx(&'a str, u16, &'a str),
    Ptr(&'a str, &'a str),
    Txt(&'a str, &'a str),
    Srv(&'a str, u16, &'a str),
    Cname(&'a str, &'a str),
}

impl DnsServer {
    pub(crate) fn start(records: &[DnsRecord<'_>]) -> Self {
        let mut zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
            Name::root(),
            ZoneType::Primary,
            AxfrPolicy::Deny,
        );
        let soa = SOA::new(name("ns"), name("hostmaster"), 1, 3600, 600, 86400, 1);
        zone.upsert_mut(Record::from_rdata(Name::root(), 60, RData::SOA(soa)), 1);
        for record in records {
            let (owner, data) = match record {
                DnsRecord::A(owner, address) => (owner, RData::A(A(*address))),
                DnsRecord::Mx(owner, preference, host) => {
                    (owner, RData::MX(MX::new(*preference, name(host))))
                }
                DnsRecord::Ptr(owner, host) => (owner, RData::PTR(PTR(name(host)))),
                DnsRecord::Srv(owner, port, host) => (owner, RData::SRV(SRV::new(0, 1, *port, name(host)))),
                DnsRecord::Cname(owner, host) => (owner, RData::CNAME(CNAME(name(host)))),
                DnsRecord::Txt(owner, text) => (owner, RData::TXT(TXT::new(strings(text)))),
            };
            assert!(zone.upsert_mut(Record::from_rdata(name(owner), 60, data), 1), "{record:?}");
        }
        let mut catalog = Catalog::new();
        catalog.upsert(Name::root().into(), vec![Arc::new(zone)]);
        let runtime = Runtime::new().expect("a runtime");
        let (udp, tcp) = runtime.block_on(async {
            loop {
                let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
                // Another test may use the same port over TCP.
                if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")).await {
                    return (udp, tcp);
                }
            }
        });
        let address = udp.local_addr().expect("bound");
        let mut server = Server::new(catalog);
        runtime.block_on(async {
            server.register_socket(udp);
            server.register_listener(tcp, super::TIMEOUT, 4096);
        });
        Self { address, _runtime: runtime, _server: server }
    }
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).expect("a name")
}

/// The strings of a TXT record, each of at most 255 octets.
fn strings(text: &str) -> Vec<String> {
    text.as_bytes().chunks(255).map(|string| String::from_utf8_lossy(string).into_owned()).collect()
}
