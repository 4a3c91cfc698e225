//! What all sessions of one server share: its name, its domains, its accounts and its store; and the rule
//! that says whose mail an address is.

use chrono::{DateTime, Utc};
use mail_core::message::address::{Address, Domain, ForwardPath, Host};
use mail_core::sasl::Credentials;
use mail_core::users::Username;
use tracing::error;

use crate::accounts::{Accounts, AccountsError};
use crate::store::{MailStore, MaybeShared, Recipient};

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
    pub accounts: A,
    pub store: S,
    pub stamps: T,
}

/// Gives each accepted message its time and its id.
pub trait Stamps: MaybeShared {
    fn stamp(&self) -> Stamp;
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
        if let Some(name) = Username::of_local_part(&address.local)
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
    /// The accounts cannot be read.
    pub async fn sign_in(&self, credentials: &Credentials) -> Result<Option<Username>, AccountsError> {
        let name = self.login_name(&credentials.authentication);
        let account = self.accounts.verify(name.as_ref(), &credentials.password).await?;
        let acts_as = &credentials.authorization;
        Ok(account.filter(|account| acts_as.is_empty() || self.login_name(acts_as).as_ref() == Some(account)))
    }

    /// The account of what a person signs in with.
    ///
    /// # Errors
    /// The accounts cannot be read.
    pub async fn find_login(&self, login: &str) -> Result<Option<Username>, AccountsError> {
        match self.login_name(login) {
            Some(name) => self.accounts.find(&name).await,
            None => Ok(None),
        }
    }

    fn login_name(&self, login: &str) -> Option<Username> {
        if let Ok(name) = Username::parse(login) {
            return Some(name);
        }
        let address = Address::parse(login).ok().filter(|address| self.is_local(&address.host))?;
        Username::parse(address.local.as_str()).ok()
    }

    fn is_local(&self, host: &Host) -> bool {
        match host {
            Host::Domain(domain) => self.domains.contains(domain),
            Host::Literal(_) => false,
        }
    }
}
