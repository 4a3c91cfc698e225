//! The list of caught mail, newest first.

use std::rc::Rc;

use web_sys::HtmlSelectElement;
use yew::prelude::*;

use super::recipients::RECIPIENTS_DRAWN_MAX;
use crate::catch::control::{CatchControl, fragment};
use crate::catch::state::{CaughtMessage, Filter, List};
use crate::model::format;
use crate::platform::{clock, dates};
use crate::strings;
use crate::ui::element_ids::row_id;
use crate::ui::icons;

/// Recipients that are named in a row.
const RECIPIENTS_NAMED_MAX: usize = 3;

#[derive(Properties, PartialEq)]
pub(super) struct CaughtListProps {
    pub(super) list: Rc<List>,
    pub(super) filter: Filter,
    pub(super) is_loaded: bool,
    /// Id of the open message.
    pub(super) open: Option<String>,
}

#[component]
pub(super) fn CaughtList(CaughtListProps { list, filter, is_loaded, open }: &CaughtListProps) -> Html {
    let control = use_context::<CatchControl>().expect("the app provides the control");
    let show_more = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.show_more())
    };
    let empty = match (*is_loaded, filter.is_empty()) {
        (false, _) => strings::LOADING,
        (true, false) => strings::NO_RESULTS,
        (true, true) => strings::CATCH_LIST_IS_EMPTY,
    };
    html! {
        <section class="list" aria-label={strings::MESSAGES}>
            <div class="list-bar">
                <h2 class="wide-only">{ filter.recipient.clone().unwrap_or_else(|| strings::ALL_MAIL.to_owned()) }</h2>
                { recipient_field(&control, list, filter) }
                <span class="count">{ format::count(list.count, "message") }</span>
            </div>
            if list.messages.is_empty() { <p class="empty">{ empty }</p> }
            <div class="rows">
                <ul>
                    { for list.messages.iter().map(|message| {
                        html! { <CaughtRow key={message.id.clone()} message={message.clone()} is_open={open.as_ref() == Some(&message.id)} /> }
                    }) }
                </ul>
                if list.messages.len() < list.count {
                    <p class="empty"><button class="button" type="button" onclick={show_more}>{ strings::SHOW_OLDER_MESSAGES }</button></p>
                }
            </div>
        </section>
    }
}

/// In place of the recipients' column on narrow screens.
fn recipient_field(control: &CatchControl, list: &List, filter: &Filter) -> Html {
    let control = control.clone();
    let select = Callback::from(move |event: Event| {
        let value = event.target_unchecked_into::<HtmlSelectElement>().value();
        control.select_recipient(Some(value).filter(|value| !value.is_empty()));
    });
    let option = |address: &str| {
        let selected = filter.recipient.as_deref() == Some(address);
        html! { <option value={address.to_owned()} {selected}>{ address }</option> }
    };
    let recipients = list.recipients.iter().take(RECIPIENTS_DRAWN_MAX);
    html! {
        <select class="narrow-only" aria-label={strings::RECIPIENT} onchange={select}>
            <option value="" selected={filter.recipient.is_none()}>{ strings::ALL_MAIL }</option>
            { for recipients.map(|recipient| option(&recipient.address)) }
        </select>
    }
}

#[derive(Properties, PartialEq)]
struct CaughtRowProps {
    message: Rc<CaughtMessage>,
    is_open: bool,
}

/// A link, so that every message has an address and the browser's Back button works.
#[component]
fn CaughtRow(CaughtRowProps { message, is_open }: &CaughtRowProps) -> Html {
    let or =
        |text: &str, other: &'static str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let now = clock::local(clock::now());
    let date = message.received.map(|received| dates::list_date(received, now, false));
    html! {
        <li class={classes!("row", (!message.is_read).then_some("unread"))}>
            <a class="open" id={row_id(&message.id)} href={fragment(&message.id)} aria-current={is_open.then_some("true")}>
                if !message.is_read { <span class="visually-hidden">{ strings::UNREAD_PREFIX }</span><i class="unread-dot"></i> }
                <b dir="auto">{ or(&message.subject, strings::NO_SUBJECT) }</b>
                <span class="date" title={message.received.map(format::guide_date)}>
                    if message.attachments > 0 { <span class="attachment-icon" title={strings::HAS_ATTACHMENTS}>{ icons::clip() }</span> }
                    { date }
                </span>
                <span class="subject" dir="auto">
                    { recipients(&message.to) }{ for message.tags.iter().map(|tag| html! { <span class="label">{ tag }</span> }) }
                </span>
                <span class="snippet" dir="auto">{ format!("{}: {}", or(&message.from, strings::NO_SENDER), message.snippet) }</span>
            </a>
        </li>
    }
}

fn recipients(to: &[String]) -> String {
    let named = to.iter().take(RECIPIENTS_NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match to.len().saturating_sub(RECIPIENTS_NAMED_MAX) {
        0 => strings::to_recipient(&named),
        others => strings::to_several(&named, &format::count(others, "other")),
    }
}
