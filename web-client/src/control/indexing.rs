//! The texts of messages that the list shows and searches. Messages without a text are fetched in the background, the
//! newest first, within the budget of the settings.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mail_core::time::{Duration, Instant};
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::Control;
use super::login_session::{Job, LoginSession};
use crate::model::fetched_message::FetchedMessage;
use crate::model::message::BodyIndex;
use crate::model::state::MailboxAction;
use crate::model::transcript::Protocol;
use crate::platform::socket::Socket;
use crate::platform::{PLATFORM, text};
use crate::session::SessionError;
use crate::session::pop3::{self, BackgroundDelegate};
use crate::storage::{CACHED_OCTETS_MAX, ObjectStore};

/// Messages whose texts are shown and stored together.
const BATCH: usize = 20;
/// Time after a check before messages are fetched in the background.
const BACKGROUND_DELAY: Duration = Duration::from_secs(3);
/// Interval in which fetched messages are shown and stored, in batches.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);

impl Control {
    /// Fetches missing messages after a pause, unless the user does something else.
    pub(super) fn fetch_in_background_later(&self, session: &Rc<LoginSession>) {
        if self.missing_messages().is_empty() {
            return;
        }
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            sleep(BACKGROUND_DELAY).await;
            if control.is_current(&session) {
                session.add_job(Job::FetchInBackground);
                if !session.running.get() {
                    control.run_jobs(&session);
                }
            }
        });
    }

    fn missing_messages(&self) -> Vec<String> {
        let state = self.state();
        state.mailbox.missing(state.session.settings.offline_octets, CACHED_OCTETS_MAX as u64)
    }

    pub(super) async fn fetch_in_background(&self, session: &Rc<LoginSession>) -> Result<(), SessionError> {
        let mut missing = self.missing_messages();
        if missing.is_empty() {
            return Ok(());
        }
        missing.reverse();
        let socket = Socket::connect(Protocol::Pop3, &session.server)?;
        let fetcher = Prefetcher {
            control: self.clone(),
            session: session.clone(),
            missing: RefCell::new(missing),
            batch: RefCell::default(),
            batch_at: Cell::new(Instant::now()),
        };
        let recorder = session.recorder(Protocol::Pop3);
        let result = pop3::fetch_in_background(socket, recorder, &session.credentials(), &fetcher).await;
        fetcher.store_batch();
        if result.is_ok() && !fetcher.missing.borrow().is_empty() {
            // Another job has interrupted it.
            session.add_job(Job::FetchInBackground);
        }
        result
    }

    /// Stores the texts again that an earlier version stored without a snippet.
    pub(super) fn renew_texts(&self, session: &Rc<LoginSession>, outdated: Vec<String>) {
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            for ids in outdated.chunks(BATCH) {
                let mut bodies = Vec::new();
                for id in ids {
                    if let Some(raw) = session.storage.message(ObjectStore::Messages, id).await {
                        let body = FetchedMessage::parse(raw, PLATFORM).body_index(text::fold);
                        bodies.push((id.clone(), body));
                    }
                }
                if !control.is_current(&session) {
                    return;
                }
                session.storage.put_bodies(&bodies).await;
                control.dispatch(MailboxAction::Indexed(bodies));
            }
        });
    }
}

struct Prefetcher {
    control: Control,
    session: Rc<LoginSession>,
    /// The next message is the last one.
    missing: RefCell<Vec<String>>,
    /// Messages that arrived since `batch_at`.
    batch: RefCell<Vec<(String, Vec<u8>)>>,
    batch_at: Cell<Instant>,
}

impl Prefetcher {
    /// Shows and stores the messages that have arrived.
    fn store_batch(&self) {
        self.batch_at.set(Instant::now());
        let batch = self.batch.take();
        if batch.is_empty() || !self.control.is_current(&self.session) {
            return;
        }
        let body = |raw: &[u8]| FetchedMessage::parse(raw.to_vec(), PLATFORM).body_index(text::fold);
        let bodies: Vec<(String, BodyIndex)> =
            batch.iter().map(|(id, raw)| (id.clone(), body(raw))).collect();
        self.control.dispatch(MailboxAction::Indexed(bodies.clone()));
        let (control, session) = (self.control.clone(), self.session.clone());
        spawn_local(async move {
            session.storage.put_bodies(&bodies).await;
            if session.storage.put_octets(ObjectStore::Messages, &batch).await {
                let ids = batch.into_iter().map(|(id, _)| id).collect();
                control.dispatch(MailboxAction::Stored(ids));
            }
        });
    }
}

impl BackgroundDelegate for Prefetcher {
    fn next(&self) -> Option<String> {
        if self.session.has_urgent_job() || !self.control.is_current(&self.session) {
            return None;
        }
        self.missing.borrow_mut().pop()
    }

    fn on_message(&self, unique_id: String, message: Vec<u8>) {
        self.batch.borrow_mut().push((unique_id, message));
        if self.batch_at.get().elapsed() > BATCH_INTERVAL {
            self.store_batch();
        }
    }
}
