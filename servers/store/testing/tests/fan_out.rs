//! One message for two delivery targets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::time::Instant;
use mail_store::{DeliveryTarget, Destination, Envelope, FanOut, IncomingMessage, MailboxAdmin, StoreError};
use store_testing::MemoryStore;
use store_testing::sample::{account, address, deliver, envelope};

/// Records the committed messages with their recipients.
#[derive(Debug, Clone, Default)]
struct Queue(Arc<Mutex<Vec<Committed>>>);

type Committed = (Vec<Destination>, Vec<u8>);

#[derive(Debug)]
struct Queued {
    queue: Queue,
    recipients: Vec<Destination>,
    text: Vec<u8>,
}

impl DeliveryTarget for Queue {
    type Incoming = Queued;

    async fn begin(&self, envelope: &Envelope) -> Result<Queued, StoreError> {
        Ok(Queued { queue: self.clone(), recipients: envelope.recipients.clone(), text: Vec::new() })
    }
}

impl IncomingMessage for Queued {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.text.extend_from_slice(&chunk);
        Ok(())
    }

    fn memory(&self) -> usize {
        self.text.len()
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(self, _trace: &Trace) -> Result<(), StoreError> {
        self.queue.0.lock().expect("not poisoned").push((self.recipients, self.text));
        Ok(())
    }
}

#[tokio::test]
async fn message_goes_to_the_target_of_each_destination() {
    let store = MemoryStore::new(Duration::from_secs(60), Instant::now);
    let queue = Queue::default();
    let target = FanOut { mailboxes: store.clone(), remote: queue.clone() };
    let remote = Destination::Remote(address("other"));
    let mut both = envelope(&["gb"]);
    both.recipients.push(remote.clone());

    deliver(&target, &both, "a", "Subject: both\r\n\r\n").await;
    deliver(&target, &envelope(&["gb"]), "b", "Subject: local\r\n\r\n").await;
    assert_eq!(store.check(&account("gb")).await.expect("readable").messages, 2);
    assert_eq!(*queue.0.lock().expect("not poisoned"), [(vec![remote], b"Subject: both\r\n\r\n".to_vec())]);
}
