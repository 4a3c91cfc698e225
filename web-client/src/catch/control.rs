//! Loads the state of the page and carries out its actions.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mail_core::time::Duration;
use yew::Callback;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::api;
use super::events::{self, CatchEvent};
use super::state::{CatchState, Connection, Content, Dialog, Filter, LinkCheck, OpenMessage, PAGE_MESSAGES};
use crate::platform::location;
use crate::platform::web_socket::WebSocket;

/// Time until the page connects again.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Pause between two loads of the list, so that a burst of messages does not keep the catcher busy.
const LOAD_INTERVAL: Duration = Duration::from_millis(100);

/// Shared by the components; equal if it is the same one.
#[derive(Clone)]
pub(crate) struct CatchControl(Rc<Inner>);

struct Inner {
    state: RefCell<CatchState>,
    on_change: RefCell<Callback<CatchState>>,
    /// The list is being loaded.
    is_loading: Cell<bool>,
    /// The list has changed since the load began.
    is_stale: Cell<bool>,
    events: RefCell<Option<WebSocket>>,
}

impl PartialEq for CatchControl {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl CatchControl {
    pub(crate) fn new() -> Self {
        Self(Rc::new(Inner {
            state: RefCell::new(CatchState { limit: PAGE_MESSAGES, ..CatchState::default() }),
            on_change: RefCell::new(Callback::noop()),
            is_loading: Cell::new(false),
            is_stale: Cell::new(false),
            events: RefCell::new(None),
        }))
    }

    pub(crate) fn state(&self) -> CatchState {
        self.0.state.borrow().clone()
    }

    /// Connects, loads the list and the message that the URL names, and reports every change of the state.
    pub(crate) fn start(&self, on_change: Callback<CatchState>) {
        *self.0.on_change.borrow_mut() = on_change;
        self.connect();
        self.reload();
        self.load_settings();
        self.fragment_changed();
    }

    /// Changes the state.
    fn update(&self, change: impl FnOnce(&mut CatchState)) {
        let state = {
            let mut state = self.0.state.borrow_mut();
            change(&mut state);
            state.clone()
        };
        let on_change = self.0.on_change.borrow().clone();
        on_change.emit(state);
    }

    /// Replaces the last connection.
    fn connect(&self) {
        let control = self.clone();
        let events = events::listen(move |event| control.on_event(event));
        if events.is_none() {
            self.on_event(CatchEvent::Lost);
        }
        *self.0.events.borrow_mut() = events;
    }

    fn load_settings(&self) {
        let control = self.clone();
        spawn_local(async move {
            let loaded = api::release_to().await;
            control.update(|state| match loaded {
                Ok(release_to) => state.release_to = release_to,
                Err(error) => state.error = Some(error),
            });
        });
    }

    fn on_event(&self, event: CatchEvent) {
        match event {
            CatchEvent::Connected => self.update(|state| state.connection = Connection::Live),
            CatchEvent::Changed => {}
            CatchEvent::Deleted(id) => self.close_if(|open| open.id == id),
            CatchEvent::DeletedAll => self.close_if(|_| true),
            CatchEvent::Lost => {
                self.update(|state| state.connection = Connection::Lost);
                let control = self.clone();
                spawn_local(async move {
                    sleep(RECONNECT_DELAY).await;
                    control.connect();
                });
                return;
            }
        }
        self.reload();
    }

    fn close_if(&self, is_closed: impl FnOnce(&OpenMessage) -> bool) {
        if self.state().open.as_ref().is_some_and(is_closed) {
            self.close();
        }
    }

    /// Loads the list, and again if it changes meanwhile.
    fn reload(&self) {
        self.0.is_stale.set(true);
        if self.0.is_loading.replace(true) {
            return;
        }
        let control = self.clone();
        spawn_local(async move {
            while control.0.is_stale.replace(false) {
                control.load().await;
                sleep(LOAD_INTERVAL).await;
            }
            control.0.is_loading.set(false);
        });
    }

    async fn load(&self) {
        let CatchState { filter, limit, .. } = self.state();
        let loaded = api::list(&filter, limit).await;
        self.update(|state| match loaded {
            Ok(list) => {
                state.list = Rc::new(list);
                state.is_loaded = true;
                state.error = None;
            }
            Err(error) => state.error = Some(error),
        });
    }

    pub(crate) fn search(&self, search: &str) {
        self.filter(|filter| search.clone_into(&mut filter.search));
    }

    /// Shows the messages of a recipient, or of all.
    pub(crate) fn select_recipient(&self, recipient: Option<String>) {
        self.filter(|filter| filter.recipient = recipient);
    }

    fn filter(&self, change: impl FnOnce(&mut Filter)) {
        self.update(|state| {
            change(&mut state.filter);
            state.limit = PAGE_MESSAGES;
        });
        self.reload();
    }

    pub(crate) fn show_more(&self) {
        self.update(|state| state.limit += PAGE_MESSAGES);
        self.reload();
    }

    /// Opens the message that the URL's fragment names, `#/ID`.
    pub(crate) fn fragment_changed(&self) {
        let fragment = location::fragment();
        let id = fragment.strip_prefix("#/").and_then(location::decode).filter(|id| !id.is_empty());
        if self.state().open.map(|open| open.id) == id {
            return;
        }
        self.update(|state| {
            state.notice = None;
            state.open = id.clone().map(|id| OpenMessage {
                id,
                content: Content::Loading,
                link_check: LinkCheck::None,
            });
        });
        if let Some(id) = id {
            self.load_message(id);
        }
    }

    fn load_message(&self, id: String) {
        let control = self.clone();
        spawn_local(async move {
            let loaded = api::message(&id).await;
            let is_unread = loaded.as_ref().is_ok_and(|details| !details.summary.is_read);
            control.update(|state| {
                if let Some(open) = state.open.as_mut().filter(|open| open.id == id) {
                    open.content = match loaded {
                        Ok(details) => Content::Ready(Rc::new(details)),
                        Err(error) => Content::Failed(error),
                    };
                }
            });
            if is_unread {
                control.finish(api::set_read(Some(&id), true).await);
            }
        });
    }

    /// Opens the neighbour of the open message, or the first one.
    pub(crate) fn open_neighbour(&self, is_next: bool) {
        let state = self.state();
        let messages = &state.list.messages;
        let open = state.open.as_ref().map(|open| open.id.as_str());
        let position = messages.iter().position(|message| Some(message.id.as_str()) == open);
        let neighbour = match position {
            Some(position) if is_next => messages.get(position + 1),
            Some(position) => position.checked_sub(1).and_then(|position| messages.get(position)),
            None => messages.first(),
        };
        if let Some(message) = neighbour {
            location::replace(0, &fragment(&message.id));
            self.fragment_changed();
        }
    }

    pub(crate) fn close(&self) {
        location::replace(0, "");
        self.fragment_changed();
    }

    /// Marks the open message as unread and closes it.
    pub(crate) fn mark_unread(&self, id: String) {
        self.close();
        self.act(async move { api::set_read(Some(&id), false).await });
    }

    pub(crate) fn mark_all_read(&self) {
        self.act(async { api::set_read(None, true).await });
    }

    pub(crate) fn delete(&self, id: String) {
        self.act(async move { api::delete(&[id]).await });
    }

    /// Asks whether to delete the messages that the filter selects. Loads them, so that the question has their number.
    pub(crate) fn ask_to_delete(&self) {
        let control = self.clone();
        spawn_local(async move {
            let CatchState { filter, limit, .. } = control.state();
            match api::list(&filter, limit).await {
                Ok(list) if list.count > 0 => {
                    let listed = list.messages.iter().map(|message| message.id.clone());
                    let ids = if list.messages.len() == list.count { listed.collect() } else { Vec::new() };
                    let dialog = Dialog::Deletion { filter, count: list.count, ids };
                    control.update(|state| state.dialog = Some(dialog));
                }
                result => control.finish(result.map(drop)),
            }
        });
    }

    pub(crate) fn close_dialog(&self) {
        self.update(|state| state.dialog = None);
    }

    /// Deletes the messages of the question: those that were counted, or the selection if there are many.
    pub(crate) fn delete_selected(&self) {
        let Some(Dialog::Deletion { filter, ids, .. }) = self.state().dialog else { return };
        self.close_dialog();
        self.act(async move {
            if ids.is_empty() { api::delete_selected(&filter).await } else { api::delete(&ids).await }
        });
    }

    /// Asks for the addresses that the open message is released to.
    pub(crate) fn ask_to_release(&self, id: String) {
        self.update(|state| {
            let to = match state.open.as_ref().map(|open| &open.content) {
                Some(Content::Ready(details)) => details.summary.to.join(", "),
                _ => String::new(),
            };
            state.dialog = Some(Dialog::Release { id, to, problem: None, is_sending: false });
        });
    }

    /// Releases the message of the dialog to addresses, which are separated by commas.
    pub(crate) fn release(&self, text: &str) {
        let Some(Dialog::Release { id, .. }) = self.state().dialog else { return };
        let to: Vec<String> =
            text.split(',').map(str::trim).filter(|address| !address.is_empty()).map(str::to_owned).collect();
        self.update_release(|problem, is_sending| (*problem, *is_sending) = (None, true));
        let control = self.clone();
        spawn_local(async move {
            match api::release(&id, &to).await {
                Ok(()) => control.update(|state| {
                    state.dialog = None;
                    state.notice = Some(format!(
                        "Released to {}. A report about a failure appears here.",
                        to.join(", ")
                    ));
                }),
                Err(error) => {
                    control
                        .update_release(|problem, is_sending| (*problem, *is_sending) = (Some(error), false));
                }
            }
        });
    }

    fn update_release(&self, change: impl FnOnce(&mut Option<String>, &mut bool)) {
        self.update(|state| {
            if let Some(Dialog::Release { problem, is_sending, .. }) = &mut state.dialog {
                change(problem, is_sending);
            }
        });
    }

    /// Requests the links of the open message.
    pub(crate) fn check_links(&self, id: String) {
        self.update_link_check(&id, LinkCheck::Running);
        let control = self.clone();
        spawn_local(async move {
            let check = match api::check_links(&id).await {
                Ok(links) => LinkCheck::Done(Rc::new(links)),
                Err(error) => LinkCheck::Failed(error),
            };
            control.update_link_check(&id, check);
        });
    }

    fn update_link_check(&self, id: &str, check: LinkCheck) {
        self.update(|state| {
            if let Some(open) = state.open.as_mut().filter(|open| open.id == id) {
                open.link_check = check;
            }
        });
    }

    fn act(&self, action: impl Future<Output = Result<(), String>> + 'static) {
        let control = self.clone();
        spawn_local(async move { control.finish(action.await) });
    }

    /// The WebSocket reports the effect of a successful action.
    fn finish(&self, result: Result<(), String>) {
        if let Err(error) = result {
            self.update(|state| state.error = Some(error));
        }
    }
}

/// The URL's fragment for a message.
pub(crate) fn fragment(id: &str) -> String {
    format!("#/{}", location::encode(id))
}
