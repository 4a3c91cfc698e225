//! A stream that reads large amounts from a busy peer.
//!
//! tungstenite zeroes as many bytes as it may read before each read. With its read buffer set large, short messages are
//! slow and idle connections hold the buffer; set small, bulk data takes many system calls. This adapter sits below it:
//! after a read that filled tungstenite's small buffer, it reads up to 512 KiB at once into its own buffer.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::limits::{BROWSER_READ_BYTES, SMALL_READ_BYTES};

#[derive(Debug)]
pub(crate) struct ReadAhead<S> {
    stream: S,
    buffer: BytesMut,
    /// The last read was full, so the next one is large.
    is_busy: bool,
    bytes_read: u64,
    bytes_written: u64,
}

impl<S> ReadAhead<S> {
    /// `early` was received before and is read first.
    pub(crate) fn new(stream: S, early: &[u8]) -> Self {
        Self { stream, buffer: BytesMut::from(early), is_busy: false, bytes_read: 0, bytes_written: 0 }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    /// Bytes that tungstenite has read so far.
    pub(crate) const fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Bytes written so far. tungstenite reports only completed writes.
    pub(crate) const fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Frees the buffer if it is empty.
    pub(crate) fn release_buffer(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.is_busy = false;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        output: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, buffer, is_busy, bytes_read, .. } = self.get_mut();
        if buffer.is_empty() {
            if !*is_busy {
                let before = output.filled().len();
                ready!(Pin::new(stream).poll_read(cx, output))?;
                *bytes_read += (output.filled().len() - before) as u64;
                *is_busy = output.remaining() == 0;
                return Poll::Ready(Ok(()));
            }
            buffer.reserve(BROWSER_READ_BYTES);
            let length = ready!(pin!(stream.read_buf(buffer)).poll(cx))?;
            *is_busy = length >= SMALL_READ_BYTES;
        }
        let length = buffer.len().min(output.remaining());
        output.put_slice(&buffer[..length]);
        buffer.advance(length);
        *bytes_read += length as u64;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.bytes_written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        self.bytes_written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_keep_their_order_when_reads_become_large_and_the_buffer_is_released() {
        let (mut peer, stream) = duplex(BROWSER_READ_BYTES);
        let mut stream = ReadAhead::new(stream, b"early");
        let sent: Vec<u8> = (0..200_000_u32).flat_map(u32::to_be_bytes).collect();
        let copy = sent.clone();
        let sender = tokio::spawn(async move {
            peer.write_all(&copy).await.expect("the stream is read to its end");
        });
        let (mut received, mut piece) = (Vec::new(), vec![0; SMALL_READ_BYTES]);
        assert_eq!(stream.read(&mut piece).await.expect("a duplex stream does not fail"), 5);
        assert_eq!(piece[..5], *b"early");
        loop {
            let length = stream.read(&mut piece).await.expect("a duplex stream does not fail");
            if length == 0 {
                break;
            }
            received.extend_from_slice(&piece[..length]);
            stream.release_buffer();
        }
        assert!(received == sent, "received {} of {} bytes", received.len(), sent.len());
        stream.release_buffer();
        assert_eq!(stream.buffer.capacity(), 0);
        assert_eq!(stream.bytes_read(), sent.len() as u64 + 5);
        sender.await.expect("no panic");
    }

    #[tokio::test]
    async fn short_reads_use_no_buffer() {
        let (mut peer, stream) = duplex(64);
        let mut stream = ReadAhead::new(stream, b"");
        peer.write_all(b"EHLO iit.edu\r\n").await.expect("the buffer has room");
        let mut piece = vec![0; SMALL_READ_BYTES];
        assert_eq!(stream.read(&mut piece).await.expect("no error"), 14);
        assert_eq!(stream.buffer.capacity(), 0);
    }
}
