//! A row of the message list.

use yew::prelude::*;

use super::element_ids::row_id;
use super::icons;
use crate::control::Control;
use crate::model::format;
use crate::model::message::ListItem;
use crate::model::state::Folder;
use crate::platform::clock;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct MessageRowProps {
    pub(super) item: ListItem,
    pub(super) folder: Folder,
    /// Pixels from the top of the list.
    pub(super) top: i32,
    pub(super) index: i32,
    pub(super) count: i32,
    /// The cursor is here.
    pub(super) current: bool,
    pub(super) selected: bool,
    /// Tab reaches this row; the arrow keys reach the others.
    pub(super) in_tab_order: bool,
    pub(super) shows_size: bool,
    /// A heading above the row names the day.
    pub(super) is_grouped: bool,
    /// The message is in the results of a search, which may come from any folder.
    pub(super) in_results: bool,
    /// The message waits in the server's queue.
    pub(super) is_queued: bool,
    /// Redraws the date when the day changes.
    pub(super) today: chrono::NaiveDate,
}

#[component]
pub(super) fn MessageRow(props: &MessageRowProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let MessageRowProps { item, selected, .. } = props;
    let message = match item {
        ListItem::Message(message) => Some(message),
        ListItem::Draft(_) => None,
    };
    let id = item.id().to_owned();
    let open = {
        let (control, id) = (control.clone(), id.clone());
        Callback::from(move |event: MouseEvent| {
            if event.shift_key() {
                control.select_to(&id);
            } else if event.ctrl_key() || event.meta_key() {
                control.toggle_selected(&id);
            } else {
                control.open(&id);
            }
        })
    };
    let pending = message.is_some_and(|message| message.header.is_none());
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
    let tab_index = if props.in_tab_order { "0" } else { "-1" };
    let unread = item.is_unread();
    let classes = classes!("row", unread.then_some("unread"), selected.then_some("selected"));
    html! {
        <li class={classes} style={format!("top:{}px", props.top)}
            aria-setsize={props.count.to_string()} aria-posinset={(props.index + 1).to_string()}>
            <button class="open" type="button" id={row_id(&id)} onclick={open} tabindex={tab_index}
                aria-current={props.current.then_some("true")}>
                if unread { <span class="visually-hidden">{ "Unread. " }</span><i class="unread-dot"></i> }
                <b dir="auto">{ correspondent }</b>
                { date(props) }
                <span class="subject" dir="auto">{ for item.labels().map(|label| label_mark(label)) }{ subject }</span>
                <span class="snippet" dir="auto">{ item.snippet().to_string() }</span>
            </button>
            { checkbox(&control, props, subject, tab_index) }
            if props.folder.has_marks() { { star(&control, props, subject, tab_index) } }
        </li>
    }
}

fn date(
    MessageRowProps { item, folder, shows_size, is_grouped, in_results, is_queued, .. }: &MessageRowProps,
) -> Html {
    let now = clock::local(clock::now());
    let date = item.date().map(|date| format::list_date(clock::local(date), now, *is_grouped));
    html! {
        <span class="date" title={item.date().map(format::guide_date)}>
            if item.has_attachments() {
                <span class="attachment-icon" title="Has attachments">{ icons::clip() }</span>
            }
            if matches!(item, ListItem::Draft(form) if form.is_in_outbox()) { <span class="label">{ strings::OUTBOX }</span> }
            if *is_queued { <span class="label">{ "Not sent yet" }</span> }
            if *in_results && *folder != Folder::Inbox { <span class="label">{ folder.name().to_owned() }</span> }
            if *shows_size { <span class="size">{ format::size(item.octets()) }</span> }
            { date }
        </span>
    }
}

/// A label of a message.
pub(super) fn label_mark(label: &str) -> Html {
    html! { <><span class="label" dir="auto">{ label.to_owned() }</span>{ " " }</> }
}

fn checkbox(control: &Control, props: &MessageRowProps, subject: &str, tab_index: &'static str) -> Html {
    let (control, id) = (control.clone(), props.item.id().to_owned());
    let select = Callback::from(move |event: MouseEvent| {
        if event.shift_key() {
            control.select_to(&id);
        } else {
            control.toggle_selected(&id);
        }
    });
    html! {
        <button class="select" type="button" role="checkbox" aria-checked={props.selected.to_string()} onclick={select}
            tabindex={tab_index} title="Select (x)" aria-label={format!("Select {subject}")}>
            <span>{ icons::check() }</span>
        </button>
    }
}

fn star(control: &Control, props: &MessageRowProps, subject: &str, tab_index: &'static str) -> Html {
    let (control, id) = (control.clone(), props.item.id().to_owned());
    let starred = match &props.item {
        ListItem::Message(message) => message.starred,
        ListItem::Draft(_) => false,
    };
    let toggle = Callback::from(move |_: MouseEvent| control.toggle_star(&id));
    html! {
        <button class="star" type="button" onclick={toggle} aria-pressed={starred.to_string()} tabindex={tab_index}
            aria-label={format!("Star {subject}")}>{ icons::star() }</button>
    }
}
