//! A login session: the state of one account, from sign-in until sign-out or until another account is shown.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use futures::channel::oneshot;
use mail_core::message::address::Address;
use mail_core::sasl::Credentials;
use yew::platform::spawn_local;

use super::backoff::Backoff;
use super::tabs::TabEvent;
use crate::model::draft_form::DraftForm;
use crate::model::sign_in_form::account_name;
use crate::model::state::Snapshot;
use crate::model::transcript::{Protocol, Transcript, TranscriptRecorder};
use crate::platform::broadcast::Channel;
use crate::storage::Storage;
use crate::storage::stored_sign_in::{self, SignIn};

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

/// Everything that belongs to one account. Sending and deleting go on after another account is shown, with the object of their own
/// session.
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
    /// All own addresses, as the server reports them.
    pub(super) addresses: RefCell<Vec<Address>>,
    transcript: Rc<RefCell<Transcript>>,
    /// Connects the tabs with the same account.
    pub(super) tabs: RefCell<Option<Channel>>,
    /// The last version of a draft that is known to be in the storage.
    pub(super) stored_draft: RefCell<Option<Rc<DraftForm>>>,
    /// Drafts that could not be stored.
    pub(super) unstored_drafts: RefCell<HashSet<String>>,
    /// The messages of the outbox are being sent.
    pub(super) sending_outbox: Cell<bool>,
    /// The user was told that the outbox waits for the storage.
    pub(super) reported_unclaimed: Cell<bool>,
    /// Cancels the last message that was submitted.
    pub(super) cancel_sending: RefCell<Option<oneshot::Sender<()>>>,
    pub(super) jobs: RefCell<VecDeque<Job>>,
    pub(super) running: Cell<bool>,
    /// Ends the fetch of a message; its unique-id.
    pub(super) cancel_fetch: RefCell<Option<(String, oneshot::Sender<()>)>>,
    pub(super) backoff: Cell<Backoff>,
    /// The last login was refused without a response code.
    pub(super) login_refused: Cell<bool>,
    /// The token of the account routes.
    pub(super) token: RefCell<Option<String>>,
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
        transcript: Rc<RefCell<Transcript>>,
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
            addresses: RefCell::default(),
            transcript,
            tabs: RefCell::default(),
            stored_draft: RefCell::default(),
            unstored_drafts: RefCell::default(),
            sending_outbox: Cell::default(),
            reported_unclaimed: Cell::default(),
            cancel_sending: RefCell::default(),
            jobs: RefCell::new([Job::Check].into()),
            running: Cell::default(),
            cancel_fetch: RefCell::default(),
            backoff: Cell::default(),
            login_refused: Cell::default(),
            token: RefCell::default(),
            removing: Cell::default(),
            watching: Cell::default(),
            wake: RefCell::default(),
        }
    }

    pub(super) fn credentials(&self) -> Credentials {
        self.credentials.borrow().clone()
    }

    /// Ends the stored sign-in. The one of a form that the server has not accepted is not stored; an earlier sign-in of the same
    /// account stays.
    pub(super) fn forget_sign_in(&self) {
        self.signed_out.set(true);
        if self.sign_in_to_store.take().is_none() {
            let id = self.id.clone();
            spawn_local(async move { stored_sign_in::forget(&id).await });
        }
    }

    pub(super) fn recorder(&self, protocol: Protocol) -> TranscriptRecorder {
        TranscriptRecorder::new(&self.transcript, protocol)
    }

    pub(super) fn post_to_tabs(&self, event: &TabEvent) {
        if let Some(channel) = &*self.tabs.borrow() {
            channel.post(&event.encode());
        }
    }

    /// Whether the storage has this version. Storing it again would replace a later version of another tab.
    pub(super) fn is_stored(&self, form: &Rc<DraftForm>) -> bool {
        self.stored_draft.borrow().as_ref() == Some(form)
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
