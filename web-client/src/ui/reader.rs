//! One message: its header, its text or its cleaned HTML, its attachments, and what can be done with it.

use std::rc::Rc;

use mail_core::message::date::short;
use mail_core::message::text::printable_line;
use mail_core::message::view::Person;
use yew::prelude::*;

use super::files::Files;
use super::{icons, text};
use crate::blob::BlobUrl;
use crate::control::Control;
use crate::html;
use crate::opened::Opened;
use crate::state::{Action, Content, Folder, Open, State};
use crate::{clock, labels};

/// Of a message's octets, what is drawn. All of it can be saved.
const ORIGINAL_CHARS_MAX: usize = 300_000;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) state: Rc<State>,
}

#[component]
pub(super) fn Reader(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let Some(open) = &state.open else {
        return html! {
            <main class="read"><p class="empty">{ "Choose a message to read it. Press ? for the keys." }</p></main>
        };
    };
    let body = match &open.content {
        Content::Loading => html! { <p class="empty" role="status">{ "Fetching the message…" }</p> },
        Content::Failed(why) => {
            let id = open.id.clone();
            let again = Callback::from(move |_: MouseEvent| control.open(&id));
            html! {
                <div class="empty" role="alert">
                    <p>{ why }</p>
                    <button class="button" type="button" onclick={again}>{ "Try again" }</button>
                </div>
            }
        }
        Content::Ready(opened) if open.original => {
            html! { <Original key={open.id.clone()} opened={opened.clone()} /> }
        }
        Content::Ready(opened) => html! { <Letter key={open.id.clone()} opened={opened.clone()} /> },
    };
    html! {
        <main class="read" aria-label="Message">
            <Actions open={open.clone()} starred={state.message(&open.id).is_some_and(|message| message.starred)} />
            { body }
        </main>
    }
}

#[derive(Properties, PartialEq)]
struct ActionsProps {
    open: Open,
    starred: bool,
}

#[component]
fn Actions(ActionsProps { open, starred }: &ActionsProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let ready = matches!(open.content, Content::Ready(_));
    let on_server = matches!(open.folder, Folder::Inbox | Folder::Starred);
    let button = |label: &'static str,
                  title: &'static str,
                  enabled: bool,
                  act: Callback<(Control, String)>| {
        let (control, id) = (control.clone(), open.id.clone());
        let click = Callback::from(move |_: MouseEvent| act.emit((control.clone(), id.clone())));
        html! { <button class="button" type="button" {title} disabled={!enabled} onclick={click}>{ label }</button> }
    };
    let close = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.dispatch(Action::Close))
    };
    let star = {
        let (control, id) = (control.clone(), open.id.clone());
        Callback::from(move |_: MouseEvent| control.star(&id))
    };
    let original = open.original;
    html! {
        <div class="acts" role="toolbar" aria-label="Message actions">
            <button class="button icon back" type="button" aria-label="Back to the list" onclick={close}>
                { icons::back() }
            </button>
            { button("Reply", "Reply (r)", ready, Callback::from(|(control, _): (Control, _)| control.reply(false))) }
            { button("Reply all", "Reply to all (a)", ready, Callback::from(|(control, _): (Control, _)| control.reply(true))) }
            { button("Forward", "Forward (f)", ready, Callback::from(|(control, _): (Control, _)| control.forward())) }
            <span class="space"></span>
            if on_server {
                <button class="button icon star" type="button" aria-pressed={starred.to_string()} aria-label="Star"
                    title="Star (s)" onclick={star}>{ icons::star() }</button>
                { button("Unread", "Mark as unread and go back", ready, Callback::from(|(control, id): (Control, String)| {
                    control.read(&id, false);
                    control.dispatch(Action::Close);
                })) }
            }
            { button(
                if original { "Show message" } else { "Show original" },
                "The message as it was received",
                ready,
                Callback::from(move |(control, _): (Control, _)| control.dispatch(Action::Original(!original))),
            ) }
            if on_server {
                { button("Delete", "Delete (#)", true, Callback::from(|(control, id): (Control, String)| control.remove(&id))) }
            }
        </div>
    }
}

#[derive(Properties, PartialEq)]
struct LetterProps {
    opened: Rc<Opened>,
}

#[component]
fn Letter(LetterProps { opened }: &LetterProps) -> Html {
    let plain = use_state_eq(|| false);
    let page = use_memo(opened.clone(), |opened| {
        let html = opened.view.html.as_deref()?;
        html::clean(html, &opened.view.attachments)
    });
    let view = &opened.view;
    let subject = Some(printable_line(&view.subject).into_owned()).filter(|subject| !subject.is_empty());
    let from = people(&view.from);
    let initial = view.from.first().and_then(|person| {
        person.name.as_deref().unwrap_or(&person.address).chars().find(|c| c.is_alphanumeric())
    });
    let at = view.received.or(view.date);
    let shown = page.as_ref().as_ref().filter(|_| !*plain);
    let switch = {
        let (plain, next) = (plain.clone(), !*plain);
        Callback::from(move |_: MouseEvent| plain.set(next))
    };
    html! {
        <article class={classes!(shown.is_some().then_some("framed"))}>
            <h2 class="title">{ subject.unwrap_or_else(|| "(no subject)".to_owned()) }</h2>
            <div class="meta">
                <div class="face" aria-hidden="true">{ initial.map(|c| c.to_uppercase().to_string()).unwrap_or_default() }</div>
                <strong>{ if from.is_empty() { "(no sender)".to_owned() } else { from } }</strong>
                if let Some(at) = at {
                    <span class="t" title={short(&at)}>{ labels::date_and_time(clock::local(at.to_utc())) }</span>
                }
                <span class="t to">
                    { format!("to {}", people(&view.to)) }
                    if !view.cc.is_empty() { { format!(", cc {}", people(&view.cc)) } }
                    if page.is_some() {
                        <button class="link" type="button" onclick={switch}>
                            { if *plain { "Show formatted" } else { "Show plain text" } }
                        </button>
                    }
                </span>
            </div>
            if let Some(left_out) = shown.map(|page| page.pictures_left_out).filter(|left_out| *left_out > 0) {
                <div class="note">
                    { format!(
                        "This message asks for {} from elsewhere. {} not loaded: the sender would learn that you read it.",
                        labels::count(left_out, "picture"),
                        if left_out == 1 { "It is" } else { "They are" },
                    ) }
                </div>
            }
            if let Some(page) = shown {
                <iframe class="frame" title="Message" srcdoc={page.document.clone()} referrerpolicy="no-referrer"
                    sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>
            } else {
                { text::text(&view.readable()) }
            }
            <Files opened={opened.clone()} />
        </article>
    }
}

#[component]
fn Original(LetterProps { opened }: &LetterProps) -> Html {
    let file = use_memo(opened.clone(), |opened| BlobUrl::to_save(&opened.raw));
    let text = String::from_utf8_lossy(&opened.raw);
    let cut = text.char_indices().nth(ORIGINAL_CHARS_MAX).map(|(at, _)| at);
    let name =
        format!("{}.eml", if opened.view.subject.is_empty() { "message" } else { &opened.view.subject });
    html! {
        <article class="original">
            <p>
                { format!("{} as received. ", labels::size(opened.raw.len() as u64)) }
                if cut.is_some() { { "Only the beginning is shown. " } }
                if let Some(file) = file.as_ref() {
                    <a href={file.as_str().to_owned()} download={name}>{ "Save" }</a>
                }
            </p>
            <pre tabindex="0">{ &text[..cut.unwrap_or(text.len())] }</pre>
        </article>
    }
}

fn people(people: &[Person]) -> String {
    let one = |person: &Person| match &person.name {
        Some(name) => format!("{} <{}>", printable_line(name), printable_line(&person.address)),
        None => printable_line(&person.address).into_owned(),
    };
    people.iter().map(one).collect::<Vec<_>>().join(", ")
}
