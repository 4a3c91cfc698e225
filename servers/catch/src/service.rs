//! The SMTP service of a catcher: every login succeeds and every recipient is accepted.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use mail_core::message::address::{Address, Domain, ForwardPath, ReversePath};
use mail_core::sasl::Credentials;
use mail_core::time::Instant;
use mail_core::users::Username;
use mail_service::budget::Budget;
use mail_service::context::{ClientContext, Clock, IdGenerator, Rejection};
use mail_service::metrics::Metrics;
use mail_service::smtp_service::{RecipientRefusal, Resources, SmtpService};
use mail_store::Destination;
use mail_store::directory::DirectoryError;
use ulid::Ulid;

use crate::incoming::CatchTarget;
use crate::store::Store;

/// Configuration, store and counters that the connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hostname: Domain,
    pub(crate) memory: Arc<Budget>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: CatchClock,
    pub(crate) store: Arc<Store>,
    /// Whether messages with an error are rejected.
    pub(crate) is_strict: bool,
}

/// The service of one connection.
#[derive(Debug)]
pub(crate) struct CatchService {
    pub(crate) shared: Arc<Shared>,
    pub(crate) target: CatchTarget,
}

/// The system's clock. Its ids appear in the log only; the store assigns those of messages.
#[derive(Debug, Default)]
pub(crate) struct CatchClock;

impl Clock for CatchClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn utc(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from(SystemTime::now())
    }
}

impl IdGenerator for CatchClock {
    fn generate(&self, time: DateTime<Utc>) -> String {
        Ulid::from_datetime(time.into()).to_string()
    }
}

impl CatchService {
    pub(crate) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared: Arc::clone(shared), target: CatchTarget::new(Arc::clone(&shared.store)) })
    }
}

impl SmtpService for CatchService {
    type Target = CatchTarget;
    type Clock = CatchClock;

    fn resources(&self) -> Resources<'_, CatchTarget, CatchClock> {
        let Shared { hostname, memory, metrics, clock, .. } = &*self.shared;
        Resources { hostname, memory, metrics, target: &self.target, clock }
    }

    /// The session records the user name; there are no accounts.
    async fn sign_in(&self, _: &Credentials, _: &mut ClientContext) -> Result<Username, Rejection> {
        Ok(Username::parse("anyone").expect("a user name"))
    }

    async fn may_send_as(&self, _: &Username, _: &Address) -> Result<bool, DirectoryError> {
        Ok(true)
    }

    async fn accept_recipient(
        &self,
        path: &ForwardPath,
        _sender: &ReversePath,
        _may_relay: bool,
    ) -> Result<Vec<Destination>, RecipientRefusal> {
        let address = match path {
            ForwardPath::Address(address) => address.clone(),
            ForwardPath::Postmaster => Address::parse(&format!("postmaster@{}", self.shared.hostname))
                .expect("postmaster at a valid domain is an address"),
        };
        Ok(vec![Destination::Remote(address)])
    }
}
