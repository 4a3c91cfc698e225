//! Splits Aliases.txt into aliases.

use std::borrow::Cow;

use super::{Alias, AliasFile, AliasKey, AliasReason, AliasTarget, AliasesError, Entry};
use crate::message::address::Domain;

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
