//! Send. It goes on whatever else is done meanwhile, and its outcome is kept even when nobody is signed in any more.

use std::future::pending;
use std::rc::Rc;

use futures::channel::oneshot;
use mail_core::message::compose;
use mail_core::message::id::MessageId;
use mail_core::message::view::Summary;
use yew::platform::spawn_local;

use super::{Control, Visit, hello};
use crate::form::Form;
use crate::local::Shelf;
use crate::opened::searched;
use crate::session::smtp::{self, Parcel, Receipt, Unsent};
use crate::socket::Socket;
use crate::state::{Action, Head, Message, Outgoing, Tone};
use crate::transcript::Protocol;
use crate::{charset, clock};

impl Control {
    /// Whether a message is on its way, of whoever was signed in when it left.
    pub(crate) fn is_sending(&self) -> bool {
        self.0.parcels.get() > 0
    }

    /// Sends what is being written, if all of it is right, once everything is attached and nothing else is being sent.
    pub(crate) fn send(&self) {
        let state = self.state();
        let (Some(visit), Some(account), Some(composing)) = (self.visit(), &state.account, &state.composing)
        else {
            return;
        };
        let form = composing.form.clone();
        if state.outgoing.is_some() || state.is_attaching(&form.id) {
            return;
        }
        let Ok(draft) = form.draft(&account.address) else { return self.dispatch(Action::Incorrect) };
        // Whoever closes the page from here on finds a draft that says so.
        let unsure = Rc::new(Form { unsure: true, ..Form::clone(&form) });
        self.dispatch(Action::Write(unsure.clone()));
        self.dispatch(Action::DraftKept(unsure.clone()));
        let id = MessageId::unique(form.number(), &account.address.host);
        let message = compose::compose(&draft, &clock::local(clock::now()), &id);
        let parcel = Parcel::new(&draft, message.clone());
        self.progress(&form.id, 0, parcel.octets());
        let (cancel, cancelled) = oneshot::channel();
        self.0.cancel.replace(Some(cancel));
        self.0.parcels.set(self.0.parcels.get() + 1);
        let control = self.clone();
        spawn_local(async move {
            control.keep_draft(&visit, &unsure).await;
            let sent = control.submit(&visit, &form.id, &parcel, cancelled).await;
            match sent {
                Ok(receipt) => control.sent(&visit, &form, message, &receipt).await,
                Err(unsent) => control.not_sent(&visit, &form, &unsent).await,
            }
            control.0.parcels.set(control.0.parcels.get() - 1);
        });
    }

    /// Stops sending. What the server may have by then is not known.
    pub(crate) fn cancel_sending(&self) {
        if let Some(cancel) = self.0.cancel.take() {
            // It may be over already.
            let _ = cancel.send(());
        }
    }

    fn progress(&self, draft: &str, sent: u64, total: u64) {
        self.dispatch(Action::Sending(Outgoing { draft: draft.to_owned(), sent, total }));
    }

    async fn submit(
        &self,
        visit: &Rc<Visit>,
        draft: &str,
        parcel: &Parcel,
        cancelled: oneshot::Receiver<()>,
    ) -> Result<Receipt, Unsent> {
        let socket = Socket::connect(Protocol::Smtp)?;
        let progress = |sent| {
            if self.is_current(visit) {
                self.progress(draft, sent, parcel.octets());
            }
        };
        let cancelled = async {
            if cancelled.await.is_err() {
                // Nobody can any more.
                pending().await
            }
        };
        let scribe = self.scribe(Protocol::Smtp);
        let (result, dialogue) =
            smtp::submit(socket, scribe, hello(), &visit.credentials, parcel, progress, cancelled).await;
        // What has become of the message is known: nobody waits for the goodbye.
        spawn_local(dialogue.part());
        result
    }

    async fn not_sent(&self, visit: &Rc<Visit>, form: &Form, unsent: &Unsent) {
        let unsure = form.unsure || *unsent == Unsent::Unknown;
        let form = Rc::new(Form { unsure, ..Form::clone(form) });
        if self.is_current(visit) {
            let draft = form.id.clone();
            self.dispatch(Action::Write(form.clone()));
            self.dispatch(Action::DraftKept(form.clone()));
            self.dispatch(Action::SendFailed { draft, why: unsent.to_string() });
        }
        self.keep_draft(visit, &form).await;
    }

    async fn sent(&self, visit: &Rc<Visit>, form: &Form, message: Vec<u8>, receipt: &Receipt) {
        let (id, octets) = (form.id.clone(), message.len() as u64);
        let head = Some(Rc::new(Head::of_copy(&Summary::parse_with(&message, charset::decode))));
        let text = searched(&form.body);
        let kept = visit.local.keep_octets(Shelf::Sent, &[(id.clone(), message)]).await;
        visit.local.keep_text(Shelf::SentTexts, &id, &text).await;
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
        if self.is_current(visit) {
            // First nothing writes it any more, then it is forgotten: the other way round it could be kept once more.
            self.dispatch(Action::Sent { draft: id.clone(), copy: kept.then(|| Rc::new(copy)), notice });
            // Mail to oneself is there at once.
            self.check();
        }
        visit.local.forget_draft(&id).await;
    }
}
