//! The mail servers of a domain (RFC 5321 section 5.1), from the DNS.

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;
use std::time::Duration;

use config::{NameServer, Networks};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use ipnet::IpNet;

use crate::session::Failure;

/// Mail servers of a domain that are tried in one attempt.
const HOSTS_MAX: usize = 10;
/// Addresses of a mail server that are tried in one attempt.
const ADDRESSES_MAX: usize = 4;
const DNS_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks up mail servers.
#[derive(Clone)]
pub(crate) struct Resolver {
    dns: TokioResolver,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// A mail server and its preference.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exchange {
    preference: u16,
    host: String,
}

impl Resolver {
    /// As [`dns_resolver`].
    pub(crate) fn new(servers: &[NameServer]) -> Result<Self, String> {
        dns_resolver(servers, DNS_TIMEOUT / 2).map(|dns| Self { dns })
    }

    /// The names of the mail servers of a domain, in the order in which they are tried. `own_name` is this host.
    ///
    /// # Errors
    /// The domain does not exist, accepts no mail (RFC 7505), or its mail comes here; or the DNS does not answer.
    pub(crate) async fn mail_servers(&self, domain: &str, own_name: &str) -> Result<Vec<String>, Failure> {
        let answer = match self.dns.mx_lookup(format!("{domain}.")).await {
            // The implicit MX record of a host.
            Err(error) if error.is_no_records_found() && !error.is_nx_domain() => {
                return Ok(vec![domain.to_owned()]);
            }
            Err(error) if error.is_nx_domain() => {
                return Err(Failure::permanent("5.1.2", format!("the domain {domain} does not exist")));
            }
            Err(error) => {
                return Err(Failure::temporary(
                    "4.4.3",
                    format!("the DNS has no answer for {domain}: {error}"),
                ));
            }
            Ok(answer) => answer,
        };
        let exchanges = answer.answers().iter().filter_map(|record| match &record.data {
            RData::MX(mx) => {
                let host = mx.exchange.to_ascii().trim_end_matches('.').to_ascii_lowercase();
                Some(Exchange { preference: mx.preference, host })
            }
            _ => None,
        });
        let exchanges: Vec<_> = exchanges.collect();
        if exchanges.is_empty() {
            return Ok(vec![domain.to_owned()]);
        }
        order(exchanges, domain, own_name, random)
    }

    /// The addresses of a mail server, as [`permitted`] selects them.
    ///
    /// # Errors
    /// The host has no such address, or the DNS does not answer.
    pub(crate) async fn addresses(
        &self,
        host: &str,
        private_networks: &Networks,
        is_configured: bool,
    ) -> Result<Vec<IpAddr>, Failure> {
        let found: Vec<IpAddr> = match self.dns.lookup_ip(format!("{host}.")).await {
            Ok(found) => found.iter().collect(),
            Err(error) if error.is_no_records_found() => {
                return Err(Failure::permanent("5.4.4", format!("the mail server {host} has no address")));
            }
            Err(error) => {
                return Err(Failure::temporary(
                    "4.4.3",
                    format!("the DNS has no answer for {host}: {error}"),
                ));
            }
        };
        permitted(found, host, private_networks, is_configured)
    }
}

/// The addresses that mail may be sent to: all addresses of a configured host; otherwise public ones, and those in
/// `private_networks`. A public name could point to a service of this host or its network.
///
/// # Errors
/// There is no such address.
pub(crate) fn permitted(
    addresses: Vec<IpAddr>,
    host: &str,
    private_networks: &Networks,
    is_configured: bool,
) -> Result<Vec<IpAddr>, Failure> {
    let is_permitted =
        |address: &IpAddr| is_configured || is_public(*address) || private_networks.contains(*address);
    let addresses: Vec<_> = addresses.into_iter().filter(is_permitted).take(ADDRESSES_MAX).collect();
    if addresses.is_empty() {
        let text = format!(
            "the mail server {host} has private addresses only; see `private_networks` in [outbound]"
        );
        return Err(Failure::permanent("5.4.4", text));
    }
    Ok(addresses)
}

/// A client of the given DNS servers, or those of the system. `timeout` limits an attempt, of which there are two.
///
/// # Errors
/// A sentence: the configuration of the system is unreadable.
pub fn dns_resolver(servers: &[NameServer], timeout: Duration) -> Result<TokioResolver, String> {
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
    builder.build().map_err(failed)
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

/// The order in which mail servers are tried: by preference, equal preferences at random. Servers that are not preferred to this
/// host are left out, because they would send the mail here.
fn order(
    exchanges: Vec<Exchange>,
    domain: &str,
    own_name: &str,
    random: impl Fn() -> u64,
) -> Result<Vec<String>, Failure> {
    if exchanges.iter().any(|exchange| exchange.host.is_empty()) {
        return Err(Failure::permanent("5.1.10", format!("the domain {domain} accepts no mail (null MX)")));
    }
    let own = exchanges.iter().filter(|exchange| exchange.host.eq_ignore_ascii_case(own_name));
    let limit = own.map(|exchange| exchange.preference).min();
    let preferred =
        exchanges.into_iter().filter(|exchange| limit.is_none_or(|limit| exchange.preference < limit));
    let mut ordered: Vec<_> =
        preferred.map(|Exchange { preference, host }| (preference, random(), host)).collect();
    ordered.sort();
    let hosts: Vec<String> = ordered.into_iter().map(|(_, _, host)| host).take(HOSTS_MAX).collect();
    if hosts.is_empty() {
        let text =
            format!("the mail servers of {domain} send its mail to this host, which has no such domain");
        return Err(Failure::permanent("5.4.6", text));
    }
    Ok(hosts)
}

fn random() -> u64 {
    // Without randomness, the order within a preference is that of the names.
    getrandom::u64().unwrap_or_default()
}

/// Special-purpose networks that no public mail server uses (RFC 6890), except for those that are global.
const PRIVATE_NETWORKS: [&str; 17] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
    "::/127",
    "64:ff9b:1::/48",
    "100::/64",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Whether the address is not in a special-purpose network.
pub fn is_public(address: IpAddr) -> bool {
    static NETWORKS: LazyLock<Vec<IpNet>> =
        LazyLock::new(|| PRIVATE_NETWORKS.map(|network| network.parse().expect("a network")).into());
    let address = address.to_canonical();
    !NETWORKS.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(exchanges: &[(u16, &str)]) -> Result<Vec<String>, Failure> {
        let exchange =
            |(preference, host): &(u16, &str)| Exchange { preference: *preference, host: (*host).into() };
        order(exchanges.iter().map(exchange).collect(), "example.net", "mx.iitkgp.edu", || 0)
    }

    #[test]
    fn lower_preferences_come_first() {
        assert_eq!(ordered(&[(20, "b"), (10, "c"), (20, "a")]).unwrap(), ["c", "a", "b"]);
    }

    #[test]
    fn equal_preferences_are_shuffled() {
        let exchanges: Vec<_> =
            (0..8).map(|number| Exchange { preference: 5, host: format!("mx{number}") }).collect();
        let first = |_| order(exchanges.clone(), "example.net", "own", random).unwrap().remove(0);
        let hosts: std::collections::HashSet<_> = (0..200).map(first).collect();
        assert!(hosts.len() > 4, "{hosts:?}");
    }

    #[test]
    fn own_name_ends_the_list() {
        assert_eq!(ordered(&[(10, "a"), (20, "MX.iitkgp.edu"), (20, "b"), (30, "c")]).unwrap(), ["a"]);
        let failure = ordered(&[(10, "mx.iitkgp.edu"), (20, "b")]).unwrap_err();
        assert!(failure.is_permanent && failure.text.contains("send its mail to this host"), "{failure:?}");
    }

    #[test]
    fn null_mx_is_a_permanent_failure() {
        let failure = ordered(&[(0, "")]).unwrap_err();
        assert!(failure.is_permanent && failure.text.starts_with("5.1.10 "), "{failure:?}");
    }

    #[test]
    fn thousand_mail_servers_are_truncated() {
        let names: Vec<_> = (0..1_000).map(|number| format!("mx{number:04}")).collect();
        let exchanges: Vec<_> = names.iter().map(|name| (1, name.as_str())).collect();
        assert_eq!(ordered(&exchanges).unwrap().len(), HOSTS_MAX);
    }

    #[test]
    fn private_addresses_are_not_public() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "169.254.1.1",
            "::1",
            "::ffff:192.168.1.1",
            "fe80::1",
            "fd00::1",
            "0.0.0.0",
            "255.255.255.255",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["8.8.8.8", "172.32.0.1", "2001:4860::1", "100.63.0.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }
}
