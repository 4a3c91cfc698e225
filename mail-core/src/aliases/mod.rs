//! The format of Aliases.txt: one alias per line, a name or address, a colon, and its targets, separated by commas.
//!
//! ```text
//! # A line that starts with white space continues the previous one.
//! sales@example.org: ag, gb, partner@elsewhere.example
//! abuse: ag
//! @example.org: ag      # catch-all
//! ```
//!
//! A name is an alias at every local domain. A target is a name, which belongs to the domain of the alias, or an address.
//! The comparison of names and domains ignores case. A rewrite preserves all lines that it does not change. A target that is
//! a program, a file or `:include:` is an error.

mod chains;
mod error;
mod parse;

use std::collections::HashMap;
use std::fmt::{self, Display};

use crate::message::address::{Address, AddressError, Domain, Host, LocalPart};

pub use error::{AliasReason, AliasesError};
pub use parse::parse;

/// Maximum number of aliases between an address and an account.
pub const ALIAS_DEPTH_MAX: usize = 10;

/// The left side of an alias, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AliasKey(Box<str>);

/// One target of an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AliasTarget {
    /// An account or alias at the domain of the alias.
    Name(LocalPart),
    /// An address, local or remote.
    Address(Address),
}

/// One alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name, address or domain.
    pub key: AliasKey,
    /// At least one.
    pub targets: Vec<AliasTarget>,
}

/// The contents of Aliases.txt. Keys are unique. [`Display`] formats the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AliasFile {
    entries: Vec<Entry>,
    by_key: HashMap<AliasKey, usize>,
}

/// An alias or a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Its lines in the file.
    text: String,
    /// Number of its first line in the file, from 1.
    line: usize,
    alias: Option<Alias>,
}

impl AliasKey {
    /// Parses a name, an address or `@domain`.
    ///
    /// # Errors
    /// The reason as an [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(domain) = text.strip_prefix('@') {
            return Domain::parse(domain).map(|domain| Self::catch_all(&domain));
        }
        match Address::parse(text) {
            Ok(Address { local, host: Host::Domain(domain) }) => Ok(Self::address(&local, &domain)),
            Ok(_) => Err(AddressError::NoDomain),
            Err(AddressError::NoAt) => LocalPart::parse(text).map(|local| Self::name(&local)),
            Err(error) => Err(error),
        }
    }

    fn address(local: &LocalPart, domain: &Domain) -> Self {
        Self(format!("{}@{}", local.to_string().to_lowercase(), domain.ascii()).into())
    }

    fn name(local: &LocalPart) -> Self {
        Self(local.to_string().to_lowercase().into())
    }

    /// The key of a domain's catch-all.
    #[must_use]
    pub fn catch_all(domain: &Domain) -> Self {
        Self(format!("@{}", domain.ascii()).into())
    }

    /// The keys that apply to an address at a local domain, the first that exists before the others: the address or, if there
    /// is none, its name; with the `+detail` first, then without (RFC 5233).
    #[must_use]
    pub fn candidates(address: &Address) -> Vec<Self> {
        let Host::Domain(domain) = &address.host else { return Vec::new() };
        let (local, without_detail) = (&address.local, address.local.without_detail());
        let locals = || std::iter::once(local).chain(&without_detail);
        locals().map(|local| Self::address(local, domain)).chain(locals().map(Self::name)).collect()
    }

    /// The key in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for AliasKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AliasTarget {
    /// Parses a target.
    ///
    /// # Errors
    /// The reason and the remedy.
    pub fn parse(text: &str) -> Result<Self, AliasReason> {
        if text.starts_with(['|', '/']) || text.starts_with("\"|") || text.starts_with(":include:") {
            return Err(AliasReason::NotAnAddress(text.to_owned()));
        }
        let parsed = match Address::parse(text) {
            Ok(address) => Ok(Self::Address(address)),
            Err(AddressError::NoAt) => LocalPart::parse(text).map(Self::Name),
            Err(error) => Err(error),
        };
        parsed.map_err(|error| AliasReason::Target { text: text.to_owned(), error })
    }

    /// The target's address for an alias at `domain`.
    #[must_use]
    pub fn at(&self, domain: &Host) -> Address {
        match self {
            Self::Name(local) => Address { local: local.clone(), host: domain.clone() },
            Self::Address(address) => address.clone(),
        }
    }
}

impl Display for AliasTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(local) => local.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Alias {
    /// The domain of an alias that is an address or catch-all.
    #[must_use]
    pub fn domain(&self) -> Option<Domain> {
        let (_, domain) = self.key.0.rsplit_once('@')?;
        Domain::parse(domain).ok()
    }
}

impl Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.key)?;
        for (index, target) in self.targets.iter().enumerate() {
            write!(f, "{}{target}", if index == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

impl AliasFile {
    /// The aliases, in order.
    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        self.entries.iter().filter_map(|entry| entry.alias.as_ref())
    }

    /// The alias of an address at a local domain.
    #[must_use]
    pub fn find(&self, address: &Address) -> Option<&Alias> {
        if self.by_key.is_empty() {
            return None;
        }
        AliasKey::candidates(address).iter().find_map(|key| self.get(key))
    }

    /// The alias that receives mail for unknown addresses of a domain.
    #[must_use]
    pub fn catch_all(&self, domain: &Domain) -> Option<&Alias> {
        self.get(&AliasKey::catch_all(domain))
    }

    /// The alias with this key.
    #[must_use]
    pub fn get(&self, key: &AliasKey) -> Option<&Alias> {
        self.entries[*self.by_key.get(key)?].alias.as_ref()
    }

    /// Adds targets to an alias, or the alias. Existing targets are not repeated.
    pub fn add(&mut self, key: &AliasKey, targets: Vec<AliasTarget>) {
        let mut alias =
            self.get(key).cloned().unwrap_or_else(|| Alias { key: key.clone(), targets: Vec::new() });
        for target in targets {
            if !alias.targets.contains(&target) {
                alias.targets.push(target);
            }
        }
        self.set(alias);
    }

    /// Removes targets of an alias, or without targets the alias. Returns whether all of them existed.
    pub fn remove(&mut self, key: &AliasKey, targets: &[AliasTarget]) -> bool {
        let Some(alias) = self.get(key) else { return false };
        let mut alias = alias.clone();
        let all_exist = targets.iter().all(|target| alias.targets.contains(target));
        alias.targets.retain(|target| !targets.is_empty() && !targets.contains(target));
        if all_exist {
            self.set(alias);
        }
        all_exist
    }

    /// Replaces an alias, or appends it. An alias without targets is removed.
    fn set(&mut self, alias: Alias) {
        let text = alias.to_string();
        match self.by_key.get(&alias.key) {
            Some(at) if alias.targets.is_empty() => {
                let at = *at;
                self.entries.remove(at);
                self.by_key.remove(&alias.key);
                self.by_key.values_mut().filter(|other| **other > at).for_each(|other| *other -= 1);
            }
            Some(at) => {
                let entry = &mut self.entries[*at];
                (entry.text, entry.alias) = (text, Some(alias));
            }
            None => {
                self.by_key.insert(alias.key.clone(), self.entries.len());
                self.entries.push(Entry { text, line: 0, alias: Some(alias) });
            }
        }
    }
}

impl Display for AliasFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{}", entry.text))
    }
}

#[cfg(test)]
mod tests;
