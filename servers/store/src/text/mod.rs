//! The store of MyMailBox.txt files, written over [`Disk`]: one folder an account, one file a mailbox.
//!
//! The format is [`mail_core::mailbox`]'s. Here is what keeps it whole:
//!
//! - **Locks** are flocks on files of their own, never on the mailbox, which a compaction replaces:
//!   `.maildrop.lock` is held by a POP3 session, `.append.lock` during an append, a cut and a removal. A dead
//!   process holds none.
//! - **Append**: write, fdatasync, then the answer. Deliveries that wait for one mailbox share both. After a failure
//!   the file is cut back to what it was.
//! - **Torn tail**: whoever takes the append lock moves what a crash left behind the last record to `MyMailBox.torn`.
//! - **Removal**: one byte of each record becomes `#`, synced; only then the rest may go.
//! - **The index** (`.index`) is a cache of what a scan finds; each of the above carries it along.
//!
//! All of it blocks, and so runs on an [`Offload`].

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use mail_core::users::Username;

use crate::disk::Disk;
use crate::{DeliveryTarget, Envelope, MaildropStore, StoreError};

mod append;
mod body;
mod check;
mod incoming;
mod index;
mod mailbox;
mod maildrop;
mod offload;
mod open_files;
mod removal;
mod snapshot;
mod spool;
#[cfg(test)]
mod tests;

pub use body::TextBody;
pub use check::{TextMailboxes, check};
pub use incoming::TextIncoming;
pub use maildrop::TextMaildrop;
#[cfg(not(target_arch = "wasm32"))]
pub use offload::Threads;
pub use offload::{Inline, Offload};

/// A mailbox smaller than this is compacted whenever something is removed from it, a larger one when more than half is.
const SMALL_OCTETS: u64 = 1 << 20;

/// Where messages are spilled while they are received.
const TEMPORARY: &str = ".tmp";

/// A directory with a MyMailBox.txt for each account.
#[derive(Debug, Clone)]
pub struct TextStore<D: Disk, O: Offload> {
    shared: Arc<Shared<D>>,
    offload: O,
}

/// What the store, its incoming messages and its leases share.
#[derive(Debug)]
struct Shared<D: Disk> {
    disk: D,
    /// Stands in the trace field of a record that a person wrote.
    hostname: String,
    /// By the folder as it is spelled, which a [`Username`] takes for the same as in another case.
    queues: Mutex<HashMap<String, Arc<append::Queue<D>>>>,
    open_files: open_files::OpenFiles<D::File>,
    /// The number of the next spill file.
    spill: AtomicU64,
    /// What an index must have been made in to be believed; `None` where the disk cannot tell.
    environment: Option<index::Environment>,
    /// [`SMALL_OCTETS`], but in tests.
    small_octets: u64,
}

impl<D: Disk, O: Offload> TextStore<D, O> {
    /// Opens the store, and cleans up behind processes that died while they received mail.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(disk: D, offload: O, hostname: &str) -> Result<Self, StoreError> {
        let temporary = Path::new(TEMPORARY);
        let clean = || -> io::Result<()> {
            disk.create_dir(temporary)?;
            for name in disk.list(temporary)? {
                // A spill file of a living process has lost its name already.
                ignore_missing(disk.remove(&temporary.join(name)))?;
            }
            Ok(())
        };
        clean().map_err(|error| failed("prepare the folder", temporary, error))?;
        let environment = index::Environment::of(&disk, hostname);
        let shared = Shared {
            open_files: open_files::OpenFiles::new(disk.open_files_max()),
            disk,
            environment,
            hostname: hostname.into(),
            queues: Mutex::default(),
            spill: AtomicU64::new(0),
            small_octets: SMALL_OCTETS,
        };
        Ok(Self { shared: Arc::new(shared), offload })
    }

    /// The same store with another limit than a mebibyte below which a mailbox is compacted whatever is removed from it.
    #[must_use]
    pub fn compacting_below(mut self, octets: u64) -> Self {
        Arc::get_mut(&mut self.shared).expect("it was opened just now").small_octets = octets;
        self
    }
}

impl<D: Disk, O: Offload> DeliveryTarget for TextStore<D, O> {
    type Incoming = TextIncoming<D, O>;

    async fn begin(&self, envelope: &Envelope) -> Result<TextIncoming<D, O>, StoreError> {
        TextIncoming::new(Arc::clone(&self.shared), self.offload.clone(), envelope)
    }
}

impl<D: Disk, O: Offload> MaildropStore for TextStore<D, O> {
    type Maildrop = TextMaildrop<D, O>;

    async fn open(&self, account: &Username) -> Result<TextMaildrop<D, O>, StoreError> {
        TextMaildrop::open(Arc::clone(&self.shared), self.offload.clone(), account).await
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

    /// Where a compaction writes.
    fn aside(&self) -> PathBuf {
        self.path.join(".MyMailBox.new")
    }

    fn append_lock(&self) -> PathBuf {
        self.path.join(".append.lock")
    }

    fn maildrop_lock(&self) -> PathBuf {
        self.path.join(".maildrop.lock")
    }
}

/// An I/O error as the session has to answer it.
fn failed(what: &str, path: &Path, error: io::Error) -> StoreError {
    let text = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(text),
        _ => StoreError::Failed(text),
    }
}

/// Opens a file, if it is there.
fn open_existing<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<D::File>> {
    match disk.open(path, crate::disk::Open::Existing) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn ignore_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
