//! `GET /ws/<target>`: everything that is asked before a connection is upgraded.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get};
use config::Target;
use hyper::upgrade::Parts;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::{Instrument, debug, info_span, warn};

use crate::access::Access;
use crate::census::{Census, Full};
use crate::limits::Limits;
use crate::meters::Meters;
use crate::relay::{Client, Terms, relay};
use crate::stream::Stream;

/// What all requests for a connection share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) access: Arc<Access>,
    pub(crate) targets: BTreeMap<String, Target>,
    pub(crate) census: Arc<Census>,
    pub(crate) limits: Limits,
    pub(crate) meters: Arc<Meters>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// The bridge's one route. Requests carry their [`Client`] as an extension.
pub(crate) fn router(door: Arc<Door>) -> Router {
    Router::new().route("/ws/{target}", get(enter)).with_state(door)
}

async fn enter(
    State(door): State<Arc<Door>>,
    Extension(client): Extension<Client>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    door.answer(client, &name, request).unwrap_or_else(|(status, sentence)| {
        warn!(client = %client.source, target = name, status = status.as_u16(), "refused: {sentence}");
        (status, format!("{sentence}\n")).into_response()
    })
}

impl Door {
    /// Answers a request that may pass, and lets its connection go its own way.
    fn answer(
        self: Arc<Self>,
        client: Client,
        name: &str,
        mut request: Request,
    ) -> Result<Response, (StatusCode, String)> {
        let scheme = if client.secure { "https" } else { "http" };
        let refused = &self.meters.refused;
        self.access.check(request.uri(), request.headers(), scheme).map_err(|refusal| {
            refused.host_or_origin.add(1);
            (StatusCode::FORBIDDEN, refusal.to_string())
        })?;
        let Some(target) = self.targets.get(name).cloned() else {
            refused.target.add(1);
            return Err((StatusCode::NOT_FOUND, format!("there is no target `{name}`")));
        };
        let response = create_response_with_body(&request, Body::empty).map_err(|error| {
            refused.handshake.add(1);
            (StatusCode::BAD_REQUEST, format!("no WebSocket handshake: {error}"))
        })?;
        let place = self.census.enter(client.source.ip()).map_err(|full| {
            match full {
                Full::All => refused.all_taken.add(1),
                Full::Address => refused.address_full.add(1),
            }
            let sentence = "too many connections; try again in a while";
            (StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned())
        })?;
        let name = name.to_owned();
        let upgrade = hyper::upgrade::on(&mut request);
        let span = info_span!("bridge", target = name, client = %client.source);
        tokio::spawn(
            async move {
                match upgrade.await {
                    Ok(connection) => {
                        debug!("connected");
                        let Parts { io, read_buf, .. } = connection
                            .downcast::<TokioIo<Stream>>()
                            .expect("the server gives hyper this type and no other");
                        let passage = self.meters.target(&name).expect("each target is counted");
                        let open = passage.enter();
                        let terms = Terms { limits: &self.limits, meters: &self.meters, passage };
                        let stopping = self.stopping.clone();
                        relay(io.into_inner(), &read_buf, &target, client, terms, stopping).await;
                        debug!("closed");
                        // Who sees that it has ended finds its place free.
                        drop(place);
                        drop(open);
                    }
                    Err(error) => debug!(%error, "lost before the upgrade"),
                }
            }
            .instrument(span),
        );
        Ok(response)
    }
}
