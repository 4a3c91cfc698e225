//! The line at the top: search, who is signed in, Check mail, the menu.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::icons;
use super::keyboard::SEARCH_ID;
use super::menu::Menu;
use crate::control::Control;
use crate::state::{Action, Connection, State};

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) state: Rc<State>,
}

#[component]
pub(super) fn Top(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let search = {
        let control = control.clone();
        Callback::from(move |event: InputEvent| {
            let field: HtmlInputElement = event.target_unchecked_into();
            control.dispatch(Action::Search(field.value()));
        })
    };
    let check = Callback::from(move |_: MouseEvent| control.check());
    let (tone, words) = match &state.connection {
        Connection::Idle => ("good", "Connected"),
        Connection::Busy => ("busy", "Talking to the server"),
        Connection::Waiting { .. } | Connection::Failed(_) => ("bad", "Not connected"),
    };
    let busy = state.connection == Connection::Busy;
    let address = state.account.as_ref().map(|account| account.address.to_string()).unwrap_or_default();
    html! {
        <header class="top">
            <h1 class="brand">{ icons::envelope() }<span>{ "Pennypost" }</span></h1>
            <input class="search" id={SEARCH_ID} type="search" value={state.search.clone()} oninput={search}
                placeholder="Search sender, subject, text   /" aria-label="Search mail" autocomplete="off" />
            <div class="who">
                <span class="address"><i class={classes!("dot", tone)} title={words}></i>{ address.clone() }</span>
                <button class="button" type="button" onclick={check} disabled={busy}>
                    { if busy { "Checking…" } else { "Check mail" } }
                </button>
                <Menu {address} drawer={state.drawer} />
            </div>
        </header>
    }
}
