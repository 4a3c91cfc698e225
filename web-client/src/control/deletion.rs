//! Deletes messages, drafts, sent copies and local data.
//!
//! A message is deleted on the server when the time for Undo is over, at the user's next action, or when the page is closed or
//! the user signs out. Until the server has deleted it, its unique-id is in the storage, and the next sign-in deletes it if
//! this session could not. Data that exists only in this browser is deleted after a confirmation.

use std::collections::HashSet;
use std::rc::Rc;

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::login_session::{Job, LoginSession};
use super::{Control, TOAST_POLL_INTERVAL, UNDO_TIME};
use crate::model::state::{LocalDeletion, MailboxAction, Notice, UiAction};
use crate::model::transcript::Protocol;
use crate::platform::socket::Socket;
use crate::platform::{clock, dom};
use crate::session::pop3;
use crate::storage::PendingRemoval;

/// Interval in which the deletions of other tabs are examined at the latest: their clock may have been wrong.
const REMOVAL_POLL_INTERVAL_MAX: Duration = Duration::from_secs(60);

impl Control {
    /// Deletes rows: messages, with one Undo for all, and drafts and sent copies, after a confirmation.
    pub(crate) fn remove(&self, ids: &[String]) {
        let state = self.state();
        let drafts: HashSet<_> = state.compose.drafts.iter().map(|form| form.id.as_str()).collect();
        let sent: HashSet<_> = state.mailbox.sent.iter().map(|copy| copy.id.as_str()).collect();
        let (drafts, others): (Vec<_>, Vec<_>) =
            ids.iter().cloned().partition(|id| drafts.contains(id.as_str()));
        let (sent, messages): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|id| sent.contains(id.as_str()));
        let messages: Vec<_> =
            messages.into_iter().filter(|id| !state.mailbox.is_being_removed(id)).collect();
        if !messages.is_empty() {
            self.remove_messages_with_undo(&messages);
        }
        match (drafts.as_slice(), sent.as_slice()) {
            ([], []) => {}
            ([id], []) => self.discard(id),
            ([], [id]) => {
                let Some(copy) = state.mailbox.sent.iter().find(|copy| copy.id == *id) else { return };
                let subject = copy.header.as_ref().map(|header| header.subject.clone()).unwrap_or_default();
                let deletion = LocalDeletion::SentCopy { id: id.clone(), subject };
                self.dispatch(UiAction::ConfirmDeletion(deletion));
            }
            _ => {
                // It is not sent while the question is open.
                self.cancel_hold(&drafts);
                self.dispatch(UiAction::ConfirmDeletion(LocalDeletion::Several { drafts, sent }));
            }
        }
    }

    fn remove_messages_with_undo(&self, ids: &[String]) {
        let Some(session) = self.session() else { return };
        self.move_cursor_off(ids);
        session.storage.remember_removals(ids, clock::now() + UNDO_TIME);
        self.dispatch(MailboxAction::Remove(ids.to_vec()));
        let removal = self.0.removals.get() + 1;
        self.0.removals.set(removal);
        let control = self.clone();
        spawn_local(async move {
            let is_offered = || control.is_current(&session) && control.0.removals.get() == removal;
            sleep(UNDO_TIME).await;
            while dom::is_toast_in_use() && is_offered() {
                // For other tabs. A browser may delay the timers of a tab in the background.
                let due = clock::now() + TOAST_POLL_INTERVAL * 3;
                session.storage.remember_removals(&control.undoable(), due);
                sleep(TOAST_POLL_INTERVAL).await;
            }
            if is_offered() {
                control.complete_removal();
            }
        });
    }

    fn undoable(&self) -> Vec<String> {
        self.state().mailbox.removal.undoable.iter().cloned().collect()
    }

    /// Moves the cursor away from rows that disappear, and closes their message.
    pub(super) fn move_cursor_off(&self, ids: &[String]) {
        let state = self.state();
        if state.ui.cursor.as_ref().is_none_or(|cursor| ids.contains(cursor)) {
            self.dispatch(UiAction::Cursor(state.neighbour(ids)));
        }
        if ids.iter().any(|id| state.ui.is_open(id)) {
            self.dispatch(UiAction::CloseMessage);
        }
        self.dispatch(UiAction::ClearSelection);
    }

    /// Ends the time for Undo.
    pub(crate) fn complete_removal(&self) {
        let Some(session) = self.session() else { return };
        let undoable = self.undoable();
        if undoable.is_empty() {
            return;
        }
        session.storage.remember_removals(&undoable, clock::now());
        self.dispatch(MailboxAction::StartRemoval);
        session.add_job(Job::Remove);
        self.run_jobs(&session);
    }

    /// Continues the deletions of earlier sessions after a check has listed the maildrop. A deletion that another tab
    /// still offers to undo is examined again when that time is over.
    pub(super) fn resume_removals(&self, session: &Rc<LoginSession>) {
        let state = self.state();
        let listed: HashSet<_> = state.mailbox.messages.iter().map(|message| message.id.as_str()).collect();
        let now = clock::now();
        let (due, later): (Vec<_>, Vec<_>) =
            session.storage.pending_removals().into_iter().partition(|removal| removal.due <= now);
        let due = due.into_iter().map(|removal| removal.unique_id);
        let (due, gone): (Vec<_>, Vec<_>) = due.partition(|id| listed.contains(id.as_str()));
        // A server may give the unique-id to another message later.
        session.storage.forget_removals(&gone);
        // The user may have deleted messages of a stored list already.
        let due: Vec<_> = due.into_iter().filter(|id| !state.mailbox.is_being_removed(id)).collect();
        if !due.is_empty() {
            self.dispatch(MailboxAction::ResumeRemoval(due));
            session.add_job(Job::Remove);
            self.run_jobs(session);
        }
        let next = later.iter().filter(|removal| !state.mailbox.is_being_removed(&removal.unique_id));
        if let Some(next) = next.map(|removal| removal.due).min() {
            let (control, session) = (self.clone(), session.clone());
            spawn_local(async move {
                sleep((next - now).to_std().unwrap_or_default().min(REMOVAL_POLL_INTERVAL_MAX)).await;
                if control.is_current(&session) {
                    control.resume_removals(&session);
                }
            });
        }
    }

    /// The deletions of this tab, and those of earlier sessions whose time for Undo is over.
    pub(super) fn pending_removals(&self, session: &LoginSession) -> Vec<String> {
        let (state, now) = (self.state(), clock::now());
        let pending = session.storage.pending_removals().into_iter();
        let is_due_or_local = |removal: &PendingRemoval| {
            removal.due <= now || state.mailbox.is_being_removed(&removal.unique_id)
        };
        pending.filter(is_due_or_local).map(|removal| removal.unique_id).collect()
    }

    /// The deletions of a session that is ending, in a POP3 session of their own. The next sign-in repeats those that fail.
    pub(super) async fn remove_pending(session: &LoginSession, pending: &[String]) {
        let messages: Vec<_> = pending.iter().map(|id| (id.clone(), None)).collect();
        let Ok(socket) = Socket::connect(Protocol::Pop3, &session.server) else { return };
        if pop3::delete(socket, session.recorder(Protocol::Pop3), &session.credentials(), &messages)
            .await
            .is_ok()
        {
            session.storage.forget_removals(pending);
            session.storage.delete_messages(pending).await;
        }
    }

    /// Signs out and deletes everything that is stored in the browser for the account. Asks first if drafts or sent copies
    /// would be lost.
    pub(crate) fn sign_out_and_wipe(&self) {
        let state = self.state();
        let (drafts, sent) = (state.compose.drafts.len(), state.mailbox.sent.len());
        let filed = state.mailbox.filed();
        let is_writing = state
            .compose
            .open
            .as_ref()
            .is_some_and(|open| !open.is_untouched() && state.compose.draft(&open.form.id).is_none());
        let drafts = drafts + usize::from(is_writing);
        match &state.session.account {
            Some(account) if drafts + sent + filed > 0 => {
                let deletion = LocalDeletion::Account { name: account.label(), drafts, sent, filed };
                self.dispatch(UiAction::ConfirmDeletion(deletion));
            }
            _ => self.sign_out(true),
        }
    }

    /// Carries out the deletion that the user has confirmed.
    pub(crate) fn confirm_deletion(&self) {
        let Some(deletion) = self.state().ui.deletion.clone() else { return };
        self.dispatch(UiAction::CloseConfirmation);
        match deletion {
            LocalDeletion::Draft { id, .. } => self.discard_confirmed(&id),
            LocalDeletion::SentCopy { id, .. } => self.delete_sent_copies(vec![id]),
            LocalDeletion::Several { drafts, sent } => {
                self.move_cursor_off(&drafts);
                drafts.iter().for_each(|id| self.delete_draft_and_close(id));
                self.delete_sent_copies(sent);
            }
            LocalDeletion::Account { .. } => self.sign_out(true),
        }
    }

    fn delete_sent_copies(&self, ids: Vec<String>) {
        let Some(session) = self.session() else { return };
        if ids.is_empty() {
            return;
        }
        let control = self.clone();
        spawn_local(async move {
            let deleted = session.storage.delete_sent_copies(&ids).await;
            if !control.is_current(&session) {
                return;
            }
            if deleted {
                control.move_cursor_off(&ids);
                control.dispatch(MailboxAction::SentCopiesDeleted(ids));
            } else {
                control.notify(Notice::error(
                    "Not deleted: the browser could not change its storage. Reload the page and try again.",
                ));
            }
        });
    }

    /// Opens the message that is being held back, or restores the last discarded draft, or the removed messages.
    pub(crate) fn undo(&self) {
        let Some(session) = self.session() else { return };
        let state = self.state();
        if let Some(held) = &state.compose.held {
            return self.open_queued(held.clone());
        }
        if let Some(form) = state.compose.discarded.clone() {
            return self.store_draft(&session, form);
        }
        if !state.mailbox.refiled.is_empty() {
            return self.undo_filing();
        }
        session.storage.forget_removals(&self.undoable());
        self.dispatch(MailboxAction::UndoRemoval);
    }
}
