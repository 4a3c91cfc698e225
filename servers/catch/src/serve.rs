//! Start, ready line and shutdown of a catcher.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use bytes::{Bytes, BytesMut};
use config::Networks;
use mail_core::message::address::Domain;
use mail_core::pop3;
use mail_core::sasl::AuthOffer;
use mail_core::smtp::server::{Config, Server, replies};
use mail_service::budget::Budget;
use mail_service::context::{ClientContext, RelayPolicy, ServiceContext};
use mail_service::faults::FaultySession;
use mail_service::metrics::Metrics;
use mail_service::pop3_session::Pop3Session;
use mail_service::throttle::{Throttle, ThrottleLimits};
use mail_store::descriptors;
use net::accept::{self, AcceptConfig};
use net::limiter::ConnectionLimits;
use net::listener::{ConnectionConfig, Listener, PeerPolicy};
use net::log::Log;
use net::metrics::{ConnectionFamilies, ReplyFormat};
use net::proxy::Client;
use net::stream::Stream;
use prometheus_client::registry::Registry;
use serde_json::json;
use tls::Certificate;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::warn;
use ws_bridge::AccessPolicy;

use crate::api::{self, Api};
use crate::faults::FaultControl;
use crate::link_check::LinkChecker;
use crate::options::CatchArgs;
use crate::pop3::{AcceptAllDirectory, CatchMaildrops};
use crate::release::{Release, ReleaseAgent};
use crate::service::{CatchClock, Shared};
use crate::session::CatchSession;
use crate::store::{Files, Store};

const HOSTNAME: &str = "localhost";
const CONNECTIONS_MAX: usize = 10_000;
const RECIPIENTS_MAX: usize = 10_000;
/// Memory for messages being received, in octets; beyond it they go to files.
const MESSAGE_MEMORY: u64 = 64 << 20;
/// HTTP connections, waits included.
const HTTP_CONNECTIONS_MAX: usize = 4_096;
/// Time for open connections to end at shutdown.
const GRACE: Duration = Duration::from_secs(2);
const THREAD_TIMEOUT: Duration = Duration::from_secs(1);

/// Bound addresses.
struct Listeners {
    smtp: Listener,
    web: TcpListener,
    pop3: Option<Listener>,
}

/// Runs a catcher until SIGTERM, SIGINT or, with `--child`, the end of standard input.
///
/// # Errors
/// A sentence that names the flag, and the remedy.
pub fn run(args: &CatchArgs, log: &mut Log) -> Result<(), String> {
    args.check()?;
    descriptors::raise_limit();
    let smtp = Listener::bind("smtp", args.smtp(), PeerPolicy::Clients)
        .map_err(|error| cannot_listen("SMTP", "--smtp", args.smtp(), &error))?;
    let web = accept::bind(args.web()).map_err(|error| cannot_listen("HTTP", "--web", args.web(), &error))?;
    let pop3 = args.pop3.map(|address| {
        Listener::bind("pop3", address, PeerPolicy::Clients)
            .map_err(|error| cannot_listen("POP3", "--pop3", address, &error))
    });
    let listeners = Listeners { smtp, web, pop3: pop3.transpose()? };
    let files = args.data.as_deref().map_or_else(Files::temporary, Files::permanent)?;
    let certificate = Certificate::temporary(files.root(), HOSTNAME)?;
    let store = Arc::new(Store::open(files, args.keep));
    let release = open_release(args, &store)?;
    log.start_writer().map_err(|error| format!("cannot start the log's thread: {error}"))?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(thread::available_parallelism().map_or(1, usize::from))
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the threads: {error}"))?;
    let result = runtime.block_on(serve(args, listeners, &certificate, &store, release, log));
    runtime.shutdown_timeout(THREAD_TIMEOUT);
    result
}

/// The queue of released messages, if there is a configuration for it.
fn open_release(args: &CatchArgs, store: &Arc<Store>) -> Result<Option<(Release, ReleaseAgent)>, String> {
    let Some(path) = &args.config else { return Ok(None) };
    let config = config::Config::read(path).map_err(|error| error.to_string())?;
    Release::open(&config, &args.release_to, store).map(Some)
}

fn cannot_listen(service: &str, flag: &str, address: SocketAddr, error: &io::Error) -> String {
    format!(
        "cannot listen on {address} for {service}: {error}; choose another address with {flag}, or port 0 for a free one"
    )
}

async fn serve(
    args: &CatchArgs,
    Listeners { smtp, web, pop3 }: Listeners,
    certificate: &Certificate,
    store: &Arc<Store>,
    release: Option<(Release, ReleaseAgent)>,
    log: &Log,
) -> Result<(), String> {
    net::signals::ignore_fatal().map_err(|error| format!("cannot handle SIGHUP and SIGXFSZ: {error}"))?;
    let stop_requested = stop_requested(args.child)?;
    let unknown = |error: io::Error| format!("cannot read the bound address: {error}");
    let smtp_address = smtp.address().ok_or("cannot read the bound address")?;
    let web_address = web.local_addr().map_err(unknown)?;
    let pop3_address = pop3.as_ref().and_then(Listener::address);
    let shared = shared(args, store)?;
    let faults = FaultControl::default();
    let injector = Arc::clone(&faults.injector);
    let (stop, shutdown) = watch::channel(false);
    let (release, agent) = release.unzip();
    let agent = agent.map(|agent| tokio::spawn(agent.run(shutdown.clone())));
    let api = Arc::new(Api {
        shared: Arc::clone(&shared),
        faults,
        links: LinkChecker::new(!args.public, Networks::parse(&args.link_networks)?),
        release,
        access: AccessPolicy::new(args.names.clone(), &args.cors),
        is_open_to_all_origins: args.cors.iter().any(|origin| origin == "*"),
        message_bytes_max: usize::try_from(args.message_size.get()).unwrap_or(usize::MAX),
        start: Instant::now(),
        shutdown: shutdown.clone(),
    });
    let pop3 = pop3.map(|listener| {
        tokio::spawn(serve_pop3(
            listener,
            pop3_connections(certificate),
            Arc::clone(&shared),
            shutdown.clone(),
        ))
    });
    let machine = Arc::new(machine_config(args));
    let open = move |client: Client, now| {
        let mut machine = Server::new(Arc::clone(&machine), true, now);
        machine.record_dialogue(now);
        (machine, FaultySession::new(CatchSession::new(&shared, &client, now), Arc::clone(&injector)))
    };
    let smtp = tokio::spawn(smtp.serve(smtp_connections(certificate), open, shutdown.clone()));
    let router = api::router(&api, args.root.as_deref());
    let web = tokio::spawn(serve_http(web, router, shutdown.clone()));
    let pruning = tokio::spawn(prune(Arc::clone(store)));
    for line in args.exposure(smtp_address, web_address, pop3_address) {
        log.print(&line);
    }
    print_ready(smtp_address, web_address, pop3_address, certificate)?;
    let mut services = [smtp, web];
    let [smtp, web] = &mut services;
    let result = tokio::select! {
        () = stop_requested.notified() => Ok(()),
        ended = smtp => Err(unexpected_end("SMTP", &ended)),
        ended = web => Err(unexpected_end("HTTP", &ended)),
    };
    stop.send_replace(true);
    pruning.abort();
    if result.is_ok() {
        for service in services.into_iter().chain(pop3).chain(agent) {
            // A client that is still sending must not delay the exit.
            let _ = timeout(GRACE, service).await;
        }
    }
    result
}

fn unexpected_end(service: &str, ended: &Result<(), JoinError>) -> String {
    let reason = ended.as_ref().err().map(|error| format!(" ({error})")).unwrap_or_default();
    format!("the {service} service ended unexpectedly{reason}, so the catcher stops")
}

fn shared(args: &CatchArgs, store: &Arc<Store>) -> Result<Arc<Shared>, String> {
    Ok(Arc::new(Shared {
        hostname: Domain::parse(HOSTNAME).map_err(|error| error.to_string())?,
        memory: Budget::new(MESSAGE_MEMORY),
        metrics: Metrics::default(),
        clock: CatchClock,
        store: Arc::clone(store),
        is_strict: args.strict,
    }))
}

fn machine_config(args: &CatchArgs) -> Config {
    Config {
        hostname: HOSTNAME.to_owned(),
        message_size_max: args.message_size.get(),
        recipients_max: RECIPIENTS_MAX,
        starttls: true,
        auth: AuthOffer::Always,
        submission: false,
        bare_line_ends: !args.strict,
        command_events: true,
        dsn: false,
        require_tls: false,
    }
}

fn smtp_connections(certificate: &Certificate) -> ConnectionConfig {
    let refusals = [replies::too_busy(HOSTNAME), replies::too_many_connections(HOSTNAME)];
    let refusals = refusals.map(|reply| encoded(|octets| reply.encode(false, octets)));
    connections(certificate, refusals, "smtp", ReplyFormat::Smtp)
}

fn pop3_connections(certificate: &Certificate) -> ConnectionConfig {
    use mail_core::pop3::server::replies::{TOO_BUSY, TOO_MANY_CONNECTIONS};
    let refusals = [TOO_BUSY, TOO_MANY_CONNECTIONS].map(|reply| encoded(|octets| reply.encode(octets)));
    connections(certificate, refusals, "pop3", ReplyFormat::Pop3)
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut octets = BytesMut::new();
    encode(&mut octets);
    octets.freeze()
}

async fn serve_pop3(
    listener: Listener,
    connections: ConnectionConfig,
    shared: Arc<Shared>,
    shutdown: watch::Receiver<bool>,
) {
    let machine = Arc::new(pop3::server::Config {
        stls: true,
        auth: AuthOffer::Always,
        login_delay: None,
        implementation: Some(format!("Pennypost-{}", env!("CARGO_PKG_VERSION"))),
    });
    let context = Arc::new(ServiceContext {
        authenticator: None,
        hostname: shared.hostname.clone(),
        domains: Vec::new(),
        postmaster: None,
        refuse_unknown_user: false,
        relay: RelayPolicy::default(),
        // Every login succeeds, so nothing is throttled.
        throttle: Throttle::new(ThrottleLimits { per_address: 1, per_account: 1 }),
        memory: Arc::clone(&shared.memory),
        metrics: Arc::new(Metrics::default()),
        directory: AcceptAllDirectory,
        store: CatchMaildrops(Arc::clone(&shared.store)),
        clock: CatchClock,
    });
    let open = move |client: Client, now| {
        let client = ClientContext::new(Some(client.address.ip().to_canonical()), true);
        (
            pop3::server::Server::new(Arc::clone(&machine), true, now),
            Pop3Session::new(Arc::clone(&context), client),
        )
    };
    listener.serve(connections, open, shutdown).await;
}

fn connections(
    certificate: &Certificate,
    [too_busy, too_many_connections]: [Bytes; 2],
    protocol: &'static str,
    format: ReplyFormat,
) -> ConnectionConfig {
    ConnectionConfig {
        limits: ConnectionLimits {
            connections_max: CONNECTIONS_MAX,
            per_address_max: CONNECTIONS_MAX,
            is_trusted: Arc::new(|_| true),
        },
        tls: Some(certificate.server_config(&[])),
        too_busy,
        too_many_connections,
        metrics: ConnectionFamilies::register(&mut Registry::default()).protocol(protocol, format),
    }
}

async fn serve_http(socket: TcpListener, router: Router, shutdown: watch::Receiver<bool>) {
    let config = AcceptConfig { connections_max: Some(HTTP_CONNECTIONS_MAX), grace: GRACE };
    let task = |(stream, client): (TcpStream, SocketAddr)| {
        ws_bridge::http::serve(Stream::Plain(stream), router.clone(), client, None, shutdown.clone())
    };
    accept::serve(accept::into_tokio(socket), config, shutdown.clone(), task).await;
}

/// Deletes messages over the age limit.
async fn prune(store: Arc<Store>) {
    let Some(period) = store.prune_interval() else { return };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        store.prune();
    }
}

/// The only line on standard output.
fn print_ready(
    smtp: SocketAddr,
    web: SocketAddr,
    pop3: Option<SocketAddr>,
    certificate: &Certificate,
) -> Result<(), String> {
    let mut line = json!({
        "ready": true,
        "smtp": smtp.to_string(),
        "web": format!("http://{web}"),
        "ca": certificate.file(),
    });
    if let Some(pop3) = pop3 {
        line["pop3"] = json!(pop3.to_string());
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write the ready line to standard output: {error}"))
}

/// Notified by a signal or by the end of standard input.
fn stop_requested(is_child: bool) -> Result<Arc<Notify>, String> {
    let requested = Arc::new(Notify::new());
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signal =
            signal(kind).map_err(|error| format!("cannot wait for SIGTERM and SIGINT: {error}"))?;
        let requested = Arc::clone(&requested);
        tokio::spawn(async move {
            signal.recv().await;
            requested.notify_one();
        });
    }
    if is_child {
        let requested = Arc::clone(&requested);
        // A blocked read cannot be cancelled, so the thread ends with the process.
        thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || {
                wait_for_end(io::stdin().lock());
                requested.notify_one();
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
    }
    Ok(requested)
}

fn wait_for_end(mut input: impl Read) {
    let mut octets = [0; 4_096];
    loop {
        match input.read(&mut octets) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                warn!(%error, "cannot read standard input, so the catcher stops");
                return;
            }
        }
    }
}
