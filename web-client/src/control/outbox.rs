//! Holds a message back after Send, for as long as Undo is offered, and until there is a connection.
//!
//! Meanwhile the stored draft is marked as queued. A page that goes to the background sends the message at once. A page that
//! is closed has no time for it: the message is sent when the page is opened again.
//!
//! A message that the server was not there to receive waits in the outbox until a check of the maildrop succeeds. All tabs try
//! then, and the storage lets one of them send it. If the page is closed from there on, the message may have been delivered,
//! so it stays in Drafts and is not sent again by itself.

use std::rc::Rc;

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::login_session::LoginSession;
use super::{Control, toast_timeout};
use crate::model::draft_form::{DraftForm, Queue};
use crate::model::state::{ComposeAction, Notice, UiAction};
use crate::platform::clock;
use crate::strings;

/// A page holds a message back for a shorter time. A draft that is queued for longer belongs to a page that was closed.
const HOLD_TIME_MAX: Duration = Duration::from_secs(60);

impl Control {
    /// Sends the open draft, after a question if something seems to be missing.
    pub(crate) fn send(&self) {
        let state = self.state();
        let Some(form) = self.sendable() else { return };
        match form.reminder() {
            Some(reminder) => self.dispatch(UiAction::Remind(reminder)),
            None => self.hold_or_submit(&form, state.session.settings.undo_send_seconds),
        }
    }

    /// Sends the open draft although something seems to be missing.
    pub(crate) fn send_anyway(&self) {
        self.dispatch(UiAction::CloseConfirmation);
        let seconds = self.state().session.settings.undo_send_seconds;
        if let Some(form) = self.sendable() {
            self.hold_or_submit(&form, seconds);
        }
    }

    fn hold_or_submit(&self, form: &Rc<DraftForm>, undo_seconds: u32) {
        let Some(session) = self.session() else { return };
        if undo_seconds == 0 {
            return self.submit_draft(&session, form, self.state().session.settings.name.clone());
        }
        self.release();
        let queued = DraftForm { changed: clock::now(), ..form.queued_as(Queue::Held) };
        let queued = Rc::new(queued);
        self.dispatch(ComposeAction::Hold(queued.clone()));
        let control = self.clone();
        spawn_local(async move {
            control.put_draft(&session, &queued).await;
            toast_timeout(Duration::from_secs(undo_seconds.into())).await;
            if control.state().compose.held.as_ref().is_some_and(|held| Rc::ptr_eq(held, &queued)) {
                control.release();
            }
        });
    }

    /// Ends the time for Undo: sends the message that is held back.
    pub(crate) fn release(&self) {
        let (Some(session), Some(held)) = (self.session(), self.state().compose.held.clone()) else { return };
        self.dispatch(ComposeAction::Released);
        self.submit_queued(&session, held);
    }

    /// Opens a queued draft instead of sending it.
    pub(super) fn open_queued(&self, queued: Rc<DraftForm>) {
        let Some(session) = self.session() else { return };
        if self.state().compose.held(&queued.id).is_some() {
            self.dispatch(ComposeAction::Released);
        }
        let control = self.clone();
        spawn_local(async move {
            // The user decides; without an answer of the storage, another tab may send it meanwhile.
            let is_claimed = control.claim(&session, &queued, false).await.unwrap_or(true);
            if !control.is_current(&session) {
                return;
            }
            if is_claimed {
                control.close_draft();
                let form = Rc::new(queued.unqueued());
                control.dispatch(ComposeAction::Open(form.clone()));
                control.store_draft(&session, form);
            } else {
                control.report_claimed_elsewhere(&session, &queued).await;
            }
        });
    }

    /// Turns the message that is held back into a draft, if it is one of these.
    pub(super) fn cancel_hold(&self, ids: &[String]) {
        let (Some(session), Some(held)) = (self.session(), self.state().compose.held.clone()) else { return };
        if ids.contains(&held.id) {
            self.dispatch(ComposeAction::Released);
            self.store_draft(&session, Rc::new(held.unqueued()));
        }
    }

    fn submit_queued(&self, session: &Rc<LoginSession>, queued: Rc<DraftForm>) {
        let (control, session) = (self.clone(), session.clone());
        // Sign-out removes it from the state.
        let name = self.state().session.settings.name.clone();
        self.begin_sending();
        spawn_local(async move {
            match control.claim(&session, &queued, true).await {
                Ok(true) => {
                    control.submit_and_wait(&session, &Rc::new(queued.unqueued()), name, Queue::Held).await
                }
                Ok(false) => control.report_claimed_elsewhere(&session, &queued).await,
                Err(_) => control.report_unclaimed(&session),
            }
            control.end_sending();
        });
    }

    /// Keeps a message until there is a connection. `before` is where it was.
    pub(super) async fn put_in_outbox(&self, session: &Rc<LoginSession>, form: &DraftForm, before: Queue) {
        let is_new = before != Queue::Outbox;
        let waiting = Rc::new(form.queued_as(Queue::Outbox));
        if self.is_current(session) {
            self.dispatch(ComposeAction::Wait(waiting.clone()));
            if is_new {
                self.notify(Notice::info(strings::IN_OUTBOX));
            }
        }
        self.put_draft(session, &waiting).await;
        if is_new && self.is_current(session) {
            // Finds out when the connection returns.
            self.check();
        }
    }

    /// Sends the messages of the outbox one after the other, as long as there is a connection.
    pub(super) fn send_outbox(&self, session: &Rc<LoginSession>) {
        let drafts = self.state().compose.drafts.clone();
        let mut waiting: Vec<_> = drafts.iter().filter(|form| form.is_in_outbox()).cloned().collect();
        if waiting.is_empty() || session.sending_outbox.replace(true) {
            return;
        }
        waiting.sort_by_key(|form| form.changed);
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            for queued in waiting {
                let state = control.state();
                // The user may have opened or discarded it meanwhile.
                let is_waiting = state.compose.draft(&queued.id).is_some_and(|form| *form == queued);
                if !control.is_current(&session) {
                    break;
                }
                if !is_waiting {
                    continue;
                }
                match control.claim(&session, &queued, true).await {
                    Ok(true) => {}
                    Ok(false) => {
                        control.reread_draft(&session, &queued.id).await;
                        continue;
                    }
                    Err(_) => {
                        control.report_unclaimed(&session);
                        break;
                    }
                }
                let name = state.session.settings.name.clone();
                control.submit_and_wait(&session, &Rc::new(queued.unqueued()), name, Queue::Outbox).await;
                let compose = control.state().compose.clone();
                if compose.draft(&queued.id).is_some_and(|form| form.is_in_outbox()) {
                    // The next ones would fail as well.
                    break;
                }
            }
            session.sending_outbox.set(false);
        });
    }

    /// Returns whether this tab may send or open a queued draft. Then no other tab may.
    ///
    /// # Errors
    /// The storage does not answer: other tabs may have the right.
    async fn claim(
        &self,
        session: &Rc<LoginSession>,
        queued: &Rc<DraftForm>,
        to_send: bool,
    ) -> Result<bool, idb::Error> {
        let is_claimed = session.storage.claim_queued(queued, to_send).await;
        // Other tabs do not know a draft that could not be stored.
        if session.unstored_drafts.borrow().contains(&queued.id) {
            return Ok(true);
        }
        session.reported_unclaimed.set(session.reported_unclaimed.get() && is_claimed.is_err());
        is_claimed
    }

    /// The storage does not answer, so the message stays where it is.
    fn report_unclaimed(&self, session: &Rc<LoginSession>) {
        if self.is_current(session) && !session.reported_unclaimed.replace(true) {
            self.notify(Notice::error(strings::NOT_CLAIMED));
        }
    }

    async fn report_claimed_elsewhere(&self, session: &Rc<LoginSession>, queued: &DraftForm) {
        self.reread_draft(session, &queued.id).await;
        if self.is_current(session) {
            self.notify(Notice::info("This message was opened, sent or discarded in another window."));
        }
    }

    /// Reports messages whose sending was interrupted by the end of the page.
    pub(super) fn report_interrupted(&self) {
        if self.state().compose.drafts.iter().any(|form| form.maybe_delivered) {
            let text = "A message may not have been sent, because the page was closed. It is in Drafts.";
            self.notify(Notice::error(text));
        }
    }

    /// Sends the messages that an earlier page has held back and not sent.
    pub(super) fn send_queued(&self, session: &Rc<LoginSession>) {
        let state = self.state();
        for queued in state.compose.drafts.iter().filter(|form| form.queue == Queue::Held) {
            let (control, session, queued) = (self.clone(), session.clone(), queued.clone());
            spawn_local(async move {
                // Another tab may be holding it.
                let until = queued.changed + HOLD_TIME_MAX;
                // The clock may have been set back.
                sleep((until - clock::now()).to_std().unwrap_or_default().min(HOLD_TIME_MAX)).await;
                // The user may have opened or discarded it meanwhile.
                let state = control.state();
                let is_same =
                    |listed: &Rc<DraftForm>| listed.queue == queued.queue && listed.changed == queued.changed;
                let is_queued = state.compose.draft(&queued.id).is_some_and(is_same);
                if is_queued && control.is_current(&session) {
                    control.submit_queued(&session, queued);
                }
            });
        }
    }
}
