//! The message that is open, and what can be done with it.

use std::rc::Rc;

use yew::prelude::*;

use super::icons;
use super::letter::{Letter, LetterProps};
use super::menu::Dropdown;
use crate::blob::BlobUrl;
use crate::control::Control;
use crate::labels;
use crate::state::{Action, Content, Folder, Open, State};

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

/// Without room for all of them in one row, the less common ones are in a menu.
#[component]
fn Actions(ActionsProps { open, starred }: &ActionsProps) -> Html {
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
    let unread = act(|control, id| {
        control.read(id, false);
        control.dispatch(Action::Close);
    });
    let (original, shown) = if open.original {
        ("Show message", act(|control, _| control.dispatch(Action::Original(false))))
    } else {
        ("Show original", act(|control, _| control.dispatch(Action::Original(true))))
    };
    html! {
        <div class="acts" role="toolbar" aria-label="Message actions">
            <button class="button icon back" type="button" aria-label="Back to the list"
                onclick={act(|control, _| control.dispatch(Action::Close))}>{ icons::back() }</button>
            { button("", "Reply", "Reply (r)", act(|control, _| control.reply(false))) }
            { button("roomy", "Reply all", "Reply to all (a)", reply_all.clone()) }
            { button("", "Forward", "Forward (f)", act(|control, _| control.forward())) }
            <span class="space"></span>
            if on_server {
                <button class="button icon star" type="button" aria-pressed={starred.to_string()} aria-label="Star"
                    title="Star (s)" onclick={act(|control, id| control.star(id))}>{ icons::star() }</button>
                { button("roomy", "Unread", "Mark as unread and go back", unread.clone()) }
            }
            { button("roomy", original, "The message as it was received", shown.clone()) }
            if on_server {
                <button class="button" type="button" title="Delete (#)" onclick={act(|control, id| control.remove(id))}>
                    { "Delete" }
                </button>
            }
            <Dropdown label="More" class="tight">
                { item("Reply all", reply_all) }
                if on_server { { item("Mark as unread", unread) } }
                { item(original, shown) }
            </Dropdown>
        </div>
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
