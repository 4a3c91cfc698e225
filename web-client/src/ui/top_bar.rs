//! The top bar: search, account, Check mail, menu.

use std::rc::Rc;

use web_sys::HtmlInputElement;
use yew::prelude::*;

use super::element_ids::SEARCH_ID;
use super::icons;
use super::menu::MainMenu;
use crate::control::Control;
use crate::model::state::{Account, ConnectionStatus, SessionState};

const SEARCH_HINT: &str =
    "Words, or from: to: subject: has:attachment is:unread before:2026-11-22 after:2026-11-22";

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
        ConnectionStatus::Idle => ("", "Connected"),
        ConnectionStatus::Busy => ("busy", "Syncing"),
        ConnectionStatus::Waiting { .. } | ConnectionStatus::Failed(_) => ("failed", "Not connected"),
    };
    let busy = session.connection == ConnectionStatus::Busy;
    let account = session.account.as_ref().map(Account::label).unwrap_or_default();
    let account_id = session.account.as_ref().map(|account| account.id.clone()).unwrap_or_default();
    html! {
        <header class="top">
            <h1 class="brand">{ icons::envelope() }<span>{ "Pennypost" }</span></h1>
            <input class="search" id={SEARCH_ID} type="search" value={search.clone()} oninput={type_search}
                placeholder="Search mail   /" title={SEARCH_HINT} aria-label="Search mail" autocomplete="off" />
            <div class="account">
                <span class="address"><i class={classes!("dot", class)} title={status}></i>{ account.clone() }</span>
                <button class="button" type="button" onclick={check} disabled={busy}>
                    { if busy { "Checking…" } else { "Check mail" } }
                </button>
                <MainMenu {account} {account_id} protocol_log={*protocol_log} />
            </div>
        </header>
    }
}
