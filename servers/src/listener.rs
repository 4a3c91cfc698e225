//! Accepts connections, within a limit, until the server is told to stop; then waits for the sessions that
//! still work.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mail_core::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::session::Session;
use crate::stream;

/// How long sessions may go on after the word to stop: long enough for a message that is on its way.
const GRACE: Duration = Duration::from_secs(20);
/// The longest wait between two attempts to accept when the system refuses (no file descriptors left).
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// A bound address and the protocol that is spoken there.
#[derive(Debug)]
pub struct Listener {
    protocol: &'static str,
    socket: TcpListener,
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// The address is taken or not ours, said as a sentence.
    pub async fn bind(protocol: &'static str, address: SocketAddr) -> Result<Self, String> {
        let socket = TcpListener::bind(address).await.map_err(|error| {
            format!(
                "cannot listen on {address} for {protocol}: {error}; choose another address with --{protocol}"
            )
        })?;
        Ok(Self { protocol, socket })
    }

    /// Serves each connection with a machine and a session made by `open`, `connections_max` at a time.
    pub async fn serve<S, F>(self, connections_max: usize, open: F, mut stopping: watch::Receiver<bool>)
    where
        S: Session + 'static,
        S::Machine: 'static,
        F: Fn(SocketAddr, Instant) -> (S::Machine, S),
    {
        match self.socket.local_addr() {
            Ok(address) => info!(protocol = self.protocol, %address, "listening"),
            Err(error) => error!(protocol = self.protocol, %error, "listening at an unknown address"),
        }
        let permits = Arc::new(Semaphore::new(connections_max));
        let mut sessions = JoinSet::new();
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&permits).acquire_owned() => permit.expect("the semaphore is never closed"),
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            let accepted = tokio::select! {
                accepted = accept(&self.socket) => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            while sessions.try_join_next().is_some() {}
            let (socket, peer) = accepted;
            let (machine, session) = open(peer, Instant::now());
            let stopping = stopping.clone();
            let span = info_span!("session", protocol = self.protocol, %peer);
            sessions.spawn(
                async move {
                    debug!("connected");
                    match stream::drive(socket, machine, session, stopping).await {
                        Ok(()) => debug!("closed"),
                        Err(error) => debug!(%error, "connection lost"),
                    }
                    drop(permit);
                }
                .instrument(span),
            );
        }
        drop(self.socket);
        let finished = async { while sessions.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            warn!(protocol = self.protocol, "stopped with sessions still open");
        }
    }
}

/// The next connection; a failure to accept is logged and waited out.
async fn accept(socket: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut back_off = Duration::from_millis(10);
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                // Replies are written whole; waiting to fill a segment only adds delay.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "no TCP_NODELAY");
                }
                return (stream, peer);
            }
            // The client went away between its request and our answer.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                error!(%error, "cannot accept a connection; trying again");
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF_MAX);
            }
        }
    }
}
