//! Holds a message back after Send, for as long as Undo is offered.
//!
//! Meanwhile the stored draft is marked as queued. A page that goes to the background sends the message at once. A page that
//! is closed has no time for it: the message is sent when the page is opened again.

use std::rc::Rc;

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::login_session::LoginSession;
use super::{Control, toast_timeout};
use crate::model::draft_form::DraftForm;
use crate::model::state::{ComposeAction, Notice, UiAction};
use crate::platform::clock;

/// After this time, the page that held a message back does not exist any more.
const QUEUED_TIME: Duration = Duration::from_secs(60);

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
            return self.submit_draft(&session, form);
        }
        self.release();
        let queued = DraftForm { queued: true, changed: clock::now(), ..DraftForm::clone(form) };
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
        self.submit_draft(&session, &Rc::new(DraftForm { queued: false, ..DraftForm::clone(&held) }));
    }

    /// Opens the draft that is held back again.
    pub(super) fn undo_send(&self, held: &Rc<DraftForm>) {
        let Some(session) = self.session() else { return };
        let form = Rc::new(DraftForm { queued: false, ..DraftForm::clone(held) });
        self.dispatch(ComposeAction::Released);
        self.close_draft();
        self.dispatch(ComposeAction::Open(form.clone()));
        self.store_draft(&session, form);
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
        for queued in state.compose.drafts.iter().filter(|form| form.queued) {
            let (control, session, queued) = (self.clone(), session.clone(), queued.clone());
            spawn_local(async move {
                // Another tab may be holding it.
                let until = queued.changed + QUEUED_TIME;
                sleep((until - clock::now()).to_std().unwrap_or_default()).await;
                let stored = session.storage.draft(&queued.id).await.ok().flatten();
                if let Some(stored) = stored.filter(|stored| stored.queued)
                    && control.is_current(&session)
                {
                    let form = Rc::new(DraftForm { queued: false, ..DraftForm::clone(&stored) });
                    control.submit_draft(&session, &form);
                }
            });
        }
    }
}
