//! A login session: the time from sign-in to sign-out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use futures::channel::oneshot;
use mail_core::message::address::Address;
use mail_core::sasl::Credentials;

use super::backoff::Backoff;
use crate::model::state::Snapshot;
use crate::storage::Storage;

/// A POP3 session. Jobs run one after the other, because a maildrop has one session at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Lists the maildrop and fetches new headers.
    Check,
    /// Fetches a message by unique-id.
    Fetch(String),
    /// Deletes the messages that are being removed.
    Remove,
}

pub(super) struct LoginSession {
    pub(super) account: String,
    /// Exists in memory only.
    pub(super) credentials: Credentials,
    pub(super) storage: Storage,
    /// Shown once the server has accepted the credentials.
    pub(super) snapshot: RefCell<Option<Snapshot>>,
    pub(super) address: RefCell<Option<Address>>,
    pub(super) jobs: RefCell<VecDeque<Job>>,
    pub(super) running: Cell<bool>,
    pub(super) backoff: Cell<Backoff>,
    /// The last login was refused without a response code.
    pub(super) login_refused: Cell<bool>,
    /// Ends the wait before the next attempt.
    pub(super) wake: RefCell<Option<oneshot::Sender<()>>>,
}

impl LoginSession {
    /// A session whose first job is a check.
    pub(super) fn new(
        account: String,
        credentials: Credentials,
        storage: Storage,
        snapshot: Snapshot,
        address: Option<Address>,
    ) -> Self {
        Self {
            account,
            credentials,
            storage,
            snapshot: RefCell::new(Some(snapshot)),
            address: RefCell::new(address),
            jobs: RefCell::new([Job::Check].into()),
            running: Cell::default(),
            backoff: Cell::default(),
            login_refused: Cell::default(),
            wake: RefCell::default(),
        }
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

    /// A message that the user waits for comes first.
    pub(super) fn next_job(&self) -> Option<Job> {
        self.take_fetch().map(Job::Fetch).or_else(|| self.jobs.borrow_mut().pop_front())
    }
}
