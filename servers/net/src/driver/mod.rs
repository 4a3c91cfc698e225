//! Runs a [`Machine`] and its [`Session`] over a connection.
//!
//! [`drive`] is generic over the connection's I/O and its clock, so that the simulation runs the same loop as the servers.
//! [`Connection`] is the I/O of a plain or TLS stream on tokio.
//!
//! ```text
//!   pump ──▶ Event       session.handle, then session.produce until it is done
//!        ──▶ Write       write all output
//!        ──▶ Read        read; renew the session's lease; time out
//!        ──▶ UpgradeTls  write all output, handshake
//!        ──▶ Closed      drop the session, write all output, close
//! ```

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mail_core::machine::{Machine, Pump, pump};
use mail_core::session::{Encryption, Produced, Session};
use mail_core::time::Instant;
use tokio::sync::watch;
use tracing::info;

use crate::metrics::ConnectionMetrics;

mod connection;

pub use connection::{Connection, TokioTimer, accept_tls};

/// Output is written when it exceeds this, or before a read, so that a pipeline of commands is answered in few writes.
const OUTPUT_OCTETS: usize = 64 << 10;
/// Shorter parts of an answer are copied to the output, which costs less than a write of their own.
const COPIED_OCTETS_MAX: usize = 16 << 10;

/// The octets of one connection.
pub trait ConnectionIo {
    /// Appends the next octets to `input`, unless `deadline` passes first. Must be cancel safe.
    ///
    /// # Errors
    /// The connection is broken.
    fn read(
        &mut self,
        input: &mut BytesMut,
        deadline: Option<Instant>,
    ) -> impl Future<Output = io::Result<Read>>;

    /// Writes all of `output`, which is empty then, and `octets` after it.
    ///
    /// # Errors
    /// The connection is broken, or the peer reads too slowly.
    fn write(&mut self, output: &mut BytesMut, octets: Bytes) -> impl Future<Output = io::Result<()>>;

    /// Performs the server side of a TLS handshake.
    ///
    /// # Errors
    /// The handshake fails or is not possible.
    fn upgrade_tls(&mut self) -> impl Future<Output = io::Result<Encryption>>;

    /// Closes the connection so that the peer receives everything that was written.
    ///
    /// # Errors
    /// The connection is broken.
    fn close(self) -> impl Future<Output = io::Result<()>>;
}

/// Result of [`ConnectionIo::read`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    Octets,
    Eof,
    TimedOut,
}

/// The clock of a driver.
pub trait Timer {
    fn now(&self) -> Instant;

    fn sleep_until(&self, when: Instant) -> impl Future<Output = ()>;
}

/// Runs a session until its machine closes it or the connection breaks. When `shutdown` turns true, the machine ends
/// the session.
///
/// # Errors
/// The connection is broken.
pub fn drive<C: ConnectionIo, T: Timer, S: Session>(
    io: C,
    timer: T,
    machine: S::Machine,
    session: S,
    metrics: Arc<ConnectionMetrics>,
    shutdown: watch::Receiver<bool>,
) -> impl Future<Output = io::Result<()>> {
    // Not an async function: its future would hold every argument twice, and this one exists once per connection.
    let (input, output) = (BytesMut::new(), BytesMut::new());
    let mut driver = Driver { io, timer, machine, session, metrics, input, output, event_at: None };
    async move {
        driver.run(shutdown).await?;
        // A lease is free before the peer has read the last reply.
        drop(driver.session);
        driver.io.write(&mut driver.output, Bytes::new()).await?;
        driver.io.close().await
    }
}

/// A connection, its machine and its session.
struct Driver<C, T, S: Session> {
    io: C,
    timer: T,
    machine: S::Machine,
    session: S,
    metrics: Arc<ConnectionMetrics>,
    input: BytesMut,
    output: BytesMut,
    /// Arrival time of the event that has no reply yet.
    event_at: Option<Instant>,
}

impl<C: ConnectionIo, T: Timer, S: Session> Driver<C, T, S> {
    /// Runs the session to its end. The last output is not written yet.
    async fn run(&mut self, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
        let mut stopped = shutdown.clone();
        let mut stopped = pin!(stopped.wait_for(|shutdown| *shutdown));
        let (mut eof, mut shutdown_sent) = (false, false);
        loop {
            match self.pump(eof) {
                Ok(Pump::Event(event)) => {
                    self.session.handle(event, &mut self.machine).await;
                    self.produce(&mut shutdown).await?;
                    self.event_at = None;
                }
                Ok(Pump::Write) => self.write(Bytes::new()).await?,
                Ok(Pump::Read { deadline }) => {
                    self.free_buffers();
                    tokio::select! {
                        biased;
                        _ = &mut stopped, if !shutdown_sent => {
                            shutdown_sent = true;
                            self.session.shutdown(&mut self.machine);
                        }
                        read = self.read(deadline) => eof = read? == Read::Eof,
                    }
                }
                Ok(Pump::UpgradeTls) => self.upgrade_tls(&mut shutdown).await?,
                Ok(Pump::Closed) => break,
                Err(error) => {
                    info!(%error, "session ended: protocol error");
                    break;
                }
                Ok(Pump::Paused) => return Err(io::Error::other("the session left an event unanswered")),
            }
        }
        Ok(())
    }

    async fn upgrade_tls(&mut self, shutdown: &mut watch::Receiver<bool>) -> io::Result<()> {
        self.write(Bytes::new()).await?;
        let encryption = tokio::select! {
            encryption = self.io.upgrade_tls() => encryption?,
            _ = shutdown.wait_for(|shutdown| *shutdown) => return Err(io::Error::other("the server shuts down")),
        };
        let now = self.timer.now();
        self.session.tls_established(encryption, now, &mut self.machine);
        Ok(())
    }

    fn pump(
        &mut self,
        eof: bool,
    ) -> Result<Pump<<S::Machine as Machine>::Event>, mail_core::machine::ProtocolError> {
        let now = self.timer.now();
        let queued = self.output.len();
        let action = pump(&mut self.machine, now, &mut self.input, eof, &mut self.output);
        if matches!(action, Ok(Pump::Event(_))) {
            self.event_at = Some(now);
        }
        self.count_replies(queued);
        action
    }

    /// Sends a long answer part by part. A delayed reply is sent at once on shutdown.
    async fn produce(&mut self, shutdown: &mut watch::Receiver<bool>) -> io::Result<()> {
        loop {
            self.renew_if_due().await;
            let produced = self.session.produce(&mut self.machine).await;
            self.collect_output();
            match produced {
                Produced::Nothing => return self.write_above(OUTPUT_OCTETS).await,
                Produced::Queued => self.write_above(OUTPUT_OCTETS).await?,
                Produced::Octets(octets) if octets.len() > COPIED_OCTETS_MAX => self.write(octets).await?,
                Produced::Octets(octets) => {
                    self.output.extend_from_slice(&octets);
                    self.write_above(OUTPUT_OCTETS).await?;
                }
                Produced::Wait(delay) => self.wait(delay, shutdown).await?,
                Produced::Drop => {
                    self.write_above(0).await?;
                    return Err(io::Error::other("dropped by an injected fault"));
                }
            }
        }
    }

    /// Moves the machine's output to the output buffer.
    fn collect_output(&mut self) {
        let queued = self.output.len();
        self.machine.poll_transmit(&mut self.output);
        self.count_replies(queued);
    }

    /// Counts the replies in the output after the first `queued` octets.
    fn count_replies(&mut self, queued: usize) {
        if self.metrics.count_replies(&self.output[queued..])
            && let Some(event_at) = self.event_at.take()
        {
            self.metrics.observe_answer(self.timer.now().saturating_duration_since(event_at));
        }
    }

    async fn write_above(&mut self, threshold: usize) -> io::Result<()> {
        if self.output.len() > threshold { self.write(Bytes::new()).await } else { Ok(()) }
    }

    /// Writes all output and `octets` after it, and renews the session's lease meanwhile.
    async fn write(&mut self, octets: Bytes) -> io::Result<()> {
        let mut written = pin!(self.io.write(&mut self.output, octets));
        loop {
            let Some(renewal) = self.session.renewal() else { return written.await };
            tokio::select! {
                biased;
                written = &mut written => return written,
                () = self.timer.sleep_until(renewal) => {
                    self.session.renew(self.timer.now(), &mut self.machine).await;
                }
            }
        }
    }

    /// Reads until the machine's `deadline`, or until the session's lease is due for renewal.
    async fn read(&mut self, deadline: Option<Instant>) -> io::Result<Read> {
        let renewal = self.session.renewal();
        let read = self.io.read(&mut self.input, deadline.into_iter().chain(renewal).min()).await?;
        if read == Read::TimedOut {
            self.renew_if_due().await;
            let now = self.timer.now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                self.machine.handle_timeout(now);
            }
        }
        Ok(read)
    }

    async fn renew_if_due(&mut self) {
        let now = self.timer.now();
        if self.session.renewal().is_some_and(|renewal| renewal <= now) {
            self.session.renew(now, &mut self.machine).await;
        }
    }

    /// Holds a reply back. The delay is not part of the answer's time.
    async fn wait(&mut self, delay: Duration, shutdown: &mut watch::Receiver<bool>) -> io::Result<()> {
        self.write_above(0).await?;
        self.event_at = None;
        let until = self.timer.now() + delay;
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|shutdown| *shutdown) => {}
            () = self.timer.sleep_until(until) => {}
        }
        Ok(())
    }

    /// An idle connection holds no buffers.
    fn free_buffers(&mut self) {
        self.output = BytesMut::new();
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests;
