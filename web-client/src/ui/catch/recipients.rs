//! The recipients of the caught mail, each with its own list, and the tags.

use std::rc::Rc;

use yew::prelude::*;

use crate::catch::control::CatchControl;
use crate::catch::state::{Filter, List};
use crate::model::format;
use crate::strings;

/// Recipients that are drawn.
pub(super) const RECIPIENTS_DRAWN_MAX: usize = 200;
const TAGS_DRAWN_MAX: usize = 100;

#[derive(Properties, PartialEq)]
pub(super) struct RecipientsProps {
    pub(super) list: Rc<List>,
    pub(super) filter: Filter,
}

#[component]
pub(super) fn Recipients(RecipientsProps { list, filter }: &RecipientsProps) -> Html {
    let control = use_context::<CatchControl>().expect("the app provides the control");
    let item = |recipient: Option<String>, label: String, messages: usize, unread: usize| {
        let control = control.clone();
        let is_current = filter.recipient == recipient;
        let select = Callback::from(move |_: MouseEvent| control.select_recipient(recipient.clone()));
        html! {
            <button key={label.clone()} type="button" onclick={select} aria-current={is_current.then_some("true")} title={label.clone()}
                class={classes!((unread > 0).then_some("unread"))}>
                <bdi>{ label }</bdi><span>{ format::number(messages) }</span>
            </button>
        }
    };
    let recipients = list.recipients.iter().take(RECIPIENTS_DRAWN_MAX);
    let recipients =
        recipients.map(|one| item(Some(one.address.clone()), one.address.clone(), one.messages, one.unread));
    let hidden = list.recipient_count.saturating_sub(RECIPIENTS_DRAWN_MAX);
    let tag = |tag: &String| {
        let (control, search) = (control.clone(), format!("tag:\"{tag}\""));
        let is_current = filter.search == search;
        let next = if is_current { String::new() } else { search };
        let select = Callback::from(move |_: MouseEvent| control.search(&next));
        html! { <button key={tag.clone()} class="tag" type="button" aria-pressed={is_current.to_string()} onclick={select}>{ tag }</button> }
    };
    html! {
        <nav class="nav" aria-label={strings::RECIPIENTS}>
            { item(None, strings::ALL_MAIL.to_owned(), list.total, list.unread) }
            if !list.recipients.is_empty() { <h2>{ strings::RECIPIENTS }</h2> }
            { for recipients }
            if hidden > 0 { <small>{ strings::more_recipients_hint(&format::number(hidden)) }</small> }
            if !list.tags.is_empty() {
                <h2>{ strings::TAGS }</h2>
                <div class="tags">{ for list.tags.iter().take(TAGS_DRAWN_MAX).map(tag) }</div>
            }
        </nav>
    }
}
