//! Accepts connections, within a limit, until the server is told to stop; then waits for the sessions that
//! still work.

use std::io;
use std::net::{self, IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mail_core::time::Instant;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::rustls::ServerConfig;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::proxy::{self, Client};
use crate::session::Session;
use crate::stream;
use crate::transport::Stream;

/// How long sessions may go on after the word to stop: long enough for a message that is on its way.
const GRACE: Duration = Duration::from_secs(20);
/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// The longest wait between two attempts to accept when the system refuses (no file descriptors left).
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// A bound address and the protocol that is spoken there.
#[derive(Debug)]
pub struct Listener {
    protocol: &'static str,
    socket: net::TcpListener,
    peers: Peers,
}

/// What the connections of a listener have in common.
#[derive(Debug, Clone)]
pub struct Terms {
    /// More wait to be accepted.
    pub connections_max: usize,
    /// Does the handshakes, where there is a certificate.
    pub tls: Option<Arc<ServerConfig>>,
}

/// Who may connect to an address, and whose connections they bring.
#[derive(Debug, Clone)]
pub enum Peers {
    /// Anybody, for themselves.
    Clients,
    /// The same, over TLS from the first byte (RFC 8314 section 3).
    ClientsOverTls,
    /// These, for whom their PROXY header names.
    Proxies(Arc<[IpAddr]>),
    /// The bridge of this process, in the same way; an address of its own that nobody else need know.
    OwnBridge,
}

impl Listener {
    /// Binds an address. It needs no runtime yet: a process gives up its rights between this and its first thread.
    ///
    /// # Errors
    /// The address is taken or not ours, said as a sentence.
    pub fn bind(protocol: &'static str, address: SocketAddr, peers: Peers) -> Result<Self, String> {
        let socket = listen(address).map_err(|error| {
            format!(
                "cannot listen on {address} for {protocol}: {error}; choose another address with {}",
                peers.choice(protocol)
            )
        })?;
        Ok(Self { protocol, socket, peers })
    }

    /// Binds a free port for the bridge of this process. Gives the address with it.
    ///
    /// # Errors
    /// There is none to be had, said as a sentence.
    pub fn bind_for_bridge(protocol: &'static str) -> Result<(Self, SocketAddr), String> {
        let listener = Self::bind(protocol, SocketAddr::from((BRIDGE, 0)), Peers::OwnBridge)?;
        let address = listener
            .socket
            .local_addr()
            .map_err(|error| format!("cannot tell where the {protocol} server listens: {error}"))?;
        Ok((listener, address))
    }

    /// Serves each connection with a machine and a session made by `open`.
    pub async fn serve<S, F>(self, terms: Terms, open: F, mut stopping: watch::Receiver<bool>)
    where
        S: Session + 'static,
        S::Machine: 'static,
        F: Fn(Client, Instant) -> (S::Machine, S) + Clone + Send + 'static,
    {
        self.announce();
        let listening = TcpListener::from_std(self.socket).expect("the socket listens and does not block");
        let permits = Arc::new(Semaphore::new(terms.connections_max));
        let mut sessions = JoinSet::new();
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&permits).acquire_owned() => permit.expect("the semaphore is never closed"),
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            let accepted = tokio::select! {
                accepted = accept(&listening) => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            while sessions.try_join_next().is_some() {}
            let (socket, peer) = accepted;
            let opening = Opening { open: open.clone(), tls: terms.tls.clone(), stopping: stopping.clone() };
            let peers = self.peers.clone();
            let span = info_span!("session", protocol = self.protocol, %peer);
            sessions.spawn(
                async move {
                    debug!("connected");
                    match opening.converse(socket, peer, &peers).await {
                        Ok(()) => debug!("closed"),
                        Err(error) => debug!(%error, "connection lost"),
                    }
                    drop(permit);
                }
                .instrument(span),
            );
        }
        drop(listening);
        let finished = async { while sessions.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, finished).await.is_err() {
            warn!(protocol = self.protocol, "stopped with sessions still open");
        }
    }

    fn announce(&self) {
        let suffix = match self.peers {
            Peers::Clients => "",
            Peers::ClientsOverTls => "s",
            Peers::Proxies(_) => "-proxy",
            Peers::OwnBridge => return,
        };
        let protocol = format!("{}{suffix}", self.protocol);
        match self.socket.local_addr() {
            Ok(address) => info!(protocol, %address, "listening"),
            Err(error) => error!(protocol, %error, "listening at an unknown address"),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = net::TcpListener::bind(address)?;
    // The standard library's own backlog is too short for a rush of clients.
    rustix::net::listen(&socket, BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Where the bridge of this process connects from and to.
const BRIDGE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What a connection becomes a session with.
struct Opening<F> {
    open: F,
    tls: Option<Arc<ServerConfig>>,
    stopping: watch::Receiver<bool>,
}

impl<F> Opening<F> {
    /// Finds out whose connection it is, and serves it.
    async fn converse<S>(self, mut socket: TcpStream, peer: SocketAddr, peers: &Peers) -> io::Result<()>
    where
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        let known: &[IpAddr] = match peers {
            Peers::Clients => return self.serve(Stream::Plain(socket), Client::direct(peer)).await,
            Peers::ClientsOverTls => return self.serve_over_tls(socket, Client::direct(peer)).await,
            Peers::Proxies(peers) => peers,
            Peers::OwnBridge => &[IpAddr::V4(BRIDGE)],
        };
        match proxy::identify(&mut socket, peer, known).await {
            Ok(client) => {
                debug!(client = %client.address, secure = client.secure, "connected through a proxy");
                self.serve(Stream::Plain(socket), client).await
            }
            Err(error) => {
                warn!(%error, "not served");
                Ok(())
            }
        }
    }

    async fn serve_over_tls<S>(mut self, socket: TcpStream, client: Client) -> io::Result<()>
    where
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("there is no certificate"))?;
        // Boxed, or every connection would keep room for a handshake.
        let (stream, encryption) = tokio::select! {
            encrypted = Box::pin(Stream::encrypt(socket, tls)) => encrypted?,
            _ = self.stopping.wait_for(|stop| *stop) => return Ok(()),
        };
        self.serve(stream, client.over_tls(encryption)).await
    }

    async fn serve<S>(self, stream: Stream<TcpStream>, client: Client) -> io::Result<()>
    where
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        let (machine, session) = (self.open)(client, Instant::now());
        stream::drive(stream, machine, session, self.tls, self.stopping).await
    }
}

impl Peers {
    /// Where the address of a listener is chosen.
    fn choice(&self, protocol: &str) -> String {
        match self {
            Self::Clients if protocol == "submission" => "`submission_listen` in [smtp]".to_owned(),
            Self::ClientsOverTls if protocol == "submission" => {
                "`submission_tls_listen` in [smtp]".to_owned()
            }
            Self::Clients | Self::OwnBridge => format!("--{protocol}"),
            Self::ClientsOverTls => format!("`tls_listen` in [{protocol}]"),
            Self::Proxies(_) => format!("`proxy_listen` in [{protocol}]"),
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
