//! Binding a TCP address, and the accept loop that every listener runs.

use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::error;

/// Connections that may wait to be accepted; the standard library's 128 is too short for a burst of clients.
const BACKLOG: i32 = 1024;
const BACK_OFF_MIN: Duration = Duration::from_millis(10);
/// Longest pause between two attempts to accept, for example while no file descriptor is free.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// A source of connections.
pub trait Acceptor {
    type Connection;

    /// Waits for the next connection. Must be cancel safe.
    fn accept(&mut self) -> impl Future<Output = Self::Connection> + Send;
}

/// Limits of [`serve`].
#[derive(Debug, Clone, Copy)]
pub struct AcceptConfig {
    /// While this many connections are open, further ones wait in the backlog. `None`: no limit.
    pub connections_max: Option<usize>,
    /// Time for open connections to end after shutdown.
    pub grace: Duration,
}

/// Binds a non-blocking listener with TCP_NODELAY, which accepted connections inherit. Needs no runtime, so that a process
/// can drop privileges between this call and its first thread.
///
/// # Errors
/// The address is in use or not local.
pub fn bind(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = net::TcpListener::bind(address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Converts a listener from [`bind`]. Must be called within a runtime.
#[must_use]
pub fn into_tokio(socket: net::TcpListener) -> TcpListener {
    TcpListener::from_std(socket).expect("`bind` made the socket non-blocking")
}

impl Acceptor for TcpListener {
    type Connection = (TcpStream, SocketAddr);

    /// Logs a failure to accept and retries after a pause.
    async fn accept(&mut self) -> Self::Connection {
        let mut back_off = BACK_OFF_MIN;
        loop {
            match Self::accept(self).await {
                Ok(accepted) => return accepted,
                // The client closed the connection while it was in the backlog.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    error!(%error, "cannot accept a connection; retrying");
                    tokio::time::sleep(back_off).await;
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                }
            }
        }
    }
}

/// Spawns a task for each accepted connection until `shutdown` turns true, closes the acceptor, and waits for the tasks.
/// Tasks that are still running after the grace period are aborted; returns whether there were none.
pub async fn serve<A, F>(
    mut acceptor: A,
    config: AcceptConfig,
    mut shutdown: watch::Receiver<bool>,
    mut task: impl FnMut(A::Connection) -> F,
) -> bool
where
    A: Acceptor,
    F: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(config.connections_max.unwrap_or(Semaphore::MAX_PERMITS)));
    let mut tasks = JoinSet::new();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit.expect("the semaphore is never closed"), acceptor.accept().await)
        };
        let (permit, connection) = tokio::select! {
            accepted = accepted => accepted,
            _ = shutdown.wait_for(|shutdown| *shutdown) => break,
        };
        while tasks.try_join_next().is_some() {}
        // Not an async block, whose future would hold the task twice.
        tasks.spawn(task(connection).map(|()| drop(permit)));
    }
    drop(acceptor);
    let finished = async { while tasks.join_next().await.is_some() {} };
    timeout(config.grace, finished).await.is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt;

    use super::*;

    fn listener() -> (TcpListener, SocketAddr) {
        let socket = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = socket.local_addr().expect("bound");
        (into_tokio(socket), address)
    }

    #[tokio::test]
    async fn accepted_connection_has_nodelay() {
        let (mut listener, address) = listener();
        let client = TcpStream::connect(address).await.expect("connected");
        let (accepted, peer) = Acceptor::accept(&mut listener).await;
        assert!(accepted.nodelay().expect("TCP"));
        assert_eq!(peer, client.local_addr().expect("connected"));
    }

    #[tokio::test]
    async fn connections_over_the_maximum_wait_until_one_ends() {
        let (listener, address) = listener();
        let config = AcceptConfig { connections_max: Some(1), grace: Duration::from_secs(60) };
        let (stop, shutdown) = watch::channel(false);
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, config, shutdown, move |(mut stream, peer)| {
            let started = started.clone();
            async move {
                started.send(peer).expect("the test waits");
                let _ = stream.read(&mut [0]).await;
            }
        }));
        let first = TcpStream::connect(address).await.expect("connected");
        assert_eq!(starts.recv().await, first.local_addr().ok());
        let second = TcpStream::connect(address).await.expect("in the backlog");
        assert!(starts.try_recv().is_err());
        drop(first);
        assert_eq!(starts.recv().await, second.local_addr().ok());
        stop.send_replace(true);
        drop(second);
        assert!(server.await.expect("no panic"), "all connections ended in time");
        assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_aborts_connections_after_the_grace_period() {
        let (listener, address) = listener();
        let config = AcceptConfig { connections_max: None, grace: Duration::from_secs(20) };
        let (stop, shutdown) = watch::channel(false);
        let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, config, shutdown, move |(stream, _)| {
            started.send(()).expect("the test waits");
            async move {
                std::future::pending::<()>().await;
                drop(stream);
            }
        }));
        let mut client = TcpStream::connect(address).await.expect("connected");
        starts.recv().await.expect("accepted");
        stop.send_replace(true);
        assert!(!server.await.expect("no panic"));
        assert_eq!(client.read(&mut [0]).await.expect("closed"), 0);
    }
}
