//! Reports changes of mailboxes. One task polls the mailboxes that somebody watches, which also finds changes by other processes
//! and by hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mail_core::users::Username;
use mail_store::DeliveryTarget;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Watches mailboxes. Clones share the watched ones.
#[derive(Debug, Clone, Default)]
pub(super) struct MailboxWatcher(Arc<Mutex<HashMap<Username, watch::Sender<u64>>>>);

impl MailboxWatcher {
    /// The version of a mailbox, updated until the receiver is dropped. Changes after this call are reported.
    pub(super) async fn watch(
        &self,
        account: &Username,
        store: &impl DeliveryTarget,
    ) -> watch::Receiver<u64> {
        if let Some(sender) = self.lock().get(account) {
            return sender.subscribe();
        }
        let version = version(account, store).await.unwrap_or_default();
        self.lock().entry(account.clone()).or_insert_with(|| watch::Sender::new(version)).subscribe()
    }

    /// Polls until `shutdown`.
    pub(super) async fn run(self, store: &impl DeliveryTarget, mut shutdown: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = sleep(POLL_INTERVAL) => {}
                _ = shutdown.wait_for(|shutdown| *shutdown) => return,
            }
            self.poll(store).await;
        }
    }

    async fn poll(&self, store: &impl DeliveryTarget) {
        let accounts: Vec<Username> = {
            let mut watched = self.lock();
            watched.retain(|_, sender| sender.receiver_count() > 0);
            watched.keys().cloned().collect()
        };
        for account in accounts {
            let Some(version) = version(&account, store).await else { continue };
            if let Some(sender) = self.lock().get(&account) {
                sender.send_if_modified(|last| std::mem::replace(last, version) != version);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Username, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn version(account: &Username, store: &impl DeliveryTarget) -> Option<u64> {
    match store.mailbox_status(account).await {
        Ok(status) => Some(status.version),
        Err(failure) => {
            warn!(%account, %failure, "mailbox not watched");
            None
        }
    }
}
