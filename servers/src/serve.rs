//! Starts the servers on a configuration and stops them on a signal.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use config::{Config, Target, WebListen};
use mail_core::sasl::AuthOffer;
use mail_core::{pop3, smtp};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};
use ws_bridge::Bridge;

use crate::accounts::UserTxt;
use crate::disk::RealDisk;
use crate::faults::{Faults, Faulty};
use crate::listener::{Listener, Peers};
use crate::pop3_session::Pop3Session;
use crate::proxy::Client;
use crate::site::{Site, Stamp, Stamps};
use crate::smtp_session::SmtpSession;
use crate::store::text::{TextStore, Threads};

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
}

type TextSite = Site<UserTxt, TextStore<RealDisk, Threads>, SystemStamps>;

/// Runs the servers until SIGTERM or SIGINT.
///
/// # Errors
/// One sentence: what could not be opened or bound, and the remedy. Nothing was started then.
pub async fn serve(config: &Config, which: Which) -> Result<(), String> {
    let site = Arc::new(open(config)?);
    let (stop, stopping) = watch::channel(false);
    let mut terminated =
        signal(SignalKind::terminate()).map_err(|error| format!("cannot wait for SIGTERM: {error}"))?;
    let doors = Doors::bind(config, which).await?;
    let mut servers = start(doors, config, &site, &stopping);

    tokio::select! {
        _ = terminated.recv() => info!("stopping on SIGTERM"),
        _ = tokio::signal::ctrl_c() => info!("stopping on SIGINT"),
    }
    // Nobody listening is fine: every session has ended then.
    let _ = stop.send(true);
    while servers.join_next().await.is_some() {}
    info!("stopped");
    Ok(())
}

/// Opens accounts and store, and says what deserves a warning.
fn open(config: &Config) -> Result<TextSite, String> {
    let accounts = UserTxt::open(&config.data)?;
    if accounts.is_empty() {
        return Err(format!(
            "{} names no account; add one with `pennypost user add NAME --data {}`",
            config.data.join("User.txt").display(),
            config.data.display()
        ));
    }
    let plain = accounts.plain_passwords();
    if !plain.is_empty() {
        let names = plain.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        warn!("User.txt has passwords in plain text ({names}); `pennypost user hash` turns them into hashes");
    }
    if let Some(name) = &config.postmaster
        && !accounts.contains(name)
    {
        return Err(format!(
            "`postmaster` is set to `{name}`, but User.txt has no such account; add it or name another"
        ));
    }
    let store = TextStore::open(RealDisk::new(&config.data), Threads, config.hostname.as_str())
        .map_err(|error| format!("cannot use the data directory {}: {error}", config.data.display()))?;
    Ok(Site {
        hostname: config.hostname.clone(),
        domains: config.domains.clone(),
        postmaster: config.postmaster.clone(),
        refuse_unknown_user: config.pop3.refuse_unknown_user,
        accounts,
        store,
        stamps: SystemStamps,
    })
}

/// Every address, bound before the first is served.
struct Doors {
    smtp: Vec<Listener>,
    pop3: Vec<Listener>,
    web: Option<(Bridge, BTreeMap<String, Target>)>,
}

impl Doors {
    async fn bind(config: &Config, which: Which) -> Result<Self, String> {
        let Config { smtp, pop3, .. } = config;
        let mut doors = Self { smtp: Vec::new(), pop3: Vec::new(), web: None };
        if which != Which::Pop3 {
            doors.smtp = listeners("smtp", &smtp.listen, &smtp.proxy_listen, &smtp.proxy_peers).await?;
        }
        if which != Which::Smtp {
            doors.pop3 = listeners("pop3", &pop3.listen, &pop3.proxy_listen, &pop3.proxy_peers).await?;
        }
        if doors.smtp.is_empty() && doors.pop3.is_empty() {
            return Err("no address to listen on: set `listen` in [smtp] or [pop3]".into());
        }
        if which == Which::All {
            doors.open_web(config).await?;
        }
        Ok(doors)
    }

    /// Binds the web's address, and for each server that the page is not sent elsewhere for, one that only the bridge knows.
    async fn open_web(&mut self, config: &Config) -> Result<(), String> {
        let Some(address) = config.web.listen.address() else { return Ok(()) };
        let bridge = match Bridge::bind(address, &config.hostname, &config.web).await {
            Ok(bridge) => bridge,
            // Nobody has asked for this address, so a mail server that runs without it is the better one.
            Err(sentence) if config.web.listen == WebListen::Usual => {
                warn!("no web page: {sentence}, or --web off");
                return Ok(());
            }
            Err(sentence) => return Err(sentence),
        };
        let mut targets = config.web.targets.clone();
        for (protocol, listeners) in [("smtp", &mut self.smtp), ("pop3", &mut self.pop3)] {
            if !listeners.is_empty() && !targets.contains_key(protocol) {
                let (listener, address) = Listener::bind_for_bridge(protocol).await?;
                listeners.push(listener);
                targets.insert(protocol.to_owned(), Target { address, proxy: true });
            }
        }
        self.web = Some((bridge, targets));
        Ok(())
    }
}

async fn listeners(
    protocol: &'static str,
    listen: &[SocketAddr],
    proxy_listen: &[SocketAddr],
    proxy_peers: &[IpAddr],
) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for address in listen {
        listeners.push(Listener::bind(protocol, *address, Peers::Clients).await?);
    }
    for address in proxy_listen {
        listeners.push(Listener::bind(protocol, *address, Peers::Proxies(proxy_peers.into())).await?);
    }
    Ok(listeners)
}

fn start(
    doors: Doors,
    config: &Config,
    site: &Arc<TextSite>,
    stopping: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let smtp_config = Arc::new(smtp::server::Config {
        hostname: config.hostname.to_string(),
        message_size_max: config.limits.message_size.get(),
        recipients_max: config.limits.recipients,
        starttls: false,
        auth: AuthOffer::WhenSecure,
    });
    let pop3_config = Arc::new(pop3::server::Config {
        stls: false,
        auth: AuthOffer::Always,
        login_delay: None,
        implementation: Some(format!("Pennypost-{}", env!("CARGO_PKG_VERSION"))),
    });
    let smtp_faults = Arc::new(Faults::new(&config.faults.smtp));
    let pop3_faults = Arc::new(Faults::new(&config.faults.pop3));
    if !doors.smtp.is_empty() {
        smtp_faults.announce("smtp");
    }
    if !doors.pop3.is_empty() {
        pop3_faults.announce("pop3");
    }
    let mut servers = JoinSet::new();
    for listener in doors.smtp {
        let (site, machine_config) = (Arc::clone(site), Arc::clone(&smtp_config));
        let faults = Arc::clone(&smtp_faults);
        let open = move |client: Client, now| {
            let machine = smtp::server::Server::new(Arc::clone(&machine_config), client.is_private(), now);
            let session = SmtpSession::new(Arc::clone(&site), Some(client.address.ip()));
            (machine, Faulty::new(session, Arc::clone(&faults)))
        };
        servers.spawn(listener.serve(config.limits.connections, open, stopping.clone()));
    }
    for listener in doors.pop3 {
        let (site, machine_config) = (Arc::clone(site), Arc::clone(&pop3_config));
        let faults = Arc::clone(&pop3_faults);
        let open = move |client: Client, now| {
            let machine = pop3::server::Server::new(Arc::clone(&machine_config), client.is_private(), now);
            (machine, Faulty::new(Pop3Session::new(Arc::clone(&site)), Arc::clone(&faults)))
        };
        servers.spawn(listener.serve(config.limits.connections, open, stopping.clone()));
    }
    if let Some((bridge, targets)) = doors.web {
        servers.spawn(bridge.serve(targets, stopping.clone()));
    }
    servers
}
