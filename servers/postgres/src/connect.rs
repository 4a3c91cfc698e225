//! Connecting to whichever host accepts changes. All hosts of the URL are tried at once: one that is frozen accepts the TCP connection
//! and never answers, so trying it first would take all the time.

use std::pin::Pin;

use deadpool_postgres::Connect;
use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The hosts of a URL, each with a configuration of its own.
pub(crate) struct AnyHost {
    pub(crate) hosts: Vec<Config>,
    pub(crate) tls: MakeRustlsConnect,
}

impl Connect for AnyHost {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        Box::pin(async move {
            let mut attempts = JoinSet::new();
            for host in &self.hosts {
                let (host, tls) = (host.clone(), self.tls.clone());
                attempts.spawn(async move { host.connect(tls).await });
            }
            let mut failure = None;
            while let Some(attempt) = attempts.join_next().await {
                match attempt.expect("an attempt does not panic and is not aborted") {
                    Ok((client, connection)) => {
                        let task = tokio::spawn(async move {
                            if let Err(error) = connection.await {
                                tracing::warn!(%error, "connection to the database lost");
                            }
                        });
                        return Ok((client, task));
                    }
                    // A standby is no explanation.
                    Err(error) if failure.is_some() && is_standby(&error) => {}
                    Err(error) => failure = Some(error),
                }
            }
            Err(failure.expect("a URL names at least one host"))
        })
    }
}

/// The library refuses a server that does not accept changes with this kind of error.
fn is_standby(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::PermissionDenied)
}
