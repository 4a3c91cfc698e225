//! Rejects aliases that lead back to themselves, and long chains of aliases.

use super::{ALIAS_DEPTH_MAX, Alias, AliasFile, AliasReason, AliasTarget, AliasesError};
use crate::message::address::{Domain, Host};

impl AliasFile {
    /// Rejects loops and long chains.
    pub(super) fn check_chains(&self, domains: &[Domain]) -> Result<(), AliasesError> {
        let mut states = vec![VisitState::Unvisited; self.entries.len()];
        for (at, entry) in self.entries.iter().enumerate() {
            let depth = self.chain_depth(at, domains, &mut states, 1);
            depth.map_err(|reason| AliasesError { line: entry.line, reason })?;
        }
        Ok(())
    }

    /// The number of aliases in the longest chain from an entry. `level` is the number of aliases that led to it.
    fn chain_depth(
        &self,
        at: usize,
        domains: &[Domain],
        states: &mut [VisitState],
        level: usize,
    ) -> Result<usize, AliasReason> {
        let Some(alias) = &self.entries[at].alias else { return Ok(0) };
        match states[at] {
            VisitState::Depth(depth) if level - 1 + depth <= ALIAS_DEPTH_MAX => return Ok(depth),
            VisitState::Active => return Err(AliasReason::Loop(alias.key.clone())),
            VisitState::Unvisited if level <= ALIAS_DEPTH_MAX => {}
            _ => return Err(AliasReason::TooDeep(alias.key.clone())),
        }
        states[at] = VisitState::Active;
        let mut depth = 1;
        for target in &alias.targets {
            for next in self.next(alias, target, domains) {
                // An alias that names itself means the account of that name.
                if next.key != alias.key {
                    let next = self.by_key[&next.key];
                    depth = depth.max(1 + self.chain_depth(next, domains, states, level + 1)?);
                }
            }
        }
        states[at] = VisitState::Depth(depth);
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

/// State of an entry in the search for loops.
#[derive(Debug, Clone, Copy)]
enum VisitState {
    Unvisited,
    /// The search has not left the entry: another visit is a loop.
    Active,
    /// Number of aliases in the longest chain.
    Depth(usize),
}
