//! The POP3 jobs: check the maildrop, fetch a message, delete messages.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::pending;
use std::rc::Rc;

use bytes::Bytes;
use futures::channel::oneshot;
use mail_core::message::parsed::Summary;
use mail_core::time::{Duration, Instant};
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::Control;
use super::login_session::{Job, LoginSession, UnstoredSignIn};
use super::tabs::TabEvent;
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::model::message::HeaderSummary;
use crate::model::state::{
    Account, Action, ConnectionStatus, MailboxAction, Notice, SessionAction, UiAction,
};
use crate::model::transcript::Protocol;
use crate::platform::socket::Socket;
use crate::platform::{PLATFORM, charset, clock, dom, notification, text};
use crate::session::SessionError;
use crate::session::pop3::{self, CheckDelegate, CheckEvent};
use crate::storage::{CACHED_OCTETS_MAX, ObjectStore, stored_sign_in};
use crate::strings;

/// Interval in which arriving headers are shown, in batches.
const BATCH_INTERVAL: Duration = Duration::from_millis(150);
/// Parsing of larger messages takes longer than the browser needs for a frame.
const LARGE_OCTETS_MIN: usize = 1_024 * 1_024;
/// The progress of a fetch is shown in steps of this size.
const PROGRESS_OCTETS: u64 = 256 * 1_024;
/// Messages named in a notification.
const NOTIFIED_MAX: usize = 3;

impl Control {
    pub(super) async fn check_maildrop(&self, session: &Rc<LoginSession>) -> Result<(), SessionError> {
        let socket = Socket::connect(Protocol::Pop3, &session.server)?;
        let observer = CheckObserver {
            control: self.clone(),
            session: session.clone(),
            known: self.known_headers(session),
            batch: RefCell::default(),
            batch_at: Cell::new(Instant::now()),
            arrived: RefCell::default(),
        };
        let first = !self.state().mailbox.listed;
        let result =
            pop3::check(socket, session.recorder(Protocol::Pop3), &session.credentials(), &observer).await;
        observer.show_batch();
        if !first {
            notify_new_mail(&observer.arrived.take());
        }
        result?;
        if self.is_current(session) {
            // Wait for the sign-in to be stored, so that a page that looks idle can be reloaded without a password.
            let storing = session.storing.take();
            if let Some(storing) = storing {
                let _ = storing.await;
            }
            self.dispatch(MailboxAction::LoadingEnded);
            self.dispatch(SessionAction::Checked(clock::now()));
            let ids = self.state().mailbox.messages.iter().map(|message| message.id.clone()).collect();
            session.storage.retain_messages(&ids).await;
            self.find_address_in_background(session);
            self.send_outbox(session);
            self.watch_mailbox(session);
            self.fetch_in_background_later(session);
        }
        Ok(())
    }

    /// Messages with known headers: in the state, or in the snapshot before sign-in is complete.
    fn known_headers(&self, session: &LoginSession) -> HashSet<String> {
        let (state, snapshot) = (self.state(), session.snapshot.borrow());
        let stored = snapshot.iter().flat_map(|snapshot| &snapshot.messages);
        let messages = state.mailbox.messages.iter().chain(stored);
        messages.filter(|message| message.header.is_some()).map(|message| message.id.clone()).collect()
    }

    pub(super) async fn fetch(&self, session: &Rc<LoginSession>, id: &str) -> Result<(), SessionError> {
        let socket = Socket::connect(Protocol::Pop3, &session.server)?;
        let number = self.state().mailbox.message(id).and_then(|message| message.number);
        let recorder = session.recorder(Protocol::Pop3);
        let (cancel, cancelled) = oneshot::channel::<()>();
        session.cancel_fetch.replace(Some((id.to_owned(), cancel)));
        let cancelled = async {
            if cancelled.await.is_err() {
                // Another fetch has replaced the sender.
                pending().await
            }
        };
        let reported = Cell::new(0);
        let progress = |octets, announced| {
            if octets >= reported.get() + PROGRESS_OCTETS && self.is_current(session) {
                reported.set(octets);
                self.dispatch(UiAction::Fetching { id: id.to_owned(), octets, announced });
            }
        };
        let message = (id, number);
        let fetched =
            pop3::fetch(socket, recorder, &session.credentials(), message, progress, cancelled).await;
        session.cancel_fetch.take();
        if let Some((message, driver)) = fetched? {
            self.message_fetched(session, id.to_owned(), message).await;
            // The next session needs the maildrop unlocked.
            driver.close().await;
        }
        Ok(())
    }

    /// Ends the fetch of the open message.
    pub(crate) fn cancel_fetch(&self) {
        let Some(session) = self.session() else { return };
        let cancel = session.cancel_fetch.take();
        if let Some((id, cancel)) = cancel {
            self.dispatch(UiAction::OpenFailed { id, error: strings::LOADING_CANCELLED.to_owned() });
            // The fetch may have ended.
            let _ = cancel.send(());
        }
    }

    /// Ends the fetch of a large message that the user no longer waits for.
    pub(super) fn abort_large_fetch(&self, session: &LoginSession, opened: &str) {
        let mut cancel = session.cancel_fetch.borrow_mut();
        let is_large = |id: &str| {
            self.state().mailbox.message(id).is_some_and(|message| message.octets > LARGE_OCTETS_MIN as u64)
        };
        if let Some((_, cancel)) = cancel.take_if(|(id, _)| id != opened && is_large(id)) {
            let _ = cancel.send(());
        }
    }

    /// Shows a fetched message and caches it.
    async fn message_fetched(&self, session: &Rc<LoginSession>, id: String, message: Vec<u8>) {
        let raw = Bytes::from(message);
        let Some(message) = self.show_message(session, &id, raw.clone()).await else { return };
        if raw.len() > CACHED_OCTETS_MAX {
            return;
        }
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            if raw.len() > LARGE_OCTETS_MIN {
                sleep(Duration::ZERO).await;
            }
            let body = message.body_index(text::fold);
            session.storage.put_bodies(&[(id.clone(), body)]).await;
            if session.storage.put_octets(ObjectStore::Messages, &[(id.clone(), raw.to_vec())]).await
                && control.is_current(&session)
            {
                control.dispatch(MailboxAction::Stored(vec![id]));
            }
        });
    }

    /// Shows the content of the open message and marks it as read. `None` if the session has ended. While a large message
    /// is parsed, the page handles input in between.
    pub(super) async fn show_message(
        &self,
        session: &Rc<LoginSession>,
        id: &str,
        raw: impl Into<Bytes>,
    ) -> Option<Rc<FetchedMessage>> {
        let raw = raw.into();
        let is_large = raw.len() > LARGE_OCTETS_MIN;
        if is_large {
            sleep(Duration::ZERO).await;
        }
        let message = Rc::new(FetchedMessage::parse(raw, PLATFORM));
        if is_large {
            sleep(Duration::ZERO).await;
        }
        if !self.is_current(session) {
            return None;
        }
        self.dispatch(UiAction::Opened { id: id.to_owned(), content: message.clone() });
        if is_large {
            sleep(Duration::ZERO).await;
        }
        if !self.is_current(session) {
            return None;
        }
        let body = message.body_index(text::fold);
        self.dispatch(MailboxAction::Opened { id: id.to_owned(), body });
        self.store_marks(&[id.to_owned()]);
        session.post_to_tabs(&TabEvent::Read { ids: vec![id.to_owned()], read: true });
        self.remember_sender(&message.parsed);
        Some(message)
    }

    /// Deletes the messages that are being removed from the server.
    pub(super) async fn remove_messages(&self, session: &Rc<LoginSession>) -> Result<(), SessionError> {
        let state = self.state();
        let in_progress = &state.mailbox.removal.in_progress;
        let messages = state.mailbox.messages.iter().filter(|message| in_progress.contains(&message.id));
        let messages: Vec<_> = messages.map(|message| (message.id.clone(), message.number)).collect();
        if messages.is_empty() {
            self.set_connection(session, ConnectionStatus::Idle);
            return Ok(());
        }
        let socket = Socket::connect(Protocol::Pop3, &session.server)?;
        let recorder = session.recorder(Protocol::Pop3);
        session.removing.set(true);
        let refused = pop3::delete(socket, recorder, &session.credentials(), &messages).await;
        session.removing.set(false);
        let refused = refused?;
        let ids: Vec<_> = messages.iter().map(|(id, _)| id.clone()).collect();
        session.storage.forget_removals(&ids);
        if !self.is_current(session) {
            return Ok(());
        }
        let refused_ids: HashSet<_> = refused.iter().map(|(id, _)| id).collect();
        let (failed, removed): (Vec<_>, Vec<_>) = ids.into_iter().partition(|id| refused_ids.contains(id));
        if let Some((_, reply)) = refused.first() {
            self.notify(Notice::error(format!("Not deleted. {reply}")));
        }
        self.dispatch(MailboxAction::RemovalFailed(failed));
        self.dispatch(MailboxAction::Removed(removed.clone()));
        self.set_connection(session, ConnectionStatus::Idle);
        session.storage.delete_messages(&removed).await;
        session.post_to_tabs(&TabEvent::Removed(removed));
        Ok(())
    }

    /// Shows the stored data, and the folders instead of the sign-in form.
    pub(super) fn signed_in(&self, session: &Rc<LoginSession>) {
        let Some(mut snapshot) = session.snapshot.take() else { return };
        let outdated = std::mem::take(&mut snapshot.outdated);
        let account = Account {
            id: session.id.clone(),
            name: session.account.clone(),
            address: session.address.borrow().clone(),
            addresses: Vec::new(),
        };
        self.dispatch(Action::SignedIn { account, snapshot: Box::new(snapshot) });
        self.renew_texts(session, outdated);
        self.send_queued(session);
        self.report_interrupted();
    }
}

/// Stores the sign-in in the background, unless it is stored.
fn store_sign_in(session: &Rc<LoginSession>) {
    let Some(UnstoredSignIn { sign_in, on_device }) = session.sign_in_to_store.take() else { return };
    let (done, storing) = oneshot::channel();
    session.storing.replace(Some(storing));
    let session = session.clone();
    spawn_local(async move {
        stored_sign_in::store(&sign_in, on_device).await;
        if session.signed_out.get() {
            // Meanwhile.
            stored_sign_in::forget(&session.id).await;
        }
        // The check may have ended with an error.
        let _ = done.send(());
    });
}

/// Notifies the user of new mail if the page is hidden.
fn notify_new_mail(arrived: &[Rc<HeaderSummary>]) {
    if arrived.is_empty() || !dom::is_hidden() {
        return;
    }
    let line = |header: &Rc<HeaderSummary>| format!("{}: {}", header.from, header.subject);
    let lines: Vec<_> = arrived.iter().take(NOTIFIED_MAX).map(line).collect();
    notification::show(&format::count(arrived.len(), "new message"), &lines.join("\n"));
}

/// Passes the results of a check to the state and the storage.
struct CheckObserver {
    control: Control,
    session: Rc<LoginSession>,
    /// Unique-ids of messages with a known header.
    known: HashSet<String>,
    /// Headers that arrived since `batch_at`.
    batch: RefCell<Vec<(String, Vec<u8>)>>,
    batch_at: Cell<Instant>,
    arrived: RefCell<Vec<Rc<HeaderSummary>>>,
}

impl CheckObserver {
    /// Shows and stores the headers that have arrived.
    fn show_batch(&self) {
        self.batch_at.set(Instant::now());
        let batch = self.batch.take();
        if batch.is_empty() || !self.control.is_current(&self.session) {
            return;
        }
        let summary = |header: &[u8]| {
            Rc::new(HeaderSummary::new(&Summary::parse_with(header, charset::decode), text::fold))
        };
        let headers: Vec<_> = batch.iter().map(|(id, header)| (id.clone(), summary(header))).collect();
        self.arrived.borrow_mut().extend(headers.iter().map(|(_, header)| header.clone()));
        self.control.dispatch(MailboxAction::Headers(headers));
        let session = self.session.clone();
        // Headers that cannot be stored are fetched again after the next sign-in.
        spawn_local(async move {
            let _ = session.storage.put_octets(ObjectStore::Headers, &batch).await;
        });
    }
}

impl CheckDelegate for CheckObserver {
    fn has_header(&self, unique_id: &str) -> bool {
        self.known.contains(unique_id)
    }

    fn next_requested(&self) -> Option<String> {
        self.session.take_fetch()
    }

    fn return_request(&self, unique_id: String) {
        self.session.add_job(Job::Fetch(unique_id));
    }

    fn on_event(&self, event: CheckEvent) {
        if !self.control.is_current(&self.session) {
            return;
        }
        match event {
            CheckEvent::Listed(listings) => {
                let is_first = !self.control.state().mailbox.listed;
                self.control.signed_in(&self.session);
                store_sign_in(&self.session);
                self.control.dispatch(MailboxAction::Listed(listings));
                if is_first {
                    self.control.resume_removals(&self.session);
                }
            }
            CheckEvent::Header { unique_id, header } => {
                self.batch.borrow_mut().push((unique_id, header));
                if self.batch_at.get().elapsed() > BATCH_INTERVAL {
                    self.show_batch();
                }
            }
            CheckEvent::Message { unique_id, message: Ok(message) } => {
                let (control, session) = (self.control.clone(), self.session.clone());
                spawn_local(async move { control.message_fetched(&session, unique_id, message).await });
            }
            CheckEvent::Message { unique_id, message: Err(error) } => {
                self.control.dispatch(UiAction::OpenFailed { id: unique_id, error });
            }
        }
    }
}
