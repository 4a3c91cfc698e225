//! Errors of Aliases.txt.

use super::{ALIAS_DEPTH_MAX, AliasKey};
use crate::message::address::AddressError;

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
