//! The service that all sessions of a server share, and logins.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_core::message::address::{Address, Domain};
use mail_core::message::printable::Excerpt;
use mail_core::message::srs::Srs;
use mail_core::sasl::Credentials;
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_store::directory::{Directory, DirectoryError};
use tracing::{debug, error, warn};

use crate::authentication::MessageAuthenticator;
use crate::budget::Budget;
use crate::metrics::Metrics;
use crate::throttle::{self, Attempt, LimitScope, Throttle};

/// Configuration, storage and counters of a service.
#[derive(Debug)]
pub struct ServiceContext<D, S, C> {
    /// Name in greetings and trace fields.
    pub hostname: Domain,
    /// Domains with mailboxes here, the hostname included.
    pub domains: Vec<Domain>,
    /// Receives postmaster's mail; `None` means the first account.
    pub postmaster: Option<Username>,
    /// Whether USER with an unknown name is refused.
    pub refuse_unknown_user: bool,
    pub relay: RelayPolicy,
    pub throttle: Throttle,
    /// Memory for messages that are being received.
    pub memory: Arc<Budget>,
    pub metrics: Arc<Metrics>,
    /// Verifies mail from unauthenticated clients; `None`: it is accepted unverified.
    pub authenticator: Option<Arc<dyn MessageAuthenticator>>,
    pub directory: D,
    pub store: S,
    pub clock: C,
}

/// Rules for mail to and from other hosts.
#[derive(Debug, Clone, Default)]
pub struct RelayPolicy {
    /// Whether mail for other hosts is accepted from users and from clients that [`ClientContext::may_relay`].
    pub outbound: bool,
    /// Whether a sender at a local domain must authenticate.
    pub own_domains_need_sign_in: bool,
    /// Restores the senders of forwarded mail, for reports about it.
    pub srs: Option<Srs>,
}

/// Time for trace fields and for throttling.
pub trait Clock: Send + Sync {
    fn now(&self) -> Instant;

    fn utc(&self) -> DateTime<Utc>;
}

/// Makes ids for messages.
pub trait IdGenerator: Send + Sync {
    /// An id that is never used again. `time` is the time of receipt.
    fn generate(&self, time: DateTime<Utc>) -> String;
}

/// A connection's client and its failed logins.
#[derive(Debug, Clone)]
pub struct ClientContext {
    pub address: Option<IpAddr>,
    /// Many clients share the address, so logins are not counted by it.
    is_trusted: bool,
    /// Whether the client may send mail to other hosts without authentication.
    pub may_relay: bool,
    failures: u32,
}

/// A refused login; it does not reveal whether the account exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    pub reason: RejectionReason,
    /// The delay of the reply.
    pub delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionReason {
    /// Wrong name or password.
    WrongCredentials,
    /// Too many earlier failures; the password was not verified.
    TooManyFailures,
    /// Passwords cannot be verified at the moment.
    Unavailable,
}

impl ClientContext {
    #[must_use]
    pub const fn new(address: Option<IpAddr>, is_trusted: bool) -> Self {
        Self { address, is_trusted, may_relay: false, failures: 0 }
    }

    /// The delay grows with the failures of this connection or, if there are more, of its address.
    fn reject(&mut self, reason: RejectionReason, address_failures: u32) -> Rejection {
        self.failures = self.failures.saturating_add(1);
        Rejection { reason, delay: throttle::delay(self.failures.max(address_failures)) }
    }
}

impl<D: Directory, S, C: Clock> ServiceContext<D, S, C> {
    /// The account of the credentials. The name is `name` or `name@local-domain`; an authorization identity must
    /// be empty or the same account. All failures have the same result at the same cost.
    ///
    /// # Errors
    /// The login is refused.
    pub async fn sign_in(
        &self,
        credentials: &Credentials,
        client: &mut ClientContext,
    ) -> Result<Username, Rejection> {
        let login = &credentials.authentication_id;
        let name = self.login_name(login);
        let attempt = self.admit(login, name.as_ref(), client)?;
        let account = self
            .directory
            .verify(name.as_ref(), &credentials.password)
            .await
            .map_err(|failure| self.unavailable(&failure, login))?;
        let authorization = &credentials.authorization_id;
        let is_authorized = authorization.is_empty() || self.login_name(authorization) == name;
        match account.filter(|_| is_authorized) {
            Some(account) => {
                self.throttle.succeeded(self.clock.now(), attempt);
                self.metrics.sign_ins.success.inc();
                Ok(account)
            }
            None => Err(self.count_failure(login, attempt, client)),
        }
    }

    /// Accepts USER with the name of an account. An unknown name counts as a failed login.
    ///
    /// # Errors
    /// There is no such account, or too many logins have failed.
    pub async fn accept_user(&self, login: &str, client: &mut ClientContext) -> Result<(), Rejection> {
        let name = self.login_name(login);
        let attempt = self.admit(login, name.as_ref(), client)?;
        let found = match &name {
            Some(name) => {
                self.directory.find(name).await.map_err(|failure| self.unavailable(&failure, login))?
            }
            None => None,
        };
        found.map(|_| ()).ok_or_else(|| self.count_failure(login, attempt, client))
    }

    /// Asks the throttle. A text that is not a valid name is counted unchanged.
    fn admit(
        &self,
        login: &str,
        name: Option<&Username>,
        client: &mut ClientContext,
    ) -> Result<Attempt, Rejection> {
        let counted_name = name.map_or(login, Username::as_str);
        let attempt = self.throttle.attempt(client.address, client.is_trusted, counted_name);
        self.throttle.admit(self.clock.now(), attempt).map(|()| attempt).map_err(|scope| {
            debug!(?scope, account = %Excerpt(login), "login refused: too many failures");
            self.metrics.sign_ins.throttled.inc();
            client.reject(RejectionReason::TooManyFailures, 0)
        })
    }

    fn unavailable(&self, failure: &DirectoryError, login: &str) -> Rejection {
        let account = Excerpt(login);
        if matches!(failure, DirectoryError::Busy) {
            warn!(%failure, %account, "password not verified; the client gets a temporary error");
        } else {
            error!(%failure, %account, "cannot verify passwords; logins get a temporary error; check User.txt");
        }
        self.metrics.sign_ins.error.inc();
        Rejection { reason: RejectionReason::Unavailable, delay: Duration::ZERO }
    }

    fn count_failure(&self, login: &str, attempt: Attempt, client: &mut ClientContext) -> Rejection {
        self.metrics.sign_ins.failure.inc();
        let failure = self.throttle.failed(self.clock.now(), attempt);
        let (account, address) = (Excerpt(login), client.address.map(tracing::field::display));
        warn!(address, %account, "authentication failed");
        match failure.limit_reached {
            Some(LimitScope::Address) => {
                warn!(
                    address,
                    "failed-login limit of the address reached; its logins are refused for up to an hour"
                );
            }
            Some(LimitScope::Account) => warn!(
                %account,
                "failed-login limit of the account reached; only addresses with an earlier successful login may log in"
            ),
            None => {}
        }
        client.reject(RejectionReason::WrongCredentials, failure.count)
    }

    fn login_name(&self, login: &str) -> Option<Username> {
        if let Ok(name) = Username::parse(login) {
            return Some(name);
        }
        let address = Address::parse(login).ok().filter(|address| self.is_local(&address.host))?;
        Username::parse(address.local.as_str()).ok()
    }
}
