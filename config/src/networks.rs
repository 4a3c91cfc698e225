//! Lists of networks in CIDR notation: `["10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]`.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error as _};

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Parses each network; a single address is a network of one address.
    ///
    /// # Errors
    /// A sentence about the first text that is not a network.
    pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self, String> {
        texts.iter().map(|text| parse_network(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether one of the networks contains the address. IPv4-mapped IPv6 addresses count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether one of the networks contains every address of its family.
    #[must_use]
    pub fn contains_all(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.ok_or_else(|| {
        format!(
            "`{text}` is not a network; write an address with a prefix length, as in \"10.0.0.0/8\", or a single address"
        )
    })
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Vec::<String>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contains_compares_prefix_bits() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "::ffff:192.0.2.7", "192.0.2.5"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::", "127.0.0.1"),
            ("::1", "::1", "::"),
        ] {
            let networks = Networks::parse(&["203.0.113.0/24", network]).unwrap();
            assert!(networks.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!networks.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        assert!(!Networks::default().contains(IpAddr::from([127, 0, 0, 1])));
    }

    #[test]
    fn parse_rejects_malformed_networks() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/-1", "localhost"] {
            assert!(Networks::parse(&[text]).expect_err(text).contains(&format!("`{text}`")));
        }
    }
}
