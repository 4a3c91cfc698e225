//! Opening the index at login: as it is if it is valid, otherwise extended or rebuilt by a scan.

use std::io;

use super::build::Builder;
use super::{Header, Index, Pages};
use crate::StoreError;
use crate::disk::{Disk, DiskFile, Open, Status, failed, open_existing};
use crate::text::mailbox::{repair_tail, scan};
use crate::text::{Folder, Shared, append_lock};

/// A longer scan runs without the append lock, so that deliveries need not wait.
pub(super) const LOCKED_OCTETS_MAX: u64 = 4 << 20;
/// Scans without the lock that an edit may interrupt, before a scan holds the lock.
const ATTEMPTS_MAX: usize = 2;

/// A mailbox and its index.
#[derive(Debug)]
pub(in crate::text) struct Opened<D: Disk> {
    pub(in crate::text) file: D::File,
    pub(in crate::text) index: Index<D::File>,
}

/// Opens a mailbox; `None` if it does not exist. The caller has the lease.
pub(in crate::text) fn open<D: Disk>(
    shared: &Shared<D>,
    folder: &Folder,
) -> Result<Option<Opened<D>>, StoreError> {
    let fail = |error| failed("read", &folder.mailbox(), error);
    let Some(file) = open_existing(&shared.disk, &folder.mailbox()).map_err(fail)? else { return Ok(None) };
    let mailbox = file.status().map_err(fail)?;
    let index = Index::open_valid(&shared.disk, shared.validity, folder, mailbox);
    if let Some(index) = index.filter(Index::is_complete) {
        return Ok(Some(Opened { file, index }));
    }
    drop(file);
    match on_disk(shared, folder).and_then(|index| refresh(shared, folder, index)) {
        Err(Failure::Index(error)) => {
            tracing::warn!(index = %folder.index().display(), %error, "cannot write the index: every login reads the whole mailbox");
        }
        Err(Failure::Mailbox(error)) => return Err(error),
        Ok(opened) => return Ok(opened),
    }
    refresh(shared, folder, Index::in_memory()).map_err(|failure| match failure {
        Failure::Mailbox(error) => error,
        Failure::Index(error) => fail(error),
    })
}

enum Failure {
    /// The mailbox failed.
    Mailbox(StoreError),
    /// The index failed, or perhaps the mailbox.
    Index(io::Error),
}

fn on_disk<D: Disk>(shared: &Shared<D>, folder: &Folder) -> Result<Index<D::File>, Failure> {
    let validity =
        shared.validity.ok_or_else(|| Failure::Index(io::Error::other("the host has no boot id")))?;
    let file = shared.disk.open(&folder.index(), Open::OrCreate).map_err(Failure::Index)?;
    Ok(Index { pages: Pages::File(file, validity), ..Index::in_memory() })
}

fn refresh<D: Disk>(
    shared: &Shared<D>,
    folder: &Folder,
    mut index: Index<D::File>,
) -> Result<Option<Opened<D>>, Failure> {
    let Shared { disk, hostname, .. } = shared;
    let fail = |error| Failure::Mailbox(failed("read", &folder.mailbox(), error));
    for attempt in 1.. {
        let lock = append_lock(disk, folder).map_err(Failure::Mailbox)?;
        let Some(file) = open_existing(disk, &folder.mailbox()).map_err(fail)? else { return Ok(None) };
        let found = file.status().map_err(fail)?;
        let mailbox = repair_tail(disk, folder, &file, found, hostname).map_err(Failure::Mailbox)?.status;
        index.header = match index.pages.header().filter(|header| header.mailbox == mailbox) {
            Some(header) => header,
            None => {
                index.pages.clear().map_err(Failure::Index)?;
                Header::new(mailbox)
            }
        };
        if mailbox.length - index.header.covered > LOCKED_OCTETS_MAX && attempt <= ATTEMPTS_MAX {
            index.save().map_err(Failure::Index)?;
            let begun = index.header;
            drop(lock);
            index.extend_to(&file, mailbox.length, hostname).map_err(Failure::Index)?;
            if matches!(index.pages, Pages::Memory(_)) {
                return Ok(Some(Opened { file, index }));
            }
            let _lock = append_lock(disk, folder).map_err(Failure::Mailbox)?;
            let now = index.pages.header().filter(|now| *now == Header { mailbox: now.mailbox, ..begun });
            let found = disk.status(&folder.mailbox()).map_err(fail)?;
            let Some(now) = now.filter(|now| now.mailbox == found) else { continue };
            index.header.mailbox = now.mailbox;
            index.extend_to(&file, now.mailbox.length, hostname).map_err(Failure::Index)?;
            index.save().map_err(Failure::Index)?;
            return Ok(Some(Opened { file, index }));
        }
        index.extend_to(&file, mailbox.length, hostname).map_err(Failure::Index)?;
        index.save().map_err(Failure::Index)?;
        return Ok(Some(Opened { file, index }));
    }
    unreachable!("the last attempt scans with the lock")
}

/// Builds an index in memory.
pub(in crate::text) fn scanned<F: DiskFile>(
    mailbox: &F,
    status: Status,
    hostname: &str,
) -> io::Result<Index<F>> {
    let mut index = Index { header: Header::new(status), ..Index::in_memory() };
    index.extend_to(mailbox, status.length, hostname)?;
    Ok(index)
}

impl<F: DiskFile> Index<F> {
    /// Adds the records from the end of the covered part up to `end`, which is a record boundary.
    pub(super) fn extend_to(&mut self, mailbox: &F, end: u64, hostname: &str) -> io::Result<()> {
        let covered = self.header.covered..end;
        let mut builder = Builder::new(self);
        let mut added = Ok(());
        scan(mailbox, covered, hostname, |record| {
            if added.is_ok() {
                added = builder.add(&record);
            }
        })?;
        added?;
        builder.finish()?;
        self.header.covered = end;
        Ok(())
    }
}
