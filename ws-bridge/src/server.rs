//! The HTTP server: TLS, connection limits, shutdown.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Extension;
use config::{Config, Networks, Web};
use mail_core::message::address::Domain;
use net::accept::{self, AcceptConfig};
use net::health::Readiness;
use net::limiter::{ConnectionLimiter, ConnectionLimits};
use net::proxy::Client;
use net::stream::Stream;
use prometheus_client::registry::Registry;
use tls::{CHALLENGE_PROTOCOL, Certificate};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, info, warn};

use crate::access::AccessPolicy;
use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_CONNECTIONS_PER_ADDRESS_MAX, HTTP_LIFETIME_MAX, Limits, SHUTDOWN_TIMEOUT,
};
use crate::metrics::Metrics;
use crate::mta_sts::PublishedPolicy;
use crate::target::{Browser, Target};
use crate::upgrade::UpgradeHandler;
use crate::{forwarded, headers, http, https_redirect, routes, subpath};

/// The page and the bridge at a bound address.
#[derive(Debug)]
pub struct Bridge {
    socket: TcpListener,
    address: SocketAddr,
    access: AccessPolicy,
    limits: Limits,
    metrics: Arc<Metrics>,
    root: PathBuf,
    is_tls: bool,
    proxies: Arc<Networks>,
    policy: Option<Arc<PublishedPolicy>>,
    routes: Router,
    path: String,
}

impl Bridge {
    /// Binds an address. `hostname` is allowed in Host headers. Needs no runtime, so a process can drop its privileges between
    /// this call and its first thread.
    ///
    /// # Errors
    /// The address cannot be bound; the message names the remedy.
    pub fn bind(address: SocketAddr, hostname: &Domain, web: &Web) -> Result<Self, String> {
        let cannot_listen = |error: io::Error| {
            format!("cannot listen on {address} for the web: {error}; choose another address with --web")
        };
        let socket = accept::bind(address).map_err(cannot_listen)?;
        let address = socket.local_addr().map_err(cannot_listen)?;
        Ok(Self {
            socket,
            address,
            access: AccessPolicy::for_bridge(hostname, web),
            limits: Limits::from(&web.limits),
            metrics: Arc::new(Metrics::new()),
            root: web.root.clone(),
            is_tls: web.tls,
            proxies: Arc::new(web.proxies.clone()),
            policy: None,
            routes: Router::new(),
            path: web.path.clone(),
        })
    }

    /// Serves the MTA-STS policy of the local domains, if one is configured.
    #[must_use]
    pub fn with_mta_sts(mut self, config: &Config) -> Self {
        self.policy = PublishedPolicy::of(config).map(Arc::new);
        self
    }

    /// Adds routes. Their responses get the security headers, and their requests have a [`Browser`] extension.
    #[must_use]
    pub fn with_routes(self, routes: Router) -> Self {
        Self { routes: self.routes.merge(routes), ..self }
    }

    /// The bound address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn register_metrics(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }

    /// Serves the page and relays to `targets` until the shutdown in `readiness`. Then idle connections are closed with 1001, and
    /// active ones have a grace period. With a certificate it serves HTTPS and redirects plain HTTP, unless
    /// `tls = false`.
    pub async fn serve(
        self,
        targets: BTreeMap<String, Target>,
        certificate: Option<Certificate>,
        readiness: Readiness,
    ) {
        let shutdown = readiness.shutdown().clone();
        let Self { socket, address, access, limits, metrics, root, is_tls, proxies, policy, routes, path } =
            self;
        let certificate = certificate.filter(|_| is_tls);
        metrics.set_targets(targets.keys());
        let access = Arc::new(access);
        let https = certificate.as_ref().map(|certificate| Https {
            tls: certificate.server_config(&[b"http/1.1"]),
            redirect: headers::secured(https_redirect::router(Arc::clone(&access)), false),
        });
        // A proxy's connections carry the requests of many clients; their WebSockets are counted by client.
        let bridged = limiter(limits.connections, limits.connections_per_address, Arc::default());
        let handler = UpgradeHandler {
            access,
            targets,
            limiter: Arc::clone(&bridged),
            limits,
            metrics,
            shutdown: shutdown.clone(),
        };
        let https_only = certificate.is_some_and(|certificate| !certificate.is_self_signed());
        let router = routes::router(&root, Arc::new(handler), readiness, policy, routes, &path);
        let router = headers::secured(subpath::below(&path, router), https_only);
        let router = forwarded::from_proxies(router, Arc::clone(&proxies));
        let scheme = if https.is_some() { "https" } else { "http" };
        info!(protocol = "web", scheme, %address, "listening");

        let routers = Routers { router, https };
        let per_address_max = HTTP_CONNECTIONS_PER_ADDRESS_MAX.max(limits.connections_per_address);
        let connections = limiter(HTTP_CONNECTIONS_MAX, per_address_max, proxies);
        let task = |(stream, client): (TcpStream, SocketAddr)| {
            let permit = connections.acquire(client.ip());
            let (routers, shutdown) = (routers.clone(), shutdown.clone());
            async move {
                match permit {
                    Ok(_permit) => serve_connection(stream, client, routers, shutdown).await,
                    Err(limit) => warn!(%client, ?limit, "connection refused: too many HTTP connections"),
                }
            }
        };
        let config = AcceptConfig { connections_max: None, grace: SHUTDOWN_TIMEOUT };
        let closed = async {
            accept::serve(accept::into_tokio(socket), config, shutdown.clone(), task).await;
            bridged.wait_until_idle().await;
        };
        let deadline = async {
            let _ = shutdown.clone().wait_for(|shutdown| *shutdown).await;
            sleep(SHUTDOWN_TIMEOUT).await;
        };
        tokio::select! {
            () = closed => {}
            () = deadline => warn!(protocol = "web", "stopped with open connections"),
        }
    }
}

/// `shared` are addresses without a limit of their own.
fn limiter(connections_max: usize, per_address_max: usize, shared: Arc<Networks>) -> Arc<ConnectionLimiter> {
    let is_trusted = Arc::new(move |address| shared.contains(address));
    ConnectionLimiter::new(ConnectionLimits { connections_max, per_address_max, is_trusted })
}

#[derive(Debug, Clone)]
struct Routers {
    router: Router,
    https: Option<Https>,
}

#[derive(Debug, Clone)]
struct Https {
    tls: Arc<ServerConfig>,
    /// Answers plain HTTP requests.
    redirect: Router,
}

impl Routers {
    /// Performs the TLS handshake, if any, and selects the router.
    async fn accept(self, stream: TcpStream) -> io::Result<(Stream<TcpStream>, Router)> {
        let Some(https) = self.https else { return Ok((Stream::Plain(stream), self.router)) };
        let stream = Stream::accept_tls_or_plain(stream, &https.tls).await?;
        let router = if stream.is_tls() { self.router } else { https.redirect };
        Ok((stream, router))
    }
}

/// Serves HTTP requests until the connection ends or is upgraded.
async fn serve_connection(
    stream: TcpStream,
    source: SocketAddr,
    routers: Routers,
    mut shutdown: watch::Receiver<bool>,
) {
    let destination = match stream.local_addr() {
        Ok(destination) => destination,
        Err(error) => return debug!(client = %source, %error, "connection lost"),
    };
    let accepted = tokio::select! {
        // Boxed to keep the handshake's state out of the connection's future.
        accepted = Box::pin(routers.accept(stream)) => accepted,
        _ = shutdown.wait_for(|shutdown| *shutdown) => return,
    };
    let (stream, router) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => return info!(client = %source, %error, "TLS handshake failed"),
    };
    if stream.alpn_protocol() == Some(CHALLENGE_PROTOCOL) {
        return info!(client = %source, "ACME challenge answered");
    }
    let client = Client { secure: stream.is_tls(), ..Client::direct(source) };
    let router = router.layer(Extension(Browser { client, destination }));
    http::serve(stream, router, source, Some(HTTP_LIFETIME_MAX), shutdown).await;
}
