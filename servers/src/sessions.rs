//! The machine and the session of each connection.

use std::sync::Arc;

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

/// Protocol settings of each mail service.
pub(crate) struct Machines {
    pub(crate) smtp: Arc<smtp::server::Config>,
    pub(crate) submission: Arc<smtp::server::Config>,
    pub(crate) pop3: Arc<pop3::server::Config>,
}

impl Machines {
    pub(crate) fn new(config: &Config, tls: bool) -> Self {
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
        Self { smtp, submission, pop3 }
    }
}

/// Creates the machine and the session of a connection.
pub(crate) struct Sessions {
    context: Arc<Context>,
    trusted: config::Networks,
    relay_from: config::Networks,
    smtp_faults: Arc<FaultInjector<SmtpCommand>>,
    pop3_faults: Arc<FaultInjector<Pop3Command>>,
}

impl Sessions {
    pub(crate) fn new(config: &Config, context: &Arc<Context>) -> Self {
        Self {
            context: Arc::clone(context),
            trusted: config.limits.trusted.clone(),
            relay_from: config
                .outbound
                .as_ref()
                .map(|outbound| outbound.relay_from.clone())
                .unwrap_or_default(),
            smtp_faults: Arc::new(FaultInjector::new(&config.faults.smtp)),
            pop3_faults: Arc::new(FaultInjector::new(&config.faults.pop3)),
        }
    }

    /// Logs the faults of the protocols that are served.
    pub(crate) fn log_faults(&self, serves_smtp: bool, serves_pop3: bool) {
        if serves_smtp {
            self.smtp_faults.log("smtp");
        }
        if serves_pop3 {
            self.pop3_faults.log("pop3");
        }
    }

    pub(crate) fn open_smtp(
        &self,
        config: &Arc<smtp::server::Config>,
        client: &Client,
        now: Instant,
    ) -> (smtp::server::Server, impl Session<Machine = smtp::server::Server> + use<>) {
        let config = Arc::clone(config);
        let machine = match client.secure {
            true => smtp::server::Server::over_tls(config, now),
            false => smtp::server::Server::new(config, client.is_private(), now),
        };
        let session =
            SmtpSession::new(Arc::clone(&self.context), self.client_context(client), client.encryption);
        (machine, FaultySession::new(session, Arc::clone(&self.smtp_faults)))
    }

    pub(crate) fn open_pop3(
        &self,
        config: &Arc<pop3::server::Config>,
        client: &Client,
        now: Instant,
    ) -> (pop3::server::Server, impl Session<Machine = pop3::server::Server> + use<>) {
        let config = Arc::clone(config);
        let machine = match client.secure {
            true => pop3::server::Server::over_tls(config, now),
            false => pop3::server::Server::new(config, client.is_private(), now),
        };
        let session = Pop3Session::new(Arc::clone(&self.context), self.client_context(client));
        (machine, FaultySession::new(session, Arc::clone(&self.pop3_faults)))
    }

    fn client_context(&self, client: &Client) -> ClientContext {
        let address = client.address.ip().to_canonical();
        let mut context = ClientContext::new(Some(address), self.trusted.contains(address));
        context.may_relay = self.relay_from.contains(address);
        context
    }
}

/// Whether a fault applies to a command that the machine otherwise answers itself.
fn asks_about_commands(faults: &[Fault<SmtpCommand>]) -> bool {
    use SmtpCommand::{Connect, Ehlo, Quit, StartTls};
    faults.iter().any(|fault| matches!(fault.command, Connect | Ehlo | StartTls | Quit))
}
