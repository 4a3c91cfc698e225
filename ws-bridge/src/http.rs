//! HTTP/1.1 on one accepted connection. Other HTTP services of this workspace use it, too.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use net::stream::Stream;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::limits::{HEAD_BYTES_MAX, HEAD_TIMEOUT, SHUTDOWN_GRACE};

/// Serves HTTP requests until the connection ends, is upgraded, reaches its maximum lifetime, or `shutdown` turns true. A handler
/// whose client disconnects is dropped.
pub async fn serve(
    stream: Stream<TcpStream>,
    router: Router,
    source: SocketAddr,
    lifetime_max: Option<Duration>,
    mut shutdown: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async {
            tokio::select! {
                _ = shutdown.wait_for(|shutdown| *shutdown) => {}
                () = sleep(lifetime_max.unwrap_or_default()), if lifetime_max.is_some() => {}
            }
        } => {
            connection.as_mut().graceful_shutdown();
            // A browser that reads its response too slowly is disconnected.
            timeout(SHUTDOWN_GRACE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(client = %source, %error, "HTTP connection failed");
    }
}
