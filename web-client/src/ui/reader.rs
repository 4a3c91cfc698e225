//! The reader: the open message and its actions.

use std::rc::Rc;

use yew::prelude::*;

use super::conversation::Conversation;
use super::icons;
use super::menu::Dropdown;
use super::message_view::MessageView;
use super::source::Source;
use crate::control::Control;
use crate::model::format;
use crate::model::settings::Settings;
use crate::model::state::{Content, Folder, MailboxState, OpenMessage, UiAction, UiState};
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
        Content::Loading => html! { <p class="empty" role="status">{ "Loading message…" }</p> },
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
            let view = html! { <MessageView key={open.id.clone()} message={message.clone()} shows_html={open.shows_html} settings={settings.clone()} /> };
            if settings.conversations {
                html! { <Conversation mailbox={mailbox.clone()} open={open.id.clone()}>{ view }</Conversation> }
            } else {
                view
            }
        }
    };
    let starred = mailbox.message(&open.id).is_some_and(|message| message.starred);
    html! {
        <main class="reader" aria-label="Message">
            <Toolbar open={open.clone()} {starred} />
            { body }
        </main>
    }
}

#[derive(Properties, PartialEq)]
struct ToolbarProps {
    open: OpenMessage,
    starred: bool,
}

/// In a narrow pane, secondary actions move to a menu.
#[component]
fn Toolbar(ToolbarProps { open, starred }: &ToolbarProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let ready = matches!(open.content, Content::Ready(_));
    let on_server = matches!(open.folder, Folder::Inbox | Folder::Starred);
    let act = |act: fn(&Control, &str)| {
        let (control, id) = (control.clone(), open.id.clone());
        Callback::from(move |_: MouseEvent| act(&control, &id))
    };
    let button = |class: &'static str,
                  label: &'static str,
                  title: &'static str,
                  act: Callback<MouseEvent>| {
        html! {
            <button class={classes!("button", class)} type="button" {title} disabled={!ready} onclick={act}>{ label }</button>
        }
    };
    let item = |label: &'static str, act: Callback<MouseEvent>| {
        html! { <button type="button" disabled={!ready} onclick={act}>{ label }</button> }
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
    html! {
        <div class="toolbar" role="toolbar" aria-label="Message actions">
            <button class="button icon back" type="button" aria-label="Back to the list"
                onclick={act(|control, _| control.dispatch(UiAction::CloseMessage))}>{ icons::back() }</button>
            { button("", "Reply", "Reply (r)", act(|control, _| control.reply(false))) }
            { button("secondary-action", "Reply all", "Reply all (a)", reply_all.clone()) }
            { button("", "Forward", "Forward (f)", act(|control, _| control.forward())) }
            <span class="spacer"></span>
            if on_server {
                <button class="button icon star" type="button" aria-pressed={starred.to_string()} aria-label="Star"
                    title="Star (s)" onclick={act(|control, id| control.toggle_star(id))}>{ icons::star() }</button>
                { button("secondary-action", "Unread", "Mark as unread and close", mark_unread.clone()) }
            }
            { button("secondary-action", source, "The message as received", show_source.clone()) }
            <button class="button" type="button" title="Delete (#)" onclick={act(|control, id| control.remove(&[id.to_owned()]))}>
                { "Delete" }
            </button>
            <Dropdown label="More" class="overflow-menu">
                { item("Reply all", reply_all) }
                if on_server { { item("Mark as unread", mark_unread) } }
                { item(source, show_source) }
            </Dropdown>
        </div>
    }
}
