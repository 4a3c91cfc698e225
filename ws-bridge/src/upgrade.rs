//! `GET /ws/<target>`: checks a request and upgrades it to a WebSocket.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use net::limiter::{ConnectionLimiter, ConnectionPermit, LimitExceeded};
use net::stream::Stream;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::{Instrument, debug, info_span, warn};

use crate::access::AccessPolicy;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::relay::{RelayContext, relay};
use crate::target::{Browser, Target};

#[derive(Debug)]
pub(crate) struct UpgradeHandler {
    pub(crate) access: Arc<AccessPolicy>,
    pub(crate) targets: BTreeMap<String, Target>,
    /// Limits bridged connections.
    pub(crate) limiter: Arc<ConnectionLimiter>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) shutdown: watch::Receiver<bool>,
}

/// Axum handler. The accept loop adds the [`Browser`] extension.
pub(crate) async fn upgrade(
    State(handler): State<Arc<UpgradeHandler>>,
    Extension(browser): Extension<Browser>,
    Path(target): Path<String>,
    request: Request,
) -> Response {
    handler.respond(browser, &target, request).unwrap_or_else(|(status, reason)| {
        warn!(client = %browser.client.address, target, status = status.as_u16(), "upgrade refused: {reason}");
        (status, format!("{reason}\n")).into_response()
    })
}

impl UpgradeHandler {
    /// Answers 101 and spawns the relay, or returns the status and reason of a refusal.
    fn respond(
        self: Arc<Self>,
        browser: Browser,
        target: &str,
        mut request: Request,
    ) -> Result<Response, (StatusCode, String)> {
        let scheme = if browser.client.secure { "https" } else { "http" };
        let refused = &self.metrics.refused;
        self.access.check(request.uri(), request.headers(), scheme).map_err(|rejection| {
            refused.host_or_origin.inc();
            (StatusCode::FORBIDDEN, rejection.to_string())
        })?;
        if !self.targets.contains_key(target) {
            refused.target.inc();
            return Err((StatusCode::NOT_FOUND, format!("unknown target `{target}`")));
        }
        let response = create_response_with_body(&request, Body::empty).map_err(|error| {
            refused.handshake.inc();
            (StatusCode::BAD_REQUEST, format!("invalid WebSocket handshake: {error}"))
        })?;
        let permit = self.limiter.acquire(browser.client.address.ip()).map_err(|exceeded| {
            match exceeded {
                LimitExceeded::Total => refused.total_limit.inc(),
                LimitExceeded::Address => refused.address_limit.inc(),
            };
            (StatusCode::SERVICE_UNAVAILABLE, "too many connections; try again later".to_owned())
        })?;
        let upgraded = hyper::upgrade::on(&mut request);
        let span = info_span!("bridge", target, client = %browser.client.address);
        let target = target.to_owned();
        tokio::spawn(
            async move {
                match upgraded.await {
                    Ok(connection) => self.relay(connection, &target, &browser, permit).await,
                    Err(error) => debug!(%error, "connection lost before the upgrade"),
                }
            }
            .instrument(span),
        );
        Ok(response)
    }

    async fn relay(
        &self,
        connection: hyper::upgrade::Upgraded,
        name: &str,
        browser: &Browser,
        permit: ConnectionPermit,
    ) {
        debug!("connected");
        let Parts { io, read_buf, .. } = connection
            .downcast::<TokioIo<Stream<TcpStream>>>()
            .expect("the accept loop passes hyper no other type of stream");
        let target_metrics = self.metrics.target(name).expect("every target has metrics");
        let open = target_metrics.open_connection();
        let context = RelayContext { limits: &self.limits, metrics: &self.metrics, target_metrics };
        relay(io.into_inner(), &read_buf, &self.targets[name], browser, context, self.shutdown.clone()).await;
        debug!("closed");
        // A client that reads the closed metric may connect at once, so the permit is released first.
        drop(permit);
        drop(open);
    }
}
