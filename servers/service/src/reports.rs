//! Reports to senders: messages of this host with the null reverse-path.

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::message::address::{Address, ForwardPath, ReversePath};
use mail_store::directory::Directory;
use mail_store::{DeliveryTarget, DsnRequest, Envelope, IncomingMessage, Origin, StoreError};
use tracing::warn;

use crate::context::{Clock, IdGenerator, ServiceContext};

/// The protocol in the trace fields of reports.
const PROTOCOL: &str = "local";

impl<D: Directory, S: DeliveryTarget, C: Clock + IdGenerator> ServiceContext<D, S, C> {
    /// Delivers a report as any other mail. A sender without a mailbox is not an error.
    ///
    /// # Errors
    /// The sender cannot be looked up, or the report cannot be stored.
    pub async fn deliver_report(&self, sender: &Address, report: Vec<u8>) -> Result<(), StoreError> {
        let path = ForwardPath::Address(sender.clone());
        let recipients = self.route(&path).await.map_err(|error| StoreError::Failed(error.to_string()))?;
        if recipients.is_empty() {
            warn!(%sender, "report dropped: its recipient is not an account");
            return Ok(());
        }
        let (reverse_path, dsn) = (ReversePath::Null, DsnRequest::default());
        let envelope = Envelope { reverse_path, recipients, origin: Origin::ThisHost, dsn };
        let time = self.clock.utc();
        let trace = Trace {
            reverse_path: ReversePath::Null,
            hello: self.hostname.to_string(),
            peer: None,
            by: self.hostname.to_string(),
            with: PROTOCOL,
            tls: None,
            id: self.clock.generate(time),
            time,
            authentication_results: None,
        };
        let mut incoming = self.store.begin(&envelope).await?;
        incoming.write(Bytes::from(report)).await?;
        incoming.commit(&trace).await
    }
}
