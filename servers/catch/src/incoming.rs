//! A message being received, as a delivery target. It is stored before the 250.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mail_core::mailbox::Trace;
use mail_store::{DeliveryTarget, Envelope, IncomingMessage, StoreError};

use crate::store::{Analysis, Published, Spool, Store};

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
    spool: Spool,
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
        let spool = store.files().spool();
        Ok(CatchIncoming { store, slot, spool, size: 0 })
    }
}

impl IncomingMessage for CatchIncoming {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.size += chunk.len() as u64;
        self.spool.write(&chunk).map_err(store_error)
    }

    fn memory(&self) -> usize {
        self.spool.memory()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        self.spool.release_memory().map_err(store_error)
    }

    async fn commit(mut self, trace: &Trace) -> Result<(), StoreError> {
        let analysis = self.spool.analyse().await.map_err(store_error)?;
        let turn = self.store.turn().await;
        let published = self.store.publish(turn, self.spool, trace.time).map_err(store_error)?;
        let received = ReceivedMessage { published, received: trace.time, size: self.size, analysis };
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(received);
        Ok(())
    }
}

fn store_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        _ => StoreError::Failed(error.to_string()),
    }
}
