//! The other messages of a conversation, above and below the open message.

use std::rc::Rc;

use yew::prelude::*;

use crate::control::Control;
use crate::model::conversation::conversation;
use crate::model::message::Message;
use crate::model::state::MailboxState;
use crate::platform::{clock, dates};
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct ConversationProps {
    pub(super) mailbox: Rc<MailboxState>,
    /// Id of the open message.
    pub(super) open: String,
    /// The open message.
    pub(super) children: Html,
}

#[component]
pub(super) fn Conversation(ConversationProps { mailbox, open, children }: &ConversationProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let messages = use_memo((mailbox.clone(), open.clone()), |(mailbox, open)| conversation(mailbox, open));
    let position = messages.iter().position(|message| message.id == *open).unwrap_or_default();
    let (earlier, later) = messages.split_at(position);
    let part = |label: &'static str, messages: &[Rc<Message>]| {
        if messages.is_empty() {
            return html! {};
        }
        html! {
            <ul class="conversation" aria-label={label}>
                { for messages.iter().map(|message| entry(&control, message)) }
            </ul>
        }
    };
    html! {
        <>
            { part(strings::EARLIER_MESSAGES, earlier) }
            { children.clone() }
            { part(strings::LATER_MESSAGES, later.get(1..).unwrap_or_default()) }
        </>
    }
}

fn entry(control: &Control, message: &Rc<Message>) -> Html {
    let open = {
        let (control, id) = (control.clone(), message.id.clone());
        Callback::from(move |_: MouseEvent| control.open(&id))
    };
    let (from, date) =
        message.header.as_ref().map(|header| (header.from.clone(), header.date)).unwrap_or_default();
    let now = clock::local(clock::now());
    let snippet = message.body.as_ref().map(|body| body.snippet.to_string());
    let snippet = snippet.or_else(|| message.header.as_ref().map(|header| header.subject.clone()));
    html! {
        <li key={message.id.clone()} class={(!message.read).then_some("unread")}>
            <button type="button" onclick={open}>
                if !message.read { <span class="visually-hidden">{ strings::UNREAD_PREFIX }</span> }
                <b>{ from }</b>
                <span class="snippet">{ snippet }</span>
                <span class="secondary">{ date.map(|date| dates::list_date(date, now, false)) }</span>
            </button>
        </li>
    }
}
