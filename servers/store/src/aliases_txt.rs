//! The aliases in Aliases.txt: read when the file changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mail_core::aliases::{self, Alias, AliasFile};
use mail_core::message::address::{Address, Domain, Host};

use crate::directory::DirectoryError;
use crate::rewrite::rewrite_file;
use crate::watched_file::WatchedFile;

/// The aliases in a data directory's Aliases.txt. A missing file has none.
#[derive(Debug)]
pub(crate) struct AliasesTxt {
    file: WatchedFile<AliasFile>,
    /// The local domains.
    domains: Arc<[Domain]>,
}

impl AliasesTxt {
    /// # Errors
    /// A sentence with the file, the line and the remedy.
    pub(crate) fn open(data: &Path, domains: &[Domain]) -> Result<Self, String> {
        let file = WatchedFile::open(path_in(data), |path| parse(path, domains))?;
        Ok(Self { file, domains: domains.into() })
    }

    /// The targets of an address at a local domain.
    pub(crate) async fn targets(&self, address: &Address) -> Option<Vec<Address>> {
        let file = self.current().await;
        file.find(address).map(|alias| addresses(alias, &address.host))
    }

    /// The targets of a domain's catch-all.
    pub(crate) async fn catch_all(&self, domain: &Domain) -> Option<Vec<Address>> {
        let file = self.current().await;
        file.catch_all(domain).map(|alias| addresses(alias, &Host::Domain(domain.clone())))
    }

    pub(crate) async fn current(&self) -> Arc<AliasFile> {
        let domains = Arc::clone(&self.domains);
        self.file.current(move |path, previous| read_again(path, previous, &domains)).await
    }

    /// Changes the file under a lock. A change that makes the file invalid is refused.
    pub(crate) fn rewrite(
        &self,
        change: impl FnOnce(&mut AliasFile) -> Result<(), DirectoryError>,
    ) -> Result<(), DirectoryError> {
        rewrite_file(self.file.path(), || {
            let mut file = parse(self.file.path(), &self.domains).map_err(DirectoryError::Failed)?;
            change(&mut file)?;
            let text = match file.to_string() {
                text if text.is_empty() => "# no aliases\n".to_owned(),
                text => text,
            };
            match aliases::parse(&text, &self.domains) {
                Ok(_) => Ok((text, ())),
                Err(error) => Err(DirectoryError::Failed(format!("nothing was changed: {}", error.reason))),
            }
        })
    }
}

fn addresses(alias: &Alias, host: &Host) -> Vec<Address> {
    alias.targets.iter().map(|target| target.at(host)).collect()
}

/// Reads and parses the file.
pub(crate) fn parse(path: &Path, domains: &[Domain]) -> Result<AliasFile, String> {
    match fs::read_to_string(path) {
        Ok(text) => aliases::parse(&text, domains).map_err(|error| format!("{}, {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(AliasFile::default()),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// An editor may rename or truncate the file before it writes, so an empty or missing file leaves the previous aliases in
/// force.
fn read_again(path: &Path, previous: &AliasFile, domains: &[Domain]) -> Result<AliasFile, String> {
    let is_empty = fs::metadata(path).map_or(true, |meta| meta.len() == 0);
    if is_empty && previous.aliases().next().is_some() {
        return Err(format!(
            "{} is missing or empty; to remove all aliases, leave a comment in it",
            path.display()
        ));
    }
    parse(path, domains)
}

pub(crate) fn path_in(data: &Path) -> PathBuf {
    data.join("Aliases.txt")
}
