//! Rejects aliases that lead back to themselves, and long chains of aliases.

use super::{ALIAS_DEPTH_MAX, Alias, AliasFile, AliasReason, AliasTarget, AliasesError};
use crate::message::address::{Domain, Host};

impl AliasFile {
    /// Rejects loops and long chains.
    pub(super) fn check_chains(&self, domains: &[Domain]) -> Result<(), AliasesError> {
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
