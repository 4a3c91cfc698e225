//! Whose connection it is: the socket's own peer, or, on a `proxy_listen` address, whom the PROXY protocol header names.
//!
//! On such an address the header is required, and believed from configured peers only. The ordinary listeners never look
//! for it: there, a client could claim to be anybody.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mail_core::proxy::{FIXED_OCTETS, Header, HeaderError, rest_octets};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::session::Encryption;

/// For the header to arrive. A proxy sends it at once; the protocol's specification asks for 3 seconds at least. Nobody but a
/// known peer is waited for, and on a host that stands still for a while its bridge is not to be refused.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The other end of a connection, as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub address: SocketAddr,
    /// What it sends came over TLS, as far as it went over a network: over ours, or over that of its proxy.
    pub secure: bool,
    /// How, where the TLS is ours.
    pub encryption: Option<Encryption>,
}

impl Client {
    /// The socket's own peer.
    #[must_use]
    pub const fn direct(peer: SocketAddr) -> Self {
        Self { address: peer, secure: false, encryption: None }
    }

    /// The same client, over TLS from now on.
    #[must_use]
    pub const fn over_tls(self, encryption: Encryption) -> Self {
        Self { secure: true, encryption: Some(encryption), ..self }
    }

    /// Nobody can listen on the way: it is encrypted, or never leaves this machine.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.secure || self.address.ip().to_canonical().is_loopback()
    }
}

/// Why a connection to a `proxy_listen` address is not served.
#[derive(Debug)]
pub enum ProxyError {
    /// `proxy_peers` does not name it.
    ForeignPeer,
    Header(HeaderError),
    TimedOut,
    Io(io::Error),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignPeer => f.write_str("`proxy_peers` does not name this peer"),
            Self::Header(error) => write!(f, "{error}"),
            Self::TimedOut => f.write_str("the PROXY header did not arrive in time"),
            Self::Io(error) => write!(f, "no PROXY header: {error}"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// Reads the header that a proxy opens its connection with, and nothing behind it.
///
/// # Errors
/// The peer is none of `peers`, or what it sends is no header, or one that says nothing to go by.
pub async fn identify(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
    peers: &[IpAddr],
) -> Result<Client, ProxyError> {
    if !peers.iter().any(|known| known.to_canonical() == peer.ip().to_canonical()) {
        return Err(ProxyError::ForeignPeer);
    }
    match timeout(HEADER_TIMEOUT, header(stream)).await.map_err(|_| ProxyError::TimedOut)?? {
        Header::Local => Ok(Client::direct(peer)),
        Header::Proxied { source, secure, .. } => Ok(Client { address: source, secure, encryption: None }),
    }
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, ProxyError> {
    let mut fixed = [0; FIXED_OCTETS];
    stream.read_exact(&mut fixed).await.map_err(ProxyError::Io)?;
    let mut rest = vec![0; rest_octets(&fixed).map_err(ProxyError::Header)?];
    stream.read_exact(&mut rest).await.map_err(ProxyError::Io)?;
    Header::decode(&fixed, &rest).map_err(ProxyError::Header)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEERS: [IpAddr; 1] = [IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)];

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn of(source: &str, secure: bool) -> Vec<u8> {
        Header::Proxied { source: address(source), destination: address("127.0.0.1:8080"), secure }.encode()
    }

    #[tokio::test]
    async fn the_header_names_the_client_and_what_follows_is_left() {
        for (source, secure, private) in [
            ("192.0.2.7:50000", false, false),
            ("192.0.2.7:50000", true, true),
            ("127.0.0.1:50000", false, true),
            ("[2001:db8::1]:50000", false, false),
        ] {
            let octets = [&of(source, secure), &b"EHLO iit.edu\r\n"[..]].concat();
            let mut stream = &octets[..];
            let client = identify(&mut stream, address("127.0.0.1:1"), &PEERS).await.expect("a good header");
            assert_eq!(client, Client { address: address(source), secure, encryption: None });
            assert_eq!(client.is_private(), private, "{source}");
            assert_eq!(stream, b"EHLO iit.edu\r\n");
        }
    }

    #[tokio::test]
    async fn a_proxy_may_ask_for_itself() {
        let peer = address("[::ffff:127.0.0.1]:1");
        let client = identify(&mut &Header::Local.encode()[..], peer, &PEERS).await.expect("a good header");
        assert_eq!(client, Client::direct(peer));
    }

    #[tokio::test]
    async fn a_foreign_peer_is_not_believed() {
        let refused = identify(&mut &of("127.0.0.1:1", true)[..], address("192.0.2.1:1"), &PEERS).await;
        assert!(matches!(refused, Err(ProxyError::ForeignPeer)), "{refused:?}");
    }

    #[tokio::test]
    async fn a_stream_without_a_whole_header_is_not_served() {
        let refused =
            identify(&mut &b"EHLO iit.edu\r\nMAIL FROM:<>"[..], address("127.0.0.1:1"), &PEERS).await;
        assert!(matches!(refused, Err(ProxyError::Header(HeaderError::NoHeader))), "{refused:?}");
        let whole = of("192.0.2.7:1", false);
        for octets in 0..whole.len() {
            let refused = identify(&mut &whole[..octets], address("127.0.0.1:1"), &PEERS).await;
            assert!(matches!(refused, Err(ProxyError::Io(_))), "{refused:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_header_that_does_not_come_is_not_waited_for() {
        let (mut here, _there) = tokio::io::duplex(64);
        let refused = identify(&mut here, address("127.0.0.1:1"), &PEERS).await;
        assert!(matches!(refused, Err(ProxyError::TimedOut)), "{refused:?}");
    }
}
