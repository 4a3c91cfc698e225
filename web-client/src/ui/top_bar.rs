//! The top bar: search, account, Check mail, menu.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::element_ids::SEARCH_ID;
use super::icons;
use super::menu::MainMenu;
use crate::control::Control;
use crate::model::state::{Account, ConnectionStatus, SessionState};
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct TopBarProps {
    pub(super) session: Rc<SessionState>,
    pub(super) search: String,
    pub(super) protocol_log: bool,
}

#[component]
pub(super) fn TopBar(TopBarProps { session, search, protocol_log }: &TopBarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let type_search = {
        let control = control.clone();
        Callback::from(move |event: InputEvent| {
            let field: HtmlInputElement = event.target_unchecked_into();
            control.search(&field.value());
        })
    };
    let check = Callback::from(move |_: MouseEvent| control.synchronize());
    let (class, status) = match &session.connection {
        ConnectionStatus::Idle => ("", strings::CONNECTED),
        ConnectionStatus::Busy => ("busy", strings::SYNCING),
        ConnectionStatus::Waiting { .. } | ConnectionStatus::Failed(_) => ("failed", strings::NOT_CONNECTED),
    };
    let busy = session.connection == ConnectionStatus::Busy;
    let account = session.account.as_ref().map(Account::label).unwrap_or_default();
    let account_id = session.account.as_ref().map(|account| account.id.clone()).unwrap_or_default();
    html! {
        <header class="top">
            <h1 class="brand">{ icons::envelope() }<span>{ strings::PENNYPOST }</span></h1>
            <input class="search" id={SEARCH_ID} type="search" value={search.clone()} oninput={type_search}
                placeholder={strings::SEARCH_PLACEHOLDER} title={strings::SEARCH_HINT} aria-label={strings::SEARCH_MAIL} autocomplete="off" />
            <div class="account">
                <span class="address"><i class={classes!("dot", class)} title={status}></i>{ account.clone() }</span>
                <button class="button" type="button" onclick={check} disabled={busy}>
                    { if busy { strings::CHECKING } else { strings::CHECK_MAIL } }
                </button>
                <MainMenu {account} {account_id} protocol_log={*protocol_log} />
            </div>
        </header>
    }
}
