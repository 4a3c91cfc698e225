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
            0 => strings::NO_UNREAD_MESSAGES.to_owned(),
            unread => format::count(unread, strings::ONE_UNREAD_MESSAGE),
        };
        return html! {
            <main class="reader">
                <div class="empty">
                    if !mailbox.messages.is_empty() {
                        <p class="unread-count">{ unread }</p>
                        <p>{ strings::available_offline(mailbox.stored(), mailbox.messages.len()) }</p>
                    }
                    <p>{ strings::SELECT_A_MESSAGE }</p>
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
                    <button class="button" type="button" onclick={retry}>{ strings::TRY_AGAIN }</button>
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
        <main class="reader" aria-label={strings::MESSAGE}>
            <Toolbar open={open.clone()} {starred} {archived} />
            if let Some(message) = message.filter(|message| !message.filing.labels.is_empty()) {
                <p class="labels"><span class="visually-hidden">{ strings::LABELS_PREFIX }</span>{ for message.filing.labels.iter().map(|label| label_mark(label)) }</p>
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
        (strings::SHOW_MESSAGE, act(|control, _| control.dispatch(UiAction::Source(false))))
    } else {
        (strings::SHOW_SOURCE, act(|control, _| control.dispatch(UiAction::Source(true))))
    };
    let (archive, archive_icon) = if *archived {
        (strings::MOVE_TO_INBOX, icons::inbox())
    } else {
        (strings::ARCHIVE, icons::archive())
    };
    let toggle_archived = act(|control, id| control.toggle_archived(&[id.to_owned()]));
    let choose_labels = act(|control, id| control.choose_labels(&[id.to_owned()]));
    let print = Callback::from(|_: MouseEvent| dom::print());
    html! {
        <div class="toolbar" role="toolbar" aria-label={strings::MESSAGE_ACTIONS}>
            <button class="button icon back" type="button" aria-label={strings::BACK_TO_THE_LIST}
                onclick={act(|control, _| control.dispatch(UiAction::CloseMessage))}>{ icons::back() }</button>
            <button class="button primary" type="button" title={strings::REPLY_TITLE} disabled={!ready}
                onclick={act(|control, _| control.reply(false))}>{ strings::REPLY }</button>
            { icon("secondary-action", strings::REPLY_ALL, strings::REPLY_ALL_TITLE, icons::reply_all(), reply_all.clone()) }
            { icon("", strings::FORWARD, strings::FORWARD_TITLE, icons::forward(), act(|control, _| control.forward())) }
            if has_marks {
                { icon("secondary-action", archive, strings::ARCHIVE_TITLE, archive_icon, toggle_archived.clone()) }
                { icon("secondary-action", strings::LABEL, strings::LABEL_TITLE, icons::tag(), choose_labels.clone()) }
                <button class="button icon star" type="button" aria-pressed={starred.to_string()} aria-label={strings::STAR}
                    title={strings::STAR_TITLE} onclick={act(|control, id| control.toggle_star(id))}>{ icons::star() }</button>
                { icon("secondary-action", strings::UNREAD, strings::MARK_AS_UNREAD_AND_CLOSE, icons::envelope(), mark_unread.clone()) }
            }
            { icon("secondary-action", source, strings::THE_MESSAGE_AS_RECEIVED, icons::source(), show_source.clone()) }
            <Dropdown label={strings::MORE}>
                { item("narrow-action", strings::REPLY_ALL, reply_all) }
                { item("", strings::FORWARD_AS_ATTACHMENT, act(|control, _| control.forward_as_attachment())) }
                if has_marks {
                    { item("narrow-action", archive, toggle_archived) }
                    { item("narrow-action", strings::LABEL, choose_labels) }
                    { item("narrow-action", strings::MARK_AS_UNREAD, mark_unread) }
                }
                { item("narrow-action", source, show_source) }
                { item("", strings::PRINT, print) }
                { item("", strings::SAVE_MESSAGE, act(|control, _| control.save_message())) }
            </Dropdown>
            <span class="spacer"></span>
            if in_trash {
                { icon("", strings::RESTORE, strings::MOVE_TO_THE_INBOX, icons::inbox(), act(|control, id| control.restore(&[id.to_owned()]))) }
            } else {
                { icon("", strings::DELETE, strings::DELETE_TITLE, icons::trash(), act(|control, id| control.remove(&[id.to_owned()]))) }
            }
        </div>
    }
}

/// The progress of a large message.
fn loading(control: &Control, progress: Option<(u64, u64)>) -> Html {
    let Some((octets, announced)) = progress else {
        return html! { <p class="empty" role="status">{ strings::LOADING_MESSAGE }</p> };
    };
    let control = control.clone();
    let cancel = Callback::from(move |_: MouseEvent| control.cancel_fetch());
    let announced = announced.max(octets);
    html! {
        <div class="empty">
            <p role="status">{ strings::loading_message(&format::size(octets), &format::size(announced)) }</p>
            <progress max={announced.to_string()} value={octets.to_string()} aria-label={strings::LOADED}></progress>
            <button class="button" type="button" onclick={cancel}>{ strings::CANCEL }</button>
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
        <div class="answers-below" role="group" aria-label={strings::ANSWER}>
            { button(strings::REPLY, |control| control.reply(false)) }
            { button(strings::REPLY_ALL, |control| control.reply(true)) }
            { button(strings::FORWARD, Control::forward) }
        </div>
    }
}
