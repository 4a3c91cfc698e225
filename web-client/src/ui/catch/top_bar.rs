//! The top bar: search, number of messages, actions on all.

use web_sys::HtmlInputElement;
use yew::prelude::*;

use crate::catch::control::CatchControl;
use crate::catch::state::Connection;
use crate::strings;
use crate::ui::element_ids::SEARCH_ID;
use crate::ui::icons;

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
        Connection::Connecting => ("busy", strings::CONNECTING),
        Connection::Live => ("", strings::LIVE),
        Connection::Lost => ("failed", strings::NOT_CONNECTED),
    };
    html! {
        <header class="top">
            <h1 class="brand">{ icons::envelope() }<span>{ strings::PENNYPOST_CATCH }</span></h1>
            <input class="search" id={SEARCH_ID} type="search" value={search.clone()} oninput={type_search}
                placeholder={strings::SEARCH_PLACEHOLDER} title={strings::CATCH_SEARCH_HINT} aria-label={strings::SEARCH_MAIL} autocomplete="off" />
            <div class="account">
                <span class="address"><i class={classes!("dot", class)}></i>{ status }</span>
                <button class="button wide-only" type="button" onclick={read_all} disabled={*unread == 0}>{ strings::MARK_ALL_READ }</button>
                <button class="button" type="button" onclick={delete_all} disabled={*count == 0}>{ strings::DELETE_ALL }</button>
            </div>
        </header>
    }
}
