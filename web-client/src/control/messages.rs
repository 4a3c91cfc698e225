//! Opens, selects and marks messages.

use yew::platform::spawn_local;

use super::Control;
use super::login_session::Job;
use super::tabs::TabEvent;
use crate::model::search::Search;
use crate::model::state::{Folder, MailboxAction, UiAction, folder_of};
use crate::platform::{clock, text};
use crate::storage::ObjectStore;

impl Control {
    /// Opens a row of the list: a message, a sent copy or a draft.
    pub(crate) fn open(&self, id: &str) {
        let folder = self.folder_of(id);
        if folder == Folder::Drafts {
            return self.open_draft(id);
        }
        let Some(session) = self.session() else { return };
        self.close_draft();
        self.abort_large_fetch(&session, id);
        self.dispatch(UiAction::Opening { folder: folder.clone(), id: id.to_owned() });
        let (control, id) = (self.clone(), id.to_owned());
        spawn_local(async move {
            let is_copy = folder == Folder::Sent;
            let store = if is_copy { ObjectStore::Sent } else { ObjectStore::Messages };
            match session.storage.message(store, &id).await {
                Some(message) => {
                    control.show_message(&session, &id, message).await;
                }
                None if !control.is_current(&session) => {}
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

    /// The folder of a row: its own, unless the list of Starred or of a label shows it.
    pub(super) fn folder_of(&self, id: &str) -> Folder {
        let state = self.state();
        match folder_of(&state.mailbox, &state.compose.drafts, id) {
            Folder::Inbox | Folder::Archive
                if matches!(state.ui.folder, Folder::Starred | Folder::Label(_)) =>
            {
                state.ui.folder.clone()
            }
            folder => folder,
        }
    }

    /// Moves the cursor. If a message is open, opens the selected one.
    pub(crate) fn move_cursor(&self, rows: isize) {
        self.set_cursor(self.state().cursor_after(rows));
    }

    /// Moves the cursor to the first or the last row.
    pub(crate) fn move_cursor_to_end(&self, last: bool) {
        self.set_cursor(self.state().outermost_row(last));
    }

    fn set_cursor(&self, cursor: Option<String>) {
        self.dispatch(UiAction::Cursor(cursor));
        let ui = self.state().ui.clone();
        if let (Some(open), Some(cursor)) = (&ui.open, &ui.cursor)
            && open.id != *cursor
        {
            self.open(cursor);
        }
    }

    /// Searches all folders.
    pub(crate) fn search(&self, text: &str) {
        self.dispatch(UiAction::Search(Search::parse(text, text::fold, clock::midnight)));
    }

    pub(crate) fn toggle_selected(&self, id: &str) {
        self.dispatch(UiAction::ToggleSelected(id.to_owned()));
    }

    /// Selects all rows of the list.
    pub(crate) fn select_all(&self) {
        let ids = self.state().items().iter().map(|item| item.id().to_owned()).collect();
        self.dispatch(UiAction::Select(ids));
    }

    /// Selects the rows between the last selected row and this one.
    pub(crate) fn select_to(&self, id: &str) {
        self.dispatch(UiAction::Select(self.state().rows_to(id)));
    }

    /// Moves the cursor and selects the rows that it passes.
    pub(crate) fn extend_selection(&self, rows: isize) {
        let Some(cursor) = self.state().cursor_after(rows) else { return };
        self.select_to(&cursor);
        self.dispatch(UiAction::Cursor(Some(cursor)));
    }

    pub(crate) fn set_read(&self, ids: &[String], read: bool) {
        self.dispatch(MailboxAction::SetRead { ids: ids.to_vec(), read });
        self.post_to_tabs(&TabEvent::Read { ids: ids.to_vec(), read });
        self.store_marks(ids);
    }

    pub(crate) fn toggle_star(&self, id: &str) {
        self.toggle_stars(&[id.to_owned()]);
    }

    /// Stars all of these messages, or none of them if all have a star.
    pub(crate) fn toggle_stars(&self, ids: &[String]) {
        let state = self.state();
        let messages = state.mailbox.messages_of(ids);
        if messages.is_empty() {
            return;
        }
        let starred = !messages.iter().all(|message| message.starred);
        self.set_stars(ids, starred);
    }

    pub(super) fn set_stars(&self, ids: &[String], starred: bool) {
        self.dispatch(MailboxAction::SetStarred { ids: ids.to_vec(), starred });
        self.post_to_tabs(&TabEvent::Starred { ids: ids.to_vec(), starred });
        self.store_marks(ids);
    }

    pub(super) fn store_marks(&self, ids: &[String]) {
        let Some(session) = self.session() else { return };
        let messages = self.state().mailbox.messages_of(ids);
        // Marks that cannot be stored last until the page is closed.
        spawn_local(async move {
            let _ = session.storage.put_marks(&messages).await;
        });
    }
}
