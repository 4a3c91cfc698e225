//! `pennypost backup`: a copy of the data directory of a running system.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use config::{Config, StoreKind};
use mail_authentication::DIRECTORY as DKIM_DIRECTORY;
use mail_core::users::Username;
use mail_outbound::SRS_KEY;
use mail_store::MailboxAdmin;

use crate::admin::{print, run_blocking};
use crate::check::all_names;
use crate::configured::Storage;
use crate::privileges;

/// Copies accounts, aliases and mail into a new directory, from which the servers can serve them. A failure leaves an
/// incomplete copy.
///
/// # Errors
/// A sentence with the cause.
pub(crate) fn backup(config: &Config, target: &Path) -> Result<(), String> {
    if config.store.kind == StoreKind::Postgres {
        return Err("the mail is in a database: back it up with pg_basebackup or pg_dump, or copy it with `pennypost copy`".into());
    }
    let storage = Storage::new(config)?;
    let directory = storage.directory()?;
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} exists; name a directory that does not", target.display())
        }
        _ => format!("cannot write {}: {error}; the copy is incomplete", target.display()),
    };
    create_directory(target).map_err(fail)?;
    privileges::give_to_owner_of(&config.data, target).map_err(fail)?;
    privileges::become_owner_of(&config.data)?;
    // Accounts first: an account that is added meanwhile is missing, but no account lacks its mail.
    for name in ["User.txt", "Aliases.txt", "Quotas.txt", SRS_KEY] {
        copy_file(&config.data.join(name), &target.join(name)).map_err(fail)?;
    }
    copy_keys(&config.data.join(DKIM_DIRECTORY), &target.join(DKIM_DIRECTORY)).map_err(fail)?;
    let mailboxes = storage.mailboxes();
    let (names, octets) = run_blocking(async {
        let (names, mut octets) = (all_names(&directory).await?, 0);
        for name in &names {
            octets += copy_mailbox(&mailboxes, name, &target.join(name.as_str()))
                .await
                .map_err(|error| format!("{name}: {error}; the copy is incomplete"))?;
        }
        Ok((names, octets))
    })?;
    sync_directory(target).map_err(fail)?;
    print(&format!("copied {} accounts with {octets} octets of mail", names.len()))
}

async fn copy_mailbox(mailboxes: &impl MailboxAdmin, name: &Username, folder: &Path) -> Result<u64, String> {
    let text = |error: io::Error| format!("cannot write {}: {error}", folder.display());
    create_directory(folder).map_err(text)?;
    let file = create_file(&folder.join("MyMailBox.txt")).map_err(text)?;
    let mut out = BufWriter::new(&file);
    let octets = mailboxes.copy(name, &mut out).await.map_err(|error| error.to_string())?;
    out.into_inner().map_err(|error| text(error.into_error()))?;
    file.sync_all().and_then(|()| sync_directory(folder)).map_err(text)?;
    Ok(octets)
}

/// Copies a file of the data directory, which may be missing. The servers replace it atomically.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut copy = create_file(to)?;
    io::copy(&mut source, &mut copy)?;
    copy.sync_all()
}

/// Copies the DKIM keys, which may be missing.
fn copy_keys(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match from.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    create_directory(to)?;
    for entry in entries {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "key") {
            copy_file(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    sync_directory(to)
}

fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn create_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
