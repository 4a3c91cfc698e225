//! A connection and its replies.

use std::io::{Read, Write};
use std::net::{self, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io};

use memchr::memchr;
use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why there is no figure.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    /// The server said no.
    Refused(String),
}

/// What a connection goes over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Sized {
    async fn connect(address: SocketAddr) -> io::Result<Self>;
}

impl Stream for TcpStream {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = Self::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A socket that keeps its thread waiting: one connection alone needs nobody to tell it which one is ready.
#[derive(Debug)]
pub(crate) struct Blocking(net::TcpStream);

/// One connection, with a buffer that holds the longest line and whatever a read brings.
#[derive(Debug)]
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<S: Stream> Wire<S> {
    pub(crate) async fn connect(address: SocketAddr, buffer_octets: usize) -> Result<Self> {
        let stream = S::connect(address).await?;
        Ok(Self { stream, buffer: vec![0; buffer_octets].into(), start: 0, end: 0 })
    }

    /// The connection alone: what was read and not asked for is gone.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(octets).await?)
    }

    /// The next line without its line end.
    pub(crate) async fn line(&mut self) -> Result<&[u8]> {
        let mut seen = 0;
        let length = loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.start + seen..self.end]) {
                break seen + at;
            }
            seen = self.end - self.start;
            self.read_more().await?;
        };
        let line = &self.buffer[self.start..self.start + length];
        self.start += length + 1;
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// A POP3 reply's first line, which must begin with `+OK`.
    pub(crate) async fn ok(&mut self) -> Result<&[u8]> {
        let line = self.line().await?;
        line.strip_prefix(b"+OK").ok_or_else(|| refused(line))
    }

    /// An SMTP reply that begins with `2`: done.
    pub(crate) async fn completion(&mut self) -> Result<()> {
        self.reply(b'2').await
    }

    /// An SMTP reply that begins with `3`: go on.
    pub(crate) async fn intermediate(&mut self) -> Result<()> {
        self.reply(b'3').await
    }

    async fn reply(&mut self, first: u8) -> Result<()> {
        loop {
            let line = self.line().await?;
            if line.first() != Some(&first) {
                return Err(refused(line));
            }
            if line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }

    /// Takes what follows a positive reply to RETR, to its line with the single dot. How many octets it were.
    pub(crate) async fn body(&mut self, terminator: &Finder<'_>) -> Result<u64> {
        // The reply's line end may be the first half of the terminator.
        const OVERLAP: usize = 4;
        let mut octets = 0;
        self.start -= 2;
        loop {
            let window = &self.buffer[self.start..self.end];
            if let Some(at) = terminator.find(window) {
                self.start += at + OVERLAP + 1;
                return Ok(octets + at as u64);
            }
            let done = window.len().saturating_sub(OVERLAP);
            octets += done as u64;
            self.start += done;
            self.read_more().await?;
        }
    }

    /// Waits until the server has closed.
    pub(crate) async fn closed(mut self) -> Result<()> {
        while self.stream.read(&mut self.buffer).await? > 0 {}
        Ok(())
    }

    async fn read_more(&mut self) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        match self.stream.read(&mut self.buffer[self.end..]).await? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            octets => {
                self.end += octets;
                Ok(())
            }
        }
    }
}

impl Stream for Blocking {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }
}

impl AsyncRead for Blocking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.0.read(buf.initialize_unfilled())?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Blocking {
    fn poll_write(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(octets))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(net::Shutdown::Write))
    }
}

fn refused(line: &[u8]) -> Failure {
    Failure::Refused(String::from_utf8_lossy(line).into_owned())
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Refused(line) => write!(f, "the server said `{line}`"),
        }
    }
}
