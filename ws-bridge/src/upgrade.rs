//! `GET /ws/<target>`: checks a request and upgrades it to a WebSocket. `POST /ws/<target>`: answers whether an upgrade
//! would be refused, and why, because browsers hide the response to a failed upgrade from the page.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use mail_core::message::printable::Excerpt;
use net::limiter::{ConnectionLimiter, ConnectionPermit, LimitExceeded};
use net::stream::Stream;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::{Instrument, debug, info_span, warn};

use crate::access::{AccessPolicy, Rejection};
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
    handler.respond(browser, &target, request).unwrap_or_else(|refusal| {
        let status = refusal.status().as_u16();
        warn!(client = %browser.client.address, target = %Excerpt(&target), status, "upgrade refused: {refusal}");
        refusal.into_response()
    })
}

/// Axum handler: the refusal that an upgrade by the same client would get, or 204.
pub(crate) async fn explain(
    State(handler): State<Arc<UpgradeHandler>>,
    Extension(browser): Extension<Browser>,
    Path(target): Path<String>,
    request: Request,
) -> Response {
    match handler.check(&browser, &target, &request).and_then(|()| handler.acquire(&browser)) {
        Ok(_permit) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

#[derive(Debug)]
enum Refusal {
    Access(Rejection),
    UnknownTarget(String),
    Handshake(String),
    Limit(LimitExceeded),
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Access(_) => StatusCode::FORBIDDEN,
            Self::UnknownTarget(_) => StatusCode::NOT_FOUND,
            Self::Handshake(_) => StatusCode::BAD_REQUEST,
            Self::Limit(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn count(&self, metrics: &Metrics) {
        let refused = &metrics.refused;
        match self {
            Self::Access(_) => refused.host_or_origin.inc(),
            Self::UnknownTarget(_) => refused.target.inc(),
            Self::Handshake(_) => refused.handshake.inc(),
            Self::Limit(LimitExceeded::Total) => refused.total_limit.inc(),
            Self::Limit(LimitExceeded::Address) => refused.address_limit.inc(),
        };
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(rejection) => rejection.fmt(f),
            Self::UnknownTarget(target) => write!(f, "unknown target `{}`", Excerpt(target)),
            Self::Handshake(error) => write!(f, "invalid WebSocket handshake: {}", Excerpt(error)),
            Self::Limit(_) => f.write_str("too many connections; try again later"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}

impl UpgradeHandler {
    /// Answers 101 and spawns the relay.
    fn respond(
        self: Arc<Self>,
        browser: Browser,
        target: &str,
        mut request: Request,
    ) -> Result<Response, Refusal> {
        let (response, permit) = self
            .check(&browser, target, &request)
            .and_then(|()| {
                let response = create_response_with_body(&request, Body::empty);
                let response = response.map_err(|error| Refusal::Handshake(error.to_string()))?;
                Ok((response, self.acquire(&browser)?))
            })
            .inspect_err(|refusal| refusal.count(&self.metrics))?;
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

    fn check(&self, browser: &Browser, target: &str, request: &Request) -> Result<(), Refusal> {
        self.access.check(request.uri(), request.headers(), browser.scheme()).map_err(Refusal::Access)?;
        if self.targets.contains_key(target) {
            Ok(())
        } else {
            Err(Refusal::UnknownTarget(target.to_owned()))
        }
    }

    fn acquire(&self, browser: &Browser) -> Result<ConnectionPermit, Refusal> {
        self.limiter.acquire(browser.client.address.ip()).map_err(Refusal::Limit)
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
