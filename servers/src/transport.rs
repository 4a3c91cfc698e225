//! What the bytes of a connection go over: a plain stream, or TLS on top of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{CipherSuite, ProtocolVersion, ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;
use tracing::{debug, info};

use crate::meters::Traffic;
use crate::session::Encryption;

/// A handshake takes three round trips at most: a slow network has time for each to be sent three times.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream that can be waited for without a buffer.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// Ready when a read gives octets, the end or an error. It may be wrong about that; the read then waits.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Reads what has come by now, without asking the runtime, from a stream that can do so. After an error it is waited for
    /// as ever.
    fn read_now(&mut self, _octets: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Transport for TcpStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn read_now(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        let (read, _) = rustix::net::recv(self, octets, RecvFlags::DONTWAIT)?;
        Ok(read)
    }
}

/// For tests on paused time: it cannot tell, so it may be wrong.
#[cfg(test)]
impl Transport for tokio::io::DuplexStream {
    fn poll_readable(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A stream as it came, or encrypted.
#[derive(Debug)]
pub enum Stream<T> {
    Plain(T),
    Tls(Box<TlsStream<T>>),
}

impl<T: Transport> Stream<T> {
    /// Does the server's part of a TLS handshake, and counts it.
    ///
    /// # Errors
    /// The client does not come with one, not in time, or with nothing that both sides know; the log says why.
    pub async fn encrypt(
        stream: T,
        tls: &Arc<ServerConfig>,
        traffic: &Traffic,
    ) -> io::Result<(Self, Encryption)> {
        match timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await {
            Ok(Ok(stream)) => {
                let encryption = describe(stream.get_ref().1);
                traffic.handshakes.add(1);
                debug!(%encryption, "encrypted");
                Ok((Self::Tls(Box::new(stream)), encryption))
            }
            Ok(Err(error)) => {
                traffic.failed_handshakes.add(1);
                info!(%error, "no TLS: the handshake failed");
                Err(error)
            }
            Err(_) => {
                traffic.failed_handshakes.add(1);
                info!("no TLS: the handshake took longer than {} seconds", HANDSHAKE_TIMEOUT.as_secs());
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }

    /// The stream without its encryption: for octets that nobody looks at.
    pub fn innermost(&mut self) -> &mut T {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }
}

/// Both are polled in the same way.
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

    fn read_now(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_now(octets),
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
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

fn describe(connection: &ServerConnection) -> Encryption {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let suite = match connection.negotiated_cipher_suite().map(|suite| suite.suite()) {
        Some(CipherSuite::TLS13_AES_128_GCM_SHA256) => "TLS_AES_128_GCM_SHA256",
        Some(CipherSuite::TLS13_AES_256_GCM_SHA384) => "TLS_AES_256_GCM_SHA384",
        Some(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256) => "TLS_CHACHA20_POLY1305_SHA256",
        // TLS 1.2's are named as they are registered.
        suite => suite.and_then(|suite| suite.as_str()).unwrap_or("unnamed"),
    };
    Encryption { version, suite }
}
