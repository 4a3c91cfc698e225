//! The reader: the open message and its actions.

use std::rc::Rc;

use yew::prelude::*;

use super::conversation::Conversation;
use super::icons;
use super::menu::Dropdown;
use super::message_row::label_mark;
use super::message_view::MessageView;
use super::source::Source;
use crate::control::Control;
use crate::model::format;
use crate::model::settings::Settings;
use crate::model::state::{Content, Folder, MailboxState, OpenMessage, UiAction, UiState};
use crate::platform::dom;
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct ReaderProps {
    pub(super) settings: Rc<Settings>,
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) ui: Rc<UiState>,
}

#[component]
pub(super) fn Reader(ReaderProps { settings, mailbox, ui }: &ReaderProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let Some(open) = &ui.open else {
        let unread = match mailbox.unread() {
            0 => "No unread messages".to_owned(),
            unread => format::count(unread, "unread message"),
        };
        return html! {
            <main class="reader">
                <div class="empty">
                    if !mailbox.messages.is_empty() {
                        <p class="unread-count">{ unread }</p>
                        <p>{ strings::available_offline(mailbox.stored(), mailbox.messages.len()) }</p>
                    }
                    <p>{ "Select a message to read it. Press ? for keyboard shortcuts." }</p>
                </div>
            </main>
        };
    };
    let body = match &open.content {
        Content::Loading => loading(&control, open.progress),
        Content::Failed(error) => {
            let id = open.id.clone();
            let retry = Callback::from(move |_: MouseEvent| control.open(&id));
            html! {
                <div class="empty" role="alert">
                    <p>{ error }</p>
                    <button class="button" type="button" onclick={retry}>{ "Try again" }</button>
                </div>
            }
        }
        Content::Ready(message) if open.source => {
            html! { <Source key={open.id.clone()} message={message.clone()} /> }
        }
        Content::Ready(message) => {
            let queued = message.parsed.message_id.as_ref().and_then(|id| mailbox.queued_mail(id)).cloned();
            let view = html! {
                <>
                    <MessageView key={open.id.clone()} message={message.clone()} shows_html={open.shows_html} settings={settings.clone()} {queued} />
                    { answers(&control) }
                </>
            };
            if settings.conversations {
                html! { <Conversation mailbox={mailbox.clone()} open={open.id.clone()}>{ view }</Conversation> }
            } else {
                view
            }
        }
    };
    let message = mailbox.message(&open.id);
    let starred = message.is_some_and(|message| message.starred);
    let archived = message.is_some_and(|message| message.filing.archived);
    html! {
        <main class="reader" aria-label="Message">
            <Toolbar open={open.clone()} {starred} {archived} />
            if let Some(message) = message.filter(|message| !message.filing.labels.is_empty()) {
                <p class="labels"><span class="visually-hidden">{ "Labels: " }</span>{ for message.filing.labels.iter().map(|label| label_mark(label)) }</p>
            }
            { body }
        </main>
    }
}

#[derive(Properties, PartialEq)]
struct ToolbarProps {
    open: OpenMessage,
    starred: bool,
    archived: bool,
}

/// Reply first, Delete apart, the rest as icons. In a narrow pane, secondary actions move to a menu.
#[component]
fn Toolbar(ToolbarProps { open, starred, archived }: &ToolbarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let ready = matches!(open.content, Content::Ready(_));
    let has_marks = open.folder.has_marks();
    let in_trash = open.folder == Folder::Trash;
    let act = |act: fn(&Control, &str)| {
        let (control, id) = (control.clone(), open.id.clone());
        Callback::from(move |_: MouseEvent| act(&control, &id))
    };
    let icon = |class: &'static str,
                label: &'static str,
                title: &'static str,
                icon: Html,
                act: Callback<MouseEvent>| {
        html! {
            <button class={classes!("button", "icon", class)} type="button" aria-label={label} {title} disabled={!ready}
                onclick={act}>{ icon }</button>
        }
    };
    let item = |class: &'static str, label: &'static str, act: Callback<MouseEvent>| {
        html! { <button {class} type="button" disabled={!ready} onclick={act}>{ label }</button> }
    };
    let reply_all = act(|control, _| control.reply(true));
    let mark_unread = act(|control, id| {
        control.set_read(&[id.to_owned()], false);
        control.dispatch(UiAction::CloseMessage);
    });
    let (source, show_source) = if open.source {
        ("Show message", act(|control, _| control.dispatch(UiAction::Source(false))))
    } else {
        ("Show source", act(|control, _| control.dispatch(UiAction::Source(true))))
    };
    let (archive, archive_icon) =
        if *archived { ("Move to inbox", icons::inbox()) } else { ("Archive", icons::archive()) };
    let toggle_archived = act(|control, id| control.toggle_archived(&[id.to_owned()]));
    let choose_labels = act(|control, id| control.choose_labels(&[id.to_owned()]));
    let print = Callback::from(|_: MouseEvent| dom::print());
    html! {
        <div class="toolbar" role="toolbar" aria-label="Message actions">
            <button class="button icon back" type="button" aria-label="Back to the list"
                onclick={act(|control, _| control.dispatch(UiAction::CloseMessage))}>{ icons::back() }</button>
            <button class="button primary" type="button" title="Reply (r)" disabled={!ready}
                onclick={act(|control, _| control.reply(false))}>{ "Reply" }</button>
            { icon("secondary-action", "Reply all", "Reply all (a)", icons::reply_all(), reply_all.clone()) }
            { icon("", "Forward", "Forward (f)", icons::forward(), act(|control, _| control.forward())) }
            if has_marks {
                { icon("secondary-action", archive, "Archive (e)", archive_icon, toggle_archived.clone()) }
                { icon("secondary-action", "Label", "Label (l)", icons::tag(), choose_labels.clone()) }
                <button class="button icon star" type="button" aria-pressed={starred.to_string()} aria-label="Star"
                    title="Star (s)" onclick={act(|control, id| control.toggle_star(id))}>{ icons::star() }</button>
                { icon("secondary-action", "Unread", "Mark as unread and close", icons::envelope(), mark_unread.clone()) }
            }
            { icon("secondary-action", source, "The message as received", icons::source(), show_source.clone()) }
            <Dropdown label="More">
                { item("narrow-action", "Reply all", reply_all) }
                { item("", "Forward as attachment", act(|control, _| control.forward_as_attachment())) }
                if has_marks {
                    { item("narrow-action", archive, toggle_archived) }
                    { item("narrow-action", "Label", choose_labels) }
                    { item("narrow-action", "Mark as unread", mark_unread) }
                }
                { item("narrow-action", source, show_source) }
                { item("", "Print", print) }
                { item("", "Save message", act(|control, _| control.save_message())) }
            </Dropdown>
            <span class="spacer"></span>
            if in_trash {
                { icon("", "Restore", "Move to the inbox", icons::inbox(), act(|control, id| control.restore(&[id.to_owned()]))) }
            } else {
                { icon("", "Delete", "Delete (#)", icons::trash(), act(|control, id| control.remove(&[id.to_owned()]))) }
            }
        </div>
    }
}

/// The progress of a large message.
fn loading(control: &Control, progress: Option<(u64, u64)>) -> Html {
    let Some((octets, announced)) = progress else {
        return html! { <p class="empty" role="status">{ "Loading message…" }</p> };
    };
    let control = control.clone();
    let cancel = Callback::from(move |_: MouseEvent| control.cancel_fetch());
    let announced = announced.max(octets);
    html! {
        <div class="empty">
            <p role="status">{ format!("Loading message… {} of {}", format::size(octets), format::size(announced)) }</p>
            <progress max={announced.to_string()} value={octets.to_string()} aria-label="Loaded"></progress>
            <button class="button" type="button" onclick={cancel}>{ "Cancel" }</button>
        </div>
    }
}

/// The same actions below the message.
fn answers(control: &Control) -> Html {
    let button = |label: &'static str, act: fn(&Control)| {
        let control = control.clone();
        let onclick = Callback::from(move |_: MouseEvent| act(&control));
        html! { <button class="button" type="button" {onclick}>{ label }</button> }
    };
    html! {
        <div class="answers-below" role="group" aria-label="Answer">
            { button("Reply", |control| control.reply(false)) }
            { button("Reply all", |control| control.reply(true)) }
            { button("Forward", Control::forward) }
        </div>
    }
}
