//! DNS look-ups for delivery. With DNSSEC (RFC 4035), an answer tells whether it is secure; a forged one is an error.
//!
//! Many DNS servers of local networks do not pass signatures on. Without them every signed domain would look forged, so validation
//! begins when the servers have returned a valid signature of the root once. Until then, no answer is secure.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use config::{NameServer, Outbound};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::TLSA;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use tokio::time::Instant;
use tracing::{info, warn};

/// Time for an attempt of a query, of which there are two.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before another test of DNS servers that have returned no valid signature.
const TEST_PAUSE: Duration = Duration::from_secs(600);
/// After a test without an answer, which says nothing about signatures.
const FAILURE_PAUSE: Duration = Duration::from_secs(30);
/// Octets of TXT records of a name that are read.
const TXT_OCTETS_MAX: usize = 16 << 10;

/// Looks up records.
#[derive(Clone)]
pub(crate) struct Dns {
    plain: TokioResolver,
    /// `None`: no answer is secure.
    validating: Option<Validating>,
}

#[derive(Clone)]
struct Validating {
    dns: TokioResolver,
    support: Arc<Mutex<Support>>,
}

/// Whether the DNS servers pass signatures on.
#[derive(Debug, Clone, Copy)]
enum Support {
    Unknown,
    Yes,
    /// Until the next test.
    No(Instant),
}

/// Records of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found<T> {
    pub(crate) records: Vec<T>,
    /// DNSSEC proves all of them.
    pub(crate) is_secure: bool,
}

/// The reason there are no records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LookupError {
    /// There is no such name.
    NoName,
    /// The name has no records of the type.
    NoRecords,
    /// The DNS does not answer, or its answer is forged.
    Failed(String),
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    /// As [`dns_resolver`]; with validation if `dane` is set.
    pub(crate) fn new(config: &Outbound) -> Result<Self, String> {
        let plain = dns_resolver(&config.resolver, TIMEOUT)?;
        let anchors = config.trust_anchor.as_deref().map(trust_anchors).transpose()?.unwrap_or_default();
        let validating = config
            .dane
            .then(|| build(&config.resolver, TIMEOUT, Some(anchors)))
            .transpose()?
            .map(|dns| Validating { dns, support: Arc::new(Mutex::new(Support::Unknown)) });
        Ok(Self { plain, validating })
    }

    /// Preferences and hosts of MX records; a host of the root is empty.
    pub(crate) async fn mx(&self, domain: &str) -> Result<Found<(u16, String)>, LookupError> {
        self.lookup(domain, RecordType::MX, |data| match data {
            RData::MX(mx) => {
                let host = mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase();
                Some((mx.preference, host))
            }
            _ => None,
        })
        .await
    }

    pub(crate) async fn addresses(&self, host: &str) -> Result<Found<IpAddr>, LookupError> {
        let found = self.resolver().await.lookup_ip(format!("{host}.")).await.map_err(LookupError::from)?;
        let address = |data: &RData| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        Ok(Found::of(found.as_lookup().answers(), address))
    }

    pub(crate) async fn tlsa(&self, name: &str) -> Result<Found<TLSA>, LookupError> {
        self.lookup(name, RecordType::TLSA, |data| match data {
            RData::TLSA(record) => Some(record.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn txt(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let mut octets = 0;
        let text = |data: &RData| {
            let RData::TXT(txt) = data else { return None };
            let text: Vec<u8> = txt.txt_data.iter().flat_map(|string| string.iter().copied()).collect();
            octets += text.len();
            (octets <= TXT_OCTETS_MAX).then(|| String::from_utf8_lossy(&text).into_owned())
        };
        self.lookup(name, RecordType::TXT, text).await.map(|found| found.records)
    }

    async fn lookup<T>(
        &self,
        name: &str,
        kind: RecordType,
        select: impl FnMut(&RData) -> Option<T>,
    ) -> Result<Found<T>, LookupError> {
        let found = self.resolver().await.lookup(format!("{name}."), kind).await;
        let found = Found::of(found.map_err(LookupError::from)?.answers(), select);
        if found.records.is_empty() { Err(LookupError::NoRecords) } else { Ok(found) }
    }

    async fn resolver(&self) -> &TokioResolver {
        match &self.validating {
            Some(validating) if validating.is_supported().await => &validating.dns,
            _ => &self.plain,
        }
    }
}

impl Validating {
    async fn is_supported(&self) -> bool {
        let lock = || self.support.lock().unwrap_or_else(PoisonError::into_inner);
        let support = *lock();
        match support {
            Support::Yes => return true,
            Support::No(until) if Instant::now() < until => return false,
            Support::No(_) | Support::Unknown => {}
        }
        let root = self.dns.lookup(".", RecordType::SOA).await;
        let is_supported = root.as_ref().is_ok_and(|root| {
            Found::of(root.answers(), |data| matches!(data, RData::SOA(_)).then_some(())).is_secure
        });
        let mut state = lock();
        match (is_supported, *state) {
            (true, _) => {
                info!("the DNS servers support DNSSEC: DANE is used");
                *state = Support::Yes;
            }
            (false, Support::Yes) => return true,
            (false, Support::Unknown) => {
                warn!(
                    "the DNS servers do not pass on DNSSEC signatures, so mail servers are not verified with DANE; \
                     see `resolver` and `dane` in [outbound]"
                );
            }
            _ => {}
        }
        if !is_supported {
            let pause = if root.is_err() { FAILURE_PAUSE } else { TEST_PAUSE };
            *state = Support::No(Instant::now() + pause);
        }
        is_supported
    }
}

impl<T> Found<T> {
    /// Selects data from the records of an answer, which may contain aliases and signatures.
    fn of(answers: &[Record], select: impl FnMut(&RData) -> Option<T>) -> Self {
        let is_signature = |record: &&Record| record.record_type() == RecordType::RRSIG;
        let mut proofs = answers.iter().filter(|record| !is_signature(record)).map(|record| record.proof);
        let is_secure = !answers.is_empty() && proofs.all(|proof| proof == Proof::Secure);
        Self { records: answers.iter().map(|record| &record.data).filter_map(select).collect(), is_secure }
    }
}

impl From<NetError> for LookupError {
    fn from(error: NetError) -> Self {
        let code = match &error {
            NetError::Dns(DnsError::NoRecordsFound(no_records)) => Some(no_records.response_code),
            // The zone has no complete proof, but must not have one.
            NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. }) => {
                Some(response.metadata.response_code)
            }
            _ => None,
        };
        match code {
            Some(ResponseCode::NXDomain) => Self::NoName,
            Some(_) => Self::NoRecords,
            None => Self::Failed(error.to_string()),
        }
    }
}

/// A client of the given DNS servers, or those of the system. `timeout` limits an attempt, of which there are two.
///
/// # Errors
/// A sentence: the configuration of the system is unreadable.
pub fn dns_resolver(servers: &[NameServer], timeout: Duration) -> Result<TokioResolver, String> {
    build(servers, timeout, None)
}

fn build(
    servers: &[NameServer],
    timeout: Duration,
    anchors: Option<TrustAnchors>,
) -> Result<TokioResolver, String> {
    let failed =
        |error: NetError| format!("cannot use the DNS servers: {error}; set `resolver` in [outbound]");
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio().map_err(failed)?
    } else {
        let servers = servers.iter().map(|server| name_server(server.0)).collect();
        let config = ResolverConfig::from_name_servers(servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = timeout;
    options.attempts = 2;
    // A name in /etc/hosts has no other records, and the search list must not complete a domain.
    options.use_hosts_file = ResolveHosts::Never;
    if let Some(anchors) = anchors {
        builder = builder.with_trust_anchor(Arc::new(anchors));
    }
    builder.build().map_err(failed)
}

fn trust_anchors(path: &Path) -> Result<TrustAnchors, String> {
    TrustAnchors::from_file(path).map_err(|error| {
        format!(
            "cannot use the DNSKEY records in {}: {error}; correct `trust_anchor` in [outbound]",
            path.display()
        )
    })
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}
