//! The top bar: search, number of messages, actions on all.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::catch::control::CatchControl;
use crate::catch::state::Connection;
use crate::ui::element_ids::SEARCH_ID;
use crate::ui::icons;

const SEARCH_HINT: &str = "Words, or to: from: subject: tag: has:attachment is:unread larger:100k before:2026-11-22 after:2026-11-22; \
    - excludes";

#[derive(Properties, PartialEq)]
pub(super) struct CatchBarProps {
    pub(super) search: String,
    pub(super) connection: Connection,
    /// Messages in the list.
    pub(super) count: usize,
    pub(super) unread: usize,
}

#[component]
pub(super) fn CatchBar(CatchBarProps { search, connection, count, unread }: &CatchBarProps) -> Html {
    let control = use_context::<CatchControl>().expect("the app provides the control");
    let type_search = {
        let control = control.clone();
        Callback::from(move |event: InputEvent| {
            let field: HtmlInputElement = event.target_unchecked_into();
            control.search(&field.value());
        })
    };
    let read_all = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.mark_all_read())
    };
    let delete_all = Callback::from(move |_: MouseEvent| control.ask_to_delete());
    let (class, status) = match connection {
        Connection::Connecting => ("busy", "Connecting"),
        Connection::Live => ("", "Live"),
        Connection::Lost => ("failed", "Not connected"),
    };
    html! {
        <header class="top">
            <h1 class="brand">{ icons::envelope() }<span>{ "Pennypost catch" }</span></h1>
            <input class="search" id={SEARCH_ID} type="search" value={search.clone()} oninput={type_search}
                placeholder="Search mail   /" title={SEARCH_HINT} aria-label="Search mail" autocomplete="off" />
            <div class="account">
                <span class="address"><i class={classes!("dot", class)}></i>{ status }</span>
                <button class="button wide-only" type="button" onclick={read_all} disabled={*unread == 0}>{ "Mark all read" }</button>
                <button class="button" type="button" onclick={delete_all} disabled={*count == 0}>{ "Delete all" }</button>
            </div>
        </header>
    }
}
