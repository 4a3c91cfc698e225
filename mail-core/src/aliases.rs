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
//! Names and domains are compared without case. Lines are preserved when the file is rewritten. Programs, files and
//! `:include:` are no targets.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Display};

use crate::message::address::{Address, AddressError, Domain, Host, LocalPart};

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

/// An alias or comment with its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    text: String,
    /// Number of the first line, from 1.
    line: usize,
    alias: Option<Alias>,
}

/// The line of Aliases.txt that cannot be used, and the reason. Callers add the file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct AliasesError {
    /// Line number, from 1.
    pub line: usize,
    /// The problem and its remedy.
    pub reason: AliasReason,
}

/// The reason an alias is invalid, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AliasReason {
    /// The line has no colon.
    #[error("the colon is missing: write the alias, a colon and its targets, as in `sales: ag, gb`")]
    NoColon,
    /// The first line starts with white space.
    #[error("the line starts with white space, which continues a line, but no alias precedes it")]
    NoAlias,
    /// The left side is not a name, address or `@domain`.
    #[error("`{text}` is not a name, an address or `@domain`: {error}")]
    Key {
        /// The left side.
        text: String,
        /// The problem.
        error: AddressError,
    },
    /// The alias has no target.
    #[error("`{0}` has no target: name at least one account or address")]
    NoTarget(AliasKey),
    /// The target is not a name or address.
    #[error("the target `{text}` is not a name or an address: {error}")]
    Target {
        /// The target.
        text: String,
        /// The problem.
        error: AddressError,
    },
    /// The target is a program, a file or an `:include:`.
    #[error("the target `{0}` is a program or a file; mail is delivered to accounts and addresses only")]
    NotAnAddress(String),
    /// The key occurs twice.
    #[error("line {first} has the same alias: combine the two")]
    Duplicate {
        /// Number of the earlier line, from 1.
        first: usize,
    },
    /// The alias leads back to itself.
    #[error("`{0}` leads back to itself: remove one of the targets")]
    Loop(AliasKey),
    /// Too many aliases in a chain.
    #[error("`{0}` needs more than {ALIAS_DEPTH_MAX} aliases to reach an account: name the account itself")]
    TooDeep(AliasKey),
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

    fn catch_all(domain: &Domain) -> Self {
        Self(format!("@{}", domain.ascii()).into())
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

/// Parses Aliases.txt. Lines end with LF or CRLF. `domains` are the local domains, which decide whether a target address is
/// an alias in turn.
///
/// # Errors
/// The first invalid line.
pub fn parse(text: &str, domains: &[Domain]) -> Result<AliasFile, AliasesError> {
    let mut file = AliasFile::default();
    // Some editors write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, text) in logical_lines(text)? {
        let alias = parse_alias(&text).map_err(|reason| AliasesError { line, reason })?;
        if let Some(alias) = &alias {
            file.by_key.entry(alias.key.clone()).or_insert(file.entries.len());
            let first = file.entries.get(file.by_key[&alias.key]).map(|entry| entry.line);
            if let Some(first) = first {
                return Err(AliasesError { line, reason: AliasReason::Duplicate { first } });
            }
        }
        file.entries.push(Entry { text, line, alias });
    }
    file.check_chains(domains)?;
    Ok(file)
}

/// Lines with their continuation lines, and the number of the first. A blank line or comment ends an alias.
fn logical_lines(text: &str) -> Result<Vec<(usize, String)>, AliasesError> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut in_alias = false;
    for (number, line) in (1..).zip(text.lines()) {
        if is_ignored(line) {
            in_alias = false;
        } else if line.starts_with([' ', '\t']) {
            let Some((_, alias)) = lines.last_mut().filter(|_| in_alias) else {
                return Err(AliasesError { line: number, reason: AliasReason::NoAlias });
            };
            alias.push('\n');
            alias.push_str(line);
            continue;
        } else {
            in_alias = true;
        }
        lines.push((number, line.to_owned()));
    }
    Ok(lines)
}

fn is_ignored(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// `None` for a comment or blank line.
fn parse_alias(text: &str) -> Result<Option<Alias>, AliasReason> {
    if is_ignored(text) {
        return Ok(None);
    }
    let text: Cow<'_, str> = match text.contains('#') {
        true => text.lines().map(without_comment).collect::<Vec<_>>().join("\n").into(),
        false => text.into(),
    };
    let (key, targets) = split_unquoted(&text, b':').ok_or(AliasReason::NoColon)?;
    let key = key.trim();
    let key = AliasKey::parse(key).map_err(|error| AliasReason::Key { text: key.to_owned(), error })?;
    let targets = split_targets(targets).map(AliasTarget::parse).collect::<Result<Vec<_>, _>>()?;
    if targets.is_empty() {
        return Err(AliasReason::NoTarget(key));
    }
    Ok(Some(Alias { key, targets }))
}

/// The line without a comment, which starts with white space and `#`.
fn without_comment(line: &str) -> &str {
    let is_comment = |at: usize, byte| byte == b'#' && line[..at].ends_with([' ', '\t']);
    find_unquoted(line, is_comment).map_or(line, |at| &line[..at])
}

/// The non-empty texts between commas.
fn split_targets(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let parts = std::iter::from_fn(move || {
        let text = rest?;
        let Some((part, after)) = split_unquoted(text, b',') else { return rest.take() };
        rest = Some(after);
        Some(part)
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// Splits at the first `separator`, which is ASCII, outside a quoted string.
fn split_unquoted(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = find_unquoted(text, |_, byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The first octet outside a quoted string for which `is_match` holds.
fn find_unquoted(text: &str, is_match: impl Fn(usize, u8) -> bool) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if !quoted && is_match(at, byte) => return Some(at),
            _ => {}
        }
    }
    None
}

impl AliasFile {
    /// The aliases, in order.
    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        self.entries.iter().filter_map(|entry| entry.alias.as_ref())
    }

    /// The alias of an address at a local domain: the one with this address or, if there is none, this name; with its
    /// `+detail` first, then without (RFC 5233).
    #[must_use]
    pub fn find(&self, address: &Address) -> Option<&Alias> {
        let Host::Domain(domain) = &address.host else { return None };
        if self.by_key.is_empty() {
            return None;
        }
        let (local, without_detail) = (&address.local, address.local.without_detail());
        let locals = || std::iter::once(local).chain(&without_detail);
        let mut keys =
            locals().map(|local| AliasKey::address(local, domain)).chain(locals().map(AliasKey::name));
        keys.find_map(|key| self.get(&key))
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

    /// Rejects loops and long chains.
    fn check_chains(&self, domains: &[Domain]) -> Result<(), AliasesError> {
        let mut chains = vec![Chain::Unknown; self.entries.len()];
        for (at, entry) in self.entries.iter().enumerate() {
            let depth = self.chain_depth(at, domains, &mut chains, 1);
            depth.map_err(|reason| AliasesError { line: entry.line, reason })?;
        }
        Ok(())
    }

    /// The number of aliases in the longest chain from an entry. `level` is the number of aliases that led to it.
    fn chain_depth(
        &self,
        at: usize,
        domains: &[Domain],
        chains: &mut [Chain],
        level: usize,
    ) -> Result<usize, AliasReason> {
        let Some(alias) = &self.entries[at].alias else { return Ok(0) };
        match chains[at] {
            Chain::Depth(depth) if level - 1 + depth <= ALIAS_DEPTH_MAX => return Ok(depth),
            Chain::Active => return Err(AliasReason::Loop(alias.key.clone())),
            Chain::Unknown if level <= ALIAS_DEPTH_MAX => {}
            _ => return Err(AliasReason::TooDeep(alias.key.clone())),
        }
        chains[at] = Chain::Active;
        let mut depth = 1;
        for target in &alias.targets {
            for next in self.next(alias, target, domains) {
                // An alias that names itself means the account of that name.
                if next.key != alias.key {
                    let next = self.by_key[&next.key];
                    depth = depth.max(1 + self.chain_depth(next, domains, chains, level + 1)?);
                }
            }
        }
        chains[at] = Chain::Depth(depth);
        Ok(depth)
    }

    /// The aliases that a target can lead to. A name has the domain of the alias, which is any domain if the alias is a name.
    fn next<'a>(
        &'a self,
        alias: &Alias,
        target: &AliasTarget,
        domains: &[Domain],
    ) -> impl Iterator<Item = &'a Alias> {
        let of_alias = alias.domain();
        let is_possible = |domain: &&Domain| match target {
            AliasTarget::Address(address) => address.host == Host::Domain((*domain).clone()),
            AliasTarget::Name(_) => of_alias.as_ref().is_none_or(|of_alias| of_alias == *domain),
        };
        let hosts = domains.iter().filter(is_possible).map(|domain| Host::Domain(domain.clone()));
        hosts.filter_map(|host| self.find(&target.at(&host))).collect::<Vec<_>>().into_iter()
    }
}

/// State of the search for loops.
#[derive(Debug, Clone, Copy)]
enum Chain {
    Unknown,
    /// The search is inside it.
    Active,
    /// Number of aliases in the longest chain.
    Depth(usize),
}

impl Display for AliasFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{}", entry.text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn domains() -> Vec<Domain> {
        ["example.org", "b\u{fc}cher.example"].map(|domain| Domain::parse(domain).unwrap()).to_vec()
    }

    fn file(text: &str) -> AliasFile {
        parse(text, &domains()).unwrap()
    }

    fn targets(file: &AliasFile, address: &str) -> Option<String> {
        let alias = file.find(&Address::parse(address).unwrap())?;
        Some(alias.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    fn reason(text: &str) -> (usize, String) {
        let AliasesError { line, reason } = parse(text, &domains()).unwrap_err();
        (line, reason.to_string())
    }

    #[test]
    fn address_is_preferred_to_name_and_detail_to_none() {
        let file = file(
            "# all\r\n\r\nsales@Example.org: ag, gb,\n\tpartner@elsewhere.example # a partner\nSales: cd\n\
             sales+x: ef\n\"a,b\"@example.org: \"c#d\" #e\n@b\u{fc}cher.example: ag\n",
        );
        for (address, expected) in [
            ("sales@example.org", Some("ag gb partner@elsewhere.example")),
            ("SALES+y@EXAMPLE.ORG", Some("ag gb partner@elsewhere.example")),
            ("sales+x@example.org", Some("ag gb partner@elsewhere.example")),
            ("sales@b\u{fc}cher.example", Some("cd")),
            ("sales+x@xn--bcher-kva.example", Some("ef")),
            ("sales+y@xn--bcher-kva.example", Some("cd")),
            ("\"a,b\"@example.org", Some("c#d")),
            ("sale@example.org", None),
            ("+x@example.org", None),
            ("sales@[192.0.2.1]", None),
        ] {
            assert_eq!(targets(&file, address).as_deref(), expected, "{address}");
        }
        let catch_all = |domain| file.catch_all(&Domain::parse(domain).unwrap()).map(ToString::to_string);
        assert_eq!(catch_all("XN--bcher-kva.example").as_deref(), Some("@xn--bcher-kva.example: ag"));
        assert_eq!(catch_all("example.org"), None);
    }

    #[test]
    fn errors_state_the_line_and_the_remedy() {
        for (text, line, part) in [
            ("# x\nsales ag\n", 2, "the colon is missing"),
            ("  ag\n", 1, "no alias precedes it"),
            ("a: ag\n\n gb\n", 3, "no alias precedes it"),
            ("a b: ag", 1, "`a b` is not a name, an address or `@domain`"),
            ("a@[192.0.2.1]: ag", 1, "is not a name, an address or `@domain`"),
            ("@: ag", 1, "`@` is not"),
            (": ag", 1, "`` is not"),
            ("a: ,", 1, "`a` has no target"),
            ("a: # b", 1, "`a` has no target"),
            ("a: b@", 1, "the target `b@` is not a name or an address"),
            ("a: |/bin/sh", 1, "is a program or a file"),
            ("a: \"|/bin/sh -c x\"", 1, "is a program or a file"),
            ("a: /var/mail/x", 1, "is a program or a file"),
            ("a: :include:/etc/list", 1, "is a program or a file"),
            ("a: ag\n# x\nA: gb\n", 3, "line 1 has the same alias"),
        ] {
            let (found, message) = reason(text);
            assert!(found == line && message.contains(part), "{text:?}: line {found}: {message}");
        }
    }

    #[test]
    fn loops_and_long_chains_are_errors() {
        for (text, part) in [
            ("a: b\nb: a", "leads back to itself"),
            ("a: b\nb: c\nc: b", "leads back to itself"),
            ("a@example.org: b\nb: a", "leads back to itself"),
            ("a: b@example.org\nb: a@xn--bcher-kva.example", "leads back to itself"),
            ("@example.org: a\na: b+x\nb: a", "leads back to itself"),
        ] {
            let (_, message) = reason(text);
            assert!(message.contains(part), "{text:?}: {message}");
        }
        // An alias that names itself keeps a copy; a remote address is no alias.
        file("a: a, b\nb: b@elsewhere.example\nc: c@elsewhere.example");
        let chain = |length: usize| (0..length).map(|at| format!("a{at}: a{}\n", at + 1)).collect::<String>();
        file(&chain(ALIAS_DEPTH_MAX));
        assert!(reason(&chain(ALIAS_DEPTH_MAX + 1)).1.contains("needs more than 10 aliases"));
        let backwards =
            chain(ALIAS_DEPTH_MAX + 1).lines().rev().map(|line| format!("{line}\n")).collect::<String>();
        assert!(reason(&backwards).1.contains("needs more than 10 aliases"));
    }

    #[test]
    fn many_aliases_of_many_aliases_are_checked_in_linear_time() {
        let level = |at: usize| {
            let next = (0..20).map(|index| format!("l{}x{index}", at + 1)).collect::<Vec<_>>().join(", ");
            (0..20).map(|index| format!("l{at}x{index}: {next}\n")).collect::<String>()
        };
        let all = (0..ALIAS_DEPTH_MAX).map(level).collect::<String>();
        assert_eq!(file(&all).aliases().count(), 200);
    }

    #[test]
    fn rewrite_preserves_comments_and_other_aliases() {
        let target = |text| AliasTarget::parse(text).unwrap();
        let key = |text| AliasKey::parse(text).unwrap();
        let mut file = file("# mine\n\nSales:  ag,\n   gb # two\nx: y\n");
        file.add(&key("new@example.org"), vec![target("ag"), target("cd@elsewhere.example"), target("ag")]);
        file.add(&key("X"), vec![target("z"), target("y")]);
        assert_eq!(
            file.to_string(),
            "# mine\n\nSales:  ag,\n   gb # two\nx: y, z\nnew@example.org: ag, cd@elsewhere.example\n"
        );
        assert!(file.remove(&key("x"), &[target("y")]));
        assert!(!file.remove(&key("x"), &[target("y")]) && !file.remove(&key("gone"), &[]));
        assert!(file.remove(&key("SALES"), &[]));
        assert_eq!(file.to_string(), "# mine\n\nx: z\nnew@example.org: ag, cd@elsewhere.example\n");
        assert_eq!(targets(&file, "new@example.org").as_deref(), Some("ag cd@elsewhere.example"));
        assert!(file.remove(&key("x"), &[target("z")]) && file.get(&key("x")).is_none());
    }

    proptest! {
        #[test]
        fn parse_never_panics_and_is_the_inverse_of_display(text in "[ab@:,#\"\\\\|/. \t\r\n\u{e9}]{0,60}") {
            if let Ok(file) = parse(&text, &domains()) {
                let again = parse(&file.to_string(), &domains()).unwrap();
                prop_assert_eq!(file.aliases().collect::<Vec<_>>(), again.aliases().collect::<Vec<_>>());
                for alias in file.aliases() {
                    let shown = parse(&alias.to_string(), &[]).unwrap();
                    prop_assert_eq!(shown.aliases().collect::<Vec<_>>(), [alias]);
                }
            }
        }
    }
}
