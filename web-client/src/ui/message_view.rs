//! A message: header, sanitised HTML or plain text, attachments.

use std::collections::BTreeSet;
use std::rc::Rc;

use mail_core::message::parsed::{NamedAddress, ParsedMessage};
use mail_core::message::printable::printable_line;
use mail_core::message::resend::can_send_again;
use yew::prelude::*;

use super::attachments::Attachments;
use super::chunked_text::{ChunkedText, TextOf};
use super::delivery_report::delivery_report;
use super::element_ids::TITLE_ID;
use super::message_frame::MessageFrame;
use crate::control::Control;
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::model::state::UiAction;
use crate::platform::clock;
use crate::sanitize::{SanitizedHtml, sanitize_html};

#[derive(Properties, PartialEq)]
pub(super) struct MessageViewProps {
    pub(super) message: Rc<FetchedMessage>,
    /// The HTML is shown, if there is any.
    pub(super) shows_html: bool,
}

#[component]
pub(super) fn MessageView(MessageViewProps { message, shows_html }: &MessageViewProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    // Indices of images that the browser could not draw.
    let broken = use_state_eq(Vec::new);
    let onbroken = {
        let broken = broken.setter();
        use_callback((), move |images, ()| broken.set(images))
    };
    let html = use_memo(message.clone(), |message| {
        let html = sanitize_html(message.parsed.html.as_deref()?, &message.parsed.attachments);
        html.filter(|html| !html.is_empty || html.blocked_images > 0)
    });
    let html = html.as_ref().as_ref();
    let visible = html.filter(|html| !html.is_empty);
    let switch = visible.map(|_| {
        let (label, next) = if *shows_html { ("Show plain text", false) } else { ("Show formatted", true) };
        let control = control.clone();
        let switch = Callback::from(move |_: MouseEvent| control.dispatch(UiAction::ShowHtml(next)));
        html! { <button class="link" type="button" onclick={switch}>{ label }</button> }
    });
    let framed = visible.filter(|_| *shows_html);
    let images = framed.map(|html| html.images.iter().enumerate()).into_iter().flatten();
    // The positions are in ascending order.
    let images = images.filter(|(at, _)| broken.binary_search(at).is_err());
    let inline: BTreeSet<usize> = images.filter_map(|(_, attachment)| *attachment).collect();
    let subject = printable_line(&message.parsed.subject).into_owned();
    html! {
        <article>
            <h2 class="title" id={TITLE_ID} tabindex="-1" dir="auto">
                { if subject.is_empty() { "(no subject)".to_owned() } else { subject } }
            </h2>
            { header(&message.parsed, switch) }
            { message.parsed.report.as_ref().map(|report| delivery_report(&control, report, can_send_again(&message.parsed))) }
            { blocked_images(html.filter(|_| *shows_html)) }
            if let Some(html) = framed {
                <MessageFrame document={html.document.clone()} {onbroken} />
            } else {
                <PlainText message={message.clone()} has_html={visible.is_some()} />
            }
            <Attachments message={message.clone()} {inline} />
        </article>
    }
}

fn header(parsed: &ParsedMessage, switch: Option<Html>) -> Html {
    let initial = parsed.from.first().and_then(|person| {
        person.name.as_deref().unwrap_or(&person.address).chars().find(|c| c.is_alphanumeric())
    });
    let date = parsed.received.or(parsed.date).map(|date| date.to_utc());
    html! {
        <div class="meta">
            <div class="avatar" aria-hidden="true">{ initial.map(|c| c.to_uppercase().to_string()) }</div>
            <strong>if parsed.from.is_empty() { { "(no sender)" } } else { { people(&parsed.from) } }</strong>
            if let Some(date) = date {
                <span class="secondary date" title={format::guide_date(date)}>{ format::date_and_time(clock::local(date)) }</span>
            }
            <span class="secondary to">
                { "to " }{ people(&parsed.to) }
                if !parsed.cc.is_empty() { { ", cc " }{ people(&parsed.cc) } }
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
    let of = if unsafe_html { TextOf::TextPart } else { TextOf::Display };
    let explanation = match (unsafe_html, of.text(message).trim().is_empty()) {
        (true, false) => "The formatted version has no safe content. This is the plain text.",
        (true, true) => "This message has no safe content. Scripts and remote content are blocked.",
        (false, true) if parsed.attachments.is_empty() => "This message has no text.",
        (false, _) => return html! { <ChunkedText message={message.clone()} {of} /> },
    };
    html! {
        <>
            <p class="explanation">
                { explanation }{ " " }
                <button class="link" type="button" onclick={show_source}>{ "Show source" }</button>
            </p>
            <ChunkedText message={message.clone()} {of} />
        </>
    }
}

/// Names and addresses, each in its own direction.
fn people(people: &[NamedAddress]) -> Html {
    let one = |(at, person): (usize, &NamedAddress)| {
        html! { <>if at > 0 { { ", " } }<bdi>{ printable_line(&person.to_string()).into_owned() }</bdi></> }
    };
    people.iter().enumerate().map(one).collect()
}
