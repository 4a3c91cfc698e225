//! A message as it is meant to be read: its header, its text or its cleaned HTML, its attachments.

use std::rc::Rc;

use mail_core::message::text::printable_line;
use mail_core::message::view::{Person, View};
use yew::prelude::*;

use super::files::Files;
use super::frame::Frame;
use super::keyboard::TITLE_ID;
use super::text;
use crate::control::Control;
use crate::html::{self, Page};
use crate::opened::Opened;
use crate::state::Action;
use crate::{clock, labels};

#[derive(Properties, PartialEq)]
pub(super) struct LetterProps {
    pub(super) opened: Rc<Opened>,
}

#[component]
pub(super) fn Letter(LetterProps { opened }: &LetterProps) -> Html {
    let plain = use_state_eq(|| false);
    let page = use_memo(opened.clone(), |opened| {
        let html = opened.view.html.as_deref()?;
        html::clean(html, &opened.view.attachments)
            .filter(|page| !page.is_empty || page.pictures_left_out > 0)
    });
    let view = &opened.view;
    let page = page.as_ref().as_ref();
    let subject = Some(printable_line(&view.subject).into_owned()).filter(|subject| !subject.is_empty());
    let switch = page.filter(|page| !page.is_empty).map(|_| {
        let (label, next) = if *plain { ("Show formatted", false) } else { ("Show plain text", true) };
        let plain = plain.clone();
        let switch = Callback::from(move |_: MouseEvent| plain.set(next));
        html! { <button class="link" type="button" onclick={switch}>{ label }</button> }
    });
    html! {
        <article>
            <h2 class="title" id={TITLE_ID} tabindex="-1">{ subject.unwrap_or_else(|| "(no subject)".to_owned()) }</h2>
            { meta(view, switch) }
            { left_out(page.filter(|_| !*plain)) }
            if let Some(page) = page.filter(|page| !page.is_empty && !*plain) {
                <Frame document={page.document.clone()} />
            } else {
                <Plain opened={opened.clone()} formatted={page.is_some_and(|page| !page.is_empty)} />
            }
            <Files opened={opened.clone()} />
        </article>
    }
}

fn meta(view: &View, switch: Option<Html>) -> Html {
    let from = people(&view.from);
    let initial = view.from.first().and_then(|person| {
        person.name.as_deref().unwrap_or(&person.address).chars().find(|c| c.is_alphanumeric())
    });
    let at = view.received.or(view.date);
    html! {
        <div class="meta">
            <div class="face" aria-hidden="true">{ initial.map(|c| c.to_uppercase().to_string()).unwrap_or_default() }</div>
            <strong>{ if from.is_empty() { "(no sender)".to_owned() } else { from } }</strong>
            if let Some(at) = at {
                <span class="t" title={labels::short(at.to_utc())}>{ labels::date_and_time(clock::local(at.to_utc())) }</span>
            }
            <span class="t to">
                { format!("to {}", people(&view.to)) }
                if !view.cc.is_empty() { { format!(", cc {}", people(&view.cc)) } }
                { switch }
            </span>
        </div>
    }
}

fn left_out(page: Option<&Page>) -> Html {
    let Some(number) = page.map(|page| page.pictures_left_out).filter(|number| *number > 0) else {
        return html! {};
    };
    html! {
        <div class="note">
            { format!(
                "This message asks for {} from elsewhere. {} not loaded: the sender would learn that you read it.",
                labels::count(number, "picture"),
                if number == 1 { "It is" } else { "They are" },
            ) }
        </div>
    }
}

#[derive(Properties, PartialEq)]
struct PlainProps {
    opened: Rc<Opened>,
    /// There is a formatted text that can be shown as well.
    formatted: bool,
}

/// The plain text; what there is instead of it, when there is none.
#[component]
fn Plain(PlainProps { opened, formatted }: &PlainProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let view = &opened.view;
    let original = Callback::from(move |_: MouseEvent| control.dispatch(Action::Original(true)));
    let emptied = view.html.is_some() && !*formatted;
    // What a program made of HTML that nobody may see is no text to read.
    let text = if emptied { view.text.as_deref().unwrap_or_default().into() } else { view.readable() };
    let words = match (emptied, text.trim().is_empty()) {
        (true, false) => "Of the formatted text nothing is left that may be shown. This is its plain text.",
        (true, true) => {
            "Nothing is left of this message that may be shown: no script runs here, and nothing is loaded from elsewhere."
        }
        (false, true) if opened.files().next().is_none() => "This message has no text.",
        (false, _) => return text::text(&text),
    };
    html! {
        <>
            <p class="nothing">
                { words }{ " " }
                <button class="link" type="button" onclick={original}>{ "Show original" }</button>
            </p>
            { text::text(&text) }
        </>
    }
}

fn people(people: &[Person]) -> String {
    let one = |person: &Person| match &person.name {
        Some(name) => format!("{} <{}>", printable_line(name), printable_line(&person.address)),
        None => printable_line(&person.address).into_owned(),
    };
    people.iter().map(one).collect::<Vec<_>>().join(", ")
}
