//! Opens and marks messages.

use yew::platform::spawn_local;

use super::Control;
use super::login_session::Job;
use crate::model::state::{Folder, MailboxAction, UiAction};
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
                    control.show_message(&session, &id, message).await;
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
}
