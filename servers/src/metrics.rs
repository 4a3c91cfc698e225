//! Says what the servers count: `GET /metrics` by http, in OpenMetrics text, which Prometheus reads.
//!
//! It has a listener of its own, which asks nobody who he is: it belongs on an address that only the collector reaches.

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

/// A collector asks once in a few seconds over one connection; more of them wait to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// A request and its answer are a few kibibytes.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// What the text is, for who reads it (OpenMetrics 1.0, "Protocol Negotiation").
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound address.
#[derive(Debug)]
pub(crate) struct MetricsEndpoint {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

impl MetricsEndpoint {
    /// Binds an address. It needs no runtime yet.
    ///
    /// # Errors
    /// The address is taken or not ours, said as a sentence.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, String> {
        let cannot = |error| {
            format!("cannot listen on {address} for metrics: {error}; choose another address with --metrics")
        };
        let socket = bind(address).map_err(cannot)?;
        let address = socket.local_addr().map_err(cannot)?;
        Ok(Self { socket, address })
    }

    /// Answers requests until `shutdown` turns true.
    pub(crate) async fn serve(self, registry: Registry, shutdown: watch::Receiver<bool>) {
        let Self { socket, address } = self;
        let registry = Arc::new(registry);
        info!(protocol = "metrics", %address, "listening");
        // A scrape in progress is worthless after shutdown.
        let config = AcceptConfig { connections_max: Some(CONNECTIONS_MAX), grace: Duration::ZERO };
        let task = |(stream, peer)| exchange(stream, peer, Arc::clone(&registry));
        accept::serve(into_tokio(socket), config, shutdown, task).await;
    }
}

async fn exchange(stream: TcpStream, peer: SocketAddr, registry: Arc<Registry>) {
    match timeout(EXCHANGE_TIMEOUT, converse(stream, &registry)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%peer, %error, "metrics connection lost"),
        Err(_) => {
            let seconds = EXCHANGE_TIMEOUT.as_secs();
            info!(%peer, "metrics connection closed: it took longer than {seconds} seconds");
        }
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, registry: &Registry) -> hyper::Result<()> {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request, registry)) });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_OCTETS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, registry: &Registry) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return response(
            StatusCode::NOT_FOUND,
            PLAIN,
            "there is /metrics here, and nothing else\n".to_owned(),
        );
    }
    if request.method() != Method::GET {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET it\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return refused;
    }
    let mut words = String::new();
    text::encode(&mut words, registry).expect("a string takes everything");
    response(StatusCode::OK, (CONTENT_TYPE, OPEN_METRICS), words)
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
    async fn those_that_ask_nothing_are_given_up_for_those_that_ask() {
        let endpoint = MetricsEndpoint::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = endpoint.address;
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.expect("there is room to wait"));
        }
        let mut asking = TcpStream::connect(address).await.expect("there is room to wait");
        asking.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.expect("sent");
        let (_stop, shutdown) = watch::channel(false);
        tokio::spawn(endpoint.serve(Registry::default(), shutdown));
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
