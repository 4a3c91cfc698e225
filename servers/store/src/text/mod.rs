//! The store of MyMailBox.txt files over a [`Disk`]: one folder per account, with one mailbox file.
//!
//! [`mail_core::mailbox`] defines the format. This module keeps it consistent:
//!
//! - **Locks** are flocks on separate files, because a compaction replaces the mailbox. A POP3 session holds `.maildrop.lock`;
//!   an append, a repair and a removal hold `.append.lock`. The kernel releases the locks of a process that ends.
//! - **Append**: write, fdatasync, then the reply. Concurrent deliveries to a mailbox share a write and a sync (group commit).
//!   After a failure the file is truncated to its previous length.
//! - **Torn tail**: the holder of the append lock moves an incomplete last record to `MyMailBox.torn`.
//! - **Removal**: the first byte of each record becomes `#`, synced; only then are the records blanked or compacted away.
//! - **Index** (`.index`): a cache of the result of a scan, updated by each of the above.
//!
//! Blocking file operations run on an [`Offload`].

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mail_core::users::Username;

use crate::disk::{Disk, Status, failed};
use crate::offload::Offload;
use crate::spool::SpillFiles;
use crate::{DeliveryTarget, Envelope, MailboxStatus, MaildropStore, StoreError, StoreHealth};

mod append;
mod body;
mod check;
mod incoming;
mod index;
mod mailbox;
mod maildrop;
mod open_files;
mod removal;
mod snapshot;
#[cfg(test)]
mod tests;

pub use body::TextBody;
pub use check::{TextMailboxes, check};
pub use incoming::TextIncoming;
pub use maildrop::TextMaildrop;

/// A smaller mailbox is compacted on every removal, a larger one when more than half of it is removed.
const SMALL_OCTETS: u64 = 1 << 20;

/// A directory with a MyMailBox.txt for each account.
#[derive(Debug, Clone)]
pub struct TextStore<D: Disk, O: Offload> {
    shared: Arc<Shared<D>>,
    offload: O,
}

/// Shared by the store, its incoming messages and its leases.
#[derive(Debug)]
struct Shared<D: Disk> {
    disk: D,
    /// For the trace field of a record that a person wrote.
    hostname: String,
    /// By the spelling of the folder; the file system distinguishes case, [`Username`] does not.
    queues: Mutex<HashMap<String, Arc<append::Queue<D>>>>,
    open_files: open_files::OpenFiles<D::File>,
    spill_files: Arc<SpillFiles<D>>,
    /// Identifies the indexes that are valid during this boot; `None` if the disk cannot tell.
    validity: Option<index::IndexValidity>,
    /// [`SMALL_OCTETS`], except in tests.
    small_octets: u64,
}

impl<D: Disk, O: Offload> TextStore<D, O> {
    /// Opens the store and removes the temporary files of processes that have ended.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub fn open(disk: D, offload: O, hostname: &str) -> Result<Self, StoreError> {
        let spill_files = SpillFiles::open(&disk)?;
        let validity = index::IndexValidity::of(&disk, hostname);
        let shared = Shared {
            open_files: open_files::OpenFiles::new(disk.open_files_max()),
            disk,
            validity,
            hostname: hostname.into(),
            queues: Mutex::default(),
            spill_files: Arc::new(spill_files),
            small_octets: SMALL_OCTETS,
        };
        Ok(Self { shared: Arc::new(shared), offload })
    }

    /// Sets the size below which a mailbox is compacted on every removal. For tests.
    #[must_use]
    pub fn compacting_below(mut self, octets: u64) -> Self {
        Arc::get_mut(&mut self.shared).expect("the store has no other owner yet").small_octets = octets;
        self
    }
}

impl<D: Disk, O: Offload> DeliveryTarget for TextStore<D, O> {
    type Incoming = TextIncoming<D, O>;

    async fn begin(&self, envelope: &Envelope) -> Result<TextIncoming<D, O>, StoreError> {
        TextIncoming::new(Arc::clone(&self.shared), self.offload.clone(), envelope)
    }

    async fn mailbox_status(&self, account: &Username) -> Result<MailboxStatus, StoreError> {
        let (shared, path) = (Arc::clone(&self.shared), Folder::new(account).mailbox());
        self.offload.run(move || status(&shared.disk, &path)).await
    }
}

impl<D: Disk, O: Offload> MaildropStore for TextStore<D, O> {
    type Maildrop = TextMaildrop<D, O>;

    async fn open(&self, account: &Username) -> Result<TextMaildrop<D, O>, StoreError> {
        TextMaildrop::open(Arc::clone(&self.shared), self.offload.clone(), account).await
    }
}

impl<D: Disk, O: Offload> StoreHealth for TextStore<D, O> {
    async fn check_writable(&self) -> Result<(), StoreError> {
        let files = Arc::clone(&self.shared.spill_files);
        match self.offload.run(move || files.create().map(drop)).await {
            Err(StoreError::Full(_)) => Ok(()),
            checked => checked,
        }
    }
}

impl<D: Disk> Shared<D> {
    fn queue(&self, account: &Username) -> Arc<append::Queue<D>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.entry(account.as_str().into());
        Arc::clone(queue.or_insert_with(|| Arc::new(append::Queue::new(account))))
    }
}

/// The files of an account.
#[derive(Debug, Clone)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(account: &Username) -> Self {
        Self { path: account.as_str().into() }
    }

    fn mailbox(&self) -> PathBuf {
        self.path.join("MyMailBox.txt")
    }

    fn index(&self) -> PathBuf {
        self.path.join(".index")
    }

    fn torn(&self) -> PathBuf {
        self.path.join("MyMailBox.torn")
    }

    /// Target of a compaction before it replaces the mailbox.
    fn temp_path(&self) -> PathBuf {
        self.path.join(".MyMailBox.new")
    }

    fn append_lock(&self) -> PathBuf {
        self.path.join(".append.lock")
    }

    fn maildrop_lock(&self) -> PathBuf {
        self.path.join(".maildrop.lock")
    }
}

/// Takes the lock of appends and removals.
fn append_lock<D: Disk>(disk: &D, folder: &Folder) -> Result<D::Lock, StoreError> {
    let path = folder.append_lock();
    disk.lock(&path).map_err(|error| failed("lock", &path, error))
}

/// The status of a mailbox file, which may not exist yet.
fn status<D: Disk>(disk: &D, mailbox: &Path) -> Result<MailboxStatus, StoreError> {
    let Status { identity, length, changed } = match disk.status(mailbox) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(MailboxStatus::default()),
        status => status.map_err(|error| failed("inspect", mailbox, error))?,
    };
    let mut version = DefaultHasher::new();
    (identity, length, changed).hash(&mut version);
    Ok(MailboxStatus { octets: length, version: version.finish() })
}
