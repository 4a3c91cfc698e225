//! Writes, stores and discards drafts.

use std::rc::Rc;

use mail_core::message::answer;
use mail_core::message::draft::Attachment;
use mail_core::message::parsed::ParsedMessage;
use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::login_session::LoginSession;
use super::own_address::address_for_reply;
use super::tabs::TabEvent;
use super::{Control, UNDO_TIME, toast_timeout};
use crate::model::draft_form::{DraftForm, new_content_id};
use crate::model::format;
use crate::model::mailto::Mailto;
use crate::model::rich_text::{Original, RichText};
use crate::model::settings::Settings;
use crate::model::state::{ComposeAction, Content, LocalDeletion, Notice, OpenDraft, UiAction};
use crate::platform::html_text::html_to_text;
use crate::platform::{clock, download, location};
use crate::sanitize::quote_html;
use crate::storage::ORIGINAL_OCTETS_MAX;

/// A draft is stored when nothing was typed for this time.
const STORE_DELAY: Duration = Duration::from_millis(700);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Reply,
    ReplyAll,
    Forward,
}

impl Control {
    pub(crate) fn compose(&self) {
        let mut form = self.new_form();
        let settings = &self.state().session.settings;
        form.body = settings.sign("");
        if !settings.plain_text {
            form.set_formatted();
        }
        self.open_form(form);
    }

    /// An empty form from the current address, which it keeps.
    fn new_form(&self) -> DraftForm {
        let from = self.state().session.account.as_ref().and_then(|account| account.address.clone());
        DraftForm { from, ..DraftForm::new(clock::random(), clock::now()) }
    }

    /// Opens a form for a `mailto` URL.
    pub(crate) fn compose_to(&self, url: &str) {
        let Some(mailto) = Mailto::parse(url, location::decode) else { return };
        let mut form = self.new_form();
        for (field, list) in
            [(&mut form.to, mailto.to), (&mut form.cc, mailto.cc), (&mut form.bcc, mailto.bcc)]
        {
            field.typed = list;
            field.commit_typed();
        }
        form.subject = mailto.subject;
        let settings = &self.state().session.settings;
        form.body = mailto.body + &settings.sign("");
        if !settings.plain_text {
            form.set_formatted();
        }
        self.open_form(form);
    }

    pub(crate) fn reply(&self, all: bool) {
        self.answer(if all { Answer::ReplyAll } else { Answer::Reply });
    }

    pub(crate) fn forward(&self) {
        self.answer(Answer::Forward);
    }

    /// Opens a form with the open message as an attached file.
    pub(crate) fn forward_as_attachment(&self) {
        let state = self.state();
        let Some(open) = &state.ui.open else { return };
        let Content::Ready(message) = &open.content else { return };
        let subject = &message.parsed.subject;
        let mut form = self.new_form();
        form.subject = answer::forwarded_subject(subject);
        form.body = state.session.settings.sign("");
        form.attachments = vec![Rc::new(Attachment {
            name: format::eml_name(subject),
            mime: "message/rfc822".to_owned(),
            content_id: None,
            content_location: None,
            bytes: message.raw.to_vec(),
        })];
        if !state.session.settings.plain_text {
            form.set_formatted();
        }
        self.open_form(form);
    }

    /// Saves the open message as a file.
    pub(crate) fn save_message(&self) {
        let state = self.state();
        let Some(open) = &state.ui.open else { return };
        if let Content::Ready(message) = &open.content {
            let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(&*message.raw));
            if !download::save(&format::eml_name(&message.parsed.subject), &parts) {
                self.notify(Notice::error("This browser cannot save the file."));
            }
        }
    }

    /// Opens a form with the displayed content of the open message: HTML as HTML, text as text.
    fn answer(&self, answer: Answer) {
        let state = self.state();
        if let (Some(account), Some(open)) = (&state.session.account, &state.ui.open)
            && let Content::Ready(message) = &open.content
            && let Some(own_address) = address_for_reply(account, message)
        {
            let html = message.parsed.html.as_deref().filter(|_| open.shows_html);
            let text = html.map(html_to_text).filter(|text| !text.trim().is_empty());
            let text = text.as_deref().unwrap_or_else(|| message.parsed.plain_text());
            let mut draft = match answer {
                Answer::Reply => answer::reply(&message.parsed, text, &own_address, false),
                Answer::ReplyAll => answer::reply(&message.parsed, text, &own_address, true),
                Answer::Forward => answer::forward(&message.parsed, text, &own_address),
            };
            draft.cc.retain(|address| !account.addresses.contains(address));
            let mut form = DraftForm::from_draft(draft, clock::random(), clock::now());
            // A guess is not kept.
            form.from = Some(own_address).filter(|_| account.address.is_some());
            let settings = &state.session.settings;
            let is_quoted =
                html.is_some_and(|html| quote(&mut form, &message.parsed, html, answer, settings));
            if !is_quoted {
                form.body = settings.sign(&form.body);
            }
            self.open_form(form);
        }
    }

    pub(super) fn open_form(&self, form: DraftForm) {
        self.close_draft();
        let original = form.rich.as_ref().and_then(|rich| rich.original.as_ref());
        let is_large = original.is_some_and(|original| original.html.len() > ORIGINAL_OCTETS_MAX);
        let is_incomplete_in_backup = is_large || !form.attachments.is_empty();
        self.dispatch(ComposeAction::New(Rc::new(form)));
        if is_incomplete_in_backup {
            // The synchronous backup of a page that is being closed has no attachments and no large quotations.
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
        if listed.is_queued() {
            return self.open_queued(listed.clone());
        }
        let (control, listed) = (self.clone(), listed.clone());
        spawn_local(async move {
            let is_unstored = session.unstored_drafts.borrow().contains(&listed.id);
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
            session.stored_draft.replace(stored.clone());
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
        let is_unedited = |open: &OpenDraft| open.form.id == id && session.is_stored(&open.form);
        let is_open_unedited = compose.open.as_ref().is_some_and(is_unedited);
        if stored.as_ref().is_none_or(|form| form.is_queued()) {
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
                    session.stored_draft.replace(Some(form.clone()));
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

    /// Changes between formatting and plain text. For a new message, the choice is remembered.
    pub(crate) fn set_plain_text(&self, plain: bool) {
        let state = self.state();
        let Some(open) = &state.compose.open else { return };
        let form = open.form.clone();
        if plain {
            self.edit(DraftForm::set_plain);
            self.0.formatted.replace(Some(form.clone()));
        } else {
            // Without changes meanwhile, the formatting is restored.
            let before =
                self.0.formatted.take().filter(|before| before.id == form.id && before.body == form.body);
            self.edit(|form| match before {
                Some(before) => {
                    form.rich.clone_from(&before.rich);
                    form.attachments.clone_from(&before.attachments);
                }
                None => form.set_formatted(),
            });
        }
        let is_answer =
            form.in_reply_to.is_some() || form.rich.as_ref().is_some_and(|rich| rich.original.is_some());
        let settings = &state.session.settings;
        if !is_answer && settings.plain_text != plain {
            self.change_settings(settings, &Settings { plain_text: plain, ..Settings::clone(settings) });
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
        spawn_local(async move {
            session.storage.delete_draft(&id).await;
            session.post_to_tabs(&TabEvent::DraftChanged(id));
        });
    }

    /// Stores the open draft now.
    pub(super) fn store_open_draft(&self) {
        let state = self.state();
        let (Some(session), Some(open)) = (self.session(), &state.compose.open) else { return };
        let form = &open.form;
        if form.is_empty() && !state.compose.is_attaching(&form.id) {
            self.delete_draft(&form.id);
        } else if !session.is_stored(form) {
            self.store_draft(&session, form.clone());
        }
    }

    /// Backs up and stores the open draft; called when the page may be about to close.
    pub(crate) fn back_up_open_draft(&self) {
        let state = self.state();
        let (Some(session), Some(open)) = (self.session(), &state.compose.open) else { return };
        if open.is_untouched() || session.is_stored(&open.form) {
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
            session.stored_draft.replace(Some(form.clone()));
            session.unstored_drafts.borrow_mut().remove(&form.id);
            self.keep_data();
            if self.is_current(session) {
                self.dispatch(ComposeAction::Stored { draft: form.id.clone(), at: clock::now() });
                session.post_to_tabs(&TabEvent::DraftChanged(form.id.clone()));
            }
        } else if !session.signed_out.get() {
            session.unstored_drafts.borrow_mut().insert(form.id.clone());
            let text = "The browser could not save the draft. It will be lost when you close the page; copy it, or send it now.";
            self.notify(Notice::error(text));
        }
    }
}

/// Adds a message as HTML, below an empty text with the signature. Returns whether the HTML has content.
fn quote(
    form: &mut DraftForm,
    message: &ParsedMessage,
    html: &str,
    answer: Answer,
    settings: &Settings,
) -> bool {
    let content_id = |_| new_content_id(clock::random());
    let Some(quotation) = quote_html(html, &message.attachments, content_id) else { return false };
    if quotation.is_empty {
        return false;
    }
    let is_forwarded = answer == Answer::Forward;
    let attachments = message.attachments.iter().enumerate().filter_map(|(index, file)| {
        let content_id = quotation.images.get(&index).cloned();
        let is_attached = is_forwarded || content_id.is_some();
        let file = Attachment { content_id, content_location: None, ..file.clone() };
        is_attached.then(|| Rc::new(file))
    });
    form.attachments = attachments.collect();
    let html = match answer {
        Answer::Forward => answer::forwarded_html(message, &quotation.html),
        Answer::Reply | Answer::ReplyAll => answer::quoted_html(message, &quotation.html),
    };
    let text = form.body.trim_start_matches('\n').to_owned();
    let signature = settings.sign("");
    let own = RichText::from_plain(if signature.is_empty() { "\n" } else { &signature });
    let original = Original { html, text, is_forwarded };
    form.set_rich(Rc::new(RichText { original: Some(Rc::new(original)), ..own }));
    true
}
