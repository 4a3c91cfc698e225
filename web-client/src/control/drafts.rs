//! Write and keep.

use std::rc::Rc;

use mail_core::message::compose;
use mail_core::message::draft::{Attachment, Draft};
use mail_core::message::view::View;
use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::messages::UNDO_FOR;
use super::{Control, Visit};
use crate::clock;
use crate::form::Form;
use crate::state::{Account, Action, Content, Tone};
use crate::ui::{LOOK_EVERY, is_attended};

/// A draft is kept when nothing has been typed for so long.
const KEEP_AFTER: Duration = Duration::from_millis(700);

impl Control {
    pub(crate) fn compose(&self) {
        self.begin(Form::new(clock::random(), clock::now()));
    }

    pub(crate) fn reply(&self, all: bool) {
        self.answer(|view, account| compose::reply(view, &account.address, all));
    }

    pub(crate) fn forward(&self) {
        self.answer(|view, account| compose::forward(view, &account.address));
    }

    fn answer(&self, answer: impl Fn(&View, &Account) -> Draft) {
        let state = self.state();
        if let (Some(account), Some(open)) = (&state.account, &state.open)
            && let Content::Ready(opened) = &open.content
        {
            self.begin(Form::of(answer(&opened.view, account), clock::random(), clock::now()));
        }
    }

    /// What was being written until now is among the drafts.
    fn begin(&self, form: Form) {
        self.close_draft();
        let has_attachments = !form.attachments.is_empty();
        self.dispatch(Action::Compose(Rc::new(form)));
        if has_attachments {
            // A page that goes away has the time to leave a text, and not these.
            self.keep_now();
        }
    }

    /// Opens a draft as it is kept now: another window may have changed it, or sent it.
    pub(super) fn open_draft(&self, id: &str) {
        let state = self.state();
        let (Some(visit), Some(known)) = (self.visit(), state.drafts.iter().find(|form| form.id == id))
        else {
            return;
        };
        if state.composing.as_ref().is_some_and(|composing| composing.form.id == id) {
            return;
        }
        let (control, known) = (self.clone(), known.clone());
        spawn_local(async move {
            let is_kept = !control.0.unkept.borrow().contains(&known.id);
            let stored = if is_kept { visit.local.draft(&known.id).await } else { Ok(Some(known.clone())) };
            // It may have been sent meanwhile.
            let is_listed = control.state().drafts.iter().any(|form| form.id == known.id);
            if !control.is_current(&visit) || !is_listed {
                return;
            }
            if let Ok(None) = stored {
                control.dispatch(Action::DraftGone(known.id.clone()));
                let text = "This draft is not there any more: it was sent or discarded in another window.";
                return control.dispatch(Action::Notice(Tone::Bad, text.to_owned()));
            }
            control.close_draft();
            control.dispatch(Action::OpenDraft(stored.ok().flatten().unwrap_or(known)));
        });
    }

    /// The draft is kept soon.
    fn write(&self, form: Form) {
        self.dispatch(Action::Write(Rc::new(Form { changed: clock::now(), ..form })));
        let write = self.0.writes.get() + 1;
        self.0.writes.set(write);
        let control = self.clone();
        spawn_local(async move {
            sleep(KEEP_AFTER).await;
            if control.0.writes.get() == write {
                control.keep_now();
            }
        });
    }

    /// Changes the draft as it is now.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Form)) {
        let state = self.state();
        if let Some(composing) = &state.composing
            && !state.is_outgoing(&composing.form.id)
        {
            let mut form = Form::clone(&composing.form);
            change(&mut form);
            self.write(form);
        }
    }

    /// Attaches a file to the draft that is open now, whatever is open when it has been read.
    pub(crate) fn attach(&self, name: String, file: impl Future<Output = Option<Attachment>> + 'static) {
        let state = self.state();
        let Some(composing) = state.composing.as_ref().filter(|open| !state.is_outgoing(&open.form.id))
        else {
            return;
        };
        let (control, draft) = (self.clone(), composing.form.id.clone());
        self.dispatch(Action::Attaching(draft.clone()));
        spawn_local(async move {
            match file.await {
                Some(attachment) => control.add(&draft, Rc::new(attachment)),
                None => control.cannot_attach(&name),
            }
            control.dispatch(Action::Attached(draft));
        });
    }

    fn add(&self, draft: &str, attachment: Rc<Attachment>) {
        let state = self.state();
        if state.composing.as_ref().is_some_and(|composing| composing.form.id == draft) {
            self.edit(|form| form.attachments.push(attachment));
            self.keep_now();
        } else if let (Some(visit), Some(form)) =
            (self.visit(), state.drafts.iter().find(|form| form.id == draft))
        {
            let mut form = Form { changed: clock::now(), ..Form::clone(form) };
            form.attachments.push(attachment);
            self.keep(&visit, Rc::new(form));
        }
    }

    fn cannot_attach(&self, name: &str) {
        let text = format!(
            "{name} cannot be read. A folder cannot be attached; a file that was moved can be chosen again."
        );
        self.dispatch(Action::Notice(Tone::Bad, text));
    }

    /// Puts away what is being written, if anything is.
    pub(crate) fn close_draft(&self) {
        let state = self.state();
        let Some(composing) = &state.composing else { return };
        let id = &composing.form.id;
        if composing.is_untouched() && !state.is_attaching(id) {
            self.forget_draft(id);
        } else {
            self.keep_now();
        }
        self.dispatch(Action::CloseDraft);
    }

    /// Throws a draft away, unless it is being sent. Undo is offered if somebody has written in it.
    pub(crate) fn discard(&self, id: &str) {
        let state = self.state();
        if state.is_outgoing(id) {
            return;
        }
        let open = state.composing.as_ref().filter(|composing| composing.form.id == id);
        if open.is_some_and(|composing| composing.is_untouched() || composing.form.is_empty()) {
            self.dispatch(Action::CloseDraft);
            return self.forget_draft(id);
        }
        let form = open.map(|composing| &composing.form);
        let Some(form) = form.or_else(|| state.drafts.iter().find(|form| form.id == id)) else { return };
        self.dispatch(Action::Discard(form.clone()));
        self.forget_draft(id);
        let (control, id) = (self.clone(), id.to_owned());
        spawn_local(async move {
            sleep(UNDO_FOR).await;
            while is_attended() {
                sleep(LOOK_EVERY).await;
            }
            control.dispatch(Action::Discarded(id));
        });
    }

    /// Takes back what was thrown away last: a draft, or messages.
    pub(crate) fn undo(&self) {
        match (self.visit(), self.state().discarded.clone()) {
            (Some(visit), Some(form)) => self.keep(&visit, form),
            _ => self.dispatch(Action::Undo),
        }
    }

    fn forget_draft(&self, id: &str) {
        self.dispatch(Action::DraftGone(id.to_owned()));
        let (Some(visit), id) = (self.visit(), id.to_owned()) else { return };
        spawn_local(async move { visit.local.forget_draft(&id).await });
    }

    /// Keeps the draft as it is now.
    pub(crate) fn keep_now(&self) {
        let state = self.state();
        let (Some(visit), Some(composing)) = (self.visit(), &state.composing) else { return };
        let form = &composing.form;
        if form.is_empty() && !state.is_attaching(&form.id) {
            self.forget_draft(&form.id);
        } else {
            self.keep(&visit, form.clone());
        }
    }

    /// Keeps the draft of a page that goes away.
    pub(crate) fn keep_last_words(&self) {
        let state = self.state();
        let (Some(visit), Some(composing)) = (self.visit(), &state.composing) else { return };
        if composing.is_untouched() {
            return;
        }
        if !composing.form.is_empty() {
            visit.local.leave_draft(&composing.form);
        }
        self.keep_now();
    }

    fn keep(&self, visit: &Rc<Visit>, form: Rc<Form>) {
        self.dispatch(Action::DraftKept(form.clone()));
        let (control, visit) = (self.clone(), visit.clone());
        spawn_local(async move { control.keep_draft(&visit, &form).await });
    }

    pub(super) async fn keep_draft(&self, visit: &Rc<Visit>, form: &Form) {
        if visit.local.keep_draft(form).await {
            self.0.unkept.borrow_mut().remove(&form.id);
        } else if self.is_current(visit) {
            self.0.unkept.borrow_mut().insert(form.id.clone());
            let text = "This draft cannot be kept on this device: it is lost when the page is closed.";
            self.dispatch(Action::Notice(Tone::Bad, text.to_owned()));
        }
    }
}
