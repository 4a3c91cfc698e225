//! A message being received. Small ones stay in memory, larger ones go to a temporary file, which is renamed before the 250.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mail_core::mailbox::Trace;
use mail_store::{DeliveryTarget, Envelope, IncomingMessage, StoreError};

use crate::store::{Analysis, Published, Spool, Store};

/// Octets of a message that stay in memory.
const MEMORY_OCTETS_MAX: usize = 256 << 10;

/// Stores the messages of one connection.
#[derive(Debug)]
pub(crate) struct CatchTarget {
    store: Arc<Store>,
    slot: Slot,
}

/// The last received message, until the session stores it.
type Slot = Arc<Mutex<Option<ReceivedMessage>>>;

#[derive(Debug)]
pub(crate) struct ReceivedMessage {
    pub(crate) published: Published,
    pub(crate) received: DateTime<Utc>,
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

impl CatchTarget {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, slot: Slot::default() }
    }

    /// Takes the last received message.
    pub(crate) fn take_received(&self) -> Option<ReceivedMessage> {
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
    /// Writes the buffer to the file.
    fn flush(&mut self) -> io::Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(self.store.files().spool()?),
        };
        spool.write(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Renames the file and analyses the message, before the reply. A large message is read again from its file into memory.
    async fn finish(mut self, received: DateTime<Utc>) -> io::Result<ReceivedMessage> {
        let in_memory = self.spool.is_none().then(|| Analysis::of(&self.buffer));
        self.flush()?;
        let spool = self.spool.take().expect("the file was created for the buffer");
        let analysis = match in_memory {
            Some(analysis) => analysis,
            None => {
                let path = spool.path().to_owned();
                let read =
                    tokio::task::spawn_blocking(move || fs::read(path).map(|octets| Analysis::of(&octets)));
                read.await.map_err(io::Error::other)??
            }
        };
        let published = self.store.publish(self.store.turn().await, &spool, received)?;
        Ok(ReceivedMessage { published, received, size: self.size, analysis })
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

    async fn commit(self, trace: &Trace) -> Result<(), StoreError> {
        let slot = Arc::clone(&self.slot);
        let received = self.finish(trace.time).await.map_err(store_error)?;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(received);
        Ok(())
    }
}

fn store_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}
