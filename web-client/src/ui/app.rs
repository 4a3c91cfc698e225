//! The page: the sign-in form, or the three panes.

use std::cell::Cell;
use std::rc::Rc;

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use yew::prelude::*;

use super::compose::Compose;
use super::confirmation_dialog::{ConfirmationDialog, ReminderDialog};
use super::connection_bar::ConnectionBar;
use super::folders::Folders;
use super::history::{HistorySync, Location};
use super::keyboard::{on_key, restore_focus};
use super::label_dialog::LabelDialog;
use super::message_list::MessageList;
use super::pane_divider::PaneDivider;
use super::protocol_log::ProtocolLog;
use super::queued_mail::QueueWatch;
use super::reader::Reader;
use super::settings_dialog::SettingsDialog;
use super::shortcuts_dialog::ShortcutsDialog;
use super::sign_in::SignIn;
use super::toast::Toasts;
use super::top_bar::TopBar;
use super::update_bar::UpdateBar;
use crate::control::Control;
use crate::model::state::{Content, Folder, MailboxState, State, UiAction};
use crate::platform::{dom, service_worker};

#[component]
pub(crate) fn App() -> Html {
    let control = (*use_memo((), |()| Control::new())).clone();
    let state = use_state(|| control.state());
    let history = use_memo((), |()| HistorySync::default());
    {
        let (control, state, history) = (control.clone(), state.clone(), history.clone());
        use_effect_with((), move |()| {
            control.on_change(Callback::from(move |next| state.set(next)));
            control.resume();
            let updated = control.clone();
            service_worker::register(Callback::from(move |()| updated.dispatch(UiAction::UpdateAvailable)));
            listen(&control, history);
        });
    }
    {
        let control = control.clone();
        use_effect_with(Location::of(&state), move |location| {
            history.state_changed(&control, location.as_ref());
        });
    }
    {
        let shown = state.clone();
        use_effect_with(focusable(&state), move |_| restore_focus(&shown));
    }
    use_effect_with(title(&state), |title| dom::set_title(title));
    let state: Rc<State> = (*state).clone();
    html! {
        <ContextProvider<Control> context={control}>
            if state.session.account.is_some() {
                <Panes state={state.clone()} />
            } else if state.session.resuming {
                { starting() }
            } else {
                <SignIn session={state.session.clone()} protocol_log={state.ui.protocol_log} update={state.ui.update} />
            }
        </ContextProvider<Control>>
    }
}

/// The same content as in `index.html`.
fn starting() -> Html {
    html! {
        <main class="sign-in">
            <div class="card">
                <div class="brand">{ "Pennypost" }</div>
                <p class="small" role="status">{ "Starting…" }</p>
            </div>
        </main>
    }
}

#[derive(Properties, PartialEq)]
struct PanesProps {
    state: Rc<State>,
}

#[component]
fn Panes(PanesProps { state }: &PanesProps) -> Html {
    let State { session, mailbox, compose, ui } = State::clone(state);
    let settings = session.settings.clone();
    let shows_sent =
        ui.folder == Folder::Sent || ui.open.as_ref().is_some_and(|open| open.folder == Folder::Sent);
    let reading = ui.open.is_some() || compose.open.is_some();
    let list_width = use_state_eq(|| settings.list_width);
    {
        let list_width = list_width.setter();
        use_effect_with(settings.list_width, move |width| list_width.set(*width));
    }
    let onmove = {
        let list_width = list_width.setter();
        use_callback((), move |width, ()| list_width.set(width))
    };
    let style = format!("--list-width:{}px", *list_width);
    html! {
        <div class={classes!("app", reading.then_some("reading"))} {style}>
            <TopBar session={session.clone()} search={ui.search.text.clone()} protocol_log={ui.protocol_log} />
            <div class="bars">
                <UpdateBar update={ui.update} />
                <ConnectionBar connection={session.connection.clone()} in_outbox={compose.in_outbox()} />
            </div>
            <Folders session={session.clone()} mailbox={mailbox.clone()} compose={compose.clone()} ui={ui.clone()} />
            <MessageList connection={session.connection.clone()} mailbox={mailbox.clone()}
                drafts={compose.drafts.clone()} ui={ui.clone()} compact={settings.compact} />
            <PaneDivider width={*list_width} {onmove} />
            if compose.open.is_some() {
                <Compose {session} compose={compose.clone()} />
            } else {
                <Reader settings={settings.clone()} mailbox={mailbox.clone()} ui={ui.clone()} />
            }
            if ui.protocol_log { <ProtocolLog /> }
            <Toasts undoable={mailbox.removal.undoable.len()} refiled={refiled(&mailbox)} compose={compose.clone()} notice={ui.notice.clone()} />
            if shows_sent { <QueueWatch /> }
            if ui.shortcuts { <ShortcutsDialog /> }
            if ui.settings { <SettingsDialog settings={settings} /> }
            if let Some(ids) = &ui.labelling { <LabelDialog mailbox={mailbox.clone()} ids={ids.clone()} /> }
            if let Some(deletion) = &ui.deletion { <ConfirmationDialog deletion={deletion.clone()} /> }
            if let Some(reminder) = ui.reminder { <ReminderDialog {reminder} /> }
        </div>
    }
}

/// The number of messages that were archived or moved back, and whether they were archived.
fn refiled(mailbox: &MailboxState) -> (usize, bool) {
    let archived = mailbox.refiled.iter().any(|(_, previous)| !previous.archived);
    (mailbox.refiled.len(), archived)
}

/// The elements that may have the focus when they disappear. The compose pane sets its own focus.
fn focusable(state: &State) -> (bool, Option<(String, bool)>, usize, bool) {
    let open = state.ui.open.as_ref();
    (
        state.compose.open.is_some(),
        open.map(|open| (open.id.clone(), matches!(open.content, Content::Ready(_)))),
        state.mailbox.removal.undoable.len()
            + state.mailbox.refiled.len()
            + usize::from(state.compose.discarded.is_some())
            + usize::from(state.compose.held.is_some()),
        state.ui.notice.is_some()
            || state.ui.deletion.is_some()
            || state.ui.reminder.is_some()
            || state.ui.labelling.is_some(),
    )
}

fn title(state: &State) -> String {
    match state.mailbox.unread() {
        0 => "Pennypost".to_owned(),
        unread => format!("({unread}) Pennypost"),
    }
}

/// Adds listeners to the window. They live as long as the page.
fn listen(control: &Control, history: Rc<HistorySync>) {
    let Some(window) = web_sys::window() else { return };
    let key = {
        let control = control.clone();
        Closure::<dyn Fn(KeyboardEvent)>::new(move |event| on_key(&control, &event))
    };
    let online = {
        let control = control.clone();
        Closure::<dyn Fn()>::new(move || control.check())
    };
    // The browser asks before it closes a tab that has a message to send.
    let unload = {
        let control = control.clone();
        Closure::<dyn Fn(Event)>::new(move |event: Event| {
            if control.is_sending() {
                event.prevent_default();
            }
        })
    };
    // A page that is being closed becomes hidden too.
    let closing = Rc::new(Cell::new(false));
    let page_hide = {
        let (control, closing) = (control.clone(), closing.clone());
        Closure::<dyn Fn()>::new(move || {
            closing.set(true);
            control.complete_removal();
            control.back_up_open_draft();
            control.page_hidden(true);
        })
    };
    let page_show = {
        let (control, closing) = (control.clone(), closing.clone());
        Closure::<dyn Fn()>::new(move || {
            closing.set(false);
            control.page_hidden(false);
        })
    };
    // A hidden page may be discarded without another event. Mobile browsers often send only this one.
    let visibility = {
        let control = control.clone();
        Closure::<dyn Fn()>::new(move || {
            control.back_up_open_draft();
            if dom::is_hidden() && !closing.get() {
                control.release();
            }
        })
    };
    let popstate = {
        let control = control.clone();
        Closure::<dyn Fn()>::new(move || history.on_popstate(&control))
    };
    // Prevents the browser from opening a file that is dropped outside the compose pane.
    let drop = Closure::<dyn Fn(DragEvent)>::new(|event: DragEvent| {
        if event.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0)) {
            event.prevent_default();
        }
    })
    .into_js_value();
    for (name, listener) in [
        ("dragover", drop.clone()),
        ("drop", drop),
        ("keydown", key.into_js_value()),
        ("online", online.into_js_value()),
        ("pagehide", page_hide.into_js_value()),
        ("pageshow", page_show.into_js_value()),
        ("visibilitychange", visibility.into_js_value()),
        ("popstate", popstate.into_js_value()),
        ("beforeunload", unload.into_js_value()),
    ] {
        let _ = window.add_event_listener_with_callback(name, listener.unchecked_ref());
    }
}
