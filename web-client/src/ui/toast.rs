//! What is told and goes again: Undo, what became of a message, a lost connection.

use std::rc::Rc;

use mail_core::time::Duration;
use yew::platform::spawn_local;
use yew::platform::time::sleep;
use yew::prelude::*;

use super::icons;
use crate::control::Control;
use crate::state::{Action, Connection, State, Tone};
use crate::{clock, labels};

/// Good news go by themselves.
const GOOD_NEWS_FOR: Duration = Duration::from_secs(6);
/// Whether somebody is still at what is to go.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) state: Rc<State>,
}

#[component]
pub(super) fn Toast(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    {
        let control = control.clone();
        use_effect_with(state.notice.clone(), move |notice| {
            if let Some(notice) = notice.clone().filter(|notice| notice.tone == Tone::Good) {
                spawn_local(async move {
                    sleep(GOOD_NEWS_FOR).await;
                    while is_attended() {
                        sleep(LOOK_EVERY).await;
                    }
                    if control.state().notice.as_ref() == Some(&notice) {
                        control.dispatch(Action::CloseNotice);
                    }
                });
            }
        });
    }
    let undo = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.undo())
    };
    let close = Callback::from(move |_: MouseEvent| control.dispatch(Action::CloseNotice));
    let undoable = match (&state.discarded, state.removal.offered.len()) {
        (Some(_), _) => Some("Draft discarded.".to_owned()),
        (None, 0) => None,
        (None, 1) => Some("Message deleted.".to_owned()),
        (None, offered) => Some(format!("{} deleted.", labels::count(offered, "message"))),
    };
    html! {
        <div class="toasts">
            <div role="status">
                if let Some(what) = undoable {
                    <div class="toast">
                        <span>{ what }</span>
                        <button type="button" title="Undo (z)" onclick={undo}>{ "Undo" }</button>
                    </div>
                }
            </div>
            <div role="alert">
                if let Some(notice) = &state.notice {
                    <div class={classes!("toast", (notice.tone == Tone::Bad).then_some("bad"))}>
                        <span>{ &notice.text }</span>
                        <button class="icon" type="button" aria-label="Close" onclick={close}>{ icons::cross() }</button>
                    </div>
                }
            </div>
        </div>
    }
}

/// Whether somebody is at a toast, with the mouse or the keyboard: it does not go then.
pub(crate) fn is_attended() -> bool {
    let document = web_sys::window().and_then(|window| window.document());
    let attended = document.map(|document| document.query_selector(".toast:is(:hover, :focus-within)"));
    matches!(attended, Some(Ok(Some(_))))
}

/// The connection, when something is wrong with it.
#[component]
pub(super) fn Bar(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let retry = Callback::from(move |_: MouseEvent| control.check());
    let words = match &state.connection {
        Connection::Idle | Connection::Busy => None,
        Connection::Failed(why) => Some(why.clone()),
        Connection::Waiting { why, until } => {
            let at = labels::clock_with_seconds(clock::local(*until));
            Some(format!("{why} Next attempt at {at}."))
        }
    };
    html! {
        <div class="trouble" role="status">
            if let Some(words) = words {
                <span>{ words }</span>
                <button class="button" type="button" onclick={retry}>{ "Try now" }</button>
            }
        </div>
    }
}
