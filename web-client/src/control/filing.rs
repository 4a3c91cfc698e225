//! Archives and labels messages, and takes deletions back. The server knows nothing of Archive and labels.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use js_sys::{Array, JSON, Uint8Array};
use wasm_bindgen::JsValue;
use yew::platform::spawn_local;

use super::login_session::LoginSession;
use super::tabs::TabEvent;
use super::{Control, UNDO_TIME, toast_timeout};
use crate::model::filing::{Filing, label_name};
use crate::model::format;
use crate::model::message::Message;
use crate::model::state::{Folder, MailboxAction, Notice, UiAction};
use crate::platform::{download, js};

/// The file of [`Control::export_labels`].
const LABELS_FILE: &str = "labels.json";

impl Control {
    /// Archives these messages, or moves them back to the inbox if all are archived. Undo is offered.
    pub(crate) fn toggle_archived(&self, ids: &[String]) {
        let state = self.state();
        let messages = state.mailbox.messages_of(ids);
        if messages.is_empty() || state.ui.folder == Folder::Trash {
            return;
        }
        let archived = !messages.iter().all(|message| message.filing.archived);
        let filings: Vec<_> = messages
            .iter()
            .map(|message| (message.id.clone(), Filing { archived, ..message.filing.clone() }))
            .collect();
        if state.ui.search.is_empty() && matches!(state.ui.folder, Folder::Inbox | Folder::Archive) {
            self.move_cursor_off(ids);
        }
        self.file(filings, true);
        let control = self.clone();
        let refiled = self.state().mailbox.refiled.clone();
        spawn_local(async move {
            toast_timeout(UNDO_TIME).await;
            if control.state().mailbox.refiled == refiled {
                control.dispatch(MailboxAction::FilingSettled);
            }
        });
    }

    /// Opens the dialog for the labels of these messages.
    pub(crate) fn choose_labels(&self, ids: &[String]) {
        let state = self.state();
        let ids: Vec<_> = state.mailbox.messages_of(ids).iter().map(|message| message.id.clone()).collect();
        if !ids.is_empty() && state.ui.folder != Folder::Trash {
            self.dispatch(UiAction::Labelling(Some(ids.into())));
        }
    }

    /// Adds a new label and those of `changes` with `true`, and removes the others.
    pub(crate) fn change_labels(&self, ids: &[String], changes: &[(String, bool)], new: &str) {
        let state = self.state();
        let new = label_name(new, state.mailbox.labels().into_keys());
        let filing = |message: &Rc<Message>| {
            let mut filing = message.filing.clone();
            for (label, has) in changes {
                if *has {
                    filing.labels.insert(label.clone());
                } else {
                    filing.labels.remove(label);
                }
            }
            filing.labels.extend(new.clone());
            (message.id.clone(), filing)
        };
        let messages = state.mailbox.messages_of(ids);
        let filings: Vec<_> = messages.iter().map(filing).collect();
        self.file(filings, false);
    }

    /// Restores the earlier places of the last messages that were archived or moved back.
    pub(super) fn undo_filing(&self) {
        let refiled = self.state().mailbox.refiled.clone();
        self.file(refiled, false);
    }

    /// Ends the time for Undo of the last messages that were archived or moved back.
    pub(super) fn settle_filing(&self) {
        if !self.state().mailbox.refiled.is_empty() {
            self.0.store.dispatch(MailboxAction::FilingSettled.into());
        }
    }

    fn file(&self, filings: Vec<(String, Filing)>, undoable: bool) {
        let Some(session) = self.session() else { return };
        if filings.is_empty() {
            return;
        }
        self.dispatch(MailboxAction::Filed { filings: filings.clone(), undoable });
        self.keep_data();
        let control = self.clone();
        spawn_local(async move {
            if session.storage.put_filings(&filings).await {
                control.post_to_tabs(&TabEvent::Filed(filings.into_iter().map(|(id, _)| id).collect()));
            } else if control.is_current(&session) {
                let text =
                    "This browser cannot store Archive and labels: they last until the page is closed.";
                control.notify(Notice::error(text));
            }
        });
    }

    /// Another tab has filed these messages.
    pub(super) fn filed_elsewhere(&self, ids: Vec<String>) {
        let Some(session) = self.session() else { return };
        let control = self.clone();
        spawn_local(async move {
            let (ids, mut filings) = (HashSet::<_>::from_iter(ids), session.storage.filings().await);
            filings.retain(|(id, _)| ids.contains(id));
            if control.is_current(&session) {
                // It does not end the time for Undo of a deletion in this tab.
                control.0.store.dispatch(MailboxAction::Filed { filings, undoable: false }.into());
            }
        });
    }

    /// Takes back deletions that the server has not carried out.
    pub(crate) fn restore(&self, ids: &[String]) {
        let Some(session) = self.session() else { return };
        if session.removing.get() {
            return self.notify(Notice::error("The server is deleting messages now. Try again in a moment."));
        }
        session.storage.forget_removals(ids);
        self.move_cursor_off(ids);
        self.dispatch(MailboxAction::RemovalFailed(ids.to_vec()));
    }

    /// Saves a file with the marks, labels and places of all messages, by unique-id and Message-ID.
    pub(crate) fn export_labels(&self) {
        let state = self.state();
        let marked =
            state.mailbox.messages.iter().filter(|message| message.starred || !message.filing.is_default());
        let entries: Array = marked.map(|message| exported(message)).collect();
        if entries.length() == 0 {
            return self.notify(Notice::info("There is nothing to export."));
        }
        // Strings, booleans and arrays of them have a JSON form.
        let Ok(text) = JSON::stringify_with_replacer_and_space(&entries, &JsValue::NULL, &1.into()) else {
            return;
        };
        let bytes = Uint8Array::from(String::from(text).as_bytes());
        if download::save(LABELS_FILE, &Array::of1(&bytes)) {
            let count = format::count(entries.length() as usize, "message");
            self.notify(Notice::info(format!("Exported the labels of {count} to {LABELS_FILE}.")));
        } else {
            self.notify(Notice::error("This browser cannot save the file."));
        }
    }

    /// Adds the stars, labels and places of a file of [`export_labels`](Self::export_labels), which another browser may have
    /// saved, to the messages with the same unique-ids.
    pub(super) fn import_labels(&self, session: &Rc<LoginSession>, name: &str, entries: Vec<ImportedMarks>) {
        if !self.is_current(session) {
            return;
        }
        let state = self.state();
        let known: HashMap<_, _> =
            state.mailbox.messages.iter().map(|message| (message.id.as_str(), message)).collect();
        let all = entries.len();
        let (mut filings, mut starred) = (Vec::new(), Vec::new());
        for entry in entries {
            let Some(message) = known.get(entry.unique_id.as_str()) else { continue };
            if entry.starred {
                starred.push(entry.unique_id.clone());
            }
            filings.push((entry.unique_id, message.filing.clone().union(entry.filing)));
        }
        let found = filings.len();
        self.file(filings, false);
        if !starred.is_empty() {
            self.set_stars(&starred, true);
        }
        let all = format::count(all, "message");
        self.notify(Notice::info(format!(
            "Imported the labels of {} of {all} from {name}.",
            format::number(found)
        )));
    }
}

/// An entry of an imported file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImportedMarks {
    unique_id: String,
    starred: bool,
    filing: Filing,
}

/// The entries of a file that [`Control::export_labels`] has written; `None` if it is another file.
pub(super) fn read_labels(file: &[u8]) -> Option<Vec<ImportedMarks>> {
    // Other files may be large.
    let text = Some(file).filter(|file| file.trim_ascii_start().starts_with(b"["))?;
    let value = JSON::parse(str::from_utf8(text).ok()?).ok()?;
    let entries = Array::is_array(&value).then(|| Array::from(&value))?;
    entries.iter().map(|entry| imported(&entry)).collect()
}

fn exported(message: &Message) -> JsValue {
    let labels: Array = message.filing.labels.iter().map(JsValue::from).collect();
    let header = message.header.as_deref();
    let message_id = header.and_then(|header| header.message_id.as_ref()).map(ToString::to_string);
    js::object([
        ("uniqueId", (&message.id).into()),
        ("messageId", message_id.unwrap_or_default().into()),
        ("subject", header.map_or("", |header| &header.subject).into()),
        ("starred", message.starred.into()),
        ("archived", message.filing.archived.into()),
        ("labels", labels.into()),
    ])
    .into()
}

fn imported(entry: &JsValue) -> Option<ImportedMarks> {
    let flag = |name: &str| js::property(entry, name).and_then(|value| value.as_bool()).unwrap_or_default();
    let labels = Array::from(&js::property(entry, "labels").filter(Array::is_array)?);
    let labels = labels.iter().filter_map(|label| label_name(&label.as_string()?, std::iter::empty()));
    let filing = Filing { archived: flag("archived"), labels: labels.collect() };
    let unique_id = js::property(entry, "uniqueId")?.as_string()?;
    Some(ImportedMarks { unique_id, starred: flag("starred"), filing })
}

/// JavaScript values exist on WebAssembly only.
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn exported_labels_are_read_again_and_other_files_are_not() {
        let filing = Filing { archived: true, labels: ["Bills".to_owned(), "Årets".to_owned()].into() };
        let message =
            Message { id: "01J".to_owned(), starred: true, filing: filing.clone(), ..Message::default() };
        let text = JSON::stringify(&Array::of1(&exported(&message))).unwrap();
        let expected = ImportedMarks { unique_id: "01J".to_owned(), starred: true, filing };
        assert_eq!(read_labels(String::from(text).as_bytes()), Some(vec![expected]));
        for other in
            ["", "{}", "[1]", "[{\"labels\":[]}]", "From a\n", "[{\"uniqueId\":\"x\",\"labels\":null}]"]
        {
            assert_eq!(read_labels(other.as_bytes()), None, "{other}");
        }
    }
}
