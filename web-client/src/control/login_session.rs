//! A login session: the time from sign-in to sign-out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use futures::channel::oneshot;
use mail_core::message::address::Address;
use mail_core::sasl::Credentials;

use super::backoff::Backoff;
use crate::model::sign_in_form::account_name;
use crate::model::state::Snapshot;
use crate::storage::Storage;
use crate::storage::stored_sign_in::SignIn;

/// A POP3 session. Jobs run one after the other, because a maildrop has one session at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Lists the maildrop and fetches new headers.
    Check,
    /// Fetches a message by unique-id.
    Fetch(String),
    /// Deletes the messages that are being removed.
    Remove,
    /// Fetches messages that are not stored. All other jobs come first.
    FetchInBackground,
}

/// A sign-in that the server has not accepted yet.
pub(super) struct UnstoredSignIn {
    pub(super) sign_in: SignIn,
    /// Whether it is stored for the device, not only for the tab.
    pub(super) on_device: bool,
}

pub(super) struct LoginSession {
    /// Identifies the account in this browser.
    pub(super) id: String,
    /// Selects the bridge's targets.
    pub(super) server: String,
    pub(super) account: String,
    /// As it was typed.
    pub(super) username: String,
    /// Replaced after a change of the password.
    pub(super) credentials: RefCell<Credentials>,
    /// Stored once the server has accepted it.
    pub(super) sign_in_to_store: RefCell<Option<UnstoredSignIn>>,
    /// The user has signed out. The session may also end because the user has switched to another account.
    pub(super) signed_out: Cell<bool>,
    /// The sign-in is being stored.
    pub(super) storing: RefCell<Option<oneshot::Receiver<()>>>,
    pub(super) storage: Storage,
    /// Shown once the server has accepted the credentials.
    pub(super) snapshot: RefCell<Option<Snapshot>>,
    pub(super) address: RefCell<Option<Address>>,
    pub(super) jobs: RefCell<VecDeque<Job>>,
    pub(super) running: Cell<bool>,
    /// Ends the fetch of a message; its unique-id.
    pub(super) cancel_fetch: RefCell<Option<(String, oneshot::Sender<()>)>>,
    pub(super) backoff: Cell<Backoff>,
    /// The last login was refused without a response code.
    pub(super) login_refused: Cell<bool>,
    /// A POP3 session is deleting messages.
    pub(super) removing: Cell<bool>,
    /// The server reports changes of the mailbox.
    pub(super) watching: Cell<bool>,
    /// Ends the wait before the next attempt.
    pub(super) wake: RefCell<Option<oneshot::Sender<()>>>,
}

impl LoginSession {
    /// A session whose first job is a check.
    pub(super) fn new(
        sign_in: &SignIn,
        storage: Storage,
        snapshot: Snapshot,
        address: Option<Address>,
    ) -> Self {
        let SignIn { server, username, password } = sign_in;
        Self {
            id: sign_in.account(),
            server: server.clone(),
            account: account_name(username),
            username: username.clone(),
            credentials: RefCell::new(Credentials::new(username, password)),
            sign_in_to_store: RefCell::default(),
            signed_out: Cell::default(),
            storing: RefCell::default(),
            storage,
            snapshot: RefCell::new(Some(snapshot)),
            address: RefCell::new(address),
            jobs: RefCell::new([Job::Check].into()),
            running: Cell::default(),
            cancel_fetch: RefCell::default(),
            backoff: Cell::default(),
            login_refused: Cell::default(),
            removing: Cell::default(),
            watching: Cell::default(),
            wake: RefCell::default(),
        }
    }

    pub(super) fn credentials(&self) -> Credentials {
        self.credentials.borrow().clone()
    }

    /// Adds a job unless the queue contains it.
    pub(super) fn add_job(&self, job: Job) {
        let mut jobs = self.jobs.borrow_mut();
        if !jobs.contains(&job) {
            jobs.push_back(job);
        }
    }

    /// Takes the message of the first [`Job::Fetch`], if there is one.
    pub(super) fn take_fetch(&self) -> Option<String> {
        let mut jobs = self.jobs.borrow_mut();
        let at = jobs.iter().position(|job| matches!(job, Job::Fetch(_)))?;
        match jobs.remove(at) {
            Some(Job::Fetch(id)) => Some(id),
            _ => None,
        }
    }

    /// A message that the user waits for comes first, and fetching in the background last.
    pub(super) fn next_job(&self) -> Option<Job> {
        if let Some(id) = self.take_fetch() {
            return Some(Job::Fetch(id));
        }
        let mut jobs = self.jobs.borrow_mut();
        let at = jobs.iter().position(|job| *job != Job::FetchInBackground).unwrap_or(0);
        jobs.remove(at)
    }

    /// Whether the queue contains a job other than fetching in the background.
    pub(super) fn has_urgent_job(&self) -> bool {
        self.jobs.borrow().iter().any(|job| *job != Job::FetchInBackground)
    }
}
