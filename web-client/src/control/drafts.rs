//! Writes, stores and discards drafts.

use std::rc::Rc;

use mail_core::message::address::Address;
use mail_core::message::compose;
use mail_core::message::draft::{Attachment, Draft};
use mail_core::message::parsed::ParsedMessage;
use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::login_session::LoginSession;
use super::own_address::address_for_reply;
use super::tabs::TabEvent;
use super::{Control, UNDO_TIME, toast_timeout};
use crate::model::draft_form::DraftForm;
use crate::model::state::{ComposeAction, Content, LocalDeletion, Notice, OpenDraft, UiAction};
use crate::platform::clock;
use crate::platform::html_text::html_to_text;

/// A draft is stored when nothing was typed for this time.
const STORE_DELAY: Duration = Duration::from_millis(700);

impl Control {
    pub(crate) fn compose(&self) {
        let mut form = DraftForm::new(clock::random(), clock::now());
        form.body = self.state().session.settings.sign("");
        self.open_form(form);
    }

    pub(crate) fn reply(&self, all: bool) {
        self.answer(|message, text, own_address| compose::reply(message, text, own_address, all));
    }

    pub(crate) fn forward(&self) {
        self.answer(compose::forward);
    }

    /// Opens a form with the displayed text of the open message.
    fn answer(&self, answer: impl Fn(&ParsedMessage, &str, &Address) -> Draft) {
        let state = self.state();
        if let (Some(account), Some(open)) = (&state.session.account, &state.ui.open)
            && let Content::Ready(message) = &open.content
            && let Some(own_address) = address_for_reply(account, &message.parsed)
        {
            let html = message.parsed.html.as_deref().filter(|_| open.shows_html);
            let text = html.map(html_to_text).filter(|text| !text.trim().is_empty());
            let text = text.as_deref().unwrap_or_else(|| message.parsed.plain_text());
            let draft = answer(&message.parsed, text, &own_address);
            let mut form = DraftForm::from_draft(draft, clock::random(), clock::now());
            form.body = state.session.settings.sign(&form.body);
            self.open_form(form);
        }
    }

    pub(super) fn open_form(&self, form: DraftForm) {
        self.close_draft();
        let has_attachments = !form.attachments.is_empty();
        self.dispatch(ComposeAction::New(Rc::new(form)));
        if has_attachments {
            // The synchronous backup of a page that is being closed has no attachments.
            self.store_open_draft();
        }
    }

    /// Opens a stored draft. Another tab may have changed or sent it, so it is read again.
    pub(crate) fn open_draft(&self, id: &str) {
        let state = self.state();
        let (Some(session), Some(listed)) = (self.session(), state.compose.draft(id)) else { return };
        if state.compose.is_open(id) {
            return;
        }
        if listed.queued {
            return self.open_queued(listed.clone());
        }
        let (control, listed) = (self.clone(), listed.clone());
        spawn_local(async move {
            let is_unstored = control.0.unstored_drafts.borrow().contains(&listed.id);
            let stored =
                if is_unstored { Ok(Some(listed.clone())) } else { session.storage.draft(&listed.id).await };
            // It may have been sent during the read.
            let is_listed = control.state().compose.draft(&listed.id).is_some();
            if !control.is_current(&session) || !is_listed {
                return;
            }
            if let Ok(None) = stored {
                control.dispatch(ComposeAction::Delete(listed.id.clone()));
                let text = "This draft no longer exists: it was sent or discarded in another window.";
                return control.notify(Notice::error(text));
            }
            control.close_draft();
            let stored = stored.ok().flatten().filter(|_| !is_unstored);
            control.0.stored_draft.replace(stored.clone());
            control.dispatch(ComposeAction::Open(stored.unwrap_or(listed)));
        });
    }

    /// Updates a draft, which another tab has changed, sent or deleted. An open form stays as it is if it has edits that are
    /// not stored.
    pub(super) async fn reread_draft(&self, session: &Rc<LoginSession>, id: &str) {
        let stored = session.storage.draft(id).await;
        let Ok(stored) = stored else { return };
        if !self.is_current(session) {
            return;
        }
        let compose = self.state().compose.clone();
        let is_unedited = |open: &OpenDraft| open.form.id == id && self.is_stored(&open.form);
        let is_open_unedited = compose.open.as_ref().is_some_and(is_unedited);
        if stored.as_ref().is_none_or(|form| form.queued) {
            // Another tab is sending it, or it is gone: this tab must not store it again.
            if is_open_unedited {
                self.dispatch(ComposeAction::Close);
            }
        } else if compose.held(id).is_some() {
            self.dispatch(ComposeAction::Released);
        }
        match stored {
            Some(form) => {
                if is_open_unedited {
                    self.0.stored_draft.replace(Some(form.clone()));
                    self.dispatch(ComposeAction::Edit(form.clone()));
                }
                self.dispatch(ComposeAction::Save(form));
            }
            None => self.dispatch(ComposeAction::Delete(id.to_owned())),
        }
    }

    /// Changes the open draft and stores it after a pause.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut DraftForm)) {
        let state = self.state();
        let Some(open) = &state.compose.open else { return };
        if state.compose.is_outgoing(&open.form.id) {
            return;
        }
        let mut form = DraftForm { changed: clock::now(), ..DraftForm::clone(&open.form) };
        change(&mut form);
        self.dispatch(ComposeAction::Edit(Rc::new(form)));
        let edit = self.0.edits.get() + 1;
        self.0.edits.set(edit);
        let control = self.clone();
        spawn_local(async move {
            sleep(STORE_DELAY).await;
            if control.0.edits.get() == edit {
                control.store_open_draft();
            }
        });
    }

    /// Attaches a file to the draft that is open now, even if another draft is open when the file has been read.
    pub(crate) fn attach(&self, name: String, file: impl Future<Output = Option<Attachment>> + 'static) {
        let state = self.state();
        let open = state.compose.open.as_ref().filter(|open| !state.compose.is_outgoing(&open.form.id));
        let Some(open) = open else { return };
        let (control, draft) = (self.clone(), open.form.id.clone());
        self.dispatch(ComposeAction::Attaching(draft.clone()));
        spawn_local(async move {
            match file.await {
                Some(attachment) => control.add_attachment(&draft, Rc::new(attachment)),
                None => control.notify(Notice::error(format!(
                    "Cannot read {name}. Folders cannot be attached. If the file was moved, choose it again."
                ))),
            }
            control.dispatch(ComposeAction::AttachingEnded(draft));
        });
    }

    fn add_attachment(&self, draft: &str, attachment: Rc<Attachment>) {
        let state = self.state();
        if state.compose.is_open(draft) {
            self.edit(|form| form.attachments.push(attachment));
            self.store_open_draft();
        } else if let (Some(session), Some(form)) = (self.session(), state.compose.draft(draft)) {
            let mut form = DraftForm { changed: clock::now(), ..DraftForm::clone(form) };
            form.attachments.push(attachment);
            self.store_draft(&session, Rc::new(form));
        }
    }

    /// Closes the open draft. It stays in the Drafts folder unless it is a new form without changes.
    pub(crate) fn close_draft(&self) {
        let state = self.state();
        let Some(open) = &state.compose.open else { return };
        let id = &open.form.id;
        if open.is_untouched() && !state.compose.is_attaching(id) {
            self.delete_draft(id);
        } else {
            self.store_open_draft();
        }
        self.dispatch(ComposeAction::Close);
    }

    /// Discards a draft unless it is being sent. Asks first if there is something to lose.
    pub(crate) fn discard(&self, id: &str) {
        let state = self.state();
        if state.compose.is_outgoing(id) {
            return;
        }
        // It is not sent while the question is open.
        self.cancel_hold(&[id.to_owned()]);
        let open = state.compose.open.as_ref().filter(|open| open.form.id == id);
        if open.is_some_and(|open| open.is_untouched() || open.form.is_empty()) {
            self.dispatch(ComposeAction::Close);
            return self.delete_draft(id);
        }
        let form = open.map(|open| &open.form).or_else(|| state.compose.draft(id));
        if let Some(form) = form {
            let deletion = LocalDeletion::Draft { id: id.to_owned(), subject: form.subject.clone() };
            self.dispatch(UiAction::ConfirmDeletion(deletion));
        }
    }

    /// Discards a draft and offers Undo.
    pub(super) fn discard_confirmed(&self, id: &str) {
        let state = self.state();
        if state.compose.is_outgoing(id) {
            return;
        }
        let open = state.compose.open.as_ref().filter(|open| open.form.id == id);
        let form = open.map(|open| &open.form).or_else(|| state.compose.draft(id));
        let Some(form) = form else { return };
        self.dispatch(ComposeAction::Discard(Rc::new(form.unqueued())));
        self.delete_draft(id);
        let (control, id) = (self.clone(), id.to_owned());
        spawn_local(async move {
            toast_timeout(UNDO_TIME).await;
            control.dispatch(ComposeAction::DiscardEnded(id));
        });
    }

    /// Deletes a draft without Undo, unless it is being sent.
    pub(super) fn delete_draft_and_close(&self, id: &str) {
        let state = self.state();
        if state.compose.is_outgoing(id) {
            return;
        }
        if state.compose.is_open(id) {
            self.dispatch(ComposeAction::Close);
        }
        self.delete_draft(id);
    }

    fn delete_draft(&self, id: &str) {
        self.dispatch(ComposeAction::Delete(id.to_owned()));
        let (Some(session), id) = (self.session(), id.to_owned()) else { return };
        let control = self.clone();
        spawn_local(async move {
            session.storage.delete_draft(&id).await;
            control.post_to_tabs(&TabEvent::DraftChanged(id));
        });
    }

    /// Whether the storage has this version. Storing it again would replace a later version of another tab.
    fn is_stored(&self, form: &Rc<DraftForm>) -> bool {
        self.0.stored_draft.borrow().as_ref() == Some(form)
    }

    /// Stores the open draft now.
    pub(super) fn store_open_draft(&self) {
        let state = self.state();
        let (Some(session), Some(open)) = (self.session(), &state.compose.open) else { return };
        let form = &open.form;
        if form.is_empty() && !state.compose.is_attaching(&form.id) {
            self.delete_draft(&form.id);
        } else if !self.is_stored(form) {
            self.store_draft(&session, form.clone());
        }
    }

    /// Backs up and stores the open draft; called when the page may be about to close.
    pub(crate) fn back_up_open_draft(&self) {
        let state = self.state();
        let (Some(session), Some(open)) = (self.session(), &state.compose.open) else { return };
        if open.is_untouched() || self.is_stored(&open.form) {
            return;
        }
        if !open.form.is_empty() {
            session.storage.back_up_draft(&open.form);
        }
        self.store_open_draft();
    }

    pub(super) fn store_draft(&self, session: &Rc<LoginSession>, form: Rc<DraftForm>) {
        self.dispatch(ComposeAction::Save(form.clone()));
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move { control.put_draft(&session, &form).await });
    }

    pub(super) async fn put_draft(&self, session: &Rc<LoginSession>, form: &Rc<DraftForm>) {
        if session.storage.put_draft(form).await {
            self.0.stored_draft.replace(Some(form.clone()));
            self.0.unstored_drafts.borrow_mut().remove(&form.id);
            if self.is_current(session) {
                self.dispatch(ComposeAction::Stored { draft: form.id.clone(), at: clock::now() });
                self.post_to_tabs(&TabEvent::DraftChanged(form.id.clone()));
            }
        } else if self.is_current(session) {
            self.0.unstored_drafts.borrow_mut().insert(form.id.clone());
            let text = "This browser cannot store the draft: it is lost when the page is closed.";
            self.notify(Notice::error(text));
        }
    }
}
