//! The service behind SMTP sessions: authentication, recipient policy and delivery targets.
//!
//! [`ServiceContext`] serves the accounts of a directory. A mail catcher accepts every client.

use std::sync::Arc;

use mail_core::message::address::{Address, Domain, ForwardPath, ReversePath};
use mail_core::sasl::Credentials;
use mail_core::users::Username;
use mail_store::directory::{Directory, DirectoryError};
use mail_store::{DeliveryTarget, Destination, StoreError};

use crate::authentication::MessageAuthenticator;
use crate::budget::Budget;
use crate::context::{ClientContext, Clock, IdGenerator, Rejection, ServiceContext};
use crate::metrics::Metrics;

/// Policy and resources of an SMTP service. All of its sessions share it.
pub trait SmtpService: Send + Sync {
    type Target: DeliveryTarget;
    type Clock: Clock + IdGenerator;

    fn resources(&self) -> Resources<'_, Self::Target, Self::Clock>;

    /// The account of the credentials.
    ///
    /// # Errors
    /// The login is refused.
    fn sign_in(
        &self,
        credentials: &Credentials,
        client: &mut ClientContext,
    ) -> impl Future<Output = Result<Username, Rejection>> + Send;

    /// Whether the account may send mail with this reverse-path.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn may_send_as(
        &self,
        account: &Username,
        address: &Address,
    ) -> impl Future<Output = Result<bool, DirectoryError>> + Send;

    /// Verifies mail from unauthenticated clients.
    fn authenticator(&self) -> Option<&dyn MessageAuthenticator> {
        None
    }

    /// Whether an unauthenticated client is refused as the sender of an address.
    fn needs_sign_in(&self, _sender: &Address) -> bool {
        false
    }

    /// Delivers a report to the sender of a message.
    ///
    /// # Errors
    /// The report cannot be stored.
    fn deliver_report(
        &self,
        _sender: &Address,
        _report: Vec<u8>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        std::future::ready(Ok(()))
    }

    /// The destinations of a recipient of mail from `sender`; at least one. `may_relay` permits recipients on other hosts.
    ///
    /// # Errors
    /// The recipient is refused.
    fn accept_recipient(
        &self,
        path: &ForwardPath,
        sender: &ReversePath,
        may_relay: bool,
    ) -> impl Future<Output = Result<Vec<Destination>, RecipientRefusal>> + Send;
}

/// Parts of a service that its sessions share.
#[derive(Debug)]
pub struct Resources<'a, T, C> {
    /// Name in trace fields.
    pub hostname: &'a Domain,
    /// Memory for messages that are being received.
    pub memory: &'a Arc<Budget>,
    pub metrics: &'a Metrics,
    pub target: &'a T,
    pub clock: &'a C,
}

/// The reason a recipient is refused.
#[derive(Debug, thiserror::Error)]
pub enum RecipientRefusal {
    #[error("no such account")]
    UnknownUser,
    #[error("not a local domain")]
    RelayingDenied,
    #[error("the alias points to {0} on another host")]
    RemoteAlias(Address),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl<D: Directory, S: DeliveryTarget, C: Clock + IdGenerator> SmtpService for ServiceContext<D, S, C> {
    type Target = S;
    type Clock = C;

    fn resources(&self) -> Resources<'_, S, C> {
        let Self { hostname, memory, metrics, store: target, clock, .. } = self;
        Resources { hostname, memory, metrics, target, clock }
    }

    async fn sign_in(
        &self,
        credentials: &Credentials,
        client: &mut ClientContext,
    ) -> Result<Username, Rejection> {
        Self::sign_in(self, credentials, client).await
    }

    async fn may_send_as(&self, account: &Username, address: &Address) -> Result<bool, DirectoryError> {
        Self::may_send_as(self, account, address).await
    }

    async fn deliver_report(&self, sender: &Address, report: Vec<u8>) -> Result<(), StoreError> {
        Self::deliver_report(self, sender, report).await
    }

    fn authenticator(&self) -> Option<&dyn MessageAuthenticator> {
        self.authenticator.as_deref()
    }

    fn needs_sign_in(&self, sender: &Address) -> bool {
        self.relay.own_domains_need_sign_in && self.is_local(&sender.host)
    }

    async fn accept_recipient(
        &self,
        path: &ForwardPath,
        sender: &ReversePath,
        may_relay: bool,
    ) -> Result<Vec<Destination>, RecipientRefusal> {
        let srs = self.relay.srs.as_ref();
        let is_rewritten =
            path.address().is_some_and(|address| srs.is_some_and(|srs| srs.is_rewritten(address)));
        // A rewritten (SRS) address accepts only the null reverse-path; otherwise it would be an open relay.
        if is_rewritten && sender.address().is_some() {
            return Err(RecipientRefusal::UnknownUser);
        }
        let destinations = self.route(path).await?;
        if destinations.is_empty() {
            return Err(RecipientRefusal::UnknownUser);
        }
        let remote = destinations.iter().find_map(|destination| match destination {
            Destination::Remote(remote) => Some(remote),
            Destination::Mailbox { .. } => None,
        });
        let Some(remote) = remote else { return Ok(destinations) };
        let is_alias = path.address() != Some(remote);
        match (self.relay.outbound, is_alias) {
            (true, true) => Ok(destinations),
            (true, false) if may_relay => Ok(destinations),
            (false, true) => Err(RecipientRefusal::RemoteAlias(remote.clone())),
            _ => Err(RecipientRefusal::RelayingDenied),
        }
    }
}
