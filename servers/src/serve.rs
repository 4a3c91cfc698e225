//! Starts the servers on a configuration and stops them on a signal.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chrono::{DateTime, Utc};
use config::{Config, WebListen};
use mail_core::message::address::Domain;
use mail_core::sasl::AuthOffer;
use mail_core::time::Instant;
use mail_core::{pop3, smtp};
use tls::Certificate;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::rustls::ServerConfig;
use tracing::{info, warn};
use ws_bridge::{Bridge, Target};

use mail_service::budget::Budget;
use mail_service::faults::{Faults, Faulty};
use mail_service::metrics::Metrics;
use mail_service::pop3_session::Pop3Session;
use mail_service::site::{Site, Stamp, Stamps, Visitor};
use mail_service::smtp_session::SmtpSession;
use mail_service::throttle::{Caps, Throttle};
use mail_store::descriptors;
use mail_store::disk::RealDisk;
use mail_store::text::{TextStore, Threads};
use mail_store::user_txt::UserTxt;
use net::limiter::ConnectionLimits;
use net::listener::{ConnectionConfig, Listener, PeerPolicy};
use net::local;
use net::metrics::{ConnectionFamilies, ConnectionMetrics, ReplyFormat};
use net::proxy::Client;
use prometheus_client::registry::Registry;

use crate::confine;
use crate::metrics::MetricsDoor;
use crate::privileges;

/// How long a thread may hang in the file system once everything else has stopped.
const HANG_MAX: Duration = Duration::from_secs(5);

/// Which servers a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Smtp,
    Pop3,
    /// Both, the page, and the bridge that connects it to them.
    All,
}

/// The system's clock, and ULIDs: sorted by time, with 80 random bits.
#[derive(Debug, Clone, Copy)]
pub struct SystemStamps;

impl Stamps for SystemStamps {
    fn stamp(&self) -> Stamp {
        let ulid = ulid::Ulid::generate();
        Stamp { time: DateTime::<Utc>::from(ulid.datetime()), id: ulid.to_string() }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

type TextSite = Site<UserTxt, TextStore<RealDisk, Threads>, SystemStamps>;

/// Runs the servers until SIGTERM or SIGINT.
///
/// # Errors
/// One sentence: what could not be opened or bound, and the remedy. Nothing was started then.
pub fn serve(config: &Config, which: Which) -> Result<(), String> {
    descriptors::raise_limit();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // What only root may do comes first, then nothing more is made or read as root; and no thread is started before the
    // process is confined, as each is confined by the one that starts it.
    let doors = Doors::bind(config, which)?;
    privileges::drop_to(config.process.user.as_deref())?;
    let mut registry = Registry::with_prefix("pennypost");
    let site = Arc::new(open(config, &mut registry)?);
    let certificate = Certificate::open(&config.tls, &config.data, &config.hostname.ascii())?;
    if config.process.confine {
        confine::confine(config, doors.target_ports())?;
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the threads: {error}"))?;
    let result = runtime.block_on(run(config, doors, &site, registry, certificate.as_ref()));
    // A thread that hangs in the file system must not keep the process alive.
    runtime.shutdown_timeout(HANG_MAX);
    result
}

async fn run(
    config: &Config,
    doors: Doors,
    site: &Arc<TextSite>,
    registry: Registry,
    certificate: Option<&Certificate>,
) -> Result<(), String> {
    let (stop, stopping) = watch::channel(false);
    let mut signals = Signals::listen()?;
    let mut servers = start(doors, config, site, registry, certificate, &stopping);

    let result = word_to_stop(&mut signals, &mut servers).await;
    // Nobody listening is fine: every session has ended then.
    let _ = stop.send(true);
    tokio::select! {
        () = async { while servers.join_next().await.is_some() {} } => info!("stopped"),
        name = signals.next() => warn!("stopped at once on a second signal, {name}"),
    }
    result
}

/// Waits for a signal, or for a server that ends by itself: half a mail system that lives on would be noticed late.
async fn word_to_stop(signals: &mut Signals, servers: &mut JoinSet<()>) -> Result<(), String> {
    tokio::select! {
        name = signals.next() => {
            info!("stopping on {name}");
            Ok(())
        }
        ended = servers.join_next() => Err(early_end(ended)),
    }
}

fn early_end(ended: Option<Result<(), JoinError>>) -> String {
    let reason = match ended {
        Some(Err(error)) => format!(" ({error})"),
        _ => String::new(),
    };
    format!("a server ended by itself{reason}, so all of them were stopped; start them again")
}

/// What a person or the system stops a process with.
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

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Opens the accounts, if the servers could run with them.
///
/// # Errors
/// There are none, or not the one that the configuration names; one sentence with the remedy.
pub(crate) fn open_accounts(config: &Config) -> Result<UserTxt, String> {
    if !config.data.is_dir() {
        return Err(format!(
            "there is no data directory {}; name it with --data, or make it with `pennypost user add NAME`",
            config.data.display()
        ));
    }
    let accounts = UserTxt::open(&config.data, &config.auth)?;
    if accounts.is_empty() {
        return Err(format!(
            "{} names no account; add one with `pennypost user add NAME --data {}`",
            config.data.join("User.txt").display(),
            config.data.display()
        ));
    }
    if let Some(name) = &config.postmaster
        && !accounts.contains(name)
    {
        return Err(format!(
            "`postmaster` is set to `{name}`, but User.txt has no such account; add it or name another"
        ));
    }
    Ok(accounts)
}

/// Opens accounts and store, and says what deserves a warning.
fn open(config: &Config, registry: &mut Registry) -> Result<TextSite, String> {
    let accounts = open_accounts(config)?;
    let plain = accounts.plain_passwords();
    if !plain.is_empty() {
        let names = plain.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        warn!("User.txt has passwords in plain text ({names}); `pennypost user hash` turns them into hashes");
    }
    let store = TextStore::open(RealDisk::new(&config.data), Threads, config.hostname.as_str())
        .map_err(|error| format!("cannot use the data directory {}: {error}", config.data.display()))?;
    Ok(Site {
        hostname: Domain::parse(&config.hostname.ascii()).expect("the A-labels of a domain are a domain"),
        domains: config.domains.clone(),
        postmaster: config.postmaster.clone(),
        refuse_unknown_user: config.pop3.refuse_unknown_user,
        throttle: Throttle::new(Caps {
            per_address: config.auth.failures_per_address,
            per_account: config.auth.failures_per_account,
        }),
        memory: Budget::new(config.limits.message_memory.get()),
        metrics: Arc::new(Metrics::registered(registry)),
        accounts,
        store,
        stamps: SystemStamps,
    })
}

/// Every address, bound before the first is served.
struct Doors {
    smtp: Vec<Listener>,
    submission: Vec<Listener>,
    pop3: Vec<Listener>,
    web: Option<(Bridge, BTreeMap<String, Target>)>,
    metrics: Option<MetricsDoor>,
}

impl Doors {
    fn bind(config: &Config, which: Which) -> Result<Self, String> {
        let Config { smtp, pop3, .. } = config;
        let metrics = config.metrics.listen.map(MetricsDoor::bind).transpose()?;
        let mut doors =
            Self { smtp: Vec::new(), submission: Vec::new(), pop3: Vec::new(), web: None, metrics };
        if which != Which::Pop3 {
            let proxies = (&smtp.proxy_listen[..], &smtp.proxy_peers[..]);
            doors.smtp = listeners("smtp", &smtp.listen, &smtp.tls_listen, proxies)?;
            let (plain, tls) = (&smtp.submission_listen, &smtp.submission_tls_listen);
            doors.submission = listeners("submission", plain, tls, (&[], &[]))?;
        }
        if which != Which::Smtp {
            let proxies = (&pop3.proxy_listen[..], &pop3.proxy_peers[..]);
            doors.pop3 = listeners("pop3", &pop3.listen, &pop3.tls_listen, proxies)?;
        }
        if doors.smtp.is_empty() && doors.submission.is_empty() && doors.pop3.is_empty() {
            return Err("no address to listen on: set `listen` in [smtp] or [pop3]".into());
        }
        if which == Which::All {
            doors.open_web(config)?;
        }
        Ok(doors)
    }

    /// TCP ports that the bridge connects to.
    fn target_ports(&self) -> impl Iterator<Item = u16> {
        let targets = self.web.iter().flat_map(|(_, targets)| targets.values());
        targets.filter_map(|target| target.address().map(|address| address.port()))
    }

    /// Binds the web address. The bridge connects in process to each server without a configured target.
    fn open_web(&mut self, config: &Config) -> Result<(), String> {
        let Some(address) = config.web.listen.address() else { return Ok(()) };
        let bridge = match Bridge::bind(address, &config.hostname, &config.web) {
            Ok(bridge) => bridge,
            // Nobody has asked for this address, so a mail server that runs without it is the better one.
            Err(sentence) if config.web.listen == WebListen::Default => {
                warn!("no web page: {sentence}, or --web off");
                return Ok(());
            }
            Err(sentence) => return Err(sentence),
        };
        let configured = config.web.targets.iter();
        let mut targets: BTreeMap<_, _> =
            configured.map(|(name, target)| (name.clone(), Target::from(target.clone()))).collect();
        for (protocol, listeners) in [("smtp", &mut self.smtp), ("pop3", &mut self.pop3)] {
            if !listeners.is_empty() && !targets.contains_key(protocol) {
                let (connector, listener) = local::channel();
                listeners.push(Listener::local(protocol, listener));
                targets.insert(protocol.to_owned(), Target::InProcess(connector));
            }
        }
        self.web = Some((bridge, targets));
        Ok(())
    }
}

fn listeners(
    protocol: &'static str,
    listen: &[SocketAddr],
    tls_listen: &[SocketAddr],
    (proxy_listen, proxy_peers): (&[SocketAddr], &[IpAddr]),
) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for address in listen {
        listeners.push(bind(protocol, *address, PeerPolicy::Clients)?);
    }
    for address in tls_listen {
        listeners.push(bind(protocol, *address, PeerPolicy::ClientsOverTls)?);
    }
    for address in proxy_listen {
        listeners.push(bind(protocol, *address, PeerPolicy::Proxies(proxy_peers.into()))?);
    }
    Ok(listeners)
}

fn bind(protocol: &'static str, address: SocketAddr, peers: PeerPolicy) -> Result<Listener, String> {
    let setting = match &peers {
        PeerPolicy::Clients if protocol == "submission" => "`submission_listen` in [smtp]".to_owned(),
        PeerPolicy::ClientsOverTls if protocol == "submission" => {
            "`submission_tls_listen` in [smtp]".to_owned()
        }
        PeerPolicy::Clients => format!("--{protocol}"),
        PeerPolicy::ClientsOverTls => format!("`tls_listen` in [{protocol}]"),
        PeerPolicy::Proxies(_) => format!("`proxy_listen` in [{protocol}]"),
    };
    Listener::bind(protocol, address, peers).map_err(|error| {
        format!("cannot listen on {address} for {protocol}: {error}; choose another address with {setting}")
    })
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    let config::Limits { connections, connections_per_address, trusted, .. } = config.limits.clone();
    ConnectionLimits {
        connections_max: connections,
        per_address_max: connections_per_address,
        is_trusted: Arc::new(move |address| trusted.contains(address)),
    }
}

/// What the state machines of each kind of listener are told.
struct Machines {
    smtp: Arc<smtp::server::Config>,
    submission: Arc<smtp::server::Config>,
    pop3: Arc<pop3::server::Config>,
}

impl Machines {
    fn new(config: &Config, tls: bool) -> Self {
        let auth = if config.auth.plain_text { AuthOffer::Always } else { AuthOffer::WhenSecure };
        let smtp = Arc::new(smtp::server::Config {
            hostname: config.hostname.ascii().into_owned(),
            message_size_max: config.limits.message_size.get(),
            recipients_max: config.limits.recipients,
            starttls: tls,
            auth,
            submission: false,
        });
        let submission = Arc::new(smtp::server::Config { submission: true, ..(*smtp).clone() });
        let pop3 = Arc::new(pop3::server::Config {
            stls: tls,
            auth,
            login_delay: None,
            implementation: Some(format!("Pennypost-{}", env!("CARGO_PKG_VERSION"))),
        });
        Self { smtp, submission, pop3 }
    }
}

fn start(
    doors: Doors,
    config: &Config,
    site: &Arc<TextSite>,
    mut registry: Registry,
    certificate: Option<&Certificate>,
    stopping: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let Machines { smtp: smtp_config, submission: submission_config, pop3: pop3_config } =
        Machines::new(config, certificate.is_some());
    let trusted = config.limits.trusted.clone();
    let visitor = move |client: &Client| {
        let address = client.address.ip().to_canonical();
        Visitor::new(Some(address), trusted.contains(address))
    };
    let smtp_faults = Arc::new(Faults::new(&config.faults.smtp));
    let pop3_faults = Arc::new(Faults::new(&config.faults.pop3));
    if !doors.smtp.is_empty() || !doors.submission.is_empty() {
        smtp_faults.announce("smtp");
    }
    if !doors.pop3.is_empty() {
        pop3_faults.announce("pop3");
    }
    let tls = certificate.map(|certificate| certificate.server_config(&[]));
    let families = ConnectionFamilies::register(&mut registry);
    let smtp_terms = smtp_terms(config, tls.clone(), families.protocol("smtp", ReplyFormat::Smtp));
    let submission_metrics = families.protocol("submission", ReplyFormat::Smtp);
    let submission_terms = ConnectionConfig { metrics: submission_metrics, ..smtp_terms.clone() };
    let pop3_terms = pop3_terms(config, tls, families.protocol("pop3", ReplyFormat::Pop3));
    let mut servers = JoinSet::new();
    let smtp = doors.smtp.into_iter().map(|listener| (listener, &smtp_config, &smtp_terms));
    let submission =
        doors.submission.into_iter().map(|listener| (listener, &submission_config, &submission_terms));
    for (listener, machine_config, terms) in smtp.chain(submission) {
        let (site, machine_config) = (Arc::clone(site), Arc::clone(machine_config));
        let (faults, visitor) = (Arc::clone(&smtp_faults), visitor.clone());
        let open = move |client: Client, now| {
            let config = Arc::clone(&machine_config);
            let machine = if client.secure {
                smtp::server::Server::over_tls(config, now)
            } else {
                smtp::server::Server::new(config, client.is_private(), now)
            };
            let session = SmtpSession::new(Arc::clone(&site), visitor(&client), client.encryption);
            (machine, Faulty::new(session, Arc::clone(&faults)))
        };
        servers.spawn(listener.serve(terms.clone(), open, stopping.clone()));
    }
    for listener in doors.pop3 {
        let (site, machine_config) = (Arc::clone(site), Arc::clone(&pop3_config));
        let (faults, visitor) = (Arc::clone(&pop3_faults), visitor.clone());
        let open = move |client: Client, now| {
            let config = Arc::clone(&machine_config);
            let machine = if client.secure {
                pop3::server::Server::over_tls(config, now)
            } else {
                pop3::server::Server::new(config, client.is_private(), now)
            };
            (machine, Faulty::new(Pop3Session::new(Arc::clone(&site), visitor(&client)), Arc::clone(&faults)))
        };
        servers.spawn(listener.serve(pop3_terms.clone(), open, stopping.clone()));
    }
    if let Some((bridge, _)) = &doors.web {
        bridge.register_metrics(&mut registry);
    }
    if let Some((bridge, targets)) = doors.web {
        servers.spawn(bridge.serve(targets, certificate.cloned(), stopping.clone()));
    }
    if let Some(door) = doors.metrics {
        servers.spawn(door.serve(registry, stopping.clone()));
    }
    servers
}

fn smtp_terms(
    config: &Config,
    tls: Option<Arc<ServerConfig>>,
    metrics: ConnectionMetrics,
) -> ConnectionConfig {
    use smtp::server::replies::{too_busy, too_many_connections};
    let hostname = config.hostname.ascii();
    let encoded = |reply: smtp::reply::Reply| {
        let mut words = BytesMut::new();
        reply.encode(false, &mut words);
        words.freeze()
    };
    ConnectionConfig {
        limits: connection_limits(config),
        tls,
        too_busy: encoded(too_busy(&hostname)),
        too_many_connections: encoded(too_many_connections(&hostname)),
        metrics,
    }
}

fn pop3_terms(
    config: &Config,
    tls: Option<Arc<ServerConfig>>,
    metrics: ConnectionMetrics,
) -> ConnectionConfig {
    use pop3::server::replies::{TOO_BUSY, TOO_MANY_CONNECTIONS};
    let encoded = |reply: pop3::reply::Reply| {
        let mut words = BytesMut::new();
        reply.encode(&mut words);
        words.freeze()
    };
    ConnectionConfig {
        limits: connection_limits(config),
        tls,
        too_busy: encoded(TOO_BUSY),
        too_many_connections: encoded(TOO_MANY_CONNECTIONS),
        metrics,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_ends_by_itself_ends_all_of_them() {
        let mut signals = Signals::listen().expect("the system has signals");
        let mut servers = JoinSet::new();
        servers.spawn(std::future::pending());
        servers.spawn(async { panic!("a defect") });
        let sentence = word_to_stop(&mut signals, &mut servers).await.expect_err("one has ended");
        assert!(sentence.contains("a defect"), "{sentence}");
        servers.spawn(async {});
        let sentence = word_to_stop(&mut signals, &mut servers).await.expect_err("another has ended");
        assert!(sentence.contains("ended by itself, so"), "{sentence}");
    }
}
