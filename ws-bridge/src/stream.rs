//! The browser's end of a connection: TCP, or TLS on top of it where there is a certificate.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

use crate::limits::HANDSHAKE_TIMEOUT;

/// What HTTP and WebSocket are spoken over.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What the first record's type is in every TLS connection (RFC 8446 section 5.1); no HTTP request begins with it.
const HANDSHAKE_RECORD: u8 = 22;

impl Stream {
    /// Does the server's part of a TLS handshake, if the browser begins one; else its stream is plain.
    ///
    /// # Errors
    /// The handshake fails, or takes too long.
    pub(crate) async fn encrypted(tcp: TcpStream, tls: &Arc<ServerConfig>) -> io::Result<Self> {
        let handshake = async {
            let mut first = [0];
            if tcp.peek(&mut first).await? == 1 && first[0] != HANDSHAKE_RECORD {
                return Ok(Self::Plain(tcp));
            }
            let stream = TlsAcceptor::from(Arc::clone(tls)).accept(tcp).await?;
            Ok(Self::Tls(Box::new(stream)))
        };
        match timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let sentence =
                    format!("the handshake took longer than {} seconds", HANDSHAKE_TIMEOUT.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, sentence))
            }
        }
    }

    pub(crate) const fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The stream where nothing lies between it and the WebSocket.
    pub(crate) const fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(tcp) => Some(tcp),
            Self::Tls(_) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, octets),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
