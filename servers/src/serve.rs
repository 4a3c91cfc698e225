//! Runs the services of a process: start, privileges, confinement, shutdown.

use std::sync::Arc;
use std::time::Duration;

use config::Config;
use mail_store::directory::AccountAdmin;
use mail_store::{StoreHealth, descriptors};
use net::health::Readiness;
use net::log::Log;
use prometheus_client::registry::Registry;
use tls::Certificate;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::configured::{self, ConfiguredSignInCounts, Storage};
use crate::context::Context;
use crate::reload::{ConfigSource, Reloader};
use crate::services::{Programs, Running, Services};
use crate::{confine, context, outbound, privileges, systemd};

/// Time for threads that hang in the file system after all services have stopped.
const THREAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the services until SIGTERM or SIGINT. SIGHUP reloads the configuration from `source`.
///
/// # Errors
/// A sentence that names the file or address that could not be opened or bound, and the remedy.
pub(crate) fn serve(
    config: &Config,
    source: ConfigSource,
    programs: Programs,
    log: &mut Log,
) -> Result<(), String> {
    descriptors::raise_limit();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The order matters. Addresses are bound with root's privileges, files are opened without them, and no thread exists before
    // the process is confined, since a thread inherits the restrictions of the one that starts it.
    let services = Services::bind(config, programs)?;
    privileges::drop_to(config.process.user.as_deref())?;
    let mut registry = Registry::with_prefix("pennypost");
    net::log::register_metrics(&mut registry);
    let serves_smtp = programs != Programs::Pop3;
    let storage = Storage::new(config)?;
    let context = Arc::new(context::open(config, &storage, serves_smtp, &mut registry)?);
    let agent = outbound::agent(config, &context, &mut registry)?;
    let certificate = Certificate::open(&config.tls, &config.data, &config.hostname.ascii())?;
    let renewal =
        certificate.as_ref().map(|certificate| services.renewal(config, certificate)).transpose()?.flatten();
    if config.process.confine {
        confine::confine(config, source.path(), services.target_ports().chain(storage.ports()?))?;
    }
    log.start_writer().map_err(|error| format!("cannot start the log's thread: {error}"))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the threads: {error}"))?;
    let result = runtime.block_on(async {
        net::signals::ignore_fatal().map_err(|error| format!("cannot handle SIGHUP and SIGXFSZ: {error}"))?;
        if storage.is_database() {
            storage.check().await?;
            configured::check_accounts(config, &context.directory).await?;
        }
        let sign_in_counts = storage.sign_in_counts();
        share_sign_in_counts(&context, sign_in_counts.as_ref()).await?;
        warn_of_plain_passwords(&context.directory).await;
        let mut signals = Signals::listen()?;
        let (stop, shutdown) = watch::channel(false);
        let readiness = readiness(&context, shutdown);
        let mut running = services.start(config, &context, registry, certificate.as_ref(), &readiness);
        if let Some(counts) = sign_in_counts {
            running.services.spawn(exchange_counts(
                counts,
                Arc::clone(&context),
                readiness.shutdown().clone(),
            ));
        }
        if let Some(agent) = agent {
            running.services.spawn(agent.run(readiness.shutdown().clone()));
        }
        if let Some(renewal) = renewal {
            running.services.spawn(renewal.run(readiness.shutdown().clone()));
        }
        let mut reloader = Reloader {
            source,
            config: config.clone(),
            context: Arc::clone(&context),
            sessions: Arc::clone(&running.sessions),
            certificate,
        };
        let result = wait_for_shutdown(&mut signals, &mut running, &mut reloader).await;
        systemd::stopping();
        stop.send_replace(true);
        tokio::select! {
            () = async {
                while running.services.join_next().await.is_some() {}
                storage.finish().await;
            } => info!("stopped"),
            name = signals.next() => warn!("stopped at once on a second signal, {name}"),
        }
        result
    });
    runtime.shutdown_timeout(THREAD_TIMEOUT);
    result
}

/// Counts failed sign-ins under the keys of all nodes, before the first one.
async fn share_sign_in_counts(
    context: &Context,
    counts: Option<&ConfiguredSignInCounts>,
) -> Result<(), String> {
    if let Some(counts) = counts {
        context.throttle.share(&counts.secret().await.map_err(|error| error.to_string())?);
    }
    Ok(())
}

/// Exchanges counts with other nodes until `shutdown` turns true.
async fn exchange_counts(
    counts: ConfiguredSignInCounts,
    context: Arc<Context>,
    mut shutdown: watch::Receiver<bool>,
) {
    tokio::select! {
        () = counts.run(&context.throttle) => {}
        _ = shutdown.wait_for(|shutdown| *shutdown) => {}
    }
}

async fn warn_of_plain_passwords(directory: &impl AccountAdmin) {
    // A directory that cannot be read is reported by the first login.
    let weak = directory.weak_passwords().await.unwrap_or_default();
    if !weak.plain.is_empty() {
        let names = weak.plain.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        warn!("passwords are stored in plain text ({names}); `pennypost user hash` hashes them");
    }
}

/// Waits for a signal, and reloads the configuration at SIGHUP. Also ends when a service does: half a mail system that keeps running
/// would be noticed late.
async fn wait_for_shutdown(
    signals: &mut Signals,
    running: &mut Running,
    reloader: &mut Reloader,
) -> Result<(), String> {
    let mut hangup = listen(SignalKind::hangup())?;
    systemd::ready();
    loop {
        tokio::select! {
            name = signals.next() => {
                info!("stopping on {name}");
                return Ok(());
            }
            _ = hangup.recv() => {}
            sentence = unexpected_end(&mut running.services, &mut running.metrics) => return Err(sentence),
        }
        systemd::reloading();
        reloader.reload().await;
        systemd::ready();
    }
}

/// Waits until a service ends.
async fn unexpected_end(services: &mut JoinSet<()>, metrics: &mut JoinSet<()>) -> String {
    let ended = tokio::select! {
        ended = services.join_next() => ended,
        Some(ended) = metrics.join_next() => Some(ended),
    };
    let reason = match ended {
        Some(Err(error)) => format!(" ({error})"),
        _ => String::new(),
    };
    format!("a service ended unexpectedly{reason}, so all of them were stopped; start them again")
}

/// The server is ready while its store accepts changes.
fn readiness(context: &Arc<Context>, shutdown: watch::Receiver<bool>) -> Readiness {
    let context = Arc::clone(context);
    Readiness::with_check(shutdown, move || {
        let context = Arc::clone(&context);
        async move { context.store.check_writable().await.map_err(|error| error.to_string()) }
    })
}

/// The signals that stop the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

fn listen(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("cannot wait for SIGTERM, SIGINT and SIGHUP: {error}"))
}

impl Signals {
    fn listen() -> Result<Self, String> {
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next signal and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn unexpected_end_of_a_service_is_noticed() {
        let (mut services, mut metrics) = (JoinSet::new(), JoinSet::new());
        services.spawn(std::future::pending());
        services.spawn(async { panic!("a defect") });
        let sentence = unexpected_end(&mut services, &mut metrics).await;
        assert!(sentence.contains("a defect"), "{sentence}");
        metrics.spawn(async {});
        let sentence = unexpected_end(&mut services, &mut metrics).await;
        assert!(sentence.contains("ended unexpectedly, so"), "{sentence}");
    }
}
