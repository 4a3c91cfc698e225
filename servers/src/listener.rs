//! Accepts connections, within limits, until the server is told to stop; then waits for the sessions that
//! still work.

use std::io;
use std::net::{self, IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::Limits;
use mail_core::time::Instant;
use rustix::net::sockopt;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::census::{Census, Crowd};
use crate::meters::Traffic;
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
/// The word to one connection too many goes into an empty buffer, which takes no time unless the system has none.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

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
    pub limits: Limits,
    /// Does the handshakes, where there is a certificate.
    pub tls: Option<Arc<ServerConfig>>,
    /// What one connection too many is told in place of a greeting: of all, and of one address.
    pub too_busy: Bytes,
    pub too_many_connections: Bytes,
    /// Where they are counted.
    pub traffic: Arc<Traffic>,
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
        let (census, terms) = (Census::new(&terms.limits), Arc::new(terms));
        let listening = TcpListener::from_std(self.socket).expect("the socket listens and does not block");
        let mut sessions = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listening) => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            while sessions.try_join_next().is_some() {}
            let (socket, peer) = accepted;
            let opening = Opening {
                open: open.clone(),
                terms: Arc::clone(&terms),
                census: Arc::clone(&census),
                stopping: stopping.clone(),
            };
            let peers = self.peers.clone();
            let span = info_span!("connection", session = session_id(), protocol = self.protocol, %peer);
            sessions.spawn(
                async move {
                    debug!("connected");
                    match opening.converse(socket, peer, &peers).await {
                        Ok(()) => debug!("closed"),
                        Err(error) => debug!(%error, "connection lost"),
                    }
                }
                .instrument(span),
            );
        }
        drop(listening);
        let finished = async { while sessions.join_next().await.is_some() {} };
        if timeout(GRACE, finished).await.is_err() {
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

pub(crate) fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = net::TcpListener::bind(address)?;
    // The standard library's own backlog is too short for a rush of clients.
    rustix::net::listen(&socket, BACKLOG)?;
    // What is accepted inherits it. Replies are written whole; waiting to fill a segment only adds delay.
    sockopt::set_tcp_nodelay(&socket, true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Names a session in the log: what is random of a ULID, as much as keeps a few days of many processes apart.
fn session_id() -> String {
    ulid::Ulid::generate().to_string().split_off(18)
}

/// Where the bridge of this process connects from and to.
const BRIDGE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// What a connection becomes a session with.
struct Opening<F> {
    open: F,
    terms: Arc<Terms>,
    census: Arc<Census>,
    stopping: watch::Receiver<bool>,
}

impl<F> Opening<F> {
    /// Finds out whose connection it is, and serves it.
    async fn converse<S>(mut self, mut socket: TcpStream, peer: SocketAddr, peers: &Peers) -> io::Result<()>
    where
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        let traffic = Arc::clone(&self.terms.traffic);
        traffic.accepted.add(1);
        let proxies = match peers {
            Peers::Clients | Peers::ClientsOverTls => None,
            Peers::Proxies(peers) => Some(&peers[..]),
            Peers::OwnBridge => Some(&[IpAddr::V4(BRIDGE)][..]),
        };
        let client = match proxies {
            None => Ok(Client::direct(peer)),
            Some(proxies) => tokio::select! {
                client = proxy::identify(&mut socket, peer, proxies) => client,
                _ = self.stopping.wait_for(|stop| *stop) => return Ok(()),
            },
        };
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                traffic.refused.no_proxy_header.add(1);
                warn!(%error, "not served");
                return Ok(());
            }
        };
        if proxies.is_some() {
            debug!(client = %client.address, secure = client.secure, "connected through a proxy");
        }
        let _place = match self.census.enter(client.address.ip()) {
            Ok(place) => (place, traffic.enter()),
            Err(crowd) => {
                self.terms.refuse(socket, client, crowd, peers).await;
                return Ok(());
            }
        };
        if matches!(peers, Peers::ClientsOverTls) {
            self.serve_over_tls(socket, client).await
        } else {
            self.serve(Stream::Plain(socket), client).await
        }
    }

    async fn serve_over_tls<S>(mut self, socket: TcpStream, client: Client) -> io::Result<()>
    where
        S: Session,
        F: Fn(Client, Instant) -> (S::Machine, S),
    {
        let tls = self.terms.tls.as_ref().ok_or_else(|| io::Error::other("there is no certificate"))?;
        // Boxed, or every connection would keep room for a handshake.
        let (stream, encryption) = tokio::select! {
            encrypted = Box::pin(Stream::encrypt(socket, tls, &self.terms.traffic)) => encrypted?,
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
        let (tls, traffic) = (self.terms.tls.clone(), Arc::clone(&self.terms.traffic));
        stream::drive(stream, machine, session, tls, traffic, self.stopping).await
    }
}

impl Terms {
    /// Says why there is no room. One that expects TLS would not understand.
    async fn refuse(&self, mut socket: TcpStream, client: Client, crowd: Crowd, peers: &Peers) {
        let Limits { connections, connections_per_address, .. } = self.limits;
        let address = client.address.ip();
        let words = match crowd {
            Crowd::All => {
                self.traffic.refused.all_taken.add(1);
                warn!(%address, "not served: all of the {connections} connections of `connections` are taken");
                &self.too_busy
            }
            Crowd::OneAddress => {
                self.traffic.refused.address_full.add(1);
                warn!(
                    %address,
                    "not served: this address has the {connections_per_address} of `connections_per_address`"
                );
                &self.too_many_connections
            }
        };
        if !matches!(peers, Peers::ClientsOverTls) {
            // Into an empty buffer it goes at once; a client that is gone already need not know.
            let _ = timeout(REFUSAL_TIMEOUT, socket.write_all(words)).await;
        }
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
pub(crate) async fn accept(socket: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut back_off = Duration::from_millis(10);
    loop {
        match socket.accept().await {
            Ok(accepted) => return accepted,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_accepted_sends_without_delay() {
        let socket = listen(SocketAddr::from((BRIDGE, 0))).expect("a free port");
        let listening = TcpListener::from_std(socket).expect("it does not block");
        let client = TcpStream::connect(listening.local_addr().expect("bound")).await.expect("it listens");
        let (served, peer) = accept(&listening).await;
        assert!(served.nodelay().expect("TCP"));
        assert_eq!(peer, client.local_addr().expect("connected"));
    }
}
