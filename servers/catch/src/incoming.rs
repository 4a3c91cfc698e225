//! A message on its way into its file: in memory while it is small, else in a file that is renamed at the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_store::{DeliveryTarget, Envelope, IncomingMessage, StoreError};

use crate::store::{Analysis, Store};

/// Octets of a message that stay in memory.
const MEMORY_OCTETS_MAX: usize = 256 << 10;

/// Stores the messages of one connection.
#[derive(Debug)]
pub(crate) struct CatchTarget {
    store: Arc<Store>,
    slot: Slot,
}

/// The message that was stored last, until the session publishes it.
type Slot = Arc<Mutex<Option<StoredOctets>>>;

/// A message whose octets are in its file.
#[derive(Debug)]
pub(crate) struct StoredOctets {
    pub(crate) id: String,
    pub(crate) size: u64,
    pub(crate) analysis: Analysis,
}

#[derive(Debug)]
pub(crate) struct CatchIncoming {
    store: Arc<Store>,
    slot: Slot,
    buffer: Vec<u8>,
    spool: Option<Spool>,
    size: u64,
}

/// A file that is deleted unless it becomes a message.
#[derive(Debug)]
struct Spool {
    path: PathBuf,
    file: File,
}

impl CatchTarget {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, slot: Slot::default() }
    }

    /// Takes the message that was stored last.
    pub(crate) fn take_stored(&self) -> Option<StoredOctets> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl DeliveryTarget for CatchTarget {
    type Incoming = CatchIncoming;

    async fn begin(&self, _envelope: &Envelope) -> Result<CatchIncoming, StoreError> {
        let (store, slot) = (Arc::clone(&self.store), Arc::clone(&self.slot));
        Ok(CatchIncoming { store, slot, buffer: Vec::new(), spool: None, size: 0 })
    }
}

impl CatchIncoming {
    /// Moves the buffer to the file. Writes go to the page cache, since nothing is synced.
    fn flush(&mut self) -> io::Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(Spool::create(self.store.files().spool_path())?),
        };
        spool.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Reads the file of a large message again, which needs memory for the whole message for a moment.
    async fn analyze(&mut self, id: &str) -> io::Result<Analysis> {
        let path = self.store.files().message_path(id);
        if self.spool.is_none() {
            self.store.files().create(id)?.write_all(&self.buffer)?;
            return Ok(Analysis::of(&self.buffer));
        }
        self.flush()?;
        if let Some(spool) = self.spool.take() {
            fs::rename(&spool.path, &path)?;
        }
        tokio::task::spawn_blocking(move || fs::read(path).map(|octets| Analysis::of(&octets)))
            .await
            .map_err(io::Error::other)?
    }
}

impl IncomingMessage for CatchIncoming {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.size += chunk.len() as u64;
        self.buffer.extend_from_slice(&chunk);
        if self.buffer.len() > MEMORY_OCTETS_MAX {
            self.flush().map_err(store_error)?;
        }
        Ok(())
    }

    fn memory(&self) -> usize {
        self.buffer.capacity()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        self.flush().map_err(store_error)?;
        self.buffer = Vec::new();
        Ok(())
    }

    async fn commit(mut self, trace: &Trace) -> Result<(), StoreError> {
        let id = trace.id.clone();
        let analysis = self.analyze(&id).await.map_err(|error| {
            // A partly written file is no message.
            let _ = self.store.files().remove(&id);
            store_error(error)
        })?;
        let stored = StoredOctets { id, size: self.size, analysis };
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(stored);
        Ok(())
    }
}

impl Spool {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create_new(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // A message has been renamed.
        let _ = fs::remove_file(&self.path);
    }
}

fn store_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}
