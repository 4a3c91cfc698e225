//! A message: header, sanitised HTML or plain text, attachments.

use std::collections::BTreeSet;
use std::rc::Rc;

use mail_core::message::printable::printable_line;
use mail_core::message::resend::can_send_again;
use yew::prelude::*;

use super::attachments::Attachments;
use super::chunked_text::{ChunkedText, TextOf};
use super::delivery_report::delivery_report;
use super::element_ids::TITLE_ID;
use super::image_bar::{ImageBar, image_sender};
use super::message_frame::MessageFrame;
use super::message_header::MessageHeader;
use super::queued_mail::queued_mail;
use super::remote_images_frame::RemoteImagesFrame;
use crate::control::Control;
use crate::model::fetched_message::FetchedMessage;
use crate::model::queued_mail::QueuedMail;
use crate::model::settings::Settings;
use crate::model::state::UiAction;
use crate::sanitize::{RemoteImages, TrailingQuotation, sanitize_and_fold};
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct MessageViewProps {
    pub(super) message: Rc<FetchedMessage>,
    /// The HTML is shown, if there is any.
    pub(super) shows_html: bool,
    pub(super) settings: Rc<Settings>,
    /// The message in the server's queue.
    pub(super) queued: Option<QueuedMail>,
}

#[component]
pub(super) fn MessageView(
    MessageViewProps { message, shows_html, settings, queued }: &MessageViewProps,
) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    // Indices of images that the browser could not draw.
    let broken = use_state_eq(Vec::new);
    let onbroken = {
        let broken = broken.setter();
        use_callback((), move |images, ()| broken.set(images))
    };
    let images_wanted = use_state_eq(|| false);
    let sender = image_sender(&message.parsed);
    let is_trusted = sender.as_ref().is_some_and(|sender| settings.shows_images_from(sender));
    // The frame for remote images could not be loaded, as without a connection.
    let unreachable = use_state_eq(|| false);
    let shown = (*images_wanted || is_trusted) && !*unreachable;
    let remote_images = if shown { RemoteImages::Shown } else { RemoteImages::Blocked };
    let quotation = use_state_eq(|| TrailingQuotation::Folded);
    let html =
        use_memo((message.clone(), remote_images, *quotation), |(message, remote_images, quotation)| {
            let parsed = &message.parsed;
            let html =
                sanitize_and_fold(parsed.html.as_deref()?, &parsed.attachments, *remote_images, *quotation);
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
    let onfailed = {
        let unreachable = unreachable.setter();
        use_callback((), move |(), ()| unreachable.set(true))
    };
    let onshow = Callback::from(move |_: MouseEvent| {
        images_wanted.set(true);
        unreachable.set(false);
    });
    let subject = printable_line(&message.parsed.subject).into_owned();
    html! {
        <article>
            <h2 class="title" id={TITLE_ID} tabindex="-1" dir="auto">
                { if subject.is_empty() { "(no subject)".to_owned() } else { subject } }
            </h2>
            <MessageHeader message={message.clone()}>{ switch.unwrap_or_default() }</MessageHeader>
            { queued.as_ref().map(queued_mail) }
            { message.parsed.report.as_ref().map(|report| delivery_report(&control, report, can_send_again(&message.parsed))) }
            if let Some(html) = html.filter(|html| *shows_html && html.blocked_images > 0) {
                <ImageBar blocked={html.blocked_images} {sender} {onshow} />
            }
            if let Some(html) = framed.filter(|html| html.remote_images > 0) {
                <RemoteImagesFrame document={html.document.clone()} is_themed={html.is_themed} {onbroken} {onfailed} />
            } else if let Some(html) = framed {
                <MessageFrame document={html.document.clone()} is_themed={html.is_themed} {onbroken} />
            } else {
                <PlainText message={message.clone()} has_html={visible.is_some()} />
            }
            if framed.is_some_and(|html| html.has_quotation) {
                { quotation_button(&quotation) }
            }
            <Attachments message={message.clone()} {inline} />
        </article>
    }
}

/// Below the frame, in which no script can run.
fn quotation_button(quotation: &UseStateHandle<TrailingQuotation>) -> Html {
    let (label, next) = match **quotation {
        TrailingQuotation::Folded => (strings::SHOW_QUOTED_TEXT, TrailingQuotation::Shown),
        TrailingQuotation::Shown => (strings::HIDE_QUOTED_TEXT, TrailingQuotation::Folded),
    };
    let setter = quotation.setter();
    let toggle = Callback::from(move |_: MouseEvent| setter.set(next));
    html! { <button class="show-quotation" type="button" onclick={toggle}>{ label }</button> }
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
        (false, _) => return html! { <ChunkedText message={message.clone()} {of} quotations=true /> },
    };
    html! {
        <>
            <p class="explanation">
                { explanation }{ " " }
                <button class="link" type="button" onclick={show_source}>{ "Show source" }</button>
            </p>
            <ChunkedText message={message.clone()} {of} quotations=true />
        </>
    }
}
