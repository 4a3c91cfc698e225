//! The stream of a connection: plain, or TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mail_core::session::Encryption;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{CipherSuite, ProtocolVersion, ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;

/// A handshake needs at most three round trips; on a slow network each may be retransmitted twice.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// First octet of a TLS connection: a handshake record (RFC 8446 section 5.1). No HTTP, SMTP or POP3 client sends it.
const HANDSHAKE_RECORD: u8 = 22;

/// A stream that can wait for input without a buffer.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// Ready when a read returns octets, the end of the stream, or an error. Spurious readiness is allowed.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Transport for TcpStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl Transport for UnixStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

/// Always ready, because a duplex stream has no readiness.
impl Transport for tokio::io::DuplexStream {
    fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A plain or encrypted stream.
#[derive(Debug)]
pub enum Stream<T> {
    Plain(T),
    Tls(Box<TlsStream<T>>),
}

impl<T: Transport> Stream<T> {
    /// Performs the server side of a TLS handshake.
    ///
    /// # Errors
    /// The handshake fails or does not complete within [`HANDSHAKE_TIMEOUT`].
    pub async fn accept_tls(stream: T, tls: &Arc<ServerConfig>) -> io::Result<Self> {
        let accepted = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await;
        Ok(Self::Tls(Box::new(accepted.map_err(|_| handshake_timed_out())??)))
    }

    /// TLS version and cipher suite; `None` for a plain stream.
    #[must_use]
    pub fn encryption(&self) -> Option<Encryption> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(encryption(stream.get_ref().1)),
        }
    }

    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The protocol that the TLS handshake has negotiated (RFC 7301), if any.
    #[must_use]
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// The stream itself, if it is not encrypted.
    #[must_use]
    pub const fn plain(&self) -> Option<&T> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(_) => None,
        }
    }

    /// The stream below TLS. Octets read from it are still encrypted.
    pub fn transport_mut(&mut self) -> &mut T {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }
}

impl Stream<TcpStream> {
    /// Performs a TLS handshake if the client begins one; otherwise the stream stays plain.
    ///
    /// # Errors
    /// The client sends nothing, or the handshake does not complete, within [`HANDSHAKE_TIMEOUT`]; or the handshake fails.
    pub async fn accept_tls_or_plain(tcp: TcpStream, tls: &Arc<ServerConfig>) -> io::Result<Self> {
        let accepted = async {
            let mut first = [0];
            if tcp.peek(&mut first).await? == 1 && first[0] != HANDSHAKE_RECORD {
                return Ok(Self::Plain(tcp));
            }
            let stream = TlsAcceptor::from(Arc::clone(tls)).accept(tcp).await?;
            Ok(Self::Tls(Box::new(stream)))
        };
        timeout(HANDSHAKE_TIMEOUT, accepted).await.map_err(|_| handshake_timed_out())?
    }
}

fn handshake_timed_out() -> io::Error {
    let message = format!("the TLS handshake took longer than {} seconds", HANDSHAKE_TIMEOUT.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// Calls the same poll function on either variant.
macro_rules! either {
    ($stream:expr, $inner:ident => $poll:expr) => {
        match $stream.get_mut() {
            Stream::Plain($inner) => {
                let $inner = Pin::new($inner);
                $poll
            }
            Stream::Tls($inner) => {
                let $inner = Pin::new(&mut **$inner);
                $poll
            }
        }
    };
}

impl<T: Transport> Transport for Stream<T> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_readable(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_fill_buf(cx).map_ok(|_| ()),
        }
    }
}

impl<T: Transport> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }
}

impl<T: Transport> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write(cx, octets))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_shutdown(cx))
    }
}

fn encryption(connection: &ServerConnection) -> Encryption {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let suite = match connection.negotiated_cipher_suite().map(|suite| suite.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        // rustls names the suites of TLS 1.2 as they are registered.
        suite => suite.and_then(|suite| suite.as_str()).unwrap_or("unknown"),
    };
    Encryption { version, suite }
}
