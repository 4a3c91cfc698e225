//! The reader: the open message and its actions.

use std::rc::Rc;

use yew::prelude::*;

use super::icons;
use super::menu::Dropdown;
use super::message_view::MessageView;
use crate::control::Control;
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::model::state::{Content, Folder, MailboxState, OpenMessage, UiAction, UiState};
use crate::platform::blob_url::BlobUrl;

/// Characters of the source that are drawn. The download is complete.
const SOURCE_CHARS_MAX: usize = 300_000;

#[derive(Properties, PartialEq)]
pub(super) struct ReaderProps {
    pub(super) mailbox: Rc<MailboxState>,
    pub(super) ui: Rc<UiState>,
}

#[component]
pub(super) fn Reader(ReaderProps { mailbox, ui }: &ReaderProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let Some(open) = &ui.open else {
        return html! {
            <main class="reader">
                <p class="empty">{ "Select a message to read it. Press ? for keyboard shortcuts." }</p>
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
            html! { <MessageView key={open.id.clone()} message={message.clone()} shows_html={open.shows_html} /> }
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
        control.set_read(id, false);
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
            <button class="button" type="button" title="Delete (#)" onclick={act(|control, id| control.remove(id))}>
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

#[derive(Properties, PartialEq)]
struct SourceProps {
    message: Rc<FetchedMessage>,
}

#[component]
fn Source(SourceProps { message }: &SourceProps) -> Html {
    let download = use_memo(message.clone(), |message| BlobUrl::for_download(&message.raw));
    let text = String::from_utf8_lossy(&message.raw);
    let cut = text.char_indices().nth(SOURCE_CHARS_MAX).map(|(at, _)| at);
    let subject = &message.parsed.subject;
    let name = format!("{}.eml", if subject.is_empty() { "message" } else { subject });
    html! {
        <article class="source">
            <p>
                { format!("Message as received, {}. ", format::size(message.raw.len() as u64)) }
                if cut.is_some() { { "Only the beginning is shown. " } }
                if let Some(download) = download.as_ref() {
                    <a href={download.as_str().to_owned()} download={name}>{ "Save" }</a>
                }
            </p>
            <pre tabindex="0">{ &text[..cut.unwrap_or(text.len())] }</pre>
        </article>
    }
}
