//! Opens, marks and deletes messages.

use std::rc::Rc;

use yew::platform::spawn_local;

use super::login_session::{Job, LoginSession};
use super::{Control, UNDO_TIME, toast_timeout};
use crate::model::state::{Folder, MailboxAction, Notice, UiAction};
use crate::storage::ObjectStore;

impl Control {
    /// Opens a row of the list: a message, a sent copy or a draft.
    pub(crate) fn open(&self, id: &str) {
        let folder = self.state().ui.folder;
        if folder == Folder::Drafts {
            return self.open_draft(id);
        }
        let Some(session) = self.session() else { return };
        self.close_draft();
        self.dispatch(UiAction::Opening(id.to_owned()));
        let (control, id) = (self.clone(), id.to_owned());
        spawn_local(async move {
            let is_copy = folder == Folder::Sent;
            let store = if is_copy { ObjectStore::Sent } else { ObjectStore::Messages };
            match session.storage.message(store, &id).await {
                Some(message) => {
                    control.show_message(&id, message);
                }
                None if is_copy => {
                    let error = "This copy is no longer in this browser.".to_owned();
                    control.dispatch(UiAction::OpenFailed { id, error });
                }
                None => {
                    session.add_job(Job::Fetch(id));
                    control.run_jobs(&session);
                }
            }
        });
    }

    /// Moves the cursor. If a message is open, opens the selected one.
    pub(crate) fn move_cursor(&self, rows: isize) {
        let cursor = self.state().cursor_after(rows);
        self.dispatch(UiAction::Cursor(cursor));
        let ui = self.state().ui.clone();
        if let (Some(open), Some(cursor)) = (&ui.open, &ui.cursor)
            && open.id != *cursor
        {
            self.open(cursor);
        }
    }

    pub(crate) fn set_read(&self, id: &str, read: bool) {
        self.dispatch(MailboxAction::SetRead { id: id.to_owned(), read });
        self.store_marks(id);
    }

    pub(crate) fn toggle_star(&self, id: &str) {
        let Some(starred) = self.state().mailbox.message(id).map(|message| !message.starred) else { return };
        self.dispatch(MailboxAction::SetStarred { id: id.to_owned(), starred });
        self.store_marks(id);
    }

    pub(super) fn store_marks(&self, id: &str) {
        let message = self.state().mailbox.message(id).cloned();
        let (Some(session), Some(message)) = (self.session(), message) else { return };
        // Marks that cannot be stored last until the page is closed.
        spawn_local(async move {
            let _ = session.storage.put_marks(&message).await;
        });
    }

    /// Removes a row and offers Undo. Deletion starts after the time for Undo; if the user closes the page before, the
    /// message is not deleted.
    pub(crate) fn remove(&self, id: &str) {
        let state = self.state();
        if state.ui.folder == Folder::Drafts {
            return self.discard(id);
        }
        self.dispatch(UiAction::Cursor(state.neighbour(id)));
        if state.ui.is_open(id) {
            self.dispatch(UiAction::CloseMessage);
        }
        self.dispatch(MailboxAction::Remove(id.to_owned()));
        let removal = self.0.removals.get() + 1;
        self.0.removals.set(removal);
        let (control, session) = (self.clone(), self.session());
        spawn_local(async move {
            toast_timeout(UNDO_TIME).await;
            let Some(session) = session.filter(|session| control.is_current(session)) else { return };
            if control.0.removals.get() == removal {
                control.start_removal(&session);
            }
        });
    }

    fn start_removal(&self, session: &Rc<LoginSession>) {
        if self.state().mailbox.removal.undoable.is_empty() {
            return;
        }
        self.dispatch(MailboxAction::StartRemoval);
        let state = self.state();
        let sent = state.mailbox.sent.iter().map(|copy| copy.id.clone());
        let copies: Vec<_> = sent.filter(|id| state.mailbox.removal.in_progress.contains(id)).collect();
        if copies.len() < state.mailbox.removal.in_progress.len() {
            session.add_job(Job::Remove);
            self.run_jobs(session);
        }
        if !copies.is_empty() {
            let (control, session) = (self.clone(), session.clone());
            spawn_local(async move { control.remove_sent_copies(&session, copies).await });
        }
    }

    async fn remove_sent_copies(&self, session: &Rc<LoginSession>, ids: Vec<String>) {
        let deleted = session.storage.delete_sent_copies(&ids).await;
        if !self.is_current(session) {
            return;
        }
        if deleted {
            self.dispatch(MailboxAction::Removed(ids));
        } else {
            self.dispatch(MailboxAction::RemovalFailed(ids));
            self.notify(Notice::error("Not deleted: this browser refused the change."));
        }
    }

    /// Restores the last discarded draft, or the removed messages.
    pub(crate) fn undo(&self) {
        match (self.session(), self.state().compose.discarded.clone()) {
            (Some(session), Some(form)) => self.store_draft(&session, form),
            _ => self.dispatch(MailboxAction::UndoRemoval),
        }
    }
}
