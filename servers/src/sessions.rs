//! The machine and the session of each connection.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use config::{Config, Fault, Pop3Command, SmtpCommand};
use mail_core::sasl::AuthOffer;
use mail_core::session::Session;
use mail_core::time::Instant;
use mail_core::{pop3, smtp};
use mail_service::context::ClientContext;
use mail_service::faults::{FaultInjector, FaultySession};
use mail_service::pop3_session::Pop3Session;
use mail_service::smtp_session::SmtpSession;
use net::proxy::Client;

use crate::context::Context;

/// The mail services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SmtpService {
    Smtp,
    Submission,
}

/// Settings of new connections. A reload of the configuration replaces them.
#[derive(Debug)]
struct Settings {
    smtp: Arc<smtp::server::Config>,
    submission: Arc<smtp::server::Config>,
    pop3: Arc<pop3::server::Config>,
    plain_text: bool,
    trusted: config::Networks,
    relay_from: config::Networks,
    smtp_faults: Arc<FaultInjector<SmtpCommand>>,
    pop3_faults: Arc<FaultInjector<Pop3Command>>,
}

impl Settings {
    /// `previous` has the faults if they have not changed.
    fn new(config: &Config, tls: bool, previous: Option<&Self>) -> Self {
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
            dsn: config.outbound.is_some(),
            require_tls: true,
        });
        let submission = Arc::new(smtp::server::Config { submission: true, ..(*smtp).clone() });
        let pop3 = Arc::new(pop3::server::Config {
            stls: tls,
            auth,
            login_delay: None,
            implementation: Some(format!("Pennypost-{}", env!("CARGO_PKG_VERSION"))),
        });
        let relay_from = config.outbound.as_ref().map(|outbound| outbound.relay_from.clone());
        let smtp_faults = previous.map(|previous| Arc::clone(&previous.smtp_faults));
        let pop3_faults = previous.map(|previous| Arc::clone(&previous.pop3_faults));
        Self {
            smtp,
            submission,
            pop3,
            plain_text: config.auth.plain_text,
            trusted: config.limits.trusted.clone(),
            relay_from: relay_from.unwrap_or_default(),
            smtp_faults: smtp_faults.unwrap_or_else(|| Arc::new(FaultInjector::new(&config.faults.smtp))),
            pop3_faults: pop3_faults.unwrap_or_else(|| Arc::new(FaultInjector::new(&config.faults.pop3))),
        }
    }

    fn client_context(&self, client: &Client) -> ClientContext {
        let address = client.address.ip().to_canonical();
        let mut context = ClientContext::new(Some(address), self.trusted.contains(address));
        context.may_relay = self.relay_from.contains(address);
        context
    }
}

/// Creates the machine and the session of each connection.
#[derive(Debug)]
pub(crate) struct Sessions {
    context: Arc<Context>,
    tls: bool,
    settings: RwLock<Arc<Settings>>,
    serves_smtp: bool,
    serves_pop3: bool,
}

impl Sessions {
    /// `tls`: there is a certificate. `serves_smtp` and `serves_pop3` are the protocols whose faults are logged.
    pub(crate) fn new(
        config: &Config,
        context: &Arc<Context>,
        tls: bool,
        serves_smtp: bool,
        serves_pop3: bool,
    ) -> Self {
        let settings = RwLock::new(Arc::new(Settings::new(config, tls, None)));
        let sessions = Self { context: Arc::clone(context), tls, settings, serves_smtp, serves_pop3 };
        sessions.log_faults();
        sessions
    }

    /// New connections use this configuration. Counters of faults start again if they have changed.
    pub(crate) fn reload(&self, config: &Config, faults_changed: bool) {
        let previous = self.settings();
        let settings = Settings::new(config, self.tls, (!faults_changed).then_some(&*previous));
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        if faults_changed {
            self.log_faults();
        }
    }

    fn log_faults(&self) {
        let settings = self.settings();
        if self.serves_smtp {
            settings.smtp_faults.log("smtp");
        }
        if self.serves_pop3 {
            settings.pop3_faults.log("pop3");
        }
    }

    /// Whether the limits per address do not apply to a client.
    pub(crate) fn is_trusted(&self, address: IpAddr) -> bool {
        self.settings().trusted.contains(address)
    }

    /// Whether a client may send a password over this connection.
    pub(crate) fn accepts_password(&self, client: &Client) -> bool {
        client.is_private() || self.settings().plain_text
    }

    pub(crate) fn open_smtp(
        &self,
        service: SmtpService,
        client: &Client,
        now: Instant,
    ) -> (smtp::server::Server, impl Session<Machine = smtp::server::Server> + use<>) {
        let settings = self.settings();
        let config = Arc::clone(match service {
            SmtpService::Smtp => &settings.smtp,
            SmtpService::Submission => &settings.submission,
        });
        let machine = match client.secure {
            true => smtp::server::Server::over_tls(config, now),
            false => smtp::server::Server::new(config, client.is_private(), now),
        };
        let session =
            SmtpSession::new(Arc::clone(&self.context), settings.client_context(client), client.encryption);
        (machine, FaultySession::new(session, Arc::clone(&settings.smtp_faults)))
    }

    pub(crate) fn open_pop3(
        &self,
        client: &Client,
        now: Instant,
    ) -> (pop3::server::Server, impl Session<Machine = pop3::server::Server> + use<>) {
        let settings = self.settings();
        let config = Arc::clone(&settings.pop3);
        let machine = match client.secure {
            true => pop3::server::Server::over_tls(config, now),
            false => pop3::server::Server::new(config, client.is_private(), now),
        };
        let session = Pop3Session::new(Arc::clone(&self.context), settings.client_context(client));
        (machine, FaultySession::new(session, Arc::clone(&settings.pop3_faults)))
    }

    pub(crate) fn client_context(&self, client: &Client) -> ClientContext {
        self.settings().client_context(client)
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether a fault applies to a command that the machine otherwise answers itself.
fn asks_about_commands(faults: &[Fault<SmtpCommand>]) -> bool {
    use SmtpCommand::{Connect, Ehlo, Quit, StartTls};
    faults.iter().any(|fault| matches!(fault.command, Connect | Ehlo | StartTls | Quit))
}
