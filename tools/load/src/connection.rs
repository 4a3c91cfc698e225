//! A buffered connection and its replies.

use std::io::{Read, Write};
use std::net::{self, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io};

use memchr::memchr;
use memchr::memmem::Finder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The reason a measurement failed.
#[derive(Debug)]
pub(crate) enum Error {
    Io(io::Error),
    /// The server refused with this reply.
    Refused(String),
}

/// Transport of a connection.
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

/// A blocking socket. For a single connection it saves the system calls of the readiness notification.
#[derive(Debug)]
pub(crate) struct Blocking(net::TcpStream);

/// A connection with a read buffer, which must hold the longest line.
#[derive(Debug)]
pub(crate) struct Connection<S = TcpStream> {
    stream: S,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<S: Stream> Connection<S> {
    pub(crate) async fn connect(address: SocketAddr, buffer_octets: usize) -> Result<Self> {
        let stream = S::connect(address).await?;
        Ok(Self { stream, buffer: vec![0; buffer_octets].into(), start: 0, end: 0 })
    }

    /// The transport without buffered input.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    pub(crate) async fn send(&mut self, octets: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(octets).await?)
    }

    /// The next line without its line end.
    pub(crate) async fn line(&mut self) -> Result<&[u8]> {
        let mut searched = 0;
        let length = loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.start + searched..self.end]) {
                break searched + at;
            }
            searched = self.end - self.start;
            self.read_more().await?;
        };
        let line = &self.buffer[self.start..self.start + length];
        self.start += length + 1;
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Reads the first line of a POP3 reply, which must start with `+OK`.
    pub(crate) async fn ok(&mut self) -> Result<&[u8]> {
        let line = self.line().await?;
        line.strip_prefix(b"+OK").ok_or_else(|| refused(line))
    }

    /// Reads an SMTP reply, which must be 2yz.
    pub(crate) async fn completion(&mut self) -> Result<()> {
        self.reply(b'2').await
    }

    /// Reads an SMTP reply, which must be 3yz.
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

    /// Reads the message after the first line of a RETR reply, and returns its octets on the wire without the final dot.
    pub(crate) async fn body(&mut self, terminator: &Finder<'_>) -> Result<u64> {
        // The line end of the reply may be the first half of the terminator.
        const OVERLAP: usize = 4;
        let mut octets = 0;
        self.start -= 2;
        loop {
            let window = &self.buffer[self.start..self.end];
            if let Some(at) = terminator.find(window) {
                self.start += at + OVERLAP + 1;
                return Ok(octets + at as u64);
            }
            let consumed = window.len().saturating_sub(OVERLAP);
            octets += consumed as u64;
            self.start += consumed;
            self.read_more().await?;
        }
    }

    /// Waits until the server closes.
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

fn refused(line: &[u8]) -> Error {
    Error::Refused(String::from_utf8_lossy(line).into_owned())
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Refused(line) => write!(f, "the server replied `{line}`"),
        }
    }
}
