//! Connections: the first mail server of a destination that can take a message, over TLS as required by DANE, MTA-STS and the message.
//!
//! | demand | certificate | otherwise |
//! |---|---|---|
//! | usable TLSA records of the host (RFC 7672) | as in the records | deferred |
//! | MTA-STS policy of the domain (RFC 8461), without usable TLSA records | of a public authority, for a host that the policy names | deferred |
//! | REQUIRETLS of the message (RFC 8689) | one of these, or of a public authority if DNSSEC proves the host's name | returned |
//! | unusable TLSA records (RFC 7672 section 2.2) | any | deferred |
//! | none, or the message has `TLS-Required: No` | any | plain text |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{HostName, OutboundMode, SmarthostTls};
use hickory_resolver::proto::rr::rdata::TLSA;
use mail_core::message::address::{Address, AddressLiteral, Host};
use mail_core::mta_sts::{Mode, Policy};
use mail_core::smtp::client::Envelope;
use mail_core::smtp::command::HelloName;
use tokio::time::timeout;
use tracing::{debug, info};

use super::{AgentState, ReportTarget};
use crate::dane;
use crate::dns::LookupError;
use crate::route;
use crate::session::{self, ConnectError, Encryption, Failure, Session, TlsNeed};
use crate::store::QueueStore;

/// Time to find a mail server of a domain, over all of its addresses. A slow greeting alone may take five minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(600);
pub(super) const QUIT_TIMEOUT: Duration = Duration::from_secs(5);

/// The mail servers of a destination.
struct Route {
    hosts: Vec<String>,
    port: u16,
    /// The domain of the recipients, in ASCII form; empty for a smarthost and for an address literal.
    domain: String,
    /// DNSSEC proves that the hosts are the domain's.
    is_secure: bool,
    /// The MTA-STS policy of the domain.
    policy: Option<Policy>,
}

/// A message that is to be sent.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) need: TlsNeed,
}

impl<Q: QueueStore, R: ReportTarget> AgentState<Q, R> {
    /// Connects to the first host of the recipient's destination that can take the message.
    pub(super) async fn connect(
        &self,
        recipient: &Address,
        message: Outgoing<'_>,
    ) -> Result<Session, Failure> {
        let late = || {
            Failure::temporary(
                "4.4.1",
                format!("no mail server of {} answered within 10 minutes", recipient.host),
            )
        };
        let connected = timeout(CONNECT_TIMEOUT, self.connect_to_any(recipient, message)).await;
        connected.unwrap_or_else(|_| Err(late()))
    }

    async fn connect_to_any(&self, recipient: &Address, message: Outgoing<'_>) -> Result<Session, Failure> {
        let route = self.route(&recipient.host).await?;
        let mut last = None;
        for host in &route.hosts {
            match self.connect_to_host(host, &route, message).await {
                Ok(session) => return Ok(session),
                Err(failure) => {
                    debug!(host, reason = failure.text, "mail server skipped");
                    // A temporary failure of one server counts more than a permanent one of another.
                    last = last.filter(|last: &Failure| !last.is_permanent).or(Some(failure));
                }
            }
        }
        Err(last.unwrap_or_else(|| Failure::permanent("5.4.4", "the domain has no mail server")))
    }

    async fn route(&self, host: &Host) -> Result<Route, Failure> {
        let fixed = |host: String, port| Route {
            hosts: vec![host],
            port,
            domain: String::new(),
            is_secure: false,
            policy: None,
        };
        if let (OutboundMode::Smarthost, Some(smarthost)) = (&self.config.mode, &self.config.smarthost) {
            let host = match &smarthost.address.host {
                HostName::Domain(name) => name.clone(),
                HostName::Address(address) => address.to_string(),
            };
            return Ok(fixed(host, smarthost.address.port));
        }
        let port = self.config.port;
        let domain = match host {
            Host::Domain(domain) => domain.ascii().into_owned(),
            Host::Literal(AddressLiteral::V4(address)) => return Ok(fixed(address.to_string(), port)),
            Host::Literal(AddressLiteral::V6(address)) => return Ok(fixed(address.to_string(), port)),
            Host::Literal(_) => {
                return Err(Failure::permanent("5.1.2", "unsupported address literal"));
            }
        };
        let found = route::mail_servers(&self.dns, &domain, &self.hostname.ascii()).await?;
        let policy = match &self.policies {
            Some(policies) => policies.find(&self.dns, &domain).await,
            None => None,
        };
        Ok(Route { hosts: found.records, port, domain, is_secure: found.is_secure, policy })
    }

    async fn connect_to_host(
        &self,
        host: &str,
        route: &Route,
        message: Outgoing<'_>,
    ) -> Result<Session, Failure> {
        let is_smarthost = self.config.mode == OutboundMode::Smarthost;
        let (addresses, is_secure) = match host.parse() {
            Ok(address) => {
                let networks = &self.config.private_networks;
                (route::permitted(vec![address], host, networks, is_smarthost)?, false)
            }
            Err(_) => {
                let networks = &self.config.private_networks;
                let found = route::addresses(&self.dns, host, networks, is_smarthost).await?;
                (found.records, route.is_secure && found.is_secure)
            }
        };
        let encryption = match is_smarthost {
            true => self.smarthost_encryption(),
            false => self.encryption(host, route, is_secure, message.need).await?,
        };
        let mut last = None;
        for address in addresses {
            let host = session::Host { name: host.to_owned(), address: SocketAddr::new(address, route.port) };
            match self.connect_to_address(host, encryption.clone(), message).await {
                Ok(session) => return Ok(session),
                Err(failure) => last = Some(failure),
            }
        }
        Err(last.unwrap_or_else(|| Failure::permanent("5.4.4", format!("{host} has no address"))))
    }

    async fn connect_to_address(
        &self,
        host: session::Host,
        encryption: Encryption,
        message: Outgoing<'_>,
    ) -> Result<Session, Failure> {
        let connect = |encryption| {
            let hello = HelloName::parse(&self.hostname.ascii()).expect("a domain is a name for EHLO");
            let (network, credentials) = (&*self.network, self.credentials.clone());
            Session::connect(network, host.clone(), encryption, hello, credentials, message.need)
        };
        let session = match connect(encryption).await {
            Ok(session) => session,
            Err(ConnectError::Failed(failure)) if message.need == TlsNeed::Required => {
                return Err(failure.final_without_tls());
            }
            Err(ConnectError::Failed(failure)) => return Err(failure),
            // RFC 7435: plain text is better than no delivery.
            Err(ConnectError::TlsFailed(failure)) => match connect(Encryption::Off).await {
                Ok(session) => session,
                Err(ConnectError::Failed(_) | ConnectError::TlsFailed(_)) => return Err(failure),
            },
        };
        match session.check(message.envelope, message.need) {
            Ok(()) => Ok(session),
            // Another mail server may have the capability.
            Err(failure) => {
                let _ = timeout(QUIT_TIMEOUT, session.quit()).await;
                Err(failure)
            }
        }
    }

    /// TLS to a mail server of a domain. `is_secure`: DNSSEC proves its name and addresses.
    async fn encryption(
        &self,
        host: &str,
        route: &Route,
        is_secure: bool,
        need: TlsNeed,
    ) -> Result<Encryption, Failure> {
        if need == TlsNeed::Optional {
            return Ok(Encryption::Opportunistic(Arc::clone(&self.tls.opportunistic)));
        }
        let tlsa = if is_secure { self.usable_tlsa(host, route.port).await? } else { None };
        if let Some(records) = tlsa.as_ref().filter(|records| !records.is_empty()) {
            let config = self.tls.dane(records.clone(), &[host, &route.domain]);
            return Ok(Encryption::Verified(config, "DANE"));
        }
        let verified = self.tls.verified.as_ref();
        let verified = |reason| verified.map(|config| Encryption::Verified(Arc::clone(config), reason));
        match route.policy.as_ref().map(|policy| (policy.mode, policy.allows(host))) {
            Some((Mode::Enforce, true)) => {
                let missing = || Failure::temporary("4.7.5", "there are no root certificates to verify with");
                return verified("MTA-STS").ok_or_else(missing);
            }
            Some((Mode::Enforce, false)) => {
                let text = format!("the MTA-STS policy of {} does not name {host}", route.domain);
                return Err(Failure::temporary("4.7.5", text));
            }
            Some((Mode::Testing, false)) => {
                info!(
                    domain = route.domain,
                    host, "the MTA-STS policy, in testing mode, does not name the host"
                );
            }
            _ => {}
        }
        if need != TlsNeed::Required {
            let config = Arc::clone(&self.tls.opportunistic);
            return Ok(match tlsa {
                // RFC 7672 section 2.2: unusable records demand TLS without verification.
                Some(_) => Encryption::Unverified(config),
                None => Encryption::Opportunistic(config),
            });
        }
        // RFC 8689 section 4.2.1
        verified("REQUIRETLS").filter(|_| is_secure).ok_or_else(|| {
            let text = format!(
                "neither DNSSEC nor an MTA-STS policy proves that {host} is a mail server of {}",
                route.domain
            );
            Failure::permanent("5.7.30", text)
        })
    }

    /// The usable TLSA records of a host; `None` if it has no records.
    async fn usable_tlsa(&self, host: &str, port: u16) -> Result<Option<Vec<TLSA>>, Failure> {
        match self.dns.tlsa(&format!("_{port}._tcp.{host}")).await {
            Ok(found) if found.is_secure => Ok(Some(dane::usable(found.records))),
            Ok(_) | Err(LookupError::NoName | LookupError::NoRecords) => Ok(None),
            // RFC 7672 section 2.1.3: an attacker could hide the records.
            Err(LookupError::Failed(error)) => {
                let text = format!("the DNS has no answer about the TLSA records of {host}: {error}");
                Err(Failure::temporary("4.7.5", text))
            }
        }
    }

    fn smarthost_encryption(&self) -> Encryption {
        const REASON: &str = "the smarthost";
        match (&self.config.smarthost, &self.tls.smarthost) {
            (Some(smarthost), Some(config)) => match smarthost.tls {
                SmarthostTls::Off => Encryption::Off,
                SmarthostTls::StartTls => Encryption::Verified(Arc::clone(config), REASON),
                SmarthostTls::Implicit => Encryption::Implicit(Arc::clone(config)),
            },
            _ => Encryption::Off,
        }
    }
}
