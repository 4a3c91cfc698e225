//! The mail servers of a domain (RFC 5321 section 5.1), from the DNS.

use std::net::IpAddr;
use std::sync::LazyLock;

use config::Networks;
use ipnet::IpNet;

use crate::dns::{Dns, Found, LookupError};
use crate::session::Failure;

/// Mail servers of a domain that are tried in one attempt.
const HOSTS_MAX: usize = 10;
/// Addresses of a mail server that are tried in one attempt.
const ADDRESSES_MAX: usize = 4;

/// A mail server and its preference.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Exchange {
    preference: u16,
    host: String,
}

/// The names of the mail servers of a domain, in the order in which they are tried. They are secure if DNSSEC proves that they are
/// the domain's. `own_name` is this host.
///
/// # Errors
/// The domain does not exist, accepts no mail (RFC 7505), or its mail comes here; or the DNS does not answer.
pub(crate) async fn mail_servers(dns: &Dns, domain: &str, own_name: &str) -> Result<Found<String>, Failure> {
    let found = match dns.mx(domain).await {
        // The implicit MX record of a host. Its addresses are secure only if the answer is.
        Err(LookupError::NoRecords) => {
            return Ok(Found { records: vec![domain.to_owned()], is_secure: true });
        }
        Err(LookupError::NoName) => {
            return Err(Failure::permanent("5.1.2", format!("the domain {domain} does not exist")));
        }
        Err(LookupError::Failed(error)) => {
            return Err(Failure::temporary("4.4.3", format!("the DNS has no answer for {domain}: {error}")));
        }
        Ok(found) => found,
    };
    let exchanges = found.records.into_iter().map(|(preference, host)| Exchange { preference, host });
    let records = order(exchanges.collect(), domain, own_name, random)?;
    Ok(Found { records, is_secure: found.is_secure })
}

/// The addresses of a mail server, as [`permitted`] selects them.
///
/// # Errors
/// The host has no such address, or the DNS does not answer.
pub(crate) async fn addresses(
    dns: &Dns,
    host: &str,
    private_networks: &Networks,
    is_configured: bool,
) -> Result<Found<IpAddr>, Failure> {
    let found = match dns.addresses(host).await {
        Ok(found) => found,
        Err(LookupError::NoName | LookupError::NoRecords) => {
            return Err(Failure::permanent("5.4.4", format!("the mail server {host} has no address")));
        }
        Err(LookupError::Failed(error)) => {
            return Err(Failure::temporary("4.4.3", format!("the DNS has no answer for {host}: {error}")));
        }
    };
    let records = permitted(found.records, host, private_networks, is_configured)?;
    Ok(Found { records, is_secure: found.is_secure })
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
