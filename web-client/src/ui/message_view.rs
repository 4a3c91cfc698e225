//! A message: header, sanitised HTML or plain text, attachments.

use std::rc::Rc;

use mail_core::message::parsed::{NamedAddress, ParsedMessage};
use mail_core::message::printable::printable_line;
use yew::prelude::*;

use super::attachments::Attachments;
use super::element_ids::TITLE_ID;
use super::message_frame::MessageFrame;
use super::plain_text;
use crate::control::Control;
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::model::state::UiAction;
use crate::platform::clock;
use crate::sanitize::{SanitizedHtml, sanitize_html};

#[derive(Properties, PartialEq)]
pub(super) struct MessageViewProps {
    pub(super) message: Rc<FetchedMessage>,
}

#[component]
pub(super) fn MessageView(MessageViewProps { message }: &MessageViewProps) -> Html {
    let plain = use_state_eq(|| false);
    let html = use_memo(message.clone(), |message| {
        let html = sanitize_html(message.parsed.html.as_deref()?, &message.parsed.attachments);
        html.filter(|html| !html.is_empty || html.blocked_images > 0)
    });
    let parsed = &message.parsed;
    let html = html.as_ref().as_ref();
    let subject = Some(printable_line(&parsed.subject).into_owned()).filter(|subject| !subject.is_empty());
    let switch = html.filter(|html| !html.is_empty).map(|_| {
        let (label, next) = if *plain { ("Show formatted", false) } else { ("Show plain text", true) };
        let plain = plain.clone();
        let switch = Callback::from(move |_: MouseEvent| plain.set(next));
        html! { <button class="link" type="button" onclick={switch}>{ label }</button> }
    });
    html! {
        <article>
            <h2 class="title" id={TITLE_ID} tabindex="-1">{ subject.unwrap_or_else(|| "(no subject)".to_owned()) }</h2>
            { header(parsed, switch) }
            { blocked_images(html.filter(|_| !*plain)) }
            if let Some(html) = html.filter(|html| !html.is_empty && !*plain) {
                <MessageFrame document={html.document.clone()} />
            } else {
                <PlainText message={message.clone()} has_html={html.is_some_and(|html| !html.is_empty)} />
            }
            <Attachments message={message.clone()} />
        </article>
    }
}

fn header(parsed: &ParsedMessage, switch: Option<Html>) -> Html {
    let from = people(&parsed.from);
    let initial = parsed.from.first().and_then(|person| {
        person.name.as_deref().unwrap_or(&person.address).chars().find(|c| c.is_alphanumeric())
    });
    let date = parsed.received.or(parsed.date).map(|date| date.to_utc());
    html! {
        <div class="meta">
            <div class="avatar" aria-hidden="true">{ initial.map(|c| c.to_uppercase().to_string()) }</div>
            <strong>{ if from.is_empty() { "(no sender)".to_owned() } else { from } }</strong>
            if let Some(date) = date {
                <span class="secondary date" title={format::guide_date(date)}>{ format::date_and_time(clock::local(date)) }</span>
            }
            <span class="secondary to">
                { format!("to {}", people(&parsed.to)) }
                if !parsed.cc.is_empty() { { format!(", cc {}", people(&parsed.cc)) } }
                { switch }
            </span>
        </div>
    }
}

fn blocked_images(html: Option<&SanitizedHtml>) -> Html {
    let count = html.map_or(0, |html| html.blocked_images);
    if count == 0 {
        return html! {};
    }
    let verb = if count == 1 { "is" } else { "are" };
    let text = format!("{} {verb} blocked to protect your privacy.", format::count(count, "image"));
    html! { <div class="warning">{ text }</div> }
}

#[derive(Properties, PartialEq)]
struct PlainTextProps {
    message: Rc<FetchedMessage>,
    /// The formatted version is available.
    has_html: bool,
}

/// The plain text, or an explanation if there is none.
#[component]
fn PlainText(PlainTextProps { message, has_html }: &PlainTextProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let parsed = &message.parsed;
    let show_source = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::Source(true)));
    let unsafe_html = parsed.html.is_some() && !*has_html;
    // Text derived from unsafe HTML is not shown.
    let text = if unsafe_html { parsed.text.as_deref().unwrap_or_default() } else { parsed.plain_text() };
    let explanation = match (unsafe_html, text.trim().is_empty()) {
        (true, false) => "The formatted version has no safe content. This is the plain text.",
        (true, true) => "This message has no safe content. Scripts and remote content are blocked.",
        (false, true) if message.listed_attachments().next().is_none() => "This message has no text.",
        (false, _) => return plain_text::html(text),
    };
    html! {
        <>
            <p class="explanation">
                { explanation }{ " " }
                <button class="link" type="button" onclick={show_source}>{ "Show source" }</button>
            </p>
            { plain_text::html(text) }
        </>
    }
}

fn people(people: &[NamedAddress]) -> String {
    let one = |person: &NamedAddress| printable_line(&person.to_string()).into_owned();
    people.iter().map(one).collect::<Vec<_>>().join(", ")
}
