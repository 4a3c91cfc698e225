//! The secret that proves that this host has rewritten a sender: a file of 64 hexadecimal digits in the data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use mail_core::message::address::Domain;
use mail_core::message::srs::Srs;
use mail_core::secret::Secret;

/// The file of the key in the data directory.
pub const SRS_KEY: &str = ".srs-key";
const KEY_OCTETS: usize = 32;
/// Permissions of users other than the owner and the group of a file.
const OTHERS: u32 = 0o007;

/// The rewriting of senders to addresses of `domain`. Creates the key if it is missing.
///
/// # Errors
/// A sentence that names the file.
pub fn open_srs(data: &Path, domain: Domain) -> Result<Srs, String> {
    let path = data.join(SRS_KEY);
    let failed =
        |error: io::Error| format!("cannot use the key for forwarded mail in {}: {error}", path.display());
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(data, &path).map_err(failed)?,
        text => text.map_err(failed)?,
    };
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & OTHERS != 0) {
        return Err(format!("every user of this machine can read {0}; run `chmod o= {0}`", path.display()));
    }
    let text = text.trim();
    let is_key = text.len() == 2 * KEY_OCTETS && text.bytes().all(|octet| octet.is_ascii_hexdigit());
    if !is_key {
        return Err(format!("{} is damaged; remove it, and a new key is created", path.display()));
    }
    Ok(Srs::new(Secret::new(text.as_bytes().to_vec()), domain))
}

fn create(data: &Path, path: &Path) -> io::Result<String> {
    let mut key = [0; KEY_OCTETS];
    getrandom::fill(&mut key).map_err(io::Error::other)?;
    let text: String = key.iter().map(|octet| format!("{octet:02x}")).collect();
    // Nobody can prepare a file or a link with this name.
    let new = data.join(format!("{SRS_KEY}-{:016x}", getrandom::u64().map_err(io::Error::other)?));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(data)?.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use chrono::DateTime;
    use mail_core::message::address::Address;

    use super::*;

    #[test]
    fn key_is_created_once_and_a_damaged_one_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let domain = Domain::parse("iitkgp.edu").unwrap();
        let sender = Address::parse("a@elsewhere.example").unwrap();
        let now = DateTime::from_timestamp(1_795_972_309, 0).unwrap();
        let rewritten = open_srs(dir.path(), domain.clone()).unwrap().forward(&sender, now).unwrap();
        let reopened = open_srs(dir.path(), domain.clone()).unwrap();
        assert_eq!(reopened.reverse(&rewritten, now), Ok(sender));
        let path = dir.path().join(SRS_KEY);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o604)).unwrap();
        let error = open_srs(dir.path(), domain.clone()).expect_err("everyone can read it");
        assert!(error.contains("chmod o="), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(dir.path().join(SRS_KEY), "short").unwrap();
        let error = open_srs(dir.path(), domain).expect_err("the key is damaged");
        assert!(error.contains(SRS_KEY) && error.contains("remove it"), "{error}");
    }
}
