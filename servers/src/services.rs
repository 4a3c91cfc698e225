//! The services of a process: SMTP, submission, POP3, the web bridge and the metrics endpoint.
//!
//! A mail service is a row of `Services::bind` (its listeners) and one of `Services::start` (its machine and session).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use config::{Config, Fault, SmtpCommand, WebListen};
use mail_core::message::address::Domain;
use mail_core::sasl::AuthOffer;
use mail_core::session::Session;
use mail_core::time::Instant;
use mail_core::{pop3, smtp};
use mail_service::context::ClientContext;
use mail_service::faults::{FaultInjector, FaultySession};
use mail_service::pop3_session::Pop3Session;
use mail_service::smtp_session::SmtpSession;
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

use crate::context::Context;
use crate::metrics::MetricsEndpoint;

/// The programs, by the services that they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programs {
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
            services.smtp = bind_all(
                "smtp",
                &Addresses {
                    plain: &smtp.listen,
                    tls: &smtp.tls_listen,
                    proxied: &smtp.proxy_listen,
                    proxies: &smtp.proxy_peers,
                },
            )?;
            let submission = Addresses {
                plain: &smtp.submission_listen,
                tls: &smtp.submission_tls_listen,
                ..Addresses::default()
            };
            services.submission = bind_all("submission", &submission)?;
        }
        if programs != Programs::Smtp {
            services.pop3 = bind_all(
                "pop3",
                &Addresses {
                    plain: &pop3.listen,
                    tls: &pop3.tls_listen,
                    proxied: &pop3.proxy_listen,
                    proxies: &pop3.proxy_peers,
                },
            )?;
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
            Ok(bridge) => bridge,
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
        shutdown: &watch::Receiver<bool>,
    ) -> JoinSet<()> {
        let Self { smtp, submission, pop3, web, metrics } = self;
        let mut starter = Starter {
            connections: connection_configs(config, certificate, &mut registry),
            shutdown: shutdown.clone(),
            tasks: JoinSet::new(),
        };
        let Machines { smtp: smtp_machine, submission: submission_machine, pop3: pop3_machine } =
            Machines::new(config, certificate.is_some());
        let clients = ClientContexts::new(config);
        let smtp_faults = Arc::new(FaultInjector::new(&config.faults.smtp));
        let pop3_faults = Arc::new(FaultInjector::new(&config.faults.pop3));
        if !smtp.is_empty() || !submission.is_empty() {
            smtp_faults.log("smtp");
        }
        if !pop3.is_empty() {
            pop3_faults.log("pop3");
        }
        let open_smtp = |machine: Arc<smtp::server::Config>| {
            let (context, clients, faults) = (Arc::clone(context), clients.clone(), Arc::clone(&smtp_faults));
            move |client: Client, now: Instant| {
                let config = Arc::clone(&machine);
                let machine = match client.secure {
                    true => smtp::server::Server::over_tls(config, now),
                    false => smtp::server::Server::new(config, client.is_private(), now),
                };
                let session = SmtpSession::new(Arc::clone(&context), clients.of(&client), client.encryption);
                (machine, FaultySession::new(session, Arc::clone(&faults)))
            }
        };
        let open_pop3 = {
            let (context, clients, faults) = (Arc::clone(context), clients.clone(), Arc::clone(&pop3_faults));
            move |client: Client, now: Instant| {
                let config = Arc::clone(&pop3_machine);
                let machine = match client.secure {
                    true => pop3::server::Server::over_tls(config, now),
                    false => pop3::server::Server::new(config, client.is_private(), now),
                };
                let session = Pop3Session::new(Arc::clone(&context), clients.of(&client));
                (machine, FaultySession::new(session, Arc::clone(&faults)))
            }
        };
        starter.start("smtp", smtp, open_smtp(smtp_machine));
        starter.start("submission", submission, open_smtp(submission_machine));
        starter.start("pop3", pop3, open_pop3);
        if let Some((bridge, targets)) = web {
            bridge.register_metrics(&mut registry);
            starter.tasks.spawn(bridge.serve(targets, certificate.cloned(), shutdown.clone()));
        }
        if let Some(endpoint) = metrics {
            starter.tasks.spawn(endpoint.serve(registry, shutdown.clone()));
        }
        starter.tasks
    }
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

/// Protocol settings of each mail service.
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
            bare_line_ends: false,
            command_events: asks_about_commands(&config.faults.smtp),
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

/// Creates the client context of a connection.
#[derive(Clone)]
struct ClientContexts {
    trusted: config::Networks,
}

impl ClientContexts {
    fn new(config: &Config) -> Self {
        Self { trusted: config.limits.trusted.clone() }
    }

    fn of(&self, client: &Client) -> ClientContext {
        let address = client.address.ip().to_canonical();
        ClientContext::new(Some(address), self.trusted.contains(address))
    }
}

/// Limits, certificate, refusals and metrics of each mail service.
fn connection_configs(
    config: &Config,
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
                limits: connection_limits(config),
                tls: tls.clone(),
                too_busy,
                too_many_connections,
                metrics: families.protocol(name, format),
            };
            (name, connections)
        })
        .collect()
}

fn connection_limits(config: &Config) -> ConnectionLimits {
    let config::Limits { connections, connections_per_address, trusted, .. } = config.limits.clone();
    ConnectionLimits {
        connections_max: connections,
        per_address_max: connections_per_address,
        is_trusted: Arc::new(move |address| trusted.contains(address)),
    }
}

/// Replies to a connection over the total limit and over that of its address.
fn smtp_refusals(hostname: &Domain) -> [Bytes; 2] {
    use smtp::server::replies::{too_busy, too_many_connections};
    let hostname = hostname.ascii();
    [too_busy(&hostname), too_many_connections(&hostname)].map(|reply| {
        let mut octets = BytesMut::new();
        reply.encode(false, &mut octets);
        octets.freeze()
    })
}

/// As [`smtp_refusals`].
fn pop3_refusals() -> [Bytes; 2] {
    use pop3::server::replies::{TOO_BUSY, TOO_MANY_CONNECTIONS};
    [TOO_BUSY, TOO_MANY_CONNECTIONS].map(|reply| {
        let mut octets = BytesMut::new();
        reply.encode(&mut octets);
        octets.freeze()
    })
}

/// Whether a fault applies to a command that the machine otherwise answers itself.
fn asks_about_commands(faults: &[Fault<SmtpCommand>]) -> bool {
    use SmtpCommand::{Connect, Ehlo, Quit, StartTls};
    faults.iter().any(|fault| matches!(fault.command, Connect | Ehlo | StartTls | Quit))
}
