//! The metrics endpoint: `GET /metrics` over HTTP, in OpenMetrics text format for Prometheus, and `/livez` and `/readyz` for probes.
//!
//! It has a separate listener without authentication: bind it to an address that only the collector reaches.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info};

use net::accept::{self, AcceptConfig, bind, into_tokio};
use net::health::Readiness;

/// A collector needs one connection every few seconds. Further connections wait to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// Request and response are a few KiB.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Media type of the format (OpenMetrics 1.0, "Protocol Negotiation").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound listener.
#[derive(Debug)]
pub(crate) struct MetricsEndpoint {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

impl MetricsEndpoint {
    /// Binds an address. Needs no runtime.
    ///
    /// # Errors
    /// A sentence: the address is in use or not local.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, String> {
        let cannot = |error| {
            format!("cannot listen on {address} for metrics: {error}; choose another address with --metrics")
        };
        let socket = bind(address).map_err(cannot)?;
        let address = socket.local_addr().map_err(cannot)?;
        Ok(Self { socket, address })
    }

    /// Answers requests until it is dropped, which aborts a scrape in progress.
    pub(crate) async fn serve(self, registry: Registry, readiness: Readiness) {
        let Self { socket, address } = self;
        let registry = Arc::new(registry);
        info!(protocol = "metrics", %address, "listening");
        let config = AcceptConfig { connections_max: Some(CONNECTIONS_MAX), grace: Duration::ZERO };
        let task = |(stream, peer)| exchange(stream, peer, Arc::clone(&registry), readiness.clone());
        let (_running, never) = watch::channel(false);
        accept::serve(into_tokio(socket), config, never, task).await;
    }
}

async fn exchange(stream: TcpStream, peer: SocketAddr, registry: Arc<Registry>, readiness: Readiness) {
    match timeout(EXCHANGE_TIMEOUT, converse(stream, &registry, &readiness)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%peer, %error, "metrics connection lost"),
        Err(_) => {
            let seconds = EXCHANGE_TIMEOUT.as_secs();
            info!(%peer, "metrics connection closed: it took longer than {seconds} seconds");
        }
    }
}

/// Serves one request.
async fn converse(stream: TcpStream, registry: &Registry, readiness: &Readiness) -> hyper::Result<()> {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(answer(request, registry, readiness).await) });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer(request: Request<Incoming>, registry: &Registry, readiness: &Readiness) -> Response<String> {
    let path = request.uri().path();
    if !["/metrics", "/livez", "/readyz"].contains(&path) {
        return response(
            StatusCode::NOT_FOUND,
            PLAIN,
            "only /metrics, /livez and /readyz are available here\n".to_owned(),
        );
    }
    if request.method() != Method::GET {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "use GET\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    match path {
        "/livez" => response(StatusCode::OK, PLAIN, "ok\n".to_owned()),
        "/readyz" => match readiness.check().await {
            Ok(()) => response(StatusCode::OK, PLAIN, "ok\n".to_owned()),
            Err(reason) => response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, format!("{reason}\n")),
        },
        _ => {
            let mut body = String::new();
            text::encode(&mut body, registry).expect("writing to a string succeeds");
            response(StatusCode::OK, (CONTENT_TYPE, OPEN_METRICS), body)
        }
    }
}

const PLAIN: (HeaderName, &str) = (CONTENT_TYPE, "text/plain; charset=utf-8");

fn response(status: StatusCode, (name, value): (HeaderName, &'static str), body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silent_connections_time_out_and_make_room() {
        let endpoint = MetricsEndpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = endpoint.address;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.expect("in the backlog"));
        }
        let mut asking = TcpStream::connect(address).await.expect("in the backlog");
        asking.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("sent");
        let (_stop, shutdown) = watch::channel(false);
        tokio::spawn(endpoint.serve(Registry::default(), Readiness::new(shutdown)));
        let start = Instant::now();
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.ends_with("# EOF\n"), "{answer}");
        assert_eq!(start.elapsed().as_secs(), EXCHANGE_TIMEOUT.as_secs());
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0]).await.expect("closed in order"), 0);
        }
    }
}
