//! Open, mark, star, delete.

use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::Control;
use super::errands::Errand;
use crate::local::Shelf;
use crate::opened::Opened;
use crate::state::{Action, Folder};
use crate::ui::{LOOK_EVERY, is_attended};
use mail_core::time::Duration;
use std::rc::Rc;

/// How long Undo is offered.
pub(super) const UNDO_FOR: Duration = Duration::from_secs(7);

impl Control {
    /// Opens a row of the list: a message, a copy of one, or a draft.
    pub(crate) fn open(&self, id: &str) {
        let state = self.state();
        if state.folder == Folder::Drafts {
            return self.open_draft(id);
        }
        let Some(visit) = self.visit() else { return };
        self.close_draft();
        self.dispatch(Action::Opening(id.to_owned()));
        let shelf = if state.folder == Folder::Sent { Shelf::Sent } else { Shelf::Messages };
        let (control, id) = (self.clone(), id.to_owned());
        spawn_local(async move {
            match (visit.local.message(shelf, &id).await, shelf) {
                (Some(message), _) => {
                    let content = Rc::new(Opened::new(message));
                    control.dispatch(Action::Opened { id: id.clone(), content });
                    control.keep_marks(&id);
                }
                (None, Shelf::Sent) => {
                    let why = "This copy is not kept on this device any more.".to_owned();
                    control.dispatch(Action::OpenFailed { id, why });
                }
                (None, _) => {
                    visit.ask(Errand::Fetch(id));
                    control.work(&visit);
                }
            }
        });
    }

    pub(crate) fn read(&self, id: &str, read: bool) {
        self.dispatch(Action::Read { id: id.to_owned(), read });
        self.keep_marks(id);
    }

    pub(crate) fn star(&self, id: &str) {
        let Some(starred) = self.state().message(id).map(|message| !message.starred) else { return };
        self.dispatch(Action::Starred { id: id.to_owned(), starred });
        self.keep_marks(id);
    }

    pub(super) fn keep_marks(&self, id: &str) {
        let (Some(visit), Some(message)) = (self.visit(), self.state().message(id).cloned()) else { return };
        // Marks that cannot be kept last as long as the page.
        spawn_local(async move {
            let _ = visit.local.keep_marks(&message).await;
        });
    }

    /// Takes a message out of the list. The server is told when the offer of Undo is over, and not before: whoever
    /// closes the page meanwhile still has it.
    pub(crate) fn remove(&self, id: &str) {
        match self.state().folder {
            Folder::Inbox | Folder::Starred => {}
            Folder::Drafts => return self.discard(id),
            Folder::Sent => return,
        }
        self.dispatch(Action::Remove(id.to_owned()));
        let offer = self.0.offers.get() + 1;
        self.0.offers.set(offer);
        let (control, visit) = (self.clone(), self.visit());
        spawn_local(async move {
            sleep(UNDO_FOR).await;
            while is_attended() {
                sleep(LOOK_EVERY).await;
            }
            let Some(visit) = visit.filter(|visit| control.is_current(visit)) else { return };
            if control.0.offers.get() == offer && !control.state().removal.offered.is_empty() {
                control.dispatch(Action::Removing);
                visit.ask(Errand::Remove);
                control.work(&visit);
            }
        });
    }
}
