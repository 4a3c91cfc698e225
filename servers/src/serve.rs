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
use tokio::task::JoinError;
use tracing::{info, warn};

use crate::configured::{self, Storage};
use crate::context::Context;
use crate::services::{Programs, Running, Services};
use crate::{confine, context, outbound, privileges};

/// Time for threads that hang in the file system after all services have stopped.
const THREAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the services until SIGTERM or SIGINT.
///
/// # Errors
/// A sentence that names the file or address that could not be opened or bound, and the remedy.
pub fn serve(config: &Config, programs: Programs, log: &mut Log) -> Result<(), String> {
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
        confine::confine(config, services.target_ports().chain(storage.ports()?))?;
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
        warn_of_plain_passwords(&context.directory).await;
        let mut signals = Signals::listen()?;
        let (stop, shutdown) = watch::channel(false);
        let readiness = readiness(&context, shutdown);
        let mut running = services.start(config, &context, registry, certificate.as_ref(), &readiness);
        if let Some(agent) = agent {
            running.services.spawn(agent.run(readiness.shutdown().clone()));
        }
        if let Some(renewal) = renewal {
            running.services.spawn(renewal.run(readiness.shutdown().clone()));
        }
        let result = wait_for_shutdown(&mut signals, &mut running).await;
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

async fn warn_of_plain_passwords(directory: &impl AccountAdmin) {
    // A directory that cannot be read is reported by the first login.
    let weak = directory.weak_passwords().await.unwrap_or_default();
    if !weak.plain.is_empty() {
        let names = weak.plain.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        warn!("passwords are stored in plain text ({names}); `pennypost user hash` hashes them");
    }
}

/// Waits for a signal. Also ends when a service does: half a mail system that keeps running would be noticed late.
async fn wait_for_shutdown(signals: &mut Signals, running: &mut Running) -> Result<(), String> {
    tokio::select! {
        name = signals.next() => {
            info!("stopping on {name}");
            Ok(())
        }
        ended = running.services.join_next() => Err(unexpected_end(ended)),
        Some(ended) = running.metrics.join_next() => Err(unexpected_end(Some(ended))),
    }
}

/// The server is ready while its store accepts changes.
fn readiness(context: &Arc<Context>, shutdown: watch::Receiver<bool>) -> Readiness {
    let context = Arc::clone(context);
    Readiness::with_check(shutdown, move || {
        let context = Arc::clone(&context);
        async move { context.store.check_writable().await.map_err(|error| error.to_string()) }
    })
}

fn unexpected_end(ended: Option<Result<(), JoinError>>) -> String {
    let reason = match ended {
        Some(Err(error)) => format!(" ({error})"),
        _ => String::new(),
    };
    format!("a service ended unexpectedly{reason}, so all of them were stopped; start them again")
}

/// The signals that stop the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, String> {
        let listen =
            |kind| signal(kind).map_err(|error| format!("cannot wait for SIGTERM and SIGINT: {error}"));
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
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn unexpected_end_of_a_service_stops_the_process() {
        let mut signals = Signals::listen().expect("the system has signals");
        let mut running = Running { services: JoinSet::new(), metrics: JoinSet::new() };
        running.services.spawn(std::future::pending());
        running.services.spawn(async { panic!("a defect") });
        let sentence = wait_for_shutdown(&mut signals, &mut running).await.expect_err("one has ended");
        assert!(sentence.contains("a defect"), "{sentence}");
        running.metrics.spawn(async {});
        let sentence = wait_for_shutdown(&mut signals, &mut running).await.expect_err("another has ended");
        assert!(sentence.contains("ended unexpectedly, so"), "{sentence}");
    }
}
