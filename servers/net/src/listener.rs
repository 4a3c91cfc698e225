//! A mail protocol's listener: accepts connections within limits and runs a session on each.

use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use mail_core::session::Session;
use mail_core::time::Instant;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use crate::accept::{self, AcceptConfig, bind, into_tokio};
use crate::driver::{self, Connection, TokioTimer};
use crate::limiter::{ConnectionLimiter, ConnectionLimits, ConnectionPermit, LimitExceeded};
use crate::local::LocalListener;
use crate::metrics::{ConnectionMetrics, OpenConnection};
use crate::proxy::{self, Client};
use crate::stream::{Stream, Transport};

/// Time for open sessions to end after shutdown: enough for a message in transit.
const GRACE: Duration = Duration::from_secs(20);
/// Writing a refusal into an empty send buffer takes no time unless the system has no memory left.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// A bound listener and the protocol that it speaks.
#[derive(Debug)]
pub struct Listener {
    protocol: &'static str,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Tcp(net::TcpListener, PeerPolicy),
    Local(LocalListener),
}

/// Peers of a TCP listener: clients, or proxies that pass on clients.
#[derive(Debug, Clone)]
pub enum PeerPolicy {
    /// Clients.
    Clients,
    /// Clients, with TLS from the first octet (RFC 8314 section 3).
    ClientsOverTls,
    /// These proxies, each connection on behalf of the client in its PROXY header.
    Proxies(Arc<[IpAddr]>),
}

/// Settings that the connections of a listener share.
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Each listener counts its own connections against these limits.
    pub limits: ConnectionLimits,
    /// For handshakes, if there is a certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// Sent instead of a greeting when the total limit is reached.
    pub too_busy: Bytes,
    /// Sent instead of a greeting when the limit of the client's address is reached.
    pub too_many_connections: Bytes,
    pub metrics: Arc<ConnectionMetrics>,
}

impl Listener {
    /// Binds a TCP address. Needs no runtime.
    ///
    /// # Errors
    /// The address is in use or not local.
    pub fn bind(protocol: &'static str, address: SocketAddr, peers: PeerPolicy) -> io::Result<Self> {
        Ok(Self { protocol, source: Source::Tcp(bind(address)?, peers) })
    }

    /// Accepts the connections of another service of this process.
    #[must_use]
    pub const fn local(protocol: &'static str, listener: LocalListener) -> Self {
        Self { protocol, source: Source::Local(listener) }
    }

    /// The bound address; `None` for a local listener.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.source {
            Source::Tcp(socket, _) => socket.local_addr().ok(),
            Source::Local(_) => None,
        }
    }

    /// Runs the machine and session that `open` returns for each connection. Ends when `shutdown` has turned true and
    /// the open sessions or their grace period have ended.
    pub async fn serve<S, F>(self, config: ConnectionConfig, open: F, shutdown: watch::Receiver<bool>)
    where
        S: Session + 'static,
        S::Machine: 'static,
        F: Fn(Client, Instant) -> (S::Machine, S) + Clone + Send + Sync + 'static,
    {
        self.log_address();
        let Self { protocol, source } = self;
        let limiter = ConnectionLimiter::new(config.limits.clone());
        let setup = ConnectionSetup { open, config: Arc::new(config), limiter, shutdown: shutdown.clone() };
        let accept_config = AcceptConfig { connections_max: None, grace: GRACE };
        let finished = match source {
            Source::Tcp(socket, peers) => {
                let task = |(stream, peer): (TcpStream, SocketAddr)| {
                    let connection = setup.clone().serve_tcp(stream, peer, peers.clone());
                    logged(connection).instrument(connection_span(protocol, peer))
                };
                accept::serve(into_tokio(socket), accept_config, shutdown, task).await
            }
            Source::Local(listener) => {
                let task = |(stream, client): (_, Client)| {
                    let connection = setup.clone().serve_local(stream, client);
                    logged(connection).instrument(connection_span(protocol, client.address))
                };
                accept::serve(listener, accept_config, shutdown, task).await
            }
        };
        if !finished {
            warn!(protocol, "stopped with sessions still open");
        }
    }

    fn log_address(&self) {
        let Source::Tcp(socket, peers) = &self.source else { return };
        let suffix = match peers {
            PeerPolicy::Clients => "",
            PeerPolicy::ClientsOverTls => "s",
            PeerPolicy::Proxies(_) => "-proxy",
        };
        let protocol = format!("{}{suffix}", self.protocol);
        match socket.local_addr() {
            Ok(address) => info!(protocol, %address, "listening"),
            Err(error) => error!(protocol, %error, "listening at an unknown address"),
        }
    }
}

fn connection_span(protocol: &'static str, peer: SocketAddr) -> Span {
    info_span!("connection", session = session_id(), protocol, %peer)
}

/// Identifies a session in the log: the random end of a ULID, unique within a few days of many processes.
fn session_id() -> String {
    ulid::Ulid::generate().to_string().split_off(18)
}

/// Logs the end of a connection.
fn logged(connection: impl Future<Output = io::Result<()>>) -> impl Future<Output = ()> {
    connection.map(|result| match result {
        Ok(()) => debug!("closed"),
        Err(error) => debug!(%error, "connection lost"),
    })
}

/// Everything a new connection needs to become a session.
#[derive(Clone)]
struct ConnectionSetup<F> {
    open: F,
    config: Arc<ConnectionConfig>,
    limiter: Arc<ConnectionLimiter>,
    shutdown: watch::Receiver<bool>,
}

impl<F> ConnectionSetup<F> {
    async fn serve_tcp<S>(
        mut self,
        mut stream: TcpStream,
        peer: SocketAddr,
        peers: PeerPolicy,
    ) -> io::Result<()>
    where
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        debug!("connected");
        self.config.metrics.accepted.inc();
        let over_tls = matches!(peers, PeerPolicy::ClientsOverTls);
        // A connection that waits for its PROXY header counts towards the total limit.
        let permit = match self.limiter.acquire_unidentified() {
            Ok(permit) => permit,
            Err(limit) => {
                self.refuse(stream, peer.ip(), limit, over_tls).await;
                return Ok(());
            }
        };
        let client = match peers {
            PeerPolicy::Clients | PeerPolicy::ClientsOverTls => Client::direct(peer),
            PeerPolicy::Proxies(proxies) => {
                let Some(client) = self.read_proxy_header(&mut stream, peer, &proxies).await else {
                    return Ok(());
                };
                client
            }
        };
        let _served = match self.identify(permit, &client) {
            Ok(served) => served,
            Err(limit) => {
                self.refuse(stream, client.address.ip(), limit, over_tls).await;
                return Ok(());
            }
        };
        let (stream, client) = if over_tls {
            let tls = self.config.tls.clone().ok_or_else(|| io::Error::other("there is no certificate"))?;
            // Boxed: otherwise each connection would reserve memory for a handshake.
            let stream = tokio::select! {
                accepted = Box::pin(driver::accept_tls(stream, &tls, &self.config.metrics)) => accepted?,
                _ = self.shutdown.wait_for(|shutdown| *shutdown) => return Ok(()),
            };
            let client = stream.encryption().map_or(client, |encryption| client.over_tls(encryption));
            (stream, client)
        } else {
            (Stream::Plain(stream), client)
        };
        self.run(stream, client).await
    }

    async fn serve_local<S, T>(self, stream: T, client: Client) -> io::Result<()>
    where
        T: Transport,
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        debug!("connected");
        self.config.metrics.accepted.inc();
        let permit = self.limiter.acquire_unidentified();
        let _served = match permit.and_then(|permit| self.identify(permit, &client)) {
            Ok(served) => served,
            Err(limit) => {
                self.refuse(stream, client.address.ip(), limit, false).await;
                return Ok(());
            }
        };
        self.run(Stream::Plain(stream), client).await
    }

    /// The client that the proxy names; `None` when the connection is refused or the server shuts down.
    async fn read_proxy_header(
        &mut self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        proxies: &[IpAddr],
    ) -> Option<Client> {
        let header = tokio::select! {
            header = proxy::read_header(stream, peer, proxies) => header,
            _ = self.shutdown.wait_for(|shutdown| *shutdown) => return None,
        };
        match header {
            Ok(client) => {
                debug!(client = %client.address, secure = client.secure, "connected through a proxy");
                Some(client)
            }
            Err(error) => {
                self.config.metrics.refused.proxy_header.inc();
                warn!(%error, "connection refused: no valid PROXY header");
                None
            }
        }
    }

    fn identify(
        &self,
        permit: ConnectionPermit,
        client: &Client,
    ) -> Result<(ConnectionPermit, OpenConnection), LimitExceeded> {
        Ok((permit.identify(client.address.ip())?, self.config.metrics.open()))
    }

    /// Replies with the limit that is reached. A client that expects a TLS handshake could not read the reply.
    async fn refuse(
        &self,
        mut stream: impl Transport,
        address: IpAddr,
        limit: LimitExceeded,
        over_tls: bool,
    ) {
        let ConnectionConfig { too_busy, too_many_connections, metrics, .. } = &*self.config;
        let ConnectionLimits { connections_max, per_address_max, .. } = self.limiter.limits();
        let reply = match limit {
            LimitExceeded::Total => {
                metrics.refused.total_limit.inc();
                warn!(%address, limit = connections_max, "connection refused: `connections` reached");
                too_busy
            }
            LimitExceeded::Address => {
                metrics.refused.address_limit.inc();
                warn!(
                    %address,
                    limit = per_address_max,
                    "connection refused: `connections_per_address` reached"
                );
                too_many_connections
            }
        };
        if !over_tls {
            // A client that is gone does not need the reply.
            let _ = timeout(REFUSAL_TIMEOUT, stream.write_all(reply)).await;
        }
    }

    async fn run<S, T>(self, stream: Stream<T>, client: Client) -> io::Result<()>
    where
        T: Transport,
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        let (machine, session) = (self.open)(client, Instant::now());
        let ConnectionConfig { tls, metrics, .. } = &*self.config;
        let connection = Connection::new(stream, tls.clone(), Arc::clone(metrics));
        driver::drive(connection, TokioTimer, machine, session, Arc::clone(metrics), self.shutdown).await
    }
}

#[cfg(test)]
mod tests;
