//! The PROXY protocol version 2 header, with which a proxy passes on the client's address.
//!
//! The header precedes the proxied stream (HAProxy's `proxy-protocol.txt`, section 2.2). Its fixed part has 16 octets:
//! signature, version and command, address family, payload length. The payload has the source and destination
//! addresses and type-length-value fields, of which only `PP2_TYPE_SSL` is read.
//!
//! Version 1 is not supported. Which peers are trusted to send a header is the server's policy.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Length of the fixed part, which ends with the payload length.
pub const FIXED_HEADER_OCTETS: usize = 16;
/// Longest accepted payload. Two IPv6 addresses and ports have 36 octets; proxies add fields of their own.
pub const PAYLOAD_OCTETS_MAX: usize = 1_024;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const COMMAND_LOCAL: u8 = 0x20;
const COMMAND_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const TYPE_SSL: u8 = 0x20;
/// In the first octet of a `PP2_TYPE_SSL` field: the client came over TLS.
const CLIENT_SSL: u8 = 0x01;

/// A decoded header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A connection of the proxy itself, such as a health check.
    Local,
    /// A connection on behalf of a client.
    Proxied {
        /// The client's address.
        source: SocketAddr,
        /// The address that the client connected to.
        destination: SocketAddr,
        /// Whether the client connected to the proxy over TLS.
        secure: bool,
    },
}

/// The reason a header is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// The stream does not begin with a version 2 header.
    NoHeader,
    /// Neither LOCAL nor PROXY.
    Command,
    /// Neither TCP over IPv4 nor TCP over IPv6.
    Family,
    /// The payload is longer than [`PAYLOAD_OCTETS_MAX`], or too short for its addresses.
    Length,
    /// A field extends beyond the payload.
    Field,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "no PROXY protocol version 2 header",
            Self::Command => "unknown command in the PROXY header",
            Self::Family => "no TCP address in the PROXY header",
            Self::Length => "wrong length in the PROXY header",
            Self::Field => "a field extends beyond the PROXY header",
        })
    }
}

impl std::error::Error for HeaderError {}

/// The payload length, from the fixed part.
///
/// # Errors
/// [`HeaderError::NoHeader`], or [`HeaderError::Length`] above [`PAYLOAD_OCTETS_MAX`].
pub fn payload_octets(fixed: &[u8; FIXED_HEADER_OCTETS]) -> Result<usize, HeaderError> {
    if fixed[..12] != SIGNATURE || fixed[12] >> 4 != 2 {
        return Err(HeaderError::NoHeader);
    }
    let octets = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if octets > PAYLOAD_OCTETS_MAX { Err(HeaderError::Length) } else { Ok(octets) }
}

impl Header {
    /// Decodes the fixed part and a payload of [`payload_octets`].
    ///
    /// # Errors
    /// The header is malformed or has no TCP address.
    pub fn decode(fixed: &[u8; FIXED_HEADER_OCTETS], payload: &[u8]) -> Result<Self, HeaderError> {
        if payload_octets(fixed)? != payload.len() {
            return Err(HeaderError::Length);
        }
        match fixed[12] {
            COMMAND_LOCAL => return Ok(Self::Local),
            COMMAND_PROXY => {}
            _ => return Err(HeaderError::Command),
        }
        let (source, destination, fields) = match fixed[13] {
            TCP_OVER_IPV4 => addresses::<4>(payload).ok_or(HeaderError::Length)?,
            TCP_OVER_IPV6 => addresses::<16>(payload).ok_or(HeaderError::Length)?,
            _ => return Err(HeaderError::Family),
        };
        Ok(Self::Proxied { source, destination, secure: is_secure(fields)? })
    }

    /// The header in wire format.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        let (command, family) = match *self {
            Self::Local => (COMMAND_LOCAL, 0),
            Self::Proxied { source, destination, secure } => {
                let family = encode_addresses(source, destination, &mut payload);
                if secure {
                    // `verify` is 0 because no client certificate was requested.
                    payload.extend([TYPE_SSL, 0, 5, CLIENT_SSL, 0, 0, 0, 0]);
                }
                (COMMAND_PROXY, family)
            }
        };
        let length = u16::try_from(payload.len()).expect("two addresses and one field are under 64 KiB");
        let mut header = SIGNATURE.to_vec();
        header.extend([command, family]);
        header.extend(length.to_be_bytes());
        header.extend(payload);
        header
    }
}

/// Appends both addresses in one family: IPv4, or IPv6 if either address is IPv6. Returns the family octet.
fn encode_addresses(source: SocketAddr, destination: SocketAddr, out: &mut Vec<u8>) -> u8 {
    let family = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            out.extend(source.octets());
            out.extend(destination.octets());
            TCP_OVER_IPV4
        }
        (source, destination) => {
            for address in [source, destination] {
                match address {
                    IpAddr::V4(address) => out.extend(address.to_ipv6_mapped().octets()),
                    IpAddr::V6(address) => out.extend(address.octets()),
                }
            }
            TCP_OVER_IPV6
        }
    };
    out.extend(source.port().to_be_bytes());
    out.extend(destination.port().to_be_bytes());
    family
}

/// Two addresses of `N` octets, their ports, and the remaining fields.
fn addresses<const N: usize>(payload: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let (source, rest) = payload.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk()?;
    let (destination_port, fields) = rest.split_first_chunk()?;
    let address = |ip: &[u8; N], port: &[u8; 2]| SocketAddr::new(ip_address(ip), u16::from_be_bytes(*port));
    Some((address(source, source_port), address(destination, destination_port), fields))
}

/// Maps IPv4-mapped IPv6 addresses to IPv4, so that a client has one address.
fn ip_address(octets: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(octets) {
        Ok(octets) => Ipv4Addr::from(octets).into(),
        Err(_) => {
            let octets = <[u8; 16]>::try_from(octets).expect("addresses have 4 or 16 octets");
            IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
        }
    }
}

fn is_secure(mut fields: &[u8]) -> Result<bool, HeaderError> {
    let mut secure = false;
    while let Some((kind, rest)) = fields.split_first() {
        let (length, rest) = rest.split_first_chunk().ok_or(HeaderError::Field)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (value, rest) = rest.split_at_checked(length).ok_or(HeaderError::Field)?;
        if *kind == TYPE_SSL {
            secure = value.first().ok_or(HeaderError::Field)? & CLIENT_SSL != 0;
        }
        fields = rest;
    }
    Ok(secure)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn decode(octets: &[u8]) -> Result<Header, HeaderError> {
        let (fixed, payload) = octets.split_first_chunk().expect("the test data has a fixed part");
        Header::decode(fixed, payload)
    }

    fn proxied(source: &str, destination: &str, secure: bool) -> Header {
        let address = |text: &str| text.parse().expect("an address");
        Header::Proxied { source: address(source), destination: address(destination), secure }
    }

    #[test]
    fn encode_matches_the_specification() {
        let octets = proxied("192.0.2.7:50000", "127.0.0.1:8080", true).encode();
        let expected =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x14\xc0\x00\x02\x07\x7f\x00\x00\x01\xc3\x50\x1f\x90\
                         \x20\x00\x05\x01\x00\x00\x00\x00";
        assert_eq!(octets.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(Header::Local.encode(), b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    }

    #[test]
    fn decode_is_the_inverse_of_encode() {
        for secure in [false, true] {
            for (source, destination) in
                [("192.0.2.7:1", "127.0.0.1:65535"), ("[2001:db8::1]:50000", "[::1]:8080")]
            {
                let header = proxied(source, destination, secure);
                assert_eq!(decode(&header.encode()), Ok(header));
            }
        }
        assert_eq!(decode(&Header::Local.encode()), Ok(Header::Local));
        let mixed = proxied("[::ffff:192.0.2.7]:1", "[::1]:2", false);
        assert_eq!(decode(&mixed.encode()), Ok(proxied("192.0.2.7:1", "[::1]:2", false)));
    }

    #[test]
    fn decode_ignores_unknown_fields() {
        let mut octets = proxied("192.0.2.7:1", "127.0.0.1:2", true).encode();
        octets.extend(b"\x04\x00\x03abc");
        octets[15] += 6;
        assert_eq!(decode(&octets), Ok(proxied("192.0.2.7:1", "127.0.0.1:2", true)));
    }

    #[test]
    fn decode_rejects_malformed_headers() {
        let good = proxied("192.0.2.7:1", "127.0.0.1:2", true).encode();
        let with = |at: usize, octet: u8| {
            let mut octets = good.clone();
            octets[at] = octet;
            octets
        };
        assert_eq!(decode(b"EHLO localhost\r\n"), Err(HeaderError::NoHeader));
        assert_eq!(decode(b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n"), Err(HeaderError::NoHeader));
        assert_eq!(decode(&with(12, 0x11)), Err(HeaderError::NoHeader));
        assert_eq!(decode(&with(12, 0x22)), Err(HeaderError::Command));
        for family in [0x00, 0x12, 0x31, 0xff] {
            assert_eq!(decode(&with(13, family)), Err(HeaderError::Family));
        }
        assert_eq!(decode(&with(13, TCP_OVER_IPV6)), Err(HeaderError::Length));
        assert_eq!(decode(&with(14, 0xff)), Err(HeaderError::Length));
        assert_eq!(decode(&with(30, 9)), Err(HeaderError::Field));
        assert_eq!(decode(&with(30, 4)), Err(HeaderError::Field));
        assert_eq!(decode(&good[..good.len() - 1]), Err(HeaderError::Length));
    }

    #[test]
    fn decode_never_panics() {
        let good = proxied("[2001:db8::1]:1", "[::1]:2", true).encode();
        for at in 0..good.len() {
            for octet in 0..=255 {
                let mut octets = good.clone();
                octets[at] = octet;
                let decoded = decode(&octets);
                assert!(
                    at >= 16 || decoded.is_err() || octets == good || at == 12,
                    "{at} {octet}: {decoded:?}"
                );
            }
        }
    }
}
