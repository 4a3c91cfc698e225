//! Routing: the destinations of an address.
//!
//! An address at a local domain is looked up in this order; the first match counts:
//!
//! 1. the alias of the address, then of its local part at any local domain;
//! 2. the configured postmaster, for `postmaster`;
//! 3. the account with this name; `name+detail` and `"name"` mean `name`;
//! 4. for `postmaster` and `abuse` (RFC 5321 section 4.5.1, RFC 2142), the postmaster's account;
//! 5. the catch-all of the domain.
//!
//! The rewritten sender of forwarded mail (SRS) resolves to the original sender.
//!
//! The targets of an alias are looked up in turn.

use std::collections::HashSet;

use mail_core::aliases::{ALIAS_DEPTH_MAX, Alias};
use mail_core::message::address::{Address, ForwardPath, Host};
use mail_core::users::Username;
use mail_store::Destination;
use mail_store::directory::{AliasAdmin, Directory, DirectoryError};
use tracing::error;

use crate::context::{Clock, ServiceContext};

/// Maximum number of destinations of one address, and of lookups for it.
const DESTINATIONS_MAX: usize = 1_000;

/// Maximum number of addresses that a client offers as sender.
const OWN_ADDRESSES_MAX: usize = 100;

/// An address that is still to be looked up.
struct Lookup {
    address: Address,
    /// Number of aliases that led to the address.
    depth: usize,
}

impl<D: Directory, S, C: Clock> ServiceContext<D, S, C> {
    /// The destinations of a forward-path, each once; none if a local domain has no such user. Postmaster always has a
    /// destination.
    ///
    /// # Errors
    /// The directory cannot be read, or an alias has too many destinations.
    pub async fn route(&self, path: &ForwardPath) -> Result<Vec<Destination>, DirectoryError> {
        let recipient = match path {
            ForwardPath::Postmaster => {
                Address::parse(&format!("postmaster@{}", self.hostname)).expect("the host name is a domain")
            }
            ForwardPath::Address(address) => address.clone(),
        };
        let mut destinations: Vec<Destination> = Vec::new();
        let mut expanded = HashSet::new();
        let mut pending = vec![Lookup { address: recipient.clone(), depth: 0 }];
        while let Some(Lookup { address, depth }) = pending.pop() {
            if expanded.len() + destinations.len() > DESTINATIONS_MAX {
                let text = format!("the alias {recipient} has more than {DESTINATIONS_MAX} destinations");
                return Err(DirectoryError::Failed(text));
            }
            let can_expand = depth < ALIAS_DEPTH_MAX && !expanded.contains(&address);
            let targets = if can_expand { self.alias(&address).await? } else { None };
            if let Some(targets) = targets {
                let lookup = |address| Lookup { address, depth: depth + 1 };
                pending.extend(targets.into_iter().rev().map(lookup));
                expanded.insert(address);
                continue;
            }
            let found = self.destination(&address, &recipient).await?;
            if found.is_none() && depth > 0 {
                error!(
                    "the alias {recipient} points to {address}, which does not exist; see `pennypost check`"
                );
            }
            destinations.extend(found.filter(|new| !destinations.iter().any(|old| old.is_same_copy(new))));
        }
        Ok(destinations)
    }

    /// The targets of an address that is an alias, the rewritten sender of forwarded mail or, if the address is unknown, has a catch-all.
    async fn alias(&self, address: &Address) -> Result<Option<Vec<Address>>, DirectoryError> {
        let Host::Domain(domain) = &address.host else { return Ok(None) };
        if !self.domains.contains(domain) {
            return Ok(None);
        }
        if let Some(srs) = self.relay.srs.as_ref().filter(|srs| srs.is_rewritten(address)) {
            return Ok(srs.reverse(address, self.clock.utc()).ok().map(|sender| vec![sender]));
        }
        if let Some(targets) = self.directory.alias(address).await? {
            return Ok(Some(targets));
        }
        match self.directory.catch_all(domain).await? {
            Some(targets) if self.destination(address, address).await?.is_none() => Ok(Some(targets)),
            _ => Ok(None),
        }
    }

    /// The destination of an address that is not an alias. `recipient` is the address that led to it.
    async fn destination(
        &self,
        address: &Address,
        recipient: &Address,
    ) -> Result<Option<Destination>, DirectoryError> {
        if !self.is_local(&address.host) {
            return Ok(Some(Destination::Remote(address.clone())));
        }
        let is_postmaster = is_named(address, "postmaster");
        let account = match address.local.username() {
            // The configured postmaster takes precedence over an account with the name `postmaster`.
            Some(name) if !(is_postmaster && self.postmaster.is_some()) => self.directory.find(&name).await?,
            _ => None,
        };
        let account = match account {
            None if is_role(address) => self.postmaster().await?,
            account => account,
        };
        Ok(account.map(|account| Destination::Mailbox { account, address: recipient.clone() }))
    }

    /// The account that receives postmaster's mail.
    async fn postmaster(&self) -> Result<Option<Username>, DirectoryError> {
        if let Some(name) = &self.postmaster {
            if let Some(account) = self.directory.find(name).await? {
                return Ok(Some(account));
            }
            error!(
                "`postmaster` is set to `{name}`, which is not an account; the first account receives the mail"
            );
        }
        self.directory.first().await
    }

    /// Whether the account may send mail with this reverse-path: mail to the address reaches the account.
    ///
    /// # Errors
    /// As [`route`](Self::route).
    pub async fn may_send_as(&self, account: &Username, address: &Address) -> Result<bool, DirectoryError> {
        let destinations = self.route(&ForwardPath::Address(address.clone())).await?;
        let is_own = |destination: &Destination| matches!(destination, Destination::Mailbox { account: owner, .. } if owner == account);
        Ok(destinations.iter().any(is_own))
    }

    /// The addresses that the account may use: its name at every domain, the first domain first, then its aliases.
    ///
    /// # Errors
    /// As [`route`](Self::route).
    pub async fn own_addresses(&self, account: &Username) -> Result<Vec<Address>, DirectoryError>
    where
        D: AliasAdmin,
    {
        let names = self.domains.iter().map(|domain| format!("{account}@{domain}"));
        let mut candidates: Vec<String> = names.collect();
        for Alias { key, .. } in self.directory.aliases().await? {
            let key = key.to_string();
            match key.split_once('@') {
                Some(("", _)) => {}
                Some(_) => candidates.push(key),
                None => candidates.extend(self.domains.iter().map(|domain| format!("{key}@{domain}"))),
            }
        }
        let mut own: Vec<Address> = Vec::new();
        for address in candidates.iter().filter_map(|text| Address::parse(text).ok()) {
            if own.len() < OWN_ADDRESSES_MAX
                && !own.contains(&address)
                && self.may_send_as(account, &address).await?
            {
                own.push(address);
            }
        }
        Ok(own)
    }

    pub(crate) fn is_local(&self, host: &Host) -> bool {
        match host {
            Host::Domain(domain) => self.domains.contains(domain),
            Host::Literal(_) => false,
        }
    }
}

/// Whether the postmaster receives mail for the address unless an account or alias does.
#[must_use]
pub fn is_role(address: &Address) -> bool {
    ["postmaster", "abuse"].iter().any(|role| is_named(address, role))
}

fn is_named(address: &Address, name: &str) -> bool {
    address.local.as_str().eq_ignore_ascii_case(name)
}
