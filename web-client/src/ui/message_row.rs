//! A row of the message list.

use yew::prelude::*;

use super::element_ids::row_id;
use super::icons;
use crate::control::Control;
use crate::model::format;
use crate::model::message::ListItem;
use crate::model::state::Folder;
use crate::platform::clock;

/// Height of `.row` in the style sheet, in pixels.
pub(super) const ROW_HEIGHT: i32 = 66;

#[derive(Properties, PartialEq)]
pub(super) struct MessageRowProps {
    pub(super) item: ListItem,
    pub(super) index: i32,
    pub(super) count: i32,
    pub(super) selected: bool,
    pub(super) folder: Folder,
    /// Redraws the date when the day changes.
    pub(super) today: chrono::NaiveDate,
}

#[component]
pub(super) fn MessageRow(props: &MessageRowProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let item = &props.item;
    let message = match item {
        ListItem::Message(message) => Some(message),
        ListItem::Draft(_) => None,
    };
    let open = {
        let (control, id) = (control.clone(), item.id().to_owned());
        Callback::from(move |_: MouseEvent| control.open(&id))
    };
    let star = {
        let id = item.id().to_owned();
        Callback::from(move |_: MouseEvent| control.toggle_star(&id))
    };
    let pending = message.is_some_and(|message| message.header.is_none());
    let unread = message.is_some_and(|message| !message.read);
    let starred = message.is_some_and(|message| message.starred);
    let has_attachments = match item {
        ListItem::Message(message) => message.header.as_ref().is_some_and(|header| header.has_attachments),
        ListItem::Draft(form) => !form.attachments.is_empty(),
    };
    let correspondent = match item.correspondent() {
        _ if pending => "…".to_owned(),
        name if !name.is_empty() => name,
        _ if message.is_some() => "(no sender)".to_owned(),
        _ => "(no recipients)".to_owned(),
    };
    let subject = match item.subject() {
        "" if pending => "…",
        "" => "(no subject)",
        subject => subject,
    };
    let now = clock::local(clock::now());
    let date = item.date().map(|date| format::list_date(clock::local(date), now));
    let can_be_starred = matches!(props.folder, Folder::Inbox | Folder::Starred);
    html! {
        <li class={classes!("row", unread.then_some("unread"))} style={format!("top:{}px", props.index * ROW_HEIGHT)}
            aria-setsize={props.count.to_string()} aria-posinset={(props.index + 1).to_string()}>
            <button class="open" type="button" id={row_id(item.id())} onclick={open}
                aria-current={props.selected.then_some("true")}>
                if unread { <span class="visually-hidden">{ "Unread. " }</span> }
                <b dir="auto">{ correspondent }</b>
                <span class="date" title={item.date().map(format::guide_date)}>{ date }</span>
                <span class="subject" dir="auto">{ subject }</span>
                <span class="size">
                    if has_attachments { <span class="attachment-icon" title="Has attachments">{ icons::clip() }</span> }
                    { format::size(item.octets()) }
                </span>
            </button>
            if can_be_starred {
                <button class="star" type="button" onclick={star} aria-pressed={starred.to_string()}
                    aria-label={format!("Star {subject}")}>{ icons::star() }</button>
            }
        </li>
    }
}
