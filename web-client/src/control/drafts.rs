//! Write, keep, send.

use std::rc::Rc;

use mail_core::message::compose;
use mail_core::message::draft::{Attachment, Draft};
use mail_core::message::id::MessageId;
use mail_core::message::view::{Summary, View};
use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::{Control, Visit, hello};
use crate::form::Form;
use crate::local::Shelf;
use crate::opened::searched;
use crate::session::smtp::{self, Parcel, Receipt, Unsent};
use crate::socket::Socket;
use crate::state::{Account, Action, Content, Head, Message, Sending, Tone};
use crate::transcript::Protocol;
use crate::{charset, clock};

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
        if self.is_sending() {
            return;
        }
        self.keep_now();
        self.dispatch(Action::Compose(Rc::new(form)));
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
        if let Some(composing) = &self.state().composing
            && !self.is_sending()
        {
            let mut form = Form::clone(&composing.form);
            change(&mut form);
            self.write(form);
        }
    }

    pub(crate) fn attach(&self, attachment: Attachment) {
        self.edit(|form| form.attachments.push(Rc::new(attachment)));
        self.keep_now();
    }

    pub(crate) fn cannot_attach(&self, name: &str) {
        let text = format!(
            "{name} cannot be read. A folder cannot be attached; a file that was moved can be chosen again."
        );
        self.dispatch(Action::Notice(Tone::Bad, text));
    }

    /// Puts away what is being written.
    pub(crate) fn close_draft(&self) {
        if !self.is_sending() {
            self.keep_now();
            self.dispatch(Action::CloseDraft);
        }
    }

    /// Throws a draft away.
    pub(crate) fn discard(&self, id: &str) {
        let state = self.state();
        if self.is_sending() {
            return;
        }
        if state.composing.as_ref().is_some_and(|composing| composing.form.id == id) {
            self.dispatch(Action::CloseDraft);
        }
        self.forget_draft(id);
    }

    fn forget_draft(&self, id: &str) {
        // What waits to be kept is not to come back.
        self.0.writes.set(self.0.writes.get() + 1);
        self.dispatch(Action::DraftGone(id.to_owned()));
        let (Some(visit), id) = (self.visit(), id.to_owned()) else { return };
        spawn_local(async move { visit.local.forget_draft(&id).await });
    }

    /// Keeps the draft as it is now.
    pub(crate) fn keep_now(&self) {
        let state = self.state();
        let (Some(visit), Some(composing)) = (self.visit(), &state.composing) else { return };
        let form = composing.form.clone();
        if form.is_empty() {
            return self.forget_draft(&form.id);
        }
        self.dispatch(Action::DraftKept(form.clone()));
        let control = self.clone();
        spawn_local(async move { control.keep_draft(&visit, &form).await });
    }

    /// Keeps the draft of a page that goes away.
    pub(crate) fn keep_last_words(&self) {
        if let (Some(visit), Some(composing)) = (self.visit(), &self.state().composing)
            && !composing.form.is_empty()
        {
            visit.local.leave_draft(&composing.form);
        }
        self.keep_now();
    }

    async fn keep_draft(&self, visit: &Visit, form: &Form) {
        if !visit.local.keep_draft(form).await {
            let text = "This draft cannot be kept on this device: it is lost when the page is closed.";
            self.dispatch(Action::Notice(Tone::Bad, text.to_owned()));
        }
    }

    pub(crate) fn is_sending(&self) -> bool {
        let state = self.state();
        state.composing.as_ref().is_some_and(|composing| matches!(composing.sending, Sending::Under { .. }))
    }

    /// Sends what is being written, if all of it is right.
    pub(crate) fn send(&self) {
        let state = self.state();
        let (Some(visit), Some(account), Some(composing)) = (self.visit(), &state.account, &state.composing)
        else {
            return;
        };
        if self.is_sending() {
            return;
        }
        let form = composing.form.clone();
        let Ok(draft) = form.draft(&account.address) else { return self.dispatch(Action::Incorrect) };
        // Whoever closes the page from here on finds a draft that says so.
        let unsure = Rc::new(Form { unsure: true, ..Form::clone(&form) });
        self.dispatch(Action::Write(unsure.clone()));
        self.dispatch(Action::DraftKept(unsure.clone()));
        let id = MessageId::unique(form.number(), &account.address.host);
        let message = compose::compose(&draft, &clock::local(clock::now()), &id);
        let parcel = Parcel::new(&draft, message.clone());
        self.dispatch(Action::Sending { sent: 0, total: parcel.octets() });
        let control = self.clone();
        spawn_local(async move {
            control.keep_draft(&visit, &unsure).await;
            let sent = control.submit(&visit, &parcel).await;
            if !control.is_current(&visit) {
                return;
            }
            match sent {
                Ok(receipt) => control.sent(&visit, &form, message, &receipt).await,
                Err(unsent) => {
                    let unsure = form.unsure || unsent == Unsent::Unknown;
                    control.dispatch(Action::Write(Rc::new(Form { unsure, ..Form::clone(&form) })));
                    control.keep_now();
                    control.dispatch(Action::SendFailed(unsent.to_string()));
                }
            }
        });
    }

    async fn submit(&self, visit: &Rc<Visit>, parcel: &Parcel) -> Result<Receipt, Unsent> {
        let socket = Socket::connect(Protocol::Smtp)?;
        let total = parcel.octets();
        let progress = |sent| {
            if self.is_current(visit) {
                self.dispatch(Action::Sending { sent, total });
            }
        };
        smtp::submit(socket, self.scribe(Protocol::Smtp), hello(), &visit.credentials, parcel, progress).await
    }

    async fn sent(&self, visit: &Rc<Visit>, form: &Form, message: Vec<u8>, receipt: &Receipt) {
        let (id, octets) = (form.id.clone(), message.len() as u64);
        let head = Some(Rc::new(Head::of_copy(&Summary::parse_with(&message, charset::decode))));
        let text = searched(&form.body);
        let kept = visit.local.keep_octets(Shelf::Sent, &[(id.clone(), message)]).await;
        visit.local.keep_text(Shelf::SentTexts, &id, &text).await;
        visit.local.forget_draft(&id).await;
        let copy = Message {
            id: id.clone(),
            octets,
            head,
            read: true,
            kept: true,
            text: Some(text),
            ..Message::default()
        };
        let notice = if receipt.refused.is_empty() {
            (Tone::Good, format!("Sent. The server said: {}", receipt.reply))
        } else {
            let each: Vec<_> = receipt.refused.iter().map(|(who, why)| format!("{who}: {why}")).collect();
            (Tone::Bad, format!("Sent, but not to everybody. {}", each.join(" ")))
        };
        self.0.writes.set(self.0.writes.get() + 1);
        self.dispatch(Action::Sent { draft: id, copy: kept.then(|| Rc::new(copy)), notice });
        // Mail to oneself is there at once.
        self.check();
    }
}
