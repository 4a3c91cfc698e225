//! The PROXY protocol header: read on a `proxy_listen` address, written towards a mail server.
//!
//! On such an address the header is required and believed from configured peers only. Other listeners never look for it,
//! since any client could claim any address there.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mail_core::proxy::{FIXED_HEADER_OCTETS, Header, HeaderError, payload_octets};
use mail_core::session::Encryption;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// A proxy sends its header at once; the specification asks receivers to wait at least 3 seconds. Only configured peers
/// are waited for, so a stalled host is given more time than that.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The client of a connection: the socket's peer, or the source that a PROXY header names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub address: SocketAddr,
    /// The connection uses TLS, here or at the proxy.
    pub secure: bool,
    /// Set when this process performed the handshake.
    pub encryption: Option<Encryption>,
}

impl Client {
    /// The peer of a socket that has sent nothing yet.
    #[must_use]
    pub const fn direct(peer: SocketAddr) -> Self {
        Self { address: peer, secure: false, encryption: None }
    }

    /// The same client after a TLS handshake.
    #[must_use]
    pub const fn over_tls(self, encryption: Encryption) -> Self {
        Self { secure: true, encryption: Some(encryption), ..self }
    }

    /// Whether the connection cannot be read on the network: it is encrypted, or does not leave this host.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.secure || self.address.ip().to_canonical().is_loopback()
    }
}

/// The reason a connection to a `proxy_listen` address is refused.
#[derive(Debug)]
pub enum ProxyError {
    /// The peer is not in `proxy_peers`.
    UnknownPeer,
    Header(HeaderError),
    TimedOut,
    Io(io::Error),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPeer => f.write_str("the peer is not listed in `proxy_peers`"),
            Self::Header(error) => write!(f, "{error}"),
            Self::TimedOut => f.write_str("the PROXY header did not arrive in time"),
            Self::Io(error) => write!(f, "cannot read the PROXY header: {error}"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// Reads the PROXY header and not an octet beyond it.
///
/// # Errors
/// The peer is not one of `peers`, or sends no valid header in time.
pub async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
    peers: &[IpAddr],
) -> Result<Client, ProxyError> {
    if !peers.iter().any(|known| known.to_canonical() == peer.ip().to_canonical()) {
        return Err(ProxyError::UnknownPeer);
    }
    match timeout(HEADER_TIMEOUT, read(stream)).await.map_err(|_| ProxyError::TimedOut)?? {
        Header::Local => Ok(Client::direct(peer)),
        Header::Proxied { source, secure, .. } => Ok(Client { address: source, secure, encryption: None }),
    }
}

/// Writes the header that names `client`, who connected to `destination` of this host.
///
/// # Errors
/// The stream fails.
pub async fn write_header(
    stream: &mut (impl AsyncWrite + Unpin),
    client: &Client,
    destination: SocketAddr,
) -> io::Result<()> {
    let header = Header::Proxied { source: client.address, destination, secure: client.secure };
    stream.write_all(&header.encode()).await
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Header, ProxyError> {
    let mut fixed = [0; FIXED_HEADER_OCTETS];
    stream.read_exact(&mut fixed).await.map_err(ProxyError::Io)?;
    let mut rest = vec![0; payload_octets(&fixed).map_err(ProxyError::Header)?];
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

    fn client(source: &str, secure: bool) -> Client {
        Client { address: address(source), secure, encryption: None }
    }

    async fn header(source: &str, secure: bool) -> Vec<u8> {
        let mut octets = Vec::new();
        let written = write_header(&mut octets, &client(source, secure), address("127.0.0.1:8080")).await;
        written.expect("written to memory");
        octets
    }

    #[tokio::test]
    async fn written_header_is_read_and_later_octets_stay_in_the_stream() {
        for (source, secure, private) in [
            ("192.0.2.7:50000", false, false),
            ("192.0.2.7:50000", true, true),
            ("127.0.0.1:50000", false, true),
            ("[2001:db8::1]:50000", false, false),
        ] {
            let octets = [&header(source, secure).await[..], b"EHLO iit.edu\r\n"].concat();
            let mut stream = &octets[..];
            let read =
                read_header(&mut stream, address("127.0.0.1:1"), &PEERS).await.expect("a valid header");
            assert_eq!(read, client(source, secure));
            assert_eq!(read.is_private(), private, "{source}");
            assert_eq!(stream, b"EHLO iit.edu\r\n");
        }
    }

    #[tokio::test]
    async fn local_header_names_the_peer_itself() {
        let peer = address("[::ffff:127.0.0.1]:1");
        let read = read_header(&mut &Header::Local.encode()[..], peer, &PEERS).await.expect("a valid header");
        assert_eq!(read, Client::direct(peer));
    }

    #[tokio::test]
    async fn header_of_an_unknown_peer_is_refused() {
        let octets = header("127.0.0.1:1", true).await;
        let refused = read_header(&mut &octets[..], address("192.0.2.1:1"), &PEERS).await;
        assert!(matches!(refused, Err(ProxyError::UnknownPeer)), "{refused:?}");
    }

    #[tokio::test]
    async fn missing_or_truncated_header_is_refused() {
        let peer = address("127.0.0.1:1");
        let refused = read_header(&mut &b"EHLO iit.edu\r\nMAIL FROM:<>"[..], peer, &PEERS).await;
        assert!(matches!(refused, Err(ProxyError::Header(HeaderError::NoHeader))), "{refused:?}");
        let whole = header("192.0.2.7:1", false).await;
        for octets in 0..whole.len() {
            let refused = read_header(&mut &whole[..octets], peer, &PEERS).await;
            assert!(matches!(refused, Err(ProxyError::Io(_))), "{refused:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn header_that_does_not_arrive_times_out() {
        let (mut near, _far) = tokio::io::duplex(64);
        let refused = read_header(&mut near, address("127.0.0.1:1"), &PEERS).await;
        assert!(matches!(refused, Err(ProxyError::TimedOut)), "{refused:?}");
    }
}
