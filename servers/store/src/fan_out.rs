//! One message for several delivery targets.

use bytes::Bytes;
use mail_core::mailbox::Trace;
use mail_core::users::Username;

use crate::{
    DeliveryTarget, Destination, Envelope, IncomingMessage, MailboxStatus, MaildropStore, StoreError,
    StoreHealth,
};

/// Splits each message by destination: mailboxes go to one target, remote addresses to the other.
#[derive(Debug, Clone)]
pub struct FanOut<M, R> {
    pub mailboxes: M,
    pub remote: R,
}

/// A message that [`FanOut`] receives. A target without recipients receives nothing.
#[derive(Debug)]
pub struct FanOutIncoming<M, R> {
    mailboxes: Option<M>,
    remote: Option<R>,
}

impl<M: DeliveryTarget, R: DeliveryTarget> DeliveryTarget for FanOut<M, R> {
    type Incoming = FanOutIncoming<M::Incoming, R::Incoming>;

    async fn begin(&self, envelope: &Envelope) -> Result<Self::Incoming, StoreError> {
        let is_mailbox = |destination: &Destination| matches!(destination, Destination::Mailbox { .. });
        let (mailboxes, remote) = envelope.recipients.iter().cloned().partition(is_mailbox);
        Ok(FanOutIncoming {
            mailboxes: begin(&self.mailboxes, envelope, mailboxes).await?,
            remote: begin(&self.remote, envelope, remote).await?,
        })
    }

    async fn mailbox_status(&self, account: &Username) -> Result<MailboxStatus, StoreError> {
        self.mailboxes.mailbox_status(account).await
    }
}

async fn begin<T: DeliveryTarget>(
    target: &T,
    envelope: &Envelope,
    recipients: Vec<Destination>,
) -> Result<Option<T::Incoming>, StoreError> {
    if recipients.is_empty() {
        return Ok(None);
    }
    let envelope = Envelope { recipients, ..envelope.clone() };
    target.begin(&envelope).await.map(Some)
}

impl<M: IncomingMessage, R: IncomingMessage> IncomingMessage for FanOutIncoming<M, R> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if let Some(incoming) = &mut self.mailboxes {
            incoming.write(chunk.clone()).await?;
        }
        match &mut self.remote {
            Some(incoming) => incoming.write(chunk).await,
            None => Ok(()),
        }
    }

    fn memory(&self) -> usize {
        let mailboxes = self.mailboxes.as_ref().map_or(0, IncomingMessage::memory);
        mailboxes + self.remote.as_ref().map_or(0, IncomingMessage::memory)
    }

    async fn release_memory(&mut self) -> Result<(), StoreError> {
        if let Some(incoming) = &mut self.mailboxes {
            incoming.release_memory().await?;
        }
        match &mut self.remote {
            Some(incoming) => incoming.release_memory().await,
            None => Ok(()),
        }
    }

    async fn commit(self, trace: &Trace) -> Result<(), StoreError> {
        if let Some(incoming) = self.mailboxes {
            incoming.commit(trace).await?;
        }
        match self.remote {
            Some(incoming) => incoming.commit(trace).await,
            None => Ok(()),
        }
    }
}

impl<M: MaildropStore, R: Send + Sync> MaildropStore for FanOut<M, R> {
    type Maildrop = M::Maildrop;

    async fn open(&self, account: &Username) -> Result<M::Maildrop, StoreError> {
        self.mailboxes.open(account).await
    }
}

impl<M: StoreHealth, R: Send + Sync> StoreHealth for FanOut<M, R> {
    async fn check_writable(&self) -> Result<(), StoreError> {
        self.mailboxes.check_writable().await
    }
}

/// `None` accepts no message.
impl<T: DeliveryTarget> DeliveryTarget for Option<T> {
    type Incoming = T::Incoming;

    async fn begin(&self, envelope: &Envelope) -> Result<T::Incoming, StoreError> {
        match self {
            Some(target) => target.begin(envelope).await,
            None => Err(StoreError::Failed("mail for other hosts is not accepted".into())),
        }
    }
}
