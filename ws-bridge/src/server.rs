//! Accepts HTTP connections until the bridge is told to stop; then waits for the bridged ones that still work.

use std::collections::BTreeMap;
use std::io;
use std::net::{self, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Extension;
use config::{Target, Web};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use mail_core::message::address::Domain;
use tls::Certificate;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, error, info, warn};

use crate::access::Access;
use crate::census::Census;
use crate::door::{self, Door};
use crate::https;
use crate::limits::{
    CLOSE_TIMEOUT, FAREWELL_TIMEOUT, HEAD_OCTETS_MAX, HEAD_TIMEOUT, HTTP_CONNECTIONS_MAX, HTTP_LIFETIME_MAX,
    Limits, STOP_GRACE,
};
use crate::meters::Meters;
use crate::page;
use crate::relay::Client;
use crate::stream::Stream;

/// The longest wait between two attempts to accept when the system refuses (no file descriptors left).
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The page and the bridge at a bound address.
#[derive(Debug)]
pub struct Bridge {
    socket: net::TcpListener,
    address: SocketAddr,
    access: Access,
    limits: Limits,
    meters: Arc<Meters>,
    page: Router,
}

impl Bridge {
    /// Binds an address. `hostname` is one name that browsers may call this host. It needs no runtime yet, so that a process
    /// may give up its rights between this and its first thread.
    ///
    /// # Errors
    /// The address is taken or not ours, said as a sentence.
    pub fn bind(address: SocketAddr, hostname: &Domain, web: &Web) -> Result<Self, String> {
        let cannot = |error: io::Error| {
            format!("cannot listen on {address} for the web: {error}; choose another address with --web")
        };
        let socket = listen(address).map_err(cannot)?;
        let address = socket.local_addr().map_err(cannot)?;
        Ok(Self {
            socket,
            address,
            access: Access::new(hostname, web),
            limits: Limits::from(&web.limits),
            meters: Arc::default(),
            page: page::router(&web.root),
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it counts.
    #[must_use]
    pub fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.meters)
    }

    /// Serves the page, and connects it to `targets`, until `stopping` turns true. Then a connection that is quiet is closed
    /// with 1001, and one that is at work may finish for a bounded time. With a certificate it speaks TLS, and sends who comes
    /// without to where it does.
    pub async fn serve(
        self,
        targets: BTreeMap<String, Target>,
        certificate: Option<Certificate>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let Self { socket, address, access, limits, meters, page } = self;
        meters.begin(targets.keys());
        let socket = TcpListener::from_std(socket).expect("the socket listens and does not block");
        let census = Census::new(&limits);
        let access = Arc::new(access);
        let https = certificate.as_ref().map(|certificate| Https {
            tls: certificate.server_config(&[b"http/1.1"]),
            elsewhere: page::guarded(https::router(Arc::clone(&access)), false),
        });
        let is_vouched_for = certificate.is_some_and(|certificate| !certificate.is_self_signed());
        let scheme = if https.is_some() { "https" } else { "http" };
        let (counted, stop) = (Arc::clone(&census), stopping.clone());
        let door = Door { access, targets, census: counted, limits, meters, stopping: stop };
        let page = page::guarded(door::router(Arc::new(door)).merge(page), is_vouched_for);
        let sites = Sites { page, https };
        info!(protocol = "web", scheme, %address, "listening");
        let permits = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&permits).acquire_owned() => permit.expect("the semaphore is never closed"),
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            let (stream, source) = tokio::select! {
                accepted = accept(&socket) => accepted,
                _ = stopping.wait_for(|stop| *stop) => break,
            };
            while connections.try_join_next().is_some() {}
            let destination = stream.local_addr().unwrap_or(address);
            let sites = sites.clone();
            let stopping = stopping.clone();
            connections.spawn(async move {
                converse(stream, (source, destination), sites, stopping).await;
                drop(permit);
            });
        }
        drop(socket);
        let finished = async {
            while connections.join_next().await.is_some() {}
            census.empty().await;
        };
        if timeout(STOP_GRACE + CLOSE_TIMEOUT + FAREWELL_TIMEOUT, finished).await.is_err() {
            warn!(protocol = "web", "stopped with connections still open");
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = net::TcpListener::bind(address)?;
    // The standard library's own backlog is too short for a page that opens many connections at once.
    rustix::net::listen(&socket, BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What connections are answered with.
#[derive(Debug, Clone)]
struct Sites {
    page: Router,
    https: Option<Https>,
}

#[derive(Debug, Clone)]
struct Https {
    tls: Arc<ServerConfig>,
    /// For who comes without TLS.
    elsewhere: Router,
}

impl Sites {
    /// A connection as it is spoken over, and what answers it.
    async fn receive(self, stream: TcpStream) -> io::Result<(Stream, Router)> {
        let Some(https) = self.https else { return Ok((Stream::Plain(stream), self.page)) };
        let stream = Stream::encrypted(stream, &https.tls).await?;
        let router = if stream.is_secure() { self.page } else { https.elsewhere };
        Ok((stream, router))
    }
}

/// Answers the requests of one connection until it ends or is upgraded.
async fn converse(
    stream: TcpStream,
    (source, destination): (SocketAddr, SocketAddr),
    sites: Sites,
    mut stopping: watch::Receiver<bool>,
) {
    let received = tokio::select! {
        // Boxed, or every connection would keep room for a handshake.
        received = Box::pin(sites.receive(stream)) => received,
        _ = stopping.wait_for(|stop| *stop) => return,
    };
    let (stream, router) = match received {
        Ok(received) => received,
        Err(error) => return info!(client = %source, %error, "no TLS"),
    };
    let client = Client { source, destination, secure: stream.is_secure() };
    let service = TowerToHyperService::new(router.layer(Extension(client)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                () = sleep(HTTP_LIFETIME_MAX) => {}
            }
        } => {
            connection.as_mut().graceful_shutdown();
            // A browser that does not take its answer is no reason to stay.
            timeout(STOP_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(client = %source, %error, "HTTP connection lost");
    }
}

/// The next connection; a failure to accept is logged and waited out.
async fn accept(socket: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut back_off = Duration::from_millis(10);
    loop {
        match socket.accept().await {
            Ok((stream, source)) => {
                // Frames are written whole; waiting to fill a segment only adds delay.
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "no TCP_NODELAY");
                }
                return (stream, source);
            }
            // The browser went away between its request and our answer.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                error!(%error, "cannot accept a connection; trying again");
                sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF_MAX);
            }
        }
    }
}
