//! Drives a [`Machine`] and its [`Session`] over a stream, plain or encrypted.
//!
//! All output is written before every read, which is all that pipelining asks for. While a connection is
//! idle it holds no buffer: the read buffer is made when bytes have arrived and given back when they are
//! consumed.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use mail_core::machine::{Machine, Step};
use mail_core::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, trace};

use crate::session::{Encryption, Produced, Session};
use crate::transport::{Stream, Transport};

/// One read takes at least and at most so much; it doubles while the peer keeps filling it.
const READ_OCTETS: (usize, usize) = (4 << 10, 64 << 10);
/// Queued output is written once it is larger than this, or before a read.
const OUTPUT_OCTETS: usize = 16 << 10;
/// A peer that takes nothing for so long is gone (RFC 5321 section 4.5.3.2 gives 5 minutes at most).
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);

/// Runs a session to its end. `tls` does the handshake that a machine may ask for. `stopping` turns true when the
/// server is to stop.
///
/// # Errors
/// The connection broke.
pub async fn drive<T: Transport, S: Session>(
    stream: Stream<T>,
    mut machine: S::Machine,
    mut session: S,
    tls: Option<Arc<ServerConfig>>,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut connection =
        Connection { stream, input: BytesMut::new(), output: BytesMut::new(), read_octets: READ_OCTETS.0 };
    let mut told = false;
    loop {
        let step = machine.receive(Instant::now(), &mut connection.input);
        match step {
            Ok(Step::Event(event)) => {
                session.handle(event, &mut machine).await;
                connection.produce(&mut session, &mut machine, &mut stopping).await?;
            }
            Ok(Step::NeedInput) => {
                connection.transmit(&mut machine, 0).await?;
                if connection.input.is_empty() {
                    connection.input = BytesMut::new();
                }
                let deadline = machine.poll_timeout();
                tokio::select! {
                    read = connection.read(deadline) => match read? {
                        Read::Octets => {}
                        Read::End => { let _closed = machine.receive_eof(Instant::now()); }
                        Read::TimedOut => machine.handle_timeout(Instant::now()),
                    },
                    _ = stopping.wait_for(|stop| *stop), if !told => {
                        told = true;
                        session.shutdown(&mut machine);
                    }
                }
            }
            Ok(Step::UpgradeTls) => {
                connection.transmit(&mut machine, 0).await?;
                let tls = tls.as_ref().ok_or_else(|| io::Error::other("the machine offers TLS by itself"))?;
                let encryption;
                // Boxed, or every connection would keep room for a handshake.
                (connection, encryption) = tokio::select! {
                    encrypted = Box::pin(connection.encrypt(tls)) => encrypted?,
                    _ = stopping.wait_for(|stop| *stop) => return Err(io::Error::other("the server stops")),
                };
                session.tls_established(encryption, Instant::now(), &mut machine);
            }
            Ok(Step::Closed) => break,
            Err(error) => {
                debug!(%error, "session ended by the peer's fault");
                break;
            }
            Ok(Step::Paused) => return Err(io::Error::other("`handle` leaves no question open")),
        }
    }
    // A lease that it holds is free before the peer takes its time over the last words.
    drop(session);
    connection.close(&mut machine).await
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
}

impl<T: Transport> Connection<T> {
    async fn encrypt(self, tls: &Arc<ServerConfig>) -> io::Result<(Self, Encryption)> {
        let Stream::Plain(plain) = self.stream else {
            return Err(io::Error::other("the machine offers TLS within TLS"));
        };
        let (stream, encryption) = Stream::encrypt(plain, tls).await?;
        Ok((Self { stream, ..self }, encryption))
    }

    /// Sends a long answer, stretch by stretch. No answer is held back any longer when the server is to stop.
    async fn produce<S: Session>(
        &mut self,
        session: &mut S,
        machine: &mut S::Machine,
        stopping: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        loop {
            match session.produce(machine).await {
                Produced::Nothing => return self.transmit(machine, OUTPUT_OCTETS).await,
                Produced::Queued => self.transmit(machine, OUTPUT_OCTETS).await?,
                Produced::Octets(octets) => {
                    machine.poll_transmit(&mut self.output);
                    self.write(octets).await?;
                }
                Produced::Wait(delay) => {
                    self.transmit(machine, 0).await?;
                    tokio::select! {
                        () = sleep(delay) => {}
                        _ = stopping.wait_for(|stop| *stop) => {}
                    }
                }
                Produced::Drop => {
                    self.transmit(machine, 0).await?;
                    return Err(io::Error::other("dropped on purpose"));
                }
            }
        }
    }

    /// Writes what the machine has queued, if it is more than `threshold`.
    async fn transmit<M: Machine>(&mut self, machine: &mut M, threshold: usize) -> io::Result<()> {
        machine.poll_transmit(&mut self.output);
        if self.output.len() > threshold {
            self.write(Bytes::new()).await?;
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Writes the queued output and `octets` behind it, in one call where the system takes it.
    async fn write(&mut self, octets: Bytes) -> io::Result<()> {
        trace!(queued = %self.output.escape_ascii(), octets = octets.len(), "write");
        let mut all = (&mut self.output).chain(octets);
        while all.has_remaining() {
            // A slow peer that takes something is not gone, so each step has its own time.
            let written = timeout(WRITE_TIMEOUT, self.stream.write_buf(&mut all));
            if written.await.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        // TLS may hold back a last record.
        timeout(WRITE_TIMEOUT, self.stream.flush()).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn read(&mut self, deadline: Option<Instant>) -> io::Result<Read> {
        let Self { stream, input, read_octets, .. } = self;
        let read = poll_fn(|cx| {
            ready!(stream.poll_readable(cx))?;
            if input.capacity() - input.len() < *read_octets {
                input.reserve(*read_octets);
            }
            pin!(stream.read_buf(input)).poll(cx)
        });
        let octets = match deadline {
            None => read.await?,
            Some(deadline) => tokio::select! {
                octets = read => octets?,
                () = sleep_until(deadline.into()) => return Ok(Read::TimedOut),
            },
        };
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
            let socket = self.stream.innermost();
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

/// How long, and for how many reads, a closed connection's remaining input is thrown away.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_READS: usize = 64;

#[cfg(test)]
mod tests {
    use mail_core::machine::ProtocolError;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Says good bye at once.
    struct Farewell;

    impl Machine for Farewell {
        type Event = ();

        fn receive(&mut self, _now: Instant, _input: &mut BytesMut) -> Result<Step<()>, ProtocolError> {
            Ok(Step::Closed)
        }

        fn receive_eof(&mut self, _now: Instant) -> Result<Step<()>, ProtocolError> {
            Ok(Step::Closed)
        }

        fn poll_transmit(&mut self, out: &mut BytesMut) {
            out.extend_from_slice(b"bye");
        }

        fn poll_timeout(&self) -> Option<Instant> {
            None
        }

        fn handle_timeout(&mut self, _now: Instant) {}
    }

    struct Leaseholder {
        _lease: Arc<()>,
    }

    impl Session for Leaseholder {
        type Machine = Farewell;

        async fn handle(&mut self, _event: (), _machine: &mut Farewell) {}

        async fn produce(&mut self, _machine: &mut Farewell) -> Produced {
            Produced::Nothing
        }

        fn tls_established(&mut self, _encryption: Encryption, _now: Instant, _machine: &mut Farewell) {}

        fn shutdown(&self, _machine: &mut Farewell) {}
    }

    #[tokio::test]
    async fn the_lease_is_given_back_before_the_last_words() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let lease = Arc::new(());
        let session = Leaseholder { _lease: Arc::clone(&lease) };
        let (_stop, stopping) = watch::channel(false);
        let driven = tokio::spawn(drive(Stream::Plain(server), Farewell, session, None, stopping));
        let mut words = [0; 3];
        client.read_exact(&mut words).await.unwrap();
        // The connection is still open, as the client has not closed its side.
        assert!((&words, Arc::strong_count(&lease)) == (b"bye", 1));
        drop(client);
        driven.await.unwrap().unwrap();
    }
}
