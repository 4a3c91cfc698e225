//! The I/O of a plain or TLS stream on tokio.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use mail_core::session::Encryption;
use mail_core::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant as Deadline, Sleep, sleep, sleep_until, timeout};
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, info, trace};

use super::{ConnectionIo, Read, Timer};
use crate::metrics::ConnectionMetrics;
use crate::stream::{Stream, Transport};

/// Minimum and maximum size of one read. It doubles while the peer keeps filling it.
const READ_OCTETS: (usize, usize) = (8 << 10, 64 << 10);
/// A peer must accept [`WRITE_OCTETS_MIN`] octets, or all that are left, in this time (RFC 5321 section 4.5.3.2: at most
/// 5 minutes). Otherwise a peer that reads an octet now and then would hold a maildrop.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
const WRITE_OCTETS_MIN: usize = 16 << 10;
/// Limits of time and reads for discarding the remaining input of a closed connection.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_READS: usize = 64;

/// A stream of the runtime.
#[derive(Debug)]
pub struct Connection<T> {
    /// `None` during and after a failed handshake.
    stream: Option<Stream<T>>,
    tls: Option<Arc<ServerConfig>>,
    metrics: Arc<ConnectionMetrics>,
    read_octets: usize,
    /// Created once: a new timer can cost the runtime a system call.
    alarm: Pin<Box<Sleep>>,
}

/// The runtime's clock.
#[derive(Debug, Clone, Copy)]
pub struct TokioTimer;

impl Timer for TokioTimer {
    fn now(&self) -> Instant {
        Deadline::now().into_std()
    }

    async fn sleep_until(&self, when: Instant) {
        sleep_until(when.into()).await;
    }
}

impl<T: Transport> Connection<T> {
    #[must_use]
    pub fn new(stream: Stream<T>, tls: Option<Arc<ServerConfig>>, metrics: Arc<ConnectionMetrics>) -> Self {
        let alarm = Box::pin(sleep(WRITE_TIMEOUT));
        Self { stream: Some(stream), tls, metrics, read_octets: READ_OCTETS.0, alarm }
    }
}

/// Performs a TLS handshake, counts it, and logs a failure.
///
/// # Errors
/// The handshake fails or takes too long.
pub async fn accept_tls<T: Transport>(
    stream: T,
    tls: &Arc<ServerConfig>,
    metrics: &ConnectionMetrics,
) -> io::Result<Stream<T>> {
    match Stream::accept_tls(stream, tls).await {
        Ok(stream) => {
            metrics.handshakes.inc();
            if let Some(encryption) = stream.encryption() {
                debug!(%encryption, "encrypted");
            }
            Ok(stream)
        }
        Err(error) => {
            metrics.failed_handshakes.inc();
            info!(%error, "TLS handshake failed");
            Err(error)
        }
    }
}

impl<T: Transport> ConnectionIo for Connection<T> {
    /// Allocates the input buffer only when octets have arrived.
    async fn read(&mut self, input: &mut BytesMut, deadline: Option<Instant>) -> io::Result<Read> {
        let Self { stream, read_octets, alarm, .. } = self;
        let stream = open(stream)?;
        let octets = poll_fn(|cx| {
            if stream.poll_readable(cx)?.is_ready() {
                if input.capacity() - input.len() < *read_octets {
                    input.reserve(*read_octets);
                }
                if let Poll::Ready(octets) = pin!(stream.read_buf(input)).poll(cx)? {
                    return Poll::Ready(Ok::<_, io::Error>(Some(octets)));
                }
                if input.is_empty() {
                    // The readiness was spurious.
                    *input = BytesMut::new();
                }
            }
            match deadline {
                Some(deadline) => poll_alarm(alarm.as_mut(), deadline.into(), cx).map(|()| Ok(None)),
                None => Poll::Pending,
            }
        });
        let Some(octets) = octets.await? else { return Ok(Read::TimedOut) };
        *read_octets = if octets >= *read_octets { (octets * 2).min(READ_OCTETS.1) } else { READ_OCTETS.0 };
        Ok(if octets == 0 { Read::Eof } else { Read::Octets })
    }

    /// Writes output and octets with one system call if the stream accepts them.
    async fn write(&mut self, output: &mut BytesMut, octets: Bytes) -> io::Result<()> {
        if output.is_empty() && octets.is_empty() {
            return Ok(());
        }
        trace!(output = %output.escape_ascii(), octets = octets.len(), "write");
        let stream = open(&mut self.stream)?;
        let mut all = output.chain(octets);
        while all.has_remaining() {
            // The timeout restarts after each 16 KiB, so a slow but active peer is not disconnected.
            let left = all.remaining().saturating_sub(WRITE_OCTETS_MIN);
            let written = async {
                while all.remaining() > left {
                    if stream.write_buf(&mut all).await? == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                }
                // TLS may hold back its last record.
                if left == 0 { stream.flush().await } else { Ok(()) }
            };
            timeout(WRITE_TIMEOUT, written).await.unwrap_or_else(|_| {
                info!("connection closed: the peer reads too slowly");
                Err(io::ErrorKind::TimedOut.into())
            })?;
        }
        Ok(())
    }

    async fn upgrade_tls(&mut self) -> io::Result<Encryption> {
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("there is no certificate"))?;
        let Some(Stream::Plain(plain)) = self.stream.take() else {
            return Err(io::Error::other("the connection has TLS already"));
        };
        // Boxed: otherwise each connection would reserve memory for a handshake.
        let stream = Box::pin(accept_tls(plain, tls, &self.metrics)).await?;
        let encryption = stream.encryption().expect("the handshake is complete");
        self.stream = Some(stream);
        Ok(encryption)
    }

    /// Discards unread input: closing a socket with unread input resets the connection and can destroy the last reply.
    async fn close(mut self) -> io::Result<()> {
        let stream = open(&mut self.stream)?;
        let linger = async {
            stream.shutdown().await?;
            let mut rest = BytesMut::with_capacity(READ_OCTETS.0);
            let socket = stream.transport_mut();
            for _ in 0..LINGER_READS {
                if socket.read_buf(&mut rest).await? == 0 {
                    break;
                }
                rest.clear();
            }
            Ok(())
        };
        timeout(LINGER, linger).await.unwrap_or(Ok(()))
    }
}

fn open<T>(stream: &mut Option<Stream<T>>) -> io::Result<&mut Stream<T>> {
    stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
}

/// Ready once the deadline has passed. The timer may be set to an earlier deadline; it is reset only when that one expires, so
/// that a read that succeeds in time, as nearly all do, does not touch the timer.
pub(super) fn poll_alarm(mut timer: Pin<&mut Sleep>, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()> {
    if deadline < timer.deadline() {
        timer.as_mut().reset(deadline);
    }
    loop {
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() >= deadline {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}
