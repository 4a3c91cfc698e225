//! Deletes messages, drafts, sent copies and local data.
//!
//! A message is deleted on the server when the time for Undo is over, at the user's next action, or when the page is closed or
//! the user signs out. Until the server has deleted it, its unique-id is in the storage, and the next sign-in deletes it if
//! this session could not. Data that exists only in this browser is deleted after a confirmation.

use std::collections::HashSet;

use yew::platform::spawn_local;

use super::login_session::{Job, LoginSession};
use super::{Control, UNDO_TIME, toast_timeout};
use crate::model::state::{Folder, LocalDeletion, MailboxAction, Notice, UiAction};
use crate::model::transcript::{Protocol, TranscriptRecorder};
use crate::platform::socket::Socket;
use crate::session::pop3;

impl Control {
    /// Deletes rows: messages, with one Undo for all, and drafts and sent copies, after a confirmation.
    pub(crate) fn remove(&self, ids: &[String]) {
        let of = |folder: Folder| -> Vec<String> {
            ids.iter().filter(|id| self.folder_of(id) == folder).cloned().collect()
        };
        let (drafts, sent) = (of(Folder::Drafts), of(Folder::Sent));
        let messages: Vec<_> =
            ids.iter().filter(|id| !drafts.contains(id) && !sent.contains(id)).cloned().collect();
        if !messages.is_empty() {
            self.remove_messages_with_undo(&messages);
        }
        match (drafts.as_slice(), sent.as_slice()) {
            ([], []) => {}
            ([id], []) => self.discard(id),
            ([], [id]) => {
                let state = self.state();
                let Some(copy) = state.mailbox.sent.iter().find(|copy| copy.id == *id) else { return };
                let subject = copy.header.as_ref().map(|header| header.subject.clone()).unwrap_or_default();
                let deletion = LocalDeletion::SentCopy { id: id.clone(), subject };
                self.dispatch(UiAction::ConfirmDeletion(deletion));
            }
            _ => self.dispatch(UiAction::ConfirmDeletion(LocalDeletion::Several { drafts, sent })),
        }
    }

    fn remove_messages_with_undo(&self, ids: &[String]) {
        let Some(session) = self.session() else { return };
        self.leave_rows(ids);
        session.storage.remember_removals(ids);
        self.dispatch(MailboxAction::Remove(ids.to_vec()));
        let removal = self.0.removals.get() + 1;
        self.0.removals.set(removal);
        let control = self.clone();
        spawn_local(async move {
            toast_timeout(UNDO_TIME).await;
            if control.is_current(&session) && control.0.removals.get() == removal {
                control.complete_removal();
            }
        });
    }

    /// Moves the cursor away from rows that disappear, and closes their message.
    fn leave_rows(&self, ids: &[String]) {
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
        if self.state().mailbox.removal.undoable.is_empty() {
            return;
        }
        self.dispatch(MailboxAction::StartRemoval);
        session.add_job(Job::Remove);
        self.run_jobs(&session);
    }

    /// Continues the deletions of earlier sessions. `listed` are the messages of the maildrop; a unique-id that is not
    /// among them is forgotten, because a server may give it to another message later.
    pub(super) fn resume_removals(&self, session: &LoginSession, listed: &HashSet<String>) {
        let pending = session.storage.pending_removals();
        let (pending, gone): (Vec<_>, Vec<_>) = pending.into_iter().partition(|id| listed.contains(id));
        session.storage.forget_removals(&gone);
        // The user may have deleted messages of a stored list already.
        let state = self.state();
        let is_new = |id: &String| !state.mailbox.is_being_removed(id);
        let pending: Vec<_> = pending.into_iter().filter(is_new).collect();
        if !pending.is_empty() {
            self.dispatch(MailboxAction::ResumeRemoval(pending));
            session.add_job(Job::Remove);
        }
    }

    /// The deletions of a session that is ending, in a POP3 session of their own. What fails is left to the next sign-in.
    pub(super) async fn remove_pending(
        session: &LoginSession,
        pending: &[String],
        recorder: TranscriptRecorder,
    ) {
        let messages: Vec<_> = pending.iter().map(|id| (id.clone(), None)).collect();
        let Ok(socket) = Socket::connect(Protocol::Pop3) else { return };
        if pop3::delete(socket, recorder, &session.credentials, &messages).await.is_ok() {
            session.storage.forget_removals(pending);
            session.storage.delete_messages(pending).await;
        }
    }

    /// Signs out and deletes everything that is stored in the browser for the account. Asks first if drafts or sent copies
    /// would be lost.
    pub(crate) fn sign_out_and_wipe(&self) {
        let state = self.state();
        let (drafts, sent) = (state.compose.drafts.len(), state.mailbox.sent.len());
        let is_writing = state
            .compose
            .open
            .as_ref()
            .is_some_and(|open| !open.is_untouched() && state.compose.draft(&open.form.id).is_none());
        let drafts = drafts + usize::from(is_writing);
        match &state.session.account {
            Some(account) if drafts + sent > 0 => {
                let deletion = LocalDeletion::Account { name: account.label(), drafts, sent };
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
                self.leave_rows(&drafts);
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
                control.leave_rows(&ids);
                control.dispatch(MailboxAction::SentCopiesDeleted(ids));
            } else {
                control.notify(Notice::error("Not deleted: this browser refused the change."));
            }
        });
    }

    /// Opens the message that is being held back, or restores the last discarded draft, or the removed messages.
    pub(crate) fn undo(&self) {
        let Some(session) = self.session() else { return };
        let state = self.state();
        if let Some(held) = &state.compose.held {
            return self.undo_send(held);
        }
        if let Some(form) = state.compose.discarded.clone() {
            return self.store_draft(&session, form);
        }
        let restored: Vec<_> = state.mailbox.removal.undoable.iter().cloned().collect();
        session.storage.forget_removals(&restored);
        self.dispatch(MailboxAction::UndoRemoval);
    }
}
