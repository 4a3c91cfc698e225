//! A DNS server on a free port of the loopback interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hickory_server::Server;
use hickory_server::dnssec::NxProofKind;
use hickory_server::net::runtime::{Time, TokioRuntimeProvider};
use hickory_server::proto::dnssec::crypto::EcdsaSigningKey;
use hickory_server::proto::dnssec::rdata::DNSKEY;
use hickory_server::proto::dnssec::{Algorithm, DnssecSigner, SigningKey};
use hickory_server::proto::rr::rdata::{A, CNAME, MX, NS, PTR, SOA, SRV, TLSA, TXT};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;

/// Answers until it is dropped.
pub(crate) struct DnsServer {
    pub(crate) address: SocketAddr,
    /// The key of the root as a DNSKEY record; empty if no zone is signed.
    pub(crate) trust_anchor: String,
    _runtime: Runtime,
    _server: Server<Zones>,
}

/// A record: the owner and its data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DnsRecord<'a> {
    A(&'a str, Ipv4Addr),
    Mx(&'a str, u16, &'a str),
    Ptr(&'a str, &'a str),
    Txt(&'a str, &'a str),
    /// A record `3 1 1` with this digest in hexadecimal digits.
    Tlsa(&'a str, &'a str),
    /// A record of usage 0, which is unusable for SMTP (RFC 7672 section 3.1.3).
    UnusableTlsa(&'a str),
    Srv(&'a str, u16, &'a str),
    Cname(&'a str, &'a str),
}

type Zone = InMemoryZoneHandler<TokioRuntimeProvider>;

/// Queries below this domain get no answer.
pub(crate) const SILENT_DOMAIN: &str = "silent.example";
static SILENT: LazyLock<Name> = LazyLock::new(|| name(SILENT_DOMAIN));

/// Answers as a resolver does: DS records are those of the parent zone, all others those of the zone itself.
struct Zones {
    all: Catalog,
    root: Catalog,
}

impl RequestHandler for Zones {
    // The trait is an `async_trait`.
    fn handle_request<'life0, 'life1, 'async_trait, R, T>(
        &'life0 self,
        request: &'life1 Request,
        response: R,
    ) -> Pin<Box<dyn Future<Output = ResponseInfo> + Send + 'async_trait>>
    where
        R: ResponseHandler + 'async_trait,
        T: Time + 'async_trait,
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        let queries = request.queries.queries();
        if queries.iter().any(|query| SILENT.zone_of(&query.name().into())) {
            return Box::pin(std::future::pending());
        }
        let is_ds = queries.iter().any(|query| query.query_type() == RecordType::DS);
        let catalog = if is_ds { &self.root } else { &self.all };
        catalog.handle_request::<R, T>(request, response)
    }
}

impl DnsServer {
    /// One zone without signatures.
    pub(crate) fn start(records: &[DnsRecord<'_>]) -> Self {
        Self::serve(vec![(Name::root(), zone(Name::root(), None, records))], String::new())
    }

    /// A signed root, in which the zones `unsigned` are delegated without a key.
    pub(crate) fn start_signed(records: &[DnsRecord<'_>], unsigned: &[(&str, &[DnsRecord<'_>])]) -> Self {
        let mut root = zone(Name::root(), Some(NxProofKind::Nsec), records);
        for (owner, _) in unsigned {
            // The zone itself has the same record, see `zone`.
            let ns = RData::NS(NS(name("ns")));
            assert!(root.upsert_mut(Record::from_rdata(name(owner), 60, ns), 1), "{owner}");
        }
        Self::serve_signed(root, unsigned)
    }

    /// A signed root, which proves that the zones `forged` do not exist.
    pub(crate) fn start_forged(forged: &[(&str, &[DnsRecord<'_>])]) -> Self {
        Self::serve_signed(zone(Name::root(), Some(NxProofKind::Nsec), &[]), forged)
    }

    fn serve_signed(mut root: Zone, unsigned: &[(&str, &[DnsRecord<'_>])]) -> Self {
        let trust_anchor = sign(&mut root);
        let mut zones: Vec<_> =
            unsigned.iter().map(|(owner, records)| (name(owner), zone(name(owner), None, records))).collect();
        zones.push((Name::root(), root));
        Self::serve(zones, trust_anchor)
    }

    fn serve(zones: Vec<(Name, Zone)>, trust_anchor: String) -> Self {
        let mut zones_of = Zones { all: Catalog::new(), root: Catalog::new() };
        for (origin, zone) in zones {
            let zone: Arc<dyn ZoneHandler> = Arc::new(zone);
            if origin.is_root() {
                zones_of.root.upsert(origin.clone().into(), vec![Arc::clone(&zone)]);
            }
            zones_of.all.upsert(origin.into(), vec![zone]);
        }
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
        let mut server = Server::new(zones_of);
        runtime.block_on(async {
            server.register_socket(udp);
            server.register_listener(tcp, super::TIMEOUT, 4096);
        });
        Self { address, trust_anchor, _runtime: runtime, _server: server }
    }
}

fn zone(origin: Name, proof: Option<NxProofKind>, records: &[DnsRecord<'_>]) -> Zone {
    let mut zone = Zone::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny, proof);
    let soa = SOA::new(name("ns"), name("hostmaster"), 1, 3600, 600, 86400, 1);
    zone.upsert_mut(Record::from_rdata(origin.clone(), 60, RData::SOA(soa)), 1);
    zone.upsert_mut(Record::from_rdata(origin, 60, RData::NS(NS(name("ns")))), 1);
    for record in records {
        let (owner, data) = match record {
            DnsRecord::A(owner, address) => (owner, RData::A(A(*address))),
            DnsRecord::Mx(owner, preference, host) => (owner, RData::MX(MX::new(*preference, name(host)))),
            DnsRecord::Ptr(owner, host) => (owner, RData::PTR(PTR(name(host)))),
            DnsRecord::Srv(owner, port, host) => (owner, RData::SRV(SRV::new(0, 1, *port, name(host)))),
            DnsRecord::Cname(owner, host) => (owner, RData::CNAME(CNAME(name(host)))),
            DnsRecord::Txt(owner, text) => (owner, RData::TXT(TXT::new(strings(text)))),
            DnsRecord::UnusableTlsa(owner) => {
                (owner, RData::TLSA(TLSA::new(0.into(), 1.into(), 1.into(), vec![0; 32])))
            }
            DnsRecord::Tlsa(owner, digest) => {
                let octet = |at| u8::from_str_radix(&digest[at..at + 2], 16).expect("hexadecimal digits");
                let digest = (0..digest.len()).step_by(2).map(octet).collect();
                (owner, RData::TLSA(TLSA::new(3.into(), 1.into(), 1.into(), digest)))
            }
        };
        assert!(zone.upsert_mut(Record::from_rdata(name(owner), 60, data), 1), "{record:?}");
    }
    zone
}

/// Signs a zone with a new key. Returns the key as a DNSKEY record.
fn sign(zone: &mut Zone) -> String {
    const ALGORITHM: Algorithm = Algorithm::ECDSAP256SHA256;
    let key = EcdsaSigningKey::generate_pkcs8(ALGORITHM).expect("a key");
    let key = EcdsaSigningKey::from_pkcs8(&key, ALGORITHM).expect("a key");
    let public = DNSKEY::from_key(&key.to_public_key().expect("a public key"));
    let record = format!(". 3600 IN DNSKEY {public}\n");
    let signer = DnssecSigner::new(public, Box::new(key), Name::root(), Duration::from_secs(86_400));
    zone.add_zone_signing_key_mut(signer).expect("the key is added");
    zone.secure_zone_mut().expect("the zone is signed");
    record
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).expect("a name")
}

/// The strings of a TXT record, each of at most 255 octets.
fn strings(text: &str) -> Vec<String> {
    text.as_bytes().chunks(255).map(|string| String::from_utf8_lossy(string).into_owned()).collect()
}
