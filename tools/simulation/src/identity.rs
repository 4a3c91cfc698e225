//! Accounts, clock and ids that all simulated server processes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use mail_core::secret::Secret;
use mail_core::time::{Duration, Instant};
use mail_core::users::Username;
use mail_service::context::{Clock, IdGenerator};
use mail_store::directory::{Directory, DirectoryError};

/// Hostname in greetings and trace fields.
pub(crate) const HOSTNAME: &str = "iitkgp.edu";
/// Names of the accounts.
pub(crate) const ACCOUNTS: [&str; 3] = ["ag", "gb", "cd"];
/// Password of every account.
pub(crate) const PASSWORD: &str = "secret";
/// Content of User.txt, which never changes.
pub(crate) const USER_FILE: &[u8] = b"ag secret\ngb secret\ncd secret\n";

/// The fixed accounts [`ACCOUNTS`].
#[derive(Debug)]
pub(crate) struct SimDirectory;

/// The virtual clock, and sequential ids. They survive crashes.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    start: Instant,
    elapsed_ms: Arc<AtomicU64>,
    next_id: Arc<AtomicU64>,
}

impl SimClock {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, elapsed_ms: Arc::default(), next_id: Arc::default() }
    }

    pub(crate) fn set(&self, elapsed: Duration) {
        self.elapsed_ms.store(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.elapsed_ms.load(Ordering::Relaxed))
    }

    fn utc(&self) -> DateTime<Utc> {
        DateTime::<Utc>::from_timestamp(1_795_374_907, 0).expect("a valid timestamp")
    }
}

impl IdGenerator for SimClock {
    fn generate(&self, _time: DateTime<Utc>) -> String {
        format!("{:026}", self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}

/// Path of the mailbox file of an account.
pub(crate) fn mailbox_path(account: usize) -> String {
    format!("{}/MyMailBox.txt", ACCOUNTS[account])
}

pub(crate) fn username(name: &str) -> Username {
    Username::parse(name).expect("a valid account name")
}

fn known(name: &Username) -> Option<Username> {
    ACCOUNTS.iter().map(|name| username(name)).find(|known| known == name)
}

impl Directory for SimDirectory {
    async fn find(&self, name: &Username) -> Result<Option<Username>, DirectoryError> {
        Ok(known(name))
    }

    async fn first(&self) -> Result<Option<Username>, DirectoryError> {
        Ok(Some(username(ACCOUNTS[0])))
    }

    async fn verify(
        &self,
        name: Option<&Username>,
        password: &Secret<String>,
    ) -> Result<Option<Username>, DirectoryError> {
        Ok(name.filter(|_| password.expose() == PASSWORD).and_then(known))
    }
}
