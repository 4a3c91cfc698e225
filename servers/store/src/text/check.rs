//! Inspection, copies and renaming of mailbox files, for `pennypost check`, `pennypost backup` and `pennypost user rename`.

use std::io::{ErrorKind, Write};
use std::path::Path;

use mail_core::mailbox::{Defect, Kind, Record};
use mail_core::users::Username;

use super::index::{self, Index, IndexValidity};
use super::mailbox::scan;
use super::{Folder, append_lock};
use crate::disk::{Disk, DiskFile, failed, open_existing, read_exact, read_range};
use crate::{Finding, MailboxAdmin, MailboxReport, StoreError};

/// Administration of the mailbox files below a disk's root.
#[derive(Debug, Clone)]
pub struct TextMailboxes<D> {
    disk: D,
    hostname: String,
}

impl<D: Disk> TextMailboxes<D> {
    #[must_use]
    pub fn new(disk: D, hostname: &str) -> Self {
        Self { disk, hostname: hostname.into() }
    }
}

impl<D: Disk> TextMailboxes<D> {
    /// Passes each message to `each`, in order: its record, and the record's octets. Blocks. The caller has the lease, so no
    /// record is removed meanwhile.
    ///
    /// # Errors
    /// The mailbox cannot be read, or `each` fails.
    pub fn each_message(
        &self,
        account: &Username,
        mut each: impl FnMut(&Record, Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let folder = Folder::new(account);
        let path = folder.mailbox();
        let fail = |error| failed("read", &path, error);
        let opened = open_locked(&self.disk, &folder)?;
        let Some((file, length)) = opened
            .map(|(file, _lock)| file.length().map(|length| (file, length)))
            .transpose()
            .map_err(fail)?
        else {
            return Ok(());
        };
        let mut outcome = Ok(());
        let scanned = scan(&file, 0..length, &self.hostname, |record| {
            if outcome.is_ok() && record.message().is_some() {
                outcome = read_record(&file, &record).map_err(fail).and_then(|octets| each(&record, octets));
            }
        });
        scanned.map_err(fail).and(outcome)
    }
}

fn read_record(file: &impl DiskFile, record: &Record) -> std::io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::try_from(record.length).unwrap_or(usize::MAX)];
    read_exact(file, &mut octets, record.offset)?;
    Ok(octets)
}

impl<D: Disk> MailboxAdmin for TextMailboxes<D> {
    async fn check(&self, account: &Username) -> Result<MailboxReport, StoreError> {
        check(&self.disk, account, &self.hostname)
    }

    async fn copy(&self, account: &Username, out: &mut (dyn Write + Send)) -> Result<u64, StoreError> {
        let folder = Folder::new(account);
        let path = folder.mailbox();
        let fail = |error| failed("copy", &path, error);
        let Some((file, _lock)) = open_locked(&self.disk, &folder)? else { return Ok(0) };
        let length = file.length().map_err(fail)?;
        read_range(&file, 0..length, |piece| out.write_all(piece)).map_err(fail)?;
        Ok(length)
    }

    async fn purge(&self, account: &Username) -> Result<(), StoreError> {
        let folder = Folder::new(account).path;
        self.disk.remove_dir_all(&folder).map_err(|error| failed("delete", &folder, error))
    }

    async fn rename(&self, account: &Username, new: &Username) -> Result<(), StoreError> {
        let (from, to) = (Folder::new(account), Folder::new(new));
        let fail = |error| failed("rename", &from.path, error);
        // The folder of an account that was added by hand is created by its first message.
        if self.disk.list(&from.path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(());
        }
        let _lock = append_lock(&self.disk, &from)?;
        // Another spelling of the same name is the same folder on some file systems.
        if account != new && self.disk.list(&to.path).is_ok_and(|files| !files.is_empty()) {
            let folder = self.disk.display_path(&to.path);
            return Err(StoreError::Failed(format!(
                "{} exists already; move it elsewhere or choose another name",
                folder.display()
            )));
        }
        self.disk.rename(&from.path, &to.path).map_err(fail)?;
        self.disk.sync_dir(Path::new("")).map_err(fail)
    }

    fn location(&self, account: &Username) -> String {
        self.disk.display_path(&Folder::new(account).mailbox()).display().to_string()
    }
}

/// Reads an account's mailbox without changing it. Blocks.
///
/// # Errors
/// The mailbox cannot be read.
pub fn check<D: Disk>(disk: &D, account: &Username, hostname: &str) -> Result<MailboxReport, StoreError> {
    let folder = Folder::new(account);
    let path = folder.mailbox();
    let fail = |error| failed("read", &path, error);
    let mut report = MailboxReport::default();
    let validity = IndexValidity::of(disk, hostname);
    let (file, status, index) = {
        let Some((file, _lock)) = open_locked(disk, &folder)? else { return Ok(report) };
        let status = file.status().map_err(fail)?;
        let index = Index::open_valid(disk, validity, &folder, status).filter(Index::is_complete);
        (file, status, index)
    };
    scan(&file, 0..status.length, hostname, |record| add(&mut report, &record)).map_err(fail)?;
    if let Some(index) = index {
        let found = index::scanned(&file, status, hostname).map_err(fail)?;
        // An unreadable index is rebuilt by the next login. A mailbox that changed meanwhile cannot be compared.
        let different = index.difference(&found).ok().flatten();
        let is_same = Index::open_valid(disk, validity, &folder, status).is_some();
        if let Some(offset) = different.filter(|_| is_same) {
            report.findings.push(Finding {
                offset,
                description: "the index (.index) differs from the mailbox here".to_owned(),
                remedy: "delete .index: the next login rebuilds it",
            });
        }
    }
    Ok(report)
}

/// A mailbox and its append lock.
type Locked<D> = (<D as Disk>::File, <D as Disk>::Lock);

/// Opens a mailbox and takes its append lock: without the lock, a delivery in progress would look like a torn record. `None` if
/// there is no mailbox; its folder may be missing, too.
fn open_locked<D: Disk>(disk: &D, folder: &Folder) -> Result<Option<Locked<D>>, StoreError> {
    let open = || {
        let path = folder.mailbox();
        open_existing(disk, &path).map_err(|error| failed("read", &path, error))
    };
    if open()?.is_none() {
        return Ok(None);
    }
    let lock = append_lock(disk, folder)?;
    Ok(open()?.map(|file| (file, lock)))
}

fn add(report: &mut MailboxReport, record: &Record) {
    let (description, remedy) = match &record.kind {
        Kind::Message(message) => {
            report.messages += 1;
            report.octets += message.octets;
            return;
        }
        Kind::Removed => {
            report.removed += 1;
            return;
        }
        Kind::Broken(flaw) => (flaw.to_string(), remedy(*flaw)),
        Kind::Torn => (
            "incomplete record: the file ends before a line with a single dot".to_owned(),
            "add a line with a single dot if a person wrote it; otherwise the next delivery or login moves it to MyMailBox.torn",
        ),
    };
    report.findings.push(Finding { offset: record.offset, description, remedy });
}

const fn remedy(flaw: Defect) -> &'static str {
    match flaw {
        Defect::FourFields => {
            "write the fields From, To, Subject and Received on its first four lines, or delete it"
        }
        Defect::Date => "write the date like 2026-11-22 : 19 : 15",
        Defect::EndlessHead => "add the blank line that ends its header, or delete it",
        Defect::Nul => "delete it: it was never acknowledged, so the sending server has sent it again",
    }
}
