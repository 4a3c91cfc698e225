//! Sends messages. Sending continues after sign-out, and its outcome is stored.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;

use futures::channel::oneshot;
use futures::future::{Either, select};
use mail_core::message::address::Address;
use mail_core::message::compose;
use mail_core::message::draft::{Draft, DraftError};
use mail_core::message::id::MessageId;
use yew::platform::spawn_local;

use super::login_session::LoginSession;
use super::own_address::placeholder;
use super::tabs::TabEvent;
use super::{Control, hello};
use crate::model::draft_form::{DraftForm, Queue};
use crate::model::format;
use crate::model::state::{ComposeAction, MailboxAction, Notice, Outgoing, own_or_current};
use crate::model::transcript::Protocol;
use crate::platform::clock;
use crate::platform::socket::Socket;
use crate::session::smtp::{self, OutgoingMessage, Receipt, SendError};
use crate::storage::{SENT_OCTETS_MAX, StoreError};
use crate::strings;

impl Control {
    /// Whether a message is being sent, by this or an earlier login session, or is held back.
    pub(crate) fn is_sending(&self) -> bool {
        self.0.sending.get() > 0 || self.state().compose.held.is_some()
    }

    /// The open draft, if it is valid, all files are attached, and nothing else is being sent.
    pub(super) fn sendable(&self) -> Option<Rc<DraftForm>> {
        let state = self.state();
        let (account, open) = (state.session.account.as_ref()?, state.compose.open.as_ref()?);
        let form = open.form.clone();
        if state.compose.outgoing.is_some() || state.compose.is_attaching(&form.id) {
            return None;
        }
        let from = account.from(form.from.as_ref()).cloned().or_else(|| placeholder(account));
        if from.is_none_or(|from| form.draft(&from).is_err()) {
            self.dispatch(ComposeAction::Invalid);
            return None;
        }
        Some(form)
    }

    /// Sends a valid draft now.
    pub(super) fn submit_draft(&self, session: &Rc<LoginSession>, form: &Rc<DraftForm>, name: String) {
        let (control, session, form) = (self.clone(), session.clone(), form.clone());
        spawn_local(async move { control.submit_and_wait(&session, &form, name, Queue::Draft).await });
    }

    /// Sends a valid draft, which is not queued any more, and returns when the outcome is stored. `before` is where it was.
    pub(super) async fn submit_and_wait(
        &self,
        session: &Rc<LoginSession>,
        form: &Rc<DraftForm>,
        name: String,
        before: Queue,
    ) {
        // If the page is closed from here on, the stored draft says that it may have been delivered.
        let unconfirmed = Rc::new(DraftForm { maybe_delivered: true, ..DraftForm::clone(form) });
        if self.is_current(session) {
            self.dispatch(ComposeAction::Edit(unconfirmed.clone()));
            self.dispatch(ComposeAction::Save(unconfirmed.clone()));
            self.progress(&form.id, 0, form.octets());
        }
        let (cancel, cancelled) = oneshot::channel();
        session.cancel_sending.replace(Some(cancel));
        self.begin_sending();
        self.put_draft(session, &unconfirmed).await;
        match self.compose_and_submit(session, form, name, cancelled).await {
            Ok((message, receipt)) => self.on_sent(session, form, &message, &receipt).await,
            Err(SendError::NotConnected(_)) => self.put_in_outbox(session, form, before).await,
            Err(error) => self.on_send_failed(session, form, &error).await,
        }
        self.end_sending();
    }

    /// The browser asks before it closes the tab, until [`end_sending`](Self::end_sending).
    pub(super) fn begin_sending(&self) {
        self.0.sending.set(self.0.sending.get() + 1);
    }

    pub(super) fn end_sending(&self) {
        self.0.sending.set(self.0.sending.get() - 1);
    }

    /// Cancels sending. After the final dot, the server may deliver the message anyway.
    pub(crate) fn cancel_sending(&self) {
        let cancel = self.session().and_then(|session| session.cancel_sending.take());
        if let Some(cancel) = cancel {
            // Sending may have ended.
            let _ = cancel.send(());
        }
    }

    fn progress(&self, draft: &str, octets_sent: u64, octets: u64) {
        self.dispatch(ComposeAction::Sending(Outgoing { draft: draft.to_owned(), octets_sent, octets }));
    }

    /// Returns the message as it was sent.
    async fn compose_and_submit(
        &self,
        session: &Rc<LoginSession>,
        form: &DraftForm,
        name: String,
        cancelled: oneshot::Receiver<()>,
    ) -> Result<(Vec<u8>, Receipt), SendError> {
        let mut cancelled = cancelled;
        let current = match select(pin!(self.find_address(session)), &mut cancelled).await {
            Either::Left((address, _)) => address,
            Either::Right((Ok(()), _)) => return Err(SendError::Cancelled),
            // The sender was dropped: this message cannot be cancelled any more.
            Either::Right((Err(_), finding)) => finding.await,
        };
        let current = current.map_err(SendError::before_greeting)?;
        let own = session.addresses.borrow().clone();
        let from = own_or_current(form.from.as_ref(), &own, Some(&current)).unwrap_or(&current);
        let (draft, message) = compose_message(form, from, name)?;
        let outgoing = OutgoingMessage::new(&draft, message.clone());
        let receipt = self.submit(session, &form.id, &outgoing, cancelled).await?;
        Ok((message, receipt))
    }

    async fn submit(
        &self,
        session: &Rc<LoginSession>,
        draft: &str,
        message: &OutgoingMessage,
        cancelled: oneshot::Receiver<()>,
    ) -> Result<Receipt, SendError> {
        let socket = Socket::connect(Protocol::Smtp, &session.server)?;
        let progress = |octets_sent| {
            if self.is_current(session) {
                self.progress(draft, octets_sent, message.octets());
            }
        };
        progress(0);
        let cancelled = async {
            if cancelled.await.is_err() {
                // The sender was dropped: this message cannot be cancelled any more.
                pending().await
            }
        };
        let recorder = session.recorder(Protocol::Smtp);
        let (result, driver) =
            smtp::submit(socket, recorder, hello(), &session.credentials(), message, progress, cancelled)
                .await;
        // The outcome is known; the reply to QUIT does not matter.
        spawn_local(driver.close());
        result
    }

    async fn on_send_failed(&self, session: &Rc<LoginSession>, form: &DraftForm, error: &SendError) {
        let maybe_delivered = form.maybe_delivered || *error == SendError::DeliveryUnknown;
        let form = Rc::new(DraftForm { maybe_delivered, ..DraftForm::clone(form) });
        if self.is_current(session) {
            let draft = form.id.clone();
            self.dispatch(ComposeAction::Edit(form.clone()));
            self.dispatch(ComposeAction::Save(form.clone()));
            if self.state().compose.open.is_none() {
                self.dispatch(ComposeAction::Open(form.clone()));
            } else if !self.state().compose.is_open(&draft) {
                self.notify(Notice::error(format!("Message not sent. It is in Drafts. {error}")));
            }
            self.dispatch(ComposeAction::SendFailed { draft, error: error.to_string() });
        }
        self.put_draft(session, &form).await;
    }

    async fn on_sent(&self, session: &Rc<LoginSession>, form: &DraftForm, message: &[u8], receipt: &Receipt) {
        let copy = session.storage.put_sent_copy(&form.id, message).await;
        if self.is_current(session) {
            // Storing of the draft ends before it is deleted. In the other order it could reappear.
            self.dispatch(ComposeAction::Sent(form.id.clone()));
            self.remember_recipients(session, form);
            self.notify(sent_notice(receipt, copy.as_ref().err()));
            if let Ok(copy) = copy {
                self.dispatch(MailboxAction::SentCopyStored(Rc::new(copy)));
            }
            // A message to oneself has already arrived.
            self.check();
        }
        session.storage.delete_draft(&form.id).await;
        session.post_to_tabs(&TabEvent::DraftChanged(form.id.clone()));
    }
}

/// # Errors
/// The draft is invalid: an earlier page may have queued a draft that this one refuses.
fn compose_message(form: &DraftForm, from: &Address, name: String) -> Result<(Draft, Vec<u8>), DraftError> {
    let mut draft = form.draft(from)?;
    draft.from_name = name;
    let id = MessageId::unique(form.number(), &from.host);
    let message = compose::compose(&draft, &clock::local(clock::now()), &id);
    Ok((draft, message))
}

fn sent_notice(receipt: &Receipt, copy_error: Option<&StoreError>) -> Notice {
    let mut problems = Vec::new();
    if !receipt.rejected.is_empty() {
        let each = receipt.rejected.iter().map(|(address, error)| format!("{address}: {error}"));
        problems.push(format!("It was rejected for some recipients. {}", each.collect::<Vec<_>>().join(" ")));
    }
    match copy_error {
        None => {}
        Some(StoreError::BudgetExceeded) => problems.push(format!(
            "No copy was stored: sent messages in this browser are limited to {}. Delete some to make room.",
            format::size(SENT_OCTETS_MAX)
        )),
        Some(StoreError::Unavailable) => problems.push("This browser could not store a copy.".to_owned()),
    }
    if problems.is_empty() {
        Notice::info(strings::MESSAGE_SENT)
    } else {
        Notice::error(format!("{} {}", strings::MESSAGE_SENT, problems.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::state::Severity;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn sent_notice_reports_rejected_recipients_and_a_missing_copy() {
        let mut receipt = Receipt { reply: "250 ok".to_owned(), rejected: Vec::new() };
        assert_eq!(sent_notice(&receipt, None), Notice::info("Message sent."));
        let notice = sent_notice(&receipt, Some(&StoreError::BudgetExceeded));
        assert_eq!(notice.severity, Severity::Error);
        assert!(notice.text.contains("limited to 50 MB"), "{}", notice.text);
        let address = Address::parse("ag@iit.edu").unwrap();
        receipt.rejected.push((address, "the server replied: 550 no".to_owned()));
        let notice = sent_notice(&receipt, Some(&StoreError::Unavailable));
        assert!(notice.text.contains("ag@iit.edu") && notice.text.contains("a copy"), "{}", notice.text);
    }
}
