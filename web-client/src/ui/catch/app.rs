//! The page of a catcher.

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, KeyboardEvent};
use yew::prelude::*;

use super::list::CaughtList;
use super::reader::CaughtReader;
use super::recipients::Recipients;
use super::release_dialog::ReleaseDialog;
use super::top_bar::CatchBar;
use crate::catch::control::CatchControl;
use crate::catch::state::{CatchState, Connection, Dialog};
use crate::model::format;
use crate::platform::dom;
use crate::strings;
use crate::ui::element_ids::SEARCH_ID;
use crate::ui::modal::Modal;

const QUESTION_ID: &str = "delete-question";

#[component]
pub(crate) fn CatchApp() -> Html {
    let control = (*use_memo((), |()| CatchControl::new())).clone();
    let state = use_state(|| control.state());
    {
        let (control, state) = (control.clone(), state.setter());
        use_effect_with((), move |()| {
            listen(&control);
            control.start(Callback::from(move |next| state.set(next)));
        });
    }
    use_effect_with(state.list.unread, |unread| {
        dom::set_title(&match unread {
            0 => strings::PENNYPOST_CATCH.to_owned(),
            unread => format!("({unread}) Pennypost catch"),
        });
    });
    let CatchState { connection, filter, list, is_loaded, error, open, dialog, notice, release_to, .. } =
        (*state).clone();
    html! {
        <ContextProvider<CatchControl> context={control.clone()}>
            <div class={classes!("app", "catch", open.is_some().then_some("reading"))}>
                <CatchBar search={filter.search.clone()} {connection} count={list.count} unread={list.unread} />
                <div class="connection-bar"><span role="status">{ problem(connection, error).or(notice) }</span></div>
                <Recipients list={list.clone()} filter={filter.clone()} />
                <CaughtList list={list.clone()} {filter} {is_loaded} open={open.as_ref().map(|open| open.id.clone())} />
                <CaughtReader {open} can_release={release_to.is_some()} is_empty={is_loaded && list.total == 0} />
                { match dialog {
                    Some(Dialog::Deletion { count, .. }) => deletion_question(&control, count),
                    Some(Dialog::Release { to, problem, is_sending, .. }) => html! {
                        <ReleaseDialog {to} allowed={release_to.unwrap_or_default()} {problem} {is_sending} />
                    },
                    None => Html::default(),
                } }
            </div>
        </ContextProvider<CatchControl>>
    }
}

fn problem(connection: Connection, error: Option<String>) -> Option<String> {
    match connection {
        Connection::Lost => Some(strings::CATCHER_DOES_NOT_ANSWER.to_owned()),
        Connection::Connecting | Connection::Live => error,
    }
}

/// The first button, which gets the focus, deletes nothing.
fn deletion_question(control: &CatchControl, count: usize) -> Html {
    let close = {
        let control = control.clone();
        Callback::from(move |()| control.close_dialog())
    };
    let control = control.clone();
    let confirm = Callback::from(move |_: MouseEvent| control.delete_selected());
    html! {
        <Modal labelled_by={QUESTION_ID} onclose={close.clone()}>
            <h2 id={QUESTION_ID}>{ strings::delete_question(&format::count(count, "message")) }</h2>
            <p>{ strings::DELETED_FROM_CATCHER }</p>
            <div class="answers">
                <button class="button" type="button" onclick={close.reform(|_: MouseEvent| ())}>{ strings::KEEP }</button>
                <button class="button primary" type="button" onclick={confirm}>{ strings::DELETE }</button>
            </div>
        </Modal>
    }
}

/// Adds listeners to the window. They live as long as the page.
fn listen(control: &CatchControl) {
    let Some(window) = web_sys::window() else { return };
    let fragment_changed = {
        let control = control.clone();
        Closure::<dyn Fn()>::new(move || control.fragment_changed())
    };
    let key = {
        let control = control.clone();
        Closure::<dyn Fn(KeyboardEvent)>::new(move |event: KeyboardEvent| on_key(&control, &event))
    };
    for (name, listener) in
        [("hashchange", fragment_changed.into_js_value()), ("keydown", key.into_js_value())]
    {
        let _ = window.add_event_listener_with_callback(name, listener.unchecked_ref());
    }
}

fn on_key(control: &CatchControl, event: &KeyboardEvent) {
    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
    let is_typing = target.is_some_and(|target| matches!(target.tag_name().as_str(), "INPUT" | "SELECT"));
    if is_typing
        || event.ctrl_key()
        || event.meta_key()
        || event.alt_key()
        || control.state().dialog.is_some()
    {
        return;
    }
    match event.key().as_str() {
        "/" => dom::focus(SEARCH_ID),
        "j" => control.open_neighbour(true),
        "k" => control.open_neighbour(false),
        "u" => control.close(),
        _ => return,
    }
    event.prevent_default();
}
