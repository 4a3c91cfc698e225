//! The page as a whole: signed out, or the three panes.

use std::rc::Rc;

use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use yew::prelude::*;

use super::back::{self, Back};
use super::compose::Compose;
use super::drawer::Drawer;
use super::folders::Folders;
use super::help::Help;
use super::keyboard::{on_key, regain_focus};
use super::list::List;
use super::reader::Reader;
use super::sign_in::SignIn;
use super::toast::{Bar, Toast};
use super::top::Top;
use crate::control::Control;
use crate::state::{Content, State};

#[component]
pub(crate) fn App() -> Html {
    let control = (*use_memo((), |()| Control::new())).clone();
    let state = use_state(|| control.state());
    let back = use_memo((), |()| Back::default());
    {
        let (control, state, back) = (control.clone(), state.clone(), back.clone());
        use_effect_with((), move |()| {
            control.on_change(Callback::from(move |next| state.set(next)));
            listen(&control, back);
        });
    }
    {
        let back = back.clone();
        use_effect_with(back::depth(&state), move |depth| back.follow(*depth));
    }
    {
        let shown = state.clone();
        use_effect_with(places(&state), move |_| regain_focus(&shown));
    }
    use_effect_with(title(&state), |title| {
        if let Some(document) = web_sys::window().and_then(|window| window.document()) {
            document.set_title(title);
        }
    });
    let state: Rc<State> = (*state).clone();
    html! {
        <ContextProvider<Control> context={control}>
            if state.account.is_some() {
                { panes(&state) }
            } else {
                <SignIn state={state.clone()} />
            }
        </ContextProvider<Control>>
    }
}

fn panes(state: &Rc<State>) -> Html {
    let reads = state.open.is_some() || state.composing.is_some();
    html! {
        <div class={classes!("app", reads.then_some("reads"))}>
            <Top state={state.clone()} />
            <Bar state={state.clone()} />
            <Folders state={state.clone()} />
            <List state={state.clone()} />
            if state.composing.is_some() {
                <Compose state={state.clone()} />
            } else {
                <Reader state={state.clone()} />
            }
            if state.drawer { <Drawer /> }
            <Toast state={state.clone()} />
            if state.help { <Help /> }
        </div>
    }
}

/// What can take the focus along when it goes. Compose finds its own field.
fn places(state: &State) -> (bool, Option<(String, bool)>, usize, bool) {
    let open = state.open.as_ref().map(|open| (open.id.clone(), matches!(open.content, Content::Ready(_))));
    (
        state.composing.is_some(),
        open,
        state.removal.offered.len() + usize::from(state.discarded.is_some()),
        state.notice.is_some(),
    )
}

fn title(state: &State) -> String {
    match state.unread() {
        0 => "Pennypost".to_owned(),
        unread => format!("({unread}) Pennypost"),
    }
}

/// What is heard wherever the focus is. The page is never taken down, so neither are these.
fn listen(control: &Control, back: Rc<Back>) {
    let Some(window) = web_sys::window() else { return };
    let keys = {
        let control = control.clone();
        Closure::<dyn Fn(KeyboardEvent)>::new(move |event| on_key(&control, &event))
    };
    let online = {
        let control = control.clone();
        Closure::<dyn Fn()>::new(move || control.check())
    };
    // A tab that is closed in mid-send is asked about.
    let leaving = {
        let control = control.clone();
        Closure::<dyn Fn(Event)>::new(move |event: Event| {
            if control.is_sending() {
                event.prevent_default();
            }
        })
    };
    // A page that is out of sight may never be seen again.
    let hiding = {
        let control = control.clone();
        Closure::<dyn Fn()>::new(move || control.keep_last_words()).into_js_value()
    };
    let travelling = {
        let control = control.clone();
        Closure::<dyn Fn()>::new(move || back.arrive(&control))
    };
    // A file that is dropped beside a draft does not take the place of the page.
    let dropping = Closure::<dyn Fn(DragEvent)>::new(|event: DragEvent| {
        if event.data_transfer().is_some_and(|data| data.types().includes(&"Files".into(), 0)) {
            event.prevent_default();
        }
    })
    .into_js_value();
    for (name, listener) in [
        ("dragover", dropping.clone()),
        ("drop", dropping),
        ("keydown", keys.into_js_value()),
        ("online", online.into_js_value()),
        ("pagehide", hiding.clone()),
        // On a phone it may be the last that is heard.
        ("visibilitychange", hiding),
        ("popstate", travelling.into_js_value()),
        ("beforeunload", leaving.into_js_value()),
    ] {
        // It fails for no name of an event.
        let _ = window.add_event_listener_with_callback(name, listener.unchecked_ref());
    }
}
