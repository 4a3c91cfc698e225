//! Runs a [`Machine`] and its [`Session`] over a stream, plain or encrypted.
//!
//! All output is written before every read, so pipelining needs no code of its own. An idle connection holds no buffer: the
//! read buffer is allocated when octets arrive and freed when they are consumed.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use mail_core::machine::{Machine, Step};
use mail_core::session::{Produced, Session};
use mail_core::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant as Deadline, Sleep, sleep, timeout};
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, info, trace};

use crate::metrics::ConnectionMetrics;
use crate::stream::{Stream, Transport};

/// One read takes at least and at most so much; it doubles while the peer keeps filling it. A short message comes whole in one.
const READ_OCTETS: (usize, usize) = (8 << 10, 64 << 10);
/// Queued output is written once it is larger than this, or before a read: a flight of commands is answered in few writes.
const OUTPUT_OCTETS: usize = 64 << 10;
/// What is shorter is copied behind the queued output, which costs less than a write of its own.
const COPIED_OCTETS_MAX: usize = 16 << 10;
/// A peer that takes nothing for so long is gone (RFC 5321 section 4.5.3.2 gives 5 minutes at most).
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
/// So much has to be taken in that time, or all that there is: otherwise an octet now and then would hold a maildrop.
const WRITE_OCTETS_MIN: usize = 16 << 10;

/// Runs a session to its end. `tls` does the handshake that a machine may ask for. `metrics` counts. `shutdown` turns true
/// when the server is to stop.
///
/// # Errors
/// The connection broke.
pub async fn drive<T: Transport, S: Session>(
    stream: Stream<T>,
    mut machine: S::Machine,
    mut session: S,
    tls: Option<Arc<ServerConfig>>,
    metrics: ConnectionMetrics,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut word = shutdown.clone();
    // Both are waited for again and again, and made once: a new timer may cost the runtime a system call.
    let mut stopped = pin!(word.wait_for(|shutdown| *shutdown));
    let mut alarm = pin!(sleep(WRITE_TIMEOUT));
    let mut connection = Connection::new(stream, metrics);
    let mut told = false;
    loop {
        let now = Instant::now();
        let step = machine.receive(now, &mut connection.input);
        match step {
            Ok(Step::Event(event)) => {
                connection.asked = Some(now);
                session.handle(event, &mut machine).await;
                connection.produce(&mut session, &mut machine, &mut shutdown).await?;
                connection.asked = None;
            }
            Ok(Step::NeedInput) => {
                let transmitted = connection.transmit(&mut machine, 0).await?;
                if connection.input.is_empty() {
                    connection.input = BytesMut::new();
                } else if transmitted {
                    // It may have stopped for the sake of its output alone.
                    continue;
                }
                let deadline = machine.poll_timeout();
                tokio::select! {
                    read = connection.read(deadline, alarm.as_mut()) => match read? {
                        Read::Octets => {}
                        Read::End => { let _closed = machine.receive_eof(Instant::now()); }
                        Read::TimedOut => machine.handle_timeout(Instant::now()),
                    },
                    _ = &mut stopped, if !told => {
                        told = true;
                        session.shutdown(&mut machine);
                    }
                }
            }
            Ok(Step::UpgradeTls) => {
                connection.transmit(&mut machine, 0).await?;
                let tls = tls.as_ref().ok_or_else(|| io::Error::other("the machine offers TLS by itself"))?;
                // Boxed: otherwise each connection would reserve memory for a handshake.
                connection = tokio::select! {
                    encrypted = Box::pin(connection.encrypt(tls)) => encrypted?,
                    _ = shutdown.wait_for(|shutdown| *shutdown) => return Err(io::Error::other("the server shuts down")),
                };
                let encryption = connection.stream.encryption().expect("the handshake is complete");
                session.tls_established(encryption, Instant::now(), &mut machine);
            }
            Ok(Step::Closed) => break,
            Err(error) => {
                info!(%error, "session ended by the peer's fault");
                break;
            }
            Ok(Step::Paused) => return Err(io::Error::other("`handle` leaves no question open")),
        }
    }
    // A lease that it holds is free before the peer takes its time over the last words.
    drop(session);
    connection.close(&mut machine).await
}

/// Performs a TLS handshake, counts it, and logs a failure.
pub(crate) async fn accept_tls<T: Transport>(
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

enum Read {
    Octets,
    End,
    TimedOut,
}

struct Connection<T> {
    stream: Stream<T>,
    input: BytesMut,
    output: BytesMut,
    read_octets: usize,
    metrics: ConnectionMetrics,
    /// When the question came that is not answered yet.
    asked: Option<Instant>,
}

impl<T: Transport> Connection<T> {
    fn new(stream: Stream<T>, metrics: ConnectionMetrics) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            read_octets: READ_OCTETS.0,
            metrics,
            asked: None,
        }
    }

    async fn encrypt(self, tls: &Arc<ServerConfig>) -> io::Result<Self> {
        let Stream::Plain(plain) = self.stream else {
            return Err(io::Error::other("the machine asks for TLS within TLS"));
        };
        let stream = accept_tls(plain, tls, &self.metrics).await?;
        Ok(Self { stream, ..self })
    }

    /// Sends a long answer, stretch by stretch. No answer is held back any longer when the server is to stop.
    async fn produce<S: Session>(
        &mut self,
        session: &mut S,
        machine: &mut S::Machine,
        shutdown: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        loop {
            match session.produce(machine).await {
                Produced::Nothing => {
                    self.transmit(machine, OUTPUT_OCTETS).await?;
                    return Ok(());
                }
                Produced::Queued => {
                    self.transmit(machine, OUTPUT_OCTETS).await?;
                }
                Produced::Octets(octets) => {
                    self.collect(machine);
                    if octets.len() > COPIED_OCTETS_MAX {
                        self.write(octets).await?;
                    } else {
                        self.output.extend_from_slice(&octets);
                        self.transmit(machine, OUTPUT_OCTETS).await?;
                    }
                }
                Produced::Wait(delay) => {
                    self.transmit(machine, 0).await?;
                    self.asked = None;
                    tokio::select! {
                        () = sleep(delay) => {}
                        _ = shutdown.wait_for(|shutdown| *shutdown) => {}
                    }
                }
                Produced::Drop => {
                    self.transmit(machine, 0).await?;
                    return Err(io::Error::other("dropped on purpose"));
                }
            }
        }
    }

    /// Takes what the machine has queued, and counts it.
    fn collect<M: Machine>(&mut self, machine: &mut M) {
        let taken = self.output.len();
        machine.poll_transmit(&mut self.output);
        if self.metrics.count_replies(&self.output[taken..])
            && let Some(asked) = self.asked.take()
        {
            self.metrics.observe_answer(asked.elapsed());
        }
    }

    /// Writes what the machine has queued, if it is more than `threshold`; whether it was.
    async fn transmit<M: Machine>(&mut self, machine: &mut M, threshold: usize) -> io::Result<bool> {
        self.collect(machine);
        let is_more = self.output.len() > threshold;
        if is_more {
            self.write(Bytes::new()).await?;
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        Ok(is_more)
    }

    /// Writes the queued output and `octets` behind it, in one call where the system takes it.
    async fn write(&mut self, octets: Bytes) -> io::Result<()> {
        trace!(queued = %self.output.escape_ascii(), octets = octets.len(), "write");
        let mut all = (&mut self.output).chain(octets);
        while all.has_remaining() {
            // A slow peer that takes enough is not gone, so each stretch has its own time.
            let left = all.remaining().saturating_sub(WRITE_OCTETS_MIN);
            let stretch = async {
                while all.remaining() > left {
                    if self.stream.write_buf(&mut all).await? == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                }
                // TLS may hold back a last record.
                if left == 0 { self.stream.flush().await } else { Ok(()) }
            };
            in_time(stretch).await?;
        }
        Ok(())
    }

    async fn read(&mut self, deadline: Option<Instant>, mut alarm: Pin<&mut Sleep>) -> io::Result<Read> {
        let Self { stream, input, read_octets, .. } = self;
        let octets = poll_fn(|cx| {
            if stream.poll_readable(cx)?.is_ready() {
                if input.capacity() - input.len() < *read_octets {
                    input.reserve(*read_octets);
                }
                if let Poll::Ready(octets) = pin!(stream.read_buf(input)).poll(cx)? {
                    return Poll::Ready(Ok::<_, io::Error>(Some(octets)));
                }
                if input.is_empty() {
                    // It was told of what has been read already.
                    *input = BytesMut::new();
                }
            }
            match deadline {
                Some(deadline) => poll_alarm(alarm.as_mut(), deadline.into(), cx).map(|()| Ok(None)),
                None => Poll::Pending,
            }
        });
        let Some(octets) = octets.await? else { return Ok(Read::TimedOut) };
        self.read_octets =
            if octets >= self.read_octets { (octets * 2).min(READ_OCTETS.1) } else { READ_OCTETS.0 };
        Ok(if octets == 0 { Read::End } else { Read::Octets })
    }

    /// Writes the last words and closes in order, so that the peer reads them before the end.
    async fn close<M: Machine>(mut self, machine: &mut M) -> io::Result<()> {
        self.transmit(machine, 0).await?;
        let linger = async {
            self.stream.shutdown().await?;
            // A socket closed with unread input resets the connection, and the last reply with it.
            let mut rest = BytesMut::with_capacity(READ_OCTETS.0);
            let socket = self.stream.transport_mut();
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

/// Ready when the deadline has passed. The timer may go off before, for an earlier one, and is only then set anew: a read
/// that comes in time, as nearly all do, leaves it alone.
fn poll_alarm(mut timer: Pin<&mut Sleep>, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()> {
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

/// Waits for a peer to take what is written.
async fn in_time(written: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(WRITE_TIMEOUT, written).await.unwrap_or_else(|_| {
        info!("connection given up: in {} seconds the peer took too little", WRITE_TIMEOUT.as_secs());
        Err(io::ErrorKind::TimedOut.into())
    })
}

/// How long, and for how many reads, a closed connection's remaining input is thrown away.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_READS: usize = 64;

#[cfg(test)]
mod tests;
