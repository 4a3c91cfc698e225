//! Loads the state of the page and carries out its actions.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use mail_core::time::Duration;
use yew::Callback;
use yew::platform::spawn_local;
use yew::platform::time::sleep;

use super::api;
use super::events::{self, CatchEvent};
use super::state::{CatchState, Connection, Content, Filter, OpenMessage, PAGE_MESSAGES};
use crate::platform::location;

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

    fn connect(&self) {
        let control = self.clone();
        events::listen(move |event| control.on_event(event));
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
            state.open = id.clone().map(|id| OpenMessage { id, content: Content::Loading });
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
        self.act(async move { api::delete(&id).await });
    }

    pub(crate) fn ask_to_delete(&self, asks: bool) {
        self.update(|state| state.asks_to_delete = asks);
    }

    /// Deletes the messages that the filter selects.
    pub(crate) fn delete_selected(&self) {
        self.ask_to_delete(false);
        let filter = self.state().filter;
        self.act(async move { api::delete_selected(&filter).await });
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
