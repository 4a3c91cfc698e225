//! The quotas in Quotas.txt: a line for each account, its name, a colon, and one or two sizes. Read when the file changes.
//!
//! ```text
//! # account: soft limit, hard limit
//! gb: 900 MiB, 1 GiB
//! *: 5 GiB             # every other account
//! ```
//!
//! A rewrite preserves the lines that it does not change.

use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use config::ByteSize;
use mail_core::users::Username;

use crate::directory::{DirectoryError, Quota};
use crate::rewrite::{rewrite_file, rewrite_locked};
use crate::watched_file::WatchedFile;

/// The name of the file in a data directory.
const NAME: &str = "Quotas.txt";
/// The key of the accounts without a line of their own.
const OTHERS: &str = "*";

/// The quotas in a data directory's Quotas.txt. A missing file has none.
#[derive(Debug)]
pub(crate) struct QuotasTxt {
    file: WatchedFile<QuotaFile>,
}

/// The lines of the file. In its methods, the account `None` stands for all accounts without a line of their own.
#[derive(Debug, Default)]
pub struct QuotaFile(Vec<Line>);

#[derive(Debug)]
struct Line {
    text: String,
    /// `None`: a comment or an empty line.
    entry: Option<(Option<Username>, Quota)>,
}

impl QuotasTxt {
    /// # Errors
    /// A sentence with the file, the line and the remedy.
    pub(crate) fn open(data: &Path) -> Result<Self, String> {
        Ok(Self { file: WatchedFile::open(data.join(NAME), parse_file)? })
    }

    pub(crate) async fn find(&self, account: &Username) -> Option<Quota> {
        self.current().await.find(account)
    }

    pub(crate) async fn current(&self) -> Arc<QuotaFile> {
        self.file.current(|path, _| parse_file(path)).await
    }

    /// Changes or, with `None`, removes the line of an account, under a lock.
    pub(crate) fn set(&self, account: &Username, quota: Option<Quota>) -> Result<(), DirectoryError> {
        rewrite_file(self.file.path(), || self.changed(|file| file.set(Some(account), quota)))
    }

    /// Removes the line of an account. The caller holds the lock.
    pub(crate) fn remove_locked(&self, account: &Username) -> Result<(), DirectoryError> {
        self.change_locked(|file| file.set(Some(account), None))
    }

    /// Moves the line of an account to its new name. The caller holds the lock.
    pub(crate) fn rename_locked(&self, account: &Username, name: &Username) -> Result<(), DirectoryError> {
        self.change_locked(|file| {
            let quota =
                file.line(Some(account)).and_then(|at| file.0[at].entry.as_ref()).map(|(_, quota)| *quota);
            file.set(Some(account), None);
            if quota.is_some() {
                file.set(Some(name), quota);
            }
        })
    }

    fn change_locked(&self, change: impl FnOnce(&mut QuotaFile)) -> Result<(), DirectoryError> {
        if !self.file.path().exists() {
            return Ok(());
        }
        rewrite_locked(self.file.path(), || self.changed(change))
    }

    /// The text of the file after a change.
    fn changed(&self, change: impl FnOnce(&mut QuotaFile)) -> Result<(String, ()), DirectoryError> {
        let mut file = parse_file(self.file.path()).map_err(DirectoryError::Failed)?;
        change(&mut file);
        Ok((file.to_string(), ()))
    }
}

impl QuotaFile {
    /// Reads the file in a data directory. A missing file has no quotas.
    ///
    /// # Errors
    /// A sentence with the file, the line and the remedy.
    pub fn read(data: &Path) -> Result<Self, String> {
        parse_file(&data.join(NAME))
    }

    /// The quotas, in the order of the lines.
    pub fn entries(&self) -> impl Iterator<Item = &(Option<Username>, Quota)> {
        self.0.iter().filter_map(|line| line.entry.as_ref())
    }

    fn find(&self, account: &Username) -> Option<Quota> {
        let own = self.entries().find(|(name, _)| name.as_ref() == Some(account));
        own.or_else(|| self.entries().find(|(name, _)| name.is_none())).map(|(_, quota)| *quota)
    }

    fn line(&self, account: Option<&Username>) -> Option<usize> {
        let is_own = |line: &Line| matches!(&line.entry, Some((name, _)) if name.as_ref() == account);
        self.0.iter().position(is_own)
    }

    /// Changes or, with `None`, removes a quota.
    pub fn set(&mut self, account: Option<&Username>, quota: Option<Quota>) {
        let line = quota.map(|quota| Line {
            text: format!("{}: {quota}", account.map_or(OTHERS, Username::as_str)),
            entry: Some((account.cloned(), quota)),
        });
        match (self.line(account), line) {
            (Some(at), Some(line)) => self.0[at] = line,
            (Some(at), None) => drop(self.0.remove(at)),
            (None, Some(line)) => self.0.push(line),
            (None, None) => {}
        }
    }
}

impl Display for QuotaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{}", line.text))
    }
}

impl Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { soft, hard } = self;
        if soft == hard { write_size(*soft, f) } else { write_sizes(*soft, *hard, f) }
    }
}

fn write_sizes(soft: u64, hard: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write_size(soft, f)?;
    f.write_str(", ")?;
    write_size(hard, f)
}

/// Writes the size in the largest unit that is exact.
fn write_size(octets: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.into_iter().find(|(_, bits)| octets > 0 && octets.trailing_zeros() >= *bits) {
        Some((unit, bits)) => write!(f, "{} {unit}", octets >> bits),
        None => write!(f, "{octets} B"),
    }
}

/// Reads and parses the file.
fn parse_file(path: &Path) -> Result<QuotaFile, String> {
    match fs::read_to_string(path) {
        Ok(text) => {
            parse(&text).map_err(|(line, reason)| format!("{}, line {line}: {reason}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(QuotaFile::default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// # Errors
/// The number of the line, and the reason.
fn parse(text: &str) -> Result<QuotaFile, (usize, String)> {
    let mut file = QuotaFile::default();
    for (at, text) in text.lines().enumerate() {
        let content = text.split('#').next().unwrap_or_default().trim();
        let entry = if content.is_empty() {
            None
        } else {
            Some(parse_entry(content).map_err(|reason| (at + 1, reason))?)
        };
        let is_repeated =
            |(account, _): &(Option<Username>, Quota)| file.entries().any(|(other, _)| other == account);
        if entry.as_ref().is_some_and(is_repeated) {
            return Err((at + 1, "an earlier line has this account; remove one of them".to_owned()));
        }
        file.0.push(Line { text: text.to_owned(), entry });
    }
    Ok(file)
}

fn parse_entry(content: &str) -> Result<(Option<Username>, Quota), String> {
    let (account, sizes) = content
        .split_once(':')
        .ok_or_else(|| "there is no colon; write it as in `gb: 900 MiB, 1 GiB`".to_owned())?;
    let account = match account.trim() {
        OTHERS => None,
        name => Some(Username::parse(name).map_err(|error| error.to_string())?),
    };
    let mut sizes = sizes.split(',').map(|size| size.trim().parse::<ByteSize>().map(ByteSize::get));
    let soft = sizes.next().ok_or("a size is missing")??;
    let hard = sizes.next().transpose()?.unwrap_or(soft);
    if sizes.next().is_some() {
        return Err("there are more than two sizes".to_owned());
    }
    Quota::new(soft, hard).map(|quota| (account, quota))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Username {
        Username::parse(text).expect("a name")
    }

    #[test]
    fn account_has_its_own_quota_or_that_of_all_others() {
        let file =
            parse("# quotas\ngb: 900 MiB, 1 GiB # large\n\nhc:10 kB\n*: 5 GiB\n").expect("a valid file");
        let quota = |account| file.find(&name(account)).map(|Quota { soft, hard }| (soft, hard));
        assert_eq!(quota("GB"), Some((900 << 20, 1 << 30)));
        assert_eq!(quota("hc"), Some((10_000, 10_000)));
        assert_eq!(quota("ag"), Some((5 << 30, 5 << 30)));
        assert!(parse("gb: 1 GiB\n").expect("a valid file").find(&name("ag")).is_none());
    }

    #[test]
    fn invalid_line_is_named() {
        for (text, line, part) in [
            ("gb 1 GiB", 1, "no colon"),
            ("# a\ngb: much", 2, "not a size"),
            ("gb: 1 GiB, 1 MiB", 1, "less than the soft limit"),
            ("gb: 1 GiB, 2 GiB, 3 GiB", 1, "more than two"),
            ("a b: 1 GiB", 1, "username"),
            ("gb: 1 GiB\nGB: 2 GiB", 2, "earlier line"),
            ("gb:", 1, "not a size"),
        ] {
            let (at, reason) = parse(text).expect_err(text);
            assert!(at == line && reason.contains(part), "{text}: {at}: {reason}");
        }
    }

    #[test]
    fn rewrite_preserves_the_other_lines() {
        let text = "# quotas\ngb: 900 MiB, 1 GiB # large\n\n*: 5 GiB\n";
        let mut file = parse(text).expect("a valid file");
        assert_eq!(file.to_string(), text);
        file.set(Some(&name("hc")), Some(Quota { soft: 1_000, hard: 3 << 20 }));
        file.set(Some(&name("Gb")), Some(Quota { soft: 1 << 30, hard: 1 << 30 }));
        assert_eq!(file.to_string(), "# quotas\nGb: 1 GiB\n\n*: 5 GiB\nhc: 1000 B, 3 MiB\n");
        file.set(Some(&name("gb")), None);
        assert_eq!(file.to_string(), "# quotas\n\n*: 5 GiB\nhc: 1000 B, 3 MiB\n");
    }
}
