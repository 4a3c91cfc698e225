//! The configuration file (TOML) as validated types.
//!
//! Every key is optional. Unknown keys are errors. Relative paths are relative to the file. The servers, the bridge and the
//! terminal client read the same file and use the sections that concern them. Each section has its own module.

mod auth;
mod byte_size;
mod changes;
mod deserialize;
mod faults;
mod inbound;
mod limits;
mod metrics;
mod networks;
mod outbound;
mod pop3;
mod process;
mod smtp;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mail_core::message::address::Domain;
use mail_core::users::Username;
use serde::Deserialize;

use crate::source::SourceError;

pub use auth::Auth;
pub use byte_size::ByteSize;
pub use changes::Changes;
pub use faults::{
    Action, Fault, FaultCommand, Faults, Identity, Pattern, Pop3Command, Sampling, SmtpCommand,
};
pub use inbound::{DmarcMode, Inbound, MtaStsMode, SpamFilter};
pub use limits::Limits;
pub use metrics::Metrics;
pub use networks::Networks;
pub use outbound::{HostName, HostPort, NameServer, Outbound, OutboundMode, Smarthost, SmarthostTls};
pub use pop3::Pop3;
pub use process::Process;
pub use smtp::Smtp;
pub use store::{Store, StoreKind};
pub use tls::{Acme, DirectoryUrl, Tls};
pub use web::{Target, Web, WebLimits, WebListen};

/// The whole configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Host name in greetings and trace fields.
    #[serde(deserialize_with = "deserialize::domain")]
    pub hostname: Domain,
    /// Domains with local delivery. [`Config::with_hostname_domain`] adds the host name.
    #[serde(deserialize_with = "deserialize::domains")]
    pub domains: Vec<Domain>,
    /// Account that receives mail for postmaster. `None`: the first account of User.txt.
    #[serde(deserialize_with = "deserialize::username")]
    pub postmaster: Option<Username>,
    /// Directory of User.txt and the mailboxes.
    pub data: PathBuf,
    pub store: Store,
    pub smtp: Smtp,
    pub pop3: Pop3,
    pub web: Web,
    pub auth: Auth,
    pub tls: Tls,
    pub limits: Limits,
    pub process: Process,
    pub metrics: Metrics,
    /// Delivery to other hosts; `None`: no mail leaves the host.
    pub outbound: Option<Outbound>,
    pub inbound: Inbound,
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        let localhost = Domain::parse("localhost").expect("localhost is a domain");
        Self {
            hostname: localhost,
            domains: Vec::new(),
            postmaster: None,
            data: PathBuf::from("data"),
            store: Store::default(),
            smtp: Smtp::default(),
            pop3: Pop3::default(),
            web: Web::default(),
            auth: Auth::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            process: Process::default(),
            metrics: Metrics::default(),
            outbound: None,
            inbound: Inbound::default(),
            faults: Faults::default(),
        }
    }
}

/// A configuration error: one sentence with the file, the line or key, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}; name an existing file with --config", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// `line` counts from 1.
    #[error("{}, line {line}: {reason}", path.display())]
    Invalid { path: PathBuf, line: usize, reason: String },
}

impl Config {
    /// Reads and validates a file, and resolves its relative paths against the file's directory.
    ///
    /// # Errors
    /// The file is unreadable or invalid.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        let mut config = Self::parse(&text).map_err(|SourceError { line, reason }| ConfigError::Invalid {
            path: path.to_owned(),
            line,
            reason,
        })?;
        let directory = path.parent().unwrap_or(Path::new(""));
        config.data = directory.join(config.data);
        config.web.root = directory.join(config.web.root);
        config.tls.resolve_paths(directory);
        if let Some(outbound) = &mut config.outbound {
            outbound.resolve_paths(directory);
        }
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, SourceError> {
        let config: Self = toml::from_str(text).map_err(|error| SourceError::from_toml(text, &error))?;
        config.validate().map_err(|error| SourceError::from_invalid_value(text, error))?;
        Ok(config)
    }

    /// Checks ranges, and rules that involve more than one key. Types check the rest when they are parsed.
    fn validate(&self) -> Result<(), InvalidValue> {
        self.store.validate()?;
        self.limits.validate()?;
        self.auth.validate()?;
        self.smtp.validate(&self.tls)?;
        self.pop3.validate(&self.tls)?;
        self.tls.validate(&self.web)?;
        self.web.limits.validate()?;
        self.validate_inbound()?;
        self.outbound.as_ref().map_or(Ok(()), Outbound::validate)
    }

    /// Targets of the bridge: `[web] targets`, and the first `proxy_listen` address of each protocol that is not among them.
    #[must_use]
    pub fn web_targets(&self) -> BTreeMap<String, Target> {
        let proxied = [("smtp", &self.smtp.proxy_listen), ("pop3", &self.pop3.proxy_listen)];
        let proxied = proxied.into_iter().filter_map(|(name, addresses)| {
            let address = *addresses.first()?;
            Some((name.to_owned(), Target { address, proxy: true }))
        });
        proxied.chain(self.web.targets.clone()).collect()
    }

    /// Adds the host name to the local domains unless it is already one. Call it after the last change to the host name.
    #[must_use]
    pub fn with_hostname_domain(mut self) -> Self {
        if !self.domains.contains(&self.hostname) {
            self.domains.push(self.hostname.clone());
        }
        self
    }
}

/// A value that has the right type but violates a rule.
#[derive(Debug)]
struct InvalidValue {
    /// Table header as written in the file, such as `[web.limits]`.
    section: &'static str,
    key: &'static str,
    /// Predicate of a sentence whose subject is the key.
    reason: String,
}

impl InvalidValue {
    fn require(
        valid: bool,
        section: &'static str,
        key: &'static str,
        reason: impl Into<String>,
    ) -> Result<(), Self> {
        if valid { Ok(()) } else { Err(Self { section, key, reason: reason.into() }) }
    }
}
