//! Side effects: sessions with the servers, storage, timers. Dispatches actions with the results.
//!
//! | file | contents |
//! |---|---|
//! | `store.rs` | the state |
//! | `login_session.rs` | the state of one account: credentials, storage, job queue |
//! | `jobs.rs` | runs the queue, with retries |
//! | `maildrop.rs` | the jobs: check, fetch, delete |
//! | `messages.rs` | open, select and mark messages |
//! | `indexing.rs` | the texts that the list shows and searches |
//! | `deletion.rs` | delete, confirm, undo |
//! | `filing.rs` | Archive and labels; take deletions back |
//! | `drafts.rs`, `attachments.rs` | write, store and discard drafts; attach files |
//! | `export.rs` | save mail as files |
//! | `import.rs` | send messages of files to oneself; contacts |
//! | `outbox.rs` | hold a message back for Undo, or until there is a connection |
//! | `sending.rs`, `send_again.rs` | send; send a returned message again |
//! | `people.rs` | people for the completion of addresses |
//! | `account.rs` | own addresses, changes of the mailbox, a new password |
//! | `settings.rs` | the user's settings |
//! | `tabs.rs` | synchronizes tabs |
//! | `own_address.rs` | the user's own address |

mod account;
mod attachments;
mod backoff;
mod deletion;
mod drafts;
mod export;
mod filing;
mod import;
mod indexing;
mod jobs;
mod login_session;
mod maildrop;
mod messages;
mod outbox;
mod own_address;
mod people;
mod send_again;
mod sending;
mod settings;
mod store;
mod tabs;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mail_core::message::address::{Address, Host};
use mail_core::smtp::command::HelloName;
use mail_core::time::Duration;
use yew::Callback;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

pub(crate) use self::export::Export;
use self::login_session::{Job, LoginSession, UnstoredSignIn};
use self::store::Store;
use crate::model::draft_form::DraftForm;
use crate::model::state::{Action, Notice, SessionAction, State, UiAction};
use crate::model::transcript::Transcript;
use crate::platform::{dom, location, persistence};
use crate::storage::Storage;
use crate::storage::stored_sign_in::{self, SignIn};

/// Interval of the checks for new mail.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Time for which Undo is offered.
const UNDO_TIME: Duration = Duration::from_secs(7);
/// Polling interval of a toast that has the pointer or the focus.
const TOAST_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A cloneable handle, provided to all components.
#[derive(Clone)]
pub(crate) struct Control(Rc<Inner>);

impl PartialEq for Control {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

#[derive(Default)]
struct Inner {
    store: Store,
    /// The protocol log. Replaced at sign-out: the next user does not see it.
    transcript: RefCell<Rc<RefCell<Transcript>>>,
    session: RefCell<Option<Rc<LoginSession>>>,
    /// Counts edits of drafts; only the last edit is stored.
    edits: Cell<u64>,
    /// The draft whose formatting was removed last.
    formatted: RefCell<Option<Rc<DraftForm>>>,
    /// Number of messages that are being sent, including those of earlier login sessions.
    sending: Cell<u32>,
    /// The browser was asked to keep the page's data.
    asked_to_keep_data: Cell<bool>,
    /// Counts deletions; only the last one ends the time for Undo.
    removals: Cell<u64>,
}

impl Control {
    /// A page that looks for a stored sign-in; see [`resume`](Self::resume).
    pub(crate) fn new() -> Self {
        let control = Self(Rc::default());
        control.dispatch(SessionAction::Resuming(true));
        control
    }

    pub(crate) fn state(&self) -> Rc<State> {
        self.0.store.state()
    }

    pub(crate) fn on_change(&self, on_change: Callback<Rc<State>>) {
        self.0.store.on_change(on_change);
    }

    pub(crate) fn dispatch(&self, action: impl Into<Action>) {
        let action = action.into();
        if action.ends_undo() {
            self.complete_removal();
            self.settle_filing();
        }
        self.dispatch_and_post(action);
    }

    pub(crate) fn notify(&self, notice: Notice) {
        self.dispatch(UiAction::Notice(notice));
    }

    pub(crate) fn transcript(&self) -> Rc<RefCell<Transcript>> {
        self.0.transcript.borrow().clone()
    }

    /// Signs in by checking the maildrop. SMTP is not needed for it. The sign-in is stored for the device or for the tab.
    pub(crate) fn sign_in(&self, sign_in: SignIn, on_device: bool) {
        self.dispatch(SessionAction::SigningIn);
        let control = self.clone();
        spawn_local(async move {
            let session = control.open_session(&sign_in).await;
            session.sign_in_to_store.replace(Some(UnstoredSignIn { sign_in, on_device }));
            control.run_jobs(&session);
            control.check_periodically(session).await;
        });
    }

    /// Continues a stored sign-in: shows what is stored in the browser, and checks the maildrop.
    pub(crate) fn resume(&self) {
        let control = self.clone();
        spawn_local(async move {
            let Some(sign_in) = stored_sign_in::load().await else {
                return control.dispatch(SessionAction::Resuming(false));
            };
            let session = control.open_session(&sign_in).await;
            control.signed_in(&session);
            control.run_jobs(&session);
            control.check_periodically(session).await;
        });
    }

    async fn open_session(&self, sign_in: &SignIn) -> Rc<LoginSession> {
        let storage = Storage::open(&sign_in.account()).await;
        let address = match Address::parse(&sign_in.username.to_lowercase()).ok() {
            Some(address) => Some(address),
            None => storage.address().await,
        };
        let snapshot = storage.load().await;
        let session = Rc::new(LoginSession::new(sign_in, storage, snapshot, address, self.transcript()));
        self.0.session.replace(Some(session.clone()));
        self.connect_tabs(&session);
        session
    }

    /// Signs out of this account. With `wipe`, also deletes its mail, drafts, sent copies, settings and address book from the
    /// browser. Other accounts and other tabs stay signed in.
    pub(crate) fn sign_out(&self, wipe: bool) {
        let session = self.session();
        if let Some(session) = &session {
            session.forget_sign_in();
        }
        let username = session.filter(|_| !wipe).map(|session| session.username.clone());
        self.leave_session(wipe, username.unwrap_or_default());
    }

    /// Shows another account that is signed in. This one stays signed in.
    pub(crate) fn switch_account(&self, account: &str) {
        self.leave_session(false, String::new());
        stored_sign_in::select(Some(account));
        self.dispatch(SessionAction::Resuming(true));
        self.resume();
    }

    /// Shows the sign-in form. This account stays signed in.
    pub(crate) fn add_account(&self) {
        self.leave_session(false, String::new());
        stored_sign_in::select(None);
    }

    /// Ends the login session. What it has begun, sending and deleting, goes on.
    fn leave_session(&self, wipe: bool, username: String) {
        if !wipe {
            self.store_open_draft();
        }
        self.release();
        let was_signed_in = self.state().session.account.is_some();
        let session = self.session();
        // Without a successful login, the credentials may be wrong.
        let pending =
            session.as_ref().filter(|_| was_signed_in).map(|session| self.pending_removals(session));
        // The other tabs of the account are told that its draft is closed.
        self.dispatch(Action::SignedOut { error: None, username });
        self.0.session.take();
        self.0.transcript.take();
        if let Some(session) = session {
            spawn_local(async move {
                if wipe {
                    session.storage.wipe().await;
                }
                if let Some(pending) = pending.filter(|pending| !pending.is_empty()) {
                    Self::remove_pending(&session, &pending).await;
                }
            });
        }
    }

    /// Completes a deletion and checks for new mail, at the user's request.
    pub(crate) fn synchronize(&self) {
        self.complete_removal();
        self.check();
    }

    /// Checks for new mail now.
    pub(crate) fn check(&self) {
        if let Some(session) = self.session() {
            session.add_job(Job::Check);
            self.run_jobs(&session);
        }
    }

    async fn check_periodically(&self, session: Rc<LoginSession>) {
        loop {
            sleep(CHECK_INTERVAL).await;
            if !self.is_current(&session) {
                return;
            }
            session.add_job(Job::Check);
            if !session.running.get() {
                self.run_jobs(&session);
            }
        }
    }

    /// Asks the browser once to keep drafts and sent copies, which exist only in it.
    fn keep_data(&self) {
        if !self.0.asked_to_keep_data.replace(true) {
            spawn_local(persistence::request());
        }
    }

    fn session(&self) -> Option<Rc<LoginSession>> {
        self.0.session.borrow().clone()
    }

    /// Whether the page shows the account of this session. Without it, only the storage and the tabs of the account are updated.
    fn is_current(&self, session: &Rc<LoginSession>) -> bool {
        self.0.session.borrow().as_ref().is_some_and(|current| Rc::ptr_eq(current, session))
    }
}

/// Waits for `time`, and longer while the pointer or the focus is on a toast.
pub(crate) async fn toast_timeout(time: Duration) {
    sleep(time).await;
    while dom::is_toast_in_use() {
        sleep(TOAST_POLL_INTERVAL).await;
    }
}

/// The name for EHLO (RFC 5321 section 4.1.1.1). A browser does not know its own address, so the page sends the host
/// that it was loaded from.
fn hello() -> HelloName {
    let host = location::hostname();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = match bare.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(address)) => format!("[{address}]"),
        Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) if Host::parse(&host).is_ok() => host,
        Err(_) => "localhost".to_owned(),
    };
    HelloName::parse(&name)
        .unwrap_or_else(|| HelloName::parse("localhost").expect("localhost is a valid host name"))
}
