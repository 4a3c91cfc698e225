//! The services of a process: SMTP, submission, POP3, the web bridge and the metrics endpoint.
//!
//! A mail service is a row of `Services::bind` (its listeners) and one of `Services::start`; `sessions` creates its machine and
//! session.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use acme::Renewal;
use bytes::{Bytes, BytesMut};
use config::{Config, Pop3, Smtp, Tls, WebListen};
use mail_core::message::address::Domain;
use mail_core::session::Session;
use mail_core::time::Instant;
use mail_core::{pop3, smtp};
use net::health::Readiness;
use net::limiter::ConnectionLimits;
use net::listener::{ConnectionConfig, Listener, PeerPolicy};
use net::local;
use net::metrics::{ConnectionFamilies, ReplyFormat};
use net::proxy::Client;
use prometheus_client::registry::Registry;
use tls::Certificate;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;
use ws_bridge::{Bridge, Target};

use crate::account::AccountApi;
use crate::autoconfig;
use crate::context::Context;
use crate::metrics::MetricsEndpoint;
use crate::sessions::{Sessions, SmtpService};

/// The programs, by the services that they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Programs {
    Smtp,
    Pop3,
    /// Both, and the web bridge with its page.
    AllInOne,
}

/// Bound listeners. Nothing is served before [`start`](Self::start).
pub(crate) struct Services {
    smtp: Vec<Listener>,
    submission: Vec<Listener>,
    pop3: Vec<Listener>,
    web: Option<(Bridge, BTreeMap<String, Target>)>,
    metrics: Option<MetricsEndpoint>,
}

/// The configured addresses of a mail service.
#[derive(Default)]
struct Addresses<'a> {
    plain: &'a [SocketAddr],
    tls: &'a [SocketAddr],
    proxied: &'a [SocketAddr],
    proxies: &'a [IpAddr],
}

impl<'a> From<&'a Smtp> for Addresses<'a> {
    fn from(Smtp { listen, tls_listen, proxy_listen, proxy_peers, .. }: &'a Smtp) -> Self {
        Self { plain: listen, tls: tls_listen, proxied: proxy_listen, proxies: proxy_peers }
    }
}

impl<'a> From<&'a Pop3> for Addresses<'a> {
    fn from(Pop3 { listen, tls_listen, proxy_listen, proxy_peers, .. }: &'a Pop3) -> Self {
        Self { plain: listen, tls: tls_listen, proxied: proxy_listen, proxies: proxy_peers }
    }
}

/// Started services.
pub(crate) struct Running {
    /// They end at shutdown.
    pub(crate) services: JoinSet<()>,
    /// The metrics endpoint answers until it is dropped, so that probes see the shutdown.
    pub(crate) metrics: JoinSet<()>,
    /// Their settings can be reloaded.
    pub(crate) sessions: Arc<Sessions>,
}

impl Services {
    /// Binds every configured address. Needs no runtime.
    ///
    /// # Errors
    /// A sentence: the address, the cause and the setting to change.
    pub(crate) fn bind(config: &Config, programs: Programs) -> Result<Self, String> {
        let Config { smtp, pop3, .. } = config;
        let metrics = config.metrics.listen.map(MetricsEndpoint::bind).transpose()?;
        let mut services =
            Self { smtp: Vec::new(), submission: Vec::new(), pop3: Vec::new(), web: None, metrics };
        if programs != Programs::Pop3 {
            services.smtp = bind_all("smtp", &smtp.into())?;
            let submission = Addresses {
                plain: &smtp.submission_listen,
                tls: &smtp.submission_tls_listen,
                ..Addresses::default()
            };
            services.submission = bind_all("submission", &submission)?;
        }
        if programs != Programs::Smtp {
            services.pop3 = bind_all("pop3", &pop3.into())?;
        }
        if services.smtp.is_empty() && services.submission.is_empty() && services.pop3.is_empty() {
            return Err("no address to listen on: set `listen` in [smtp] or [pop3]".into());
        }
        if programs == Programs::AllInOne {
            services.bind_web(config)?;
        }
        Ok(services)
    }

    /// Binds the web address. The bridge connects in process to each server without a configured target.
    fn bind_web(&mut self, config: &Config) -> Result<(), String> {
        let Some(address) = config.web.listen.address() else { return Ok(()) };
        let bridge = match Bridge::bind(address, &config.hostname, &config.web) {
            Ok(bridge) => bridge.with_mta_sts(config),
            // The default address is in use and not configured, so the mail servers run without the page.
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

    /// The task that obtains the certificate from the configured ACME directory; `None` without a directory, or without the listener
    /// that answers its challenges.
    ///
    /// # Errors
    /// A sentence that names the file and the remedy.
    pub(crate) fn renewal(
        &self,
        config: &Config,
        certificate: &Certificate,
    ) -> Result<Option<Renewal>, String> {
        let Tls::Acme(acme) = &config.tls else { return Ok(None) };
        if self.web.is_none() {
            warn!(
                "this process requests no certificate from {}: only `pennypost serve` with a listener of [web] does",
                acme.directory
            );
            return Ok(None);
        }
        let resolver = config.outbound.as_ref().map_or(&[][..], |outbound| &outbound.resolver);
        Renewal::new(acme, host_names(config), resolver, &config.data, certificate.clone()).map(Some)
    }

    /// TCP ports that the bridge connects to.
    pub(crate) fn target_ports(&self) -> impl Iterator<Item = u16> {
        let targets = self.web.iter().flat_map(|(_, targets)| targets.values());
        targets.filter_map(|target| target.address().map(|address| address.port()))
    }

    /// Starts a task for each listener.
    pub(crate) fn start(
        self,
        config: &Config,
        context: &Arc<Context>,
        mut registry: Registry,
        certificate: Option<&Certificate>,
        readiness: &Readiness,
    ) -> Running {
        let Self { smtp, submission, pop3, web, metrics } = self;
        let sessions = Arc::new(Sessions::new(
            config,
            context,
            certificate.is_some(),
            !smtp.is_empty() || !submission.is_empty(),
            !pop3.is_empty(),
        ));
        let mut starter = Starter {
            connections: connection_configs(config, &sessions, certificate, &mut registry),
            shutdown: readiness.shutdown().clone(),
            tasks: JoinSet::new(),
        };
        for (name, listeners, service) in
            [("smtp", smtp, SmtpService::Smtp), ("submission", submission, SmtpService::Submission)]
        {
            let sessions = Arc::clone(&sessions);
            starter.start(name, listeners, move |client, now| sessions.open_smtp(service, &client, now));
        }
        let pop3_sessions = Arc::clone(&sessions);
        starter.start("pop3", pop3, move |client, now| pop3_sessions.open_pop3(&client, now));
        if let Some((bridge, targets)) = web {
            bridge.register_metrics(&mut registry);
            let account = AccountApi::new(config, context, &sessions, readiness.shutdown().clone());
            starter.tasks.spawn(Arc::clone(&account).watch_mailboxes());
            let bridge = bridge.with_routes(account.router()).with_routes(autoconfig::router(config));
            starter.tasks.spawn(bridge.serve(targets, certificate.cloned(), readiness.clone()));
        }
        let mut running = Running { services: starter.tasks, metrics: JoinSet::new(), sessions };
        if let Some(endpoint) = metrics {
            running.metrics.spawn(endpoint.serve(registry, readiness.clone()));
        }
        running
    }
}

/// The names that clients connect to, in ASCII form.
pub(crate) fn host_names(config: &Config) -> Vec<String> {
    let mut names = vec![config.hostname.ascii().into_owned()];
    if config.web.listen.address().is_some() {
        names.extend(config.web.names.iter().map(|name| name.ascii().into_owned()));
        names.extend(config.policy_hosts());
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Starts the listeners of mail services.
struct Starter {
    connections: BTreeMap<&'static str, ConnectionConfig>,
    shutdown: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

impl Starter {
    fn start<S, F>(&mut self, service: &'static str, listeners: Vec<Listener>, open: F)
    where
        S: Session + 'static,
        S::Machine: 'static,
        F: Fn(Client, Instant) -> (S::Machine, S) + Clone + Send + Sync + 'static,
    {
        for listener in listeners {
            let connections = self.connections[service].clone();
            self.tasks.spawn(listener.serve(connections, open.clone(), self.shutdown.clone()));
        }
    }
}

fn bind_all(protocol: &'static str, addresses: &Addresses<'_>) -> Result<Vec<Listener>, String> {
    let Addresses { plain, tls, proxied, proxies } = addresses;
    let plain = plain.iter().map(|address| (address, PeerPolicy::Clients));
    let tls = tls.iter().map(|address| (address, PeerPolicy::ClientsOverTls));
    let proxied = proxied.iter().map(|address| (address, PeerPolicy::Proxies((*proxies).into())));
    plain.chain(tls).chain(proxied).map(|(address, peers)| bind(protocol, *address, peers)).collect()
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

/// Limits, certificate, refusals and metrics of each mail service.
fn connection_configs(
    config: &Config,
    sessions: &Arc<Sessions>,
    certificate: Option<&Certificate>,
    registry: &mut Registry,
) -> BTreeMap<&'static str, ConnectionConfig> {
    let families = ConnectionFamilies::register(registry);
    let tls = certificate.map(|certificate| certificate.server_config(&[]));
    let (smtp, pop3) = (smtp_refusals(&config.hostname), pop3_refusals());
    let services = [
        ("smtp", ReplyFormat::Smtp, smtp.clone()),
        ("submission", ReplyFormat::Smtp, smtp),
        ("pop3", ReplyFormat::Pop3, pop3),
    ];
    services
        .into_iter()
        .map(|(name, format, [too_busy, too_many_connections])| {
            let connections = ConnectionConfig {
                limits: connection_limits(config, sessions),
                tls: tls.clone(),
                too_busy,
                too_many_connections,
                metrics: families.protocol(name, format),
            };
            (name, connections)
        })
        .collect()
}

fn connection_limits(config: &Config, sessions: &Arc<Sessions>) -> ConnectionLimits {
    let sessions = Arc::clone(sessions);
    ConnectionLimits {
        connections_max: config.limits.connections,
        per_address_max: config.limits.connections_per_address,
        is_trusted: Arc::new(move |address| sessions.is_trusted(address)),
    }
}

/// Replies to a connection over the total limit and over that of its address.
fn smtp_refusals(hostname: &Domain) -> [Bytes; 2] {
    use smtp::server::replies::{too_busy, too_many_connections};
    let hostname = hostname.ascii();
    [too_busy(&hostname), too_many_connections(&hostname)]
        .map(|reply| encoded(|out| reply.encode(false, out)))
}

/// As [`smtp_refusals`].
fn pop3_refusals() -> [Bytes; 2] {
    use pop3::server::replies::{TOO_BUSY, TOO_MANY_CONNECTIONS};
    [TOO_BUSY, TOO_MANY_CONNECTIONS].map(|reply| encoded(|out| reply.encode(out)))
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut octets = BytesMut::new();
    encode(&mut octets);
    octets.freeze()
}
