//! Keeps the tabs of an account in sync: marks, deletions, drafts and settings. All tabs have the same storage; a message to the other
//! tabs says what has changed.

use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::{JsCast as _, JsValue};
use yew::platform::spawn_local;

use super::Control;
use super::login_session::LoginSession;
use crate::model::state::{Action, ComposeAction, MailboxAction, Notice};
use crate::platform::broadcast::Channel;
use crate::platform::js;

/// A message between tabs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TabEvent {
    /// These messages were marked as read, or as unread.
    Read {
        ids: Vec<String>,
        read: bool,
    },
    Starred {
        ids: Vec<String>,
        starred: bool,
    },
    /// These messages were archived, moved back or labelled.
    Filed(Vec<String>),
    /// The server has deleted these messages.
    Removed(Vec<String>),
    /// A draft was stored or deleted.
    DraftChanged(String),
    /// The sender has opened a draft. Tabs that have it open answer with [`TabEvent::DraftIsOpen`].
    DraftOpened(String),
    DraftIsOpen(String),
    DraftClosed(String),
    SettingsChanged,
}

impl Control {
    /// Receives the events of other tabs with the same account until sign-out.
    pub(super) fn connect_tabs(&self, session: &Rc<LoginSession>) {
        let (control, receiver) = (self.clone(), Rc::downgrade(session));
        let channel = Channel::open(&format!("pennypost/{}", session.id), move |message| {
            if let Some(session) = receiver.upgrade().filter(|session| control.is_current(session))
                && let Some(event) = TabEvent::decode(&message)
            {
                control.on_tab_event(&session, event);
            }
        });
        session.tabs.replace(channel);
    }

    /// Tells the tabs with the same account.
    pub(super) fn post_to_tabs(&self, event: &TabEvent) {
        if let Some(session) = self.session() {
            session.post_to_tabs(event);
        }
    }

    /// Dispatches an action, and tells the other tabs if it opens or closes a draft.
    pub(super) fn dispatch_and_post(&self, action: Action) {
        let open_draft = || self.state().compose.open.as_ref().map(|open| open.form.id.clone());
        let before = open_draft();
        self.0.store.dispatch(action);
        let after = open_draft();
        if before == after {
            return;
        }
        if let Some(id) = before {
            self.post_to_tabs(&TabEvent::DraftClosed(id));
        }
        if let Some(id) = after {
            self.post_to_tabs(&TabEvent::DraftOpened(id));
        }
    }

    /// The page is being closed, and may be shown again by the browser's Back.
    pub(crate) fn page_hidden(&self, is_hidden: bool) {
        if let Some(open) = &self.state().compose.open {
            let id = open.form.id.clone();
            let event = if is_hidden { TabEvent::DraftClosed(id) } else { TabEvent::DraftOpened(id) };
            self.post_to_tabs(&event);
        }
    }

    fn on_tab_event(&self, session: &Rc<LoginSession>, event: TabEvent) {
        // An event of another tab does not end the time for Undo of this one.
        let dispatch = |action: Action| self.0.store.dispatch(action);
        match event {
            TabEvent::Read { ids, read } => dispatch(MailboxAction::SetRead { ids, read }.into()),
            TabEvent::Starred { ids, starred } => dispatch(MailboxAction::SetStarred { ids, starred }.into()),
            TabEvent::Filed(ids) => self.filed_elsewhere(ids),
            TabEvent::Removed(ids) => dispatch(MailboxAction::Removed(ids).into()),
            TabEvent::SettingsChanged => self.reread_settings(session),
            TabEvent::DraftChanged(id) => self.draft_changed_elsewhere(session, id),
            TabEvent::DraftOpened(draft) => {
                if self.state().compose.is_open(&draft) {
                    session.post_to_tabs(&TabEvent::DraftIsOpen(draft.clone()));
                    dispatch(ComposeAction::OpenElsewhere { draft, is_open: true }.into());
                }
            }
            TabEvent::DraftIsOpen(draft) => {
                dispatch(ComposeAction::OpenElsewhere { draft, is_open: true }.into());
            }
            TabEvent::DraftClosed(draft) => {
                if self.state().compose.is_open(&draft) {
                    // A third tab may have it open.
                    session.post_to_tabs(&TabEvent::DraftOpened(draft.clone()));
                    dispatch(ComposeAction::OpenElsewhere { draft, is_open: false }.into());
                }
            }
        }
    }

    /// Shows the stored version of a draft.
    fn draft_changed_elsewhere(&self, session: &Rc<LoginSession>, id: String) {
        let (control, session) = (self.clone(), session.clone());
        spawn_local(async move {
            let was_open = control.state().compose.is_open(&id);
            control.reread_draft(&session, &id).await;
            if !was_open || !control.is_current(&session) {
                return;
            }
            let state = control.state();
            match state.compose.draft(&id) {
                Some(form) if form.is_queued() => {
                    control.notify(Notice::info("This message is being sent in another window."));
                }
                Some(_) => {}
                None => {
                    control.notify(Notice::error("This draft was sent or discarded in another window."));
                }
            }
        });
    }
}

impl TabEvent {
    pub(super) fn encode(&self) -> JsValue {
        let array = |ids: &[String]| ids.iter().map(JsValue::from).collect::<Array>();
        let one = |id: &String| array(std::slice::from_ref(id));
        let (name, ids, flag) = match self {
            Self::Read { ids, read } => ("read", array(ids), *read),
            Self::Starred { ids, starred } => ("starred", array(ids), *starred),
            Self::Filed(ids) => ("filed", array(ids), false),
            Self::Removed(ids) => ("removed", array(ids), false),
            Self::DraftChanged(id) => ("draftChanged", one(id), false),
            Self::DraftOpened(id) => ("draftOpened", one(id), false),
            Self::DraftIsOpen(id) => ("draftIsOpen", one(id), false),
            Self::DraftClosed(id) => ("draftClosed", one(id), false),
            Self::SettingsChanged => ("settingsChanged", Array::new(), false),
        };
        js::object([("event", name.into()), ("ids", ids.into()), ("flag", flag.into())]).into()
    }

    /// `None` for an event of another version of the page.
    fn decode(message: &JsValue) -> Option<Self> {
        let ids = js::property(message, "ids")?.dyn_into::<Array>().ok()?;
        let mut ids: Vec<_> = ids.iter().filter_map(|id| id.as_string()).collect();
        let flag = js::property(message, "flag")?.as_bool()?;
        Some(match js::property(message, "event")?.as_string()?.as_str() {
            "read" => Self::Read { ids, read: flag },
            "starred" => Self::Starred { ids, starred: flag },
            "filed" => Self::Filed(ids),
            "removed" => Self::Removed(ids),
            "draftChanged" => Self::DraftChanged(ids.pop()?),
            "draftOpened" => Self::DraftOpened(ids.pop()?),
            "draftIsOpen" => Self::DraftIsOpen(ids.pop()?),
            "draftClosed" => Self::DraftClosed(ids.pop()?),
            "settingsChanged" => Self::SettingsChanged,
            _ => return None,
        })
    }
}

/// JavaScript values exist on WebAssembly only.
#[cfg(test)]
#[cfg(target_arch = "wasm32")]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn tab_events_round_trip_and_others_are_ignored() {
        let ids = || vec!["a".to_owned(), "b".to_owned()];
        let id = || "a".to_owned();
        for event in [
            TabEvent::Read { ids: ids(), read: true },
            TabEvent::Starred { ids: ids(), starred: false },
            TabEvent::Filed(ids()),
            TabEvent::Removed(ids()),
            TabEvent::DraftChanged(id()),
            TabEvent::DraftOpened(id()),
            TabEvent::DraftIsOpen(id()),
            TabEvent::DraftClosed(id()),
            TabEvent::SettingsChanged,
        ] {
            assert_eq!(TabEvent::decode(&event.encode()), Some(event));
        }
        assert_eq!(TabEvent::decode(&JsValue::NULL), None);
        let unknown = [("event", "x".into()), ("ids", Array::new().into()), ("flag", true.into())];
        assert_eq!(TabEvent::decode(&js::object(unknown)), None);
        let empty = [("event", "draftClosed".into()), ("ids", Array::new().into()), ("flag", true.into())];
        assert_eq!(TabEvent::decode(&js::object(empty)), None);
    }
}
