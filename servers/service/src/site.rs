//! What all sessions of one server share: its name, its domains, its accounts and its store; and the rules
//! that say whose mail an address is, and who may sign in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mail_core::message::address::{Address, Domain, ForwardPath, Host};
use mail_core::sasl::Credentials;
use mail_core::time::Instant;
use mail_core::users::Username;
use tracing::{debug, error, warn};

use crate::budget::Budget;
use crate::metrics::Metrics;
use crate::throttle::{self, Attempt, Culprit, Throttle};
use mail_store::accounts::{Accounts, AccountsError};
use mail_store::{MailStore, Recipient};

/// The server as its sessions see it.
#[derive(Debug)]
pub struct Site<A, S, T> {
    /// In greetings and trace fields.
    pub hostname: Domain,
    /// Mail for these is delivered here; the hostname is one of them.
    pub domains: Vec<Domain>,
    /// Who gets postmaster's mail; the first account when `None`.
    pub postmaster: Option<Username>,
    /// Answer USER for an unknown name with a refusal.
    pub refuse_unknown_user: bool,
    /// What guessing passwords gets.
    pub throttle: Throttle,
    /// What the messages that are being received may hold in memory.
    pub memory: Arc<Budget>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    pub accounts: A,
    pub store: S,
    pub stamps: T,
}

/// The clock: gives each accepted message its time and its id, and tells how late it is.
pub trait Stamps: Send + Sync {
    fn stamp(&self) -> Stamp;

    fn now(&self) -> Instant;
}

/// Who a connection is from, and what it has got wrong so far.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub address: Option<IpAddr>,
    /// Its address is one of many people's: failed sign-ins are not counted by it.
    trusted: bool,
    failures: u32,
}

impl Visitor {
    #[must_use]
    pub const fn new(address: Option<IpAddr>, trusted: bool) -> Self {
        Self { address, trusted, failures: 0 }
    }
}

/// Why nobody is signed in. What it says is the same whether there is such an account or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub reason: RefusalReason,
    /// To be waited before it is said.
    pub delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The name or the password.
    Wrong,
    /// Too many were wrong before; this one was not looked at.
    TooMany,
    /// Passwords cannot be checked at the moment.
    NotNow,
}

/// When a message was received, and an id that is unique for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub time: DateTime<Utc>,
    pub id: String,
}

/// Where mail for a forward-path goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To this account.
    Local(Recipient),
    /// The domain is ours, the user is not.
    UnknownUser,
    /// The domain is not ours.
    Elsewhere,
}

impl<A: Accounts, S: MailStore, T: Stamps> Site<A, S, T> {
    /// Whose mail a forward-path is: `name`, `name+anything` and `"name"` at a local domain are that
    /// account's; postmaster is always somebody's (RFC 5321 section 4.5.1).
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub async fn route(&self, path: &ForwardPath) -> Result<Route, AccountsError> {
        let address = match path {
            ForwardPath::Postmaster => return self.route_postmaster(None).await,
            ForwardPath::Address(address) => address,
        };
        if !self.is_local(&address.host) {
            return Ok(Route::Elsewhere);
        }
        let is_postmaster = address.local.as_str().eq_ignore_ascii_case("postmaster");
        // An account that happens to have that name does not take it from whom the configuration names.
        if is_postmaster && self.postmaster.is_some() {
            return self.route_postmaster(Some(address)).await;
        }
        if let Some(name) = address.local.username()
            && let Some(account) = self.accounts.find(&name).await?
        {
            return Ok(Route::Local(Recipient { account, address: address.clone() }));
        }
        if is_postmaster {
            return self.route_postmaster(Some(address)).await;
        }
        Ok(Route::UnknownUser)
    }

    async fn route_postmaster(&self, address: Option<&Address>) -> Result<Route, AccountsError> {
        let named = match &self.postmaster {
            Some(name) => {
                let found = self.accounts.find(name).await?;
                if found.is_none() {
                    error!(
                        "`postmaster` is set to `{name}`, which is no account; the first one gets the mail"
                    );
                }
                found
            }
            None => None,
        };
        let account = match named {
            Some(account) => Some(account),
            None => self.accounts.first().await?,
        };
        let Some(account) = account else { return Ok(Route::UnknownUser) };
        let address = match address {
            Some(address) => address.clone(),
            None => Address::parse(&format!("postmaster@{}", self.hostname))
                .expect("postmaster at a valid domain is an address"),
        };
        Ok(Route::Local(Recipient { account, address }))
    }

    /// The account that these credentials sign in to. A person signs in with `name` or `name@local-domain`,
    /// and acts as nobody else. Whatever is wrong, the answer is the same and takes the same work.
    ///
    /// # Errors
    /// Nobody is signed in.
    pub async fn sign_in(
        &self,
        credentials: &Credentials,
        visitor: &mut Visitor,
    ) -> Result<Username, Refusal> {
        let login = &credentials.authentication_id;
        let name = self.login_name(login);
        let attempt = self.admit(login, name.as_ref(), visitor)?;
        let account = self
            .accounts
            .verify(name.as_ref(), &credentials.password)
            .await
            .map_err(|failure| self.cannot_look(&failure))?;
        let acts_as = &credentials.authorization_id;
        let may_act = acts_as.is_empty() || self.login_name(acts_as) == name;
        match account.filter(|_| may_act) {
            Some(account) => {
                self.throttle.succeeded(self.stamps.now(), attempt);
                self.metrics.sign_ins.good.inc();
                Ok(account)
            }
            None => Err(self.fail(login, attempt, visitor)),
        }
    }

    /// What is no name is counted as it was written.
    fn admit(&self, login: &str, name: Option<&Username>, visitor: &mut Visitor) -> Result<Attempt, Refusal> {
        let counted_as = name.map_or(login, Username::as_str);
        let attempt = self.throttle.attempt(visitor.address, visitor.trusted, counted_as);
        self.throttle.admit(self.stamps.now(), attempt).map(|()| attempt).map_err(|culprit| {
            debug!(?culprit, account = %shown(login), "sign-in not looked at: too many have failed");
            self.metrics.sign_ins.too_many.inc();
            visitor.refuse(RefusalReason::TooMany, 0)
        })
    }

    fn cannot_look(&self, failure: &AccountsError) -> Refusal {
        if matches!(failure, AccountsError::Busy) {
            warn!(%failure, "sign-in not looked at");
        } else {
            error!(%failure, "sign-in not looked at");
        }
        self.metrics.sign_ins.not_now.inc();
        Refusal { reason: RefusalReason::NotNow, delay: Duration::ZERO }
    }

    fn fail(&self, login: &str, attempt: Attempt, visitor: &mut Visitor) -> Refusal {
        self.metrics.sign_ins.wrong.inc();
        let failure = self.throttle.failed(self.stamps.now(), attempt);
        let (account, address) = (shown(login), visitor.address.map(tracing::field::display));
        warn!(address, %account, "sign-in refused");
        match failure.too_many {
            Some(Culprit::Address) => {
                warn!(
                    address,
                    "too many failed sign-ins from this address: further ones are not looked at for a while"
                );
            }
            Some(Culprit::Account) => {
                warn!(%account, "too many failed sign-ins to this account: for a while, it signs in from known addresses only");
            }
            None => {}
        }
        visitor.refuse(RefusalReason::Wrong, failure.count)
    }

    /// Whether a person can sign in with that name. Asking for one that is not there is guessing, as a wrong password
    /// is, and after too many guesses nobody is told of any name.
    ///
    /// # Errors
    /// There is no such account, or it is not told.
    pub async fn introduce(&self, login: &str, visitor: &mut Visitor) -> Result<(), Refusal> {
        let name = self.login_name(login);
        let attempt = self.admit(login, name.as_ref(), visitor)?;
        let found = match &name {
            Some(name) => self.accounts.find(name).await.map_err(|failure| self.cannot_look(&failure))?,
            None => None,
        };
        found.map(|_| ()).ok_or_else(|| self.fail(login, attempt, visitor))
    }

    fn login_name(&self, login: &str) -> Option<Username> {
        if let Ok(name) = Username::parse(login) {
            return Some(name);
        }
        let address = Address::parse(login).ok().filter(|address| self.is_local(&address.host))?;
        Username::parse(address.local.as_str()).ok()
    }

    /// Whether what is sent in this address's name is that account's to send.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub async fn owns(&self, account: &Username, address: &Address) -> Result<bool, AccountsError> {
        let route = self.route(&ForwardPath::Address(address.clone())).await?;
        Ok(matches!(route, Route::Local(recipient) if recipient.account == *account))
    }

    fn is_local(&self, host: &Host) -> bool {
        match host {
            Host::Domain(domain) => self.domains.contains(domain),
            Host::Literal(_) => false,
        }
    }
}

impl Visitor {
    /// The delay grows with what this connection has got wrong, or all from its address.
    fn refuse(&mut self, reason: RefusalReason, from_address: u32) -> Refusal {
        self.failures = self.failures.saturating_add(1);
        Refusal { reason, delay: throttle::delay(self.failures.max(from_address)) }
    }
}

/// As much of what a client calls itself as belongs in a log line.
fn shown(login: &str) -> impl std::fmt::Display {
    login.chars().take(64).flat_map(char::escape_default).collect::<String>()
}
