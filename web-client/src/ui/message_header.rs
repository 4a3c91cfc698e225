//! The header of the open message: people and dates, and in its details what the server found out.

use std::rc::Rc;

use chrono::{DateTime, FixedOffset};
use mail_core::message::authentication_results;
use mail_core::message::header;
use mail_core::message::parsed::{NamedAddress, ParsedMessage};
use mail_core::message::printable::printable_line;
use yew::prelude::*;

use crate::control::Control;
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::model::unsubscribe::Unsubscribe;
use crate::platform::dates;
use crate::strings;

/// Recipients that are shown before the list is expanded.
const RECIPIENTS_SHOWN: usize = 4;
/// A message that arrives later than this after its date shows both times.
const DELAY_SHOWN_MINUTES: i64 = 10;

#[derive(Properties, PartialEq)]
pub(super) struct MessageHeaderProps {
    pub(super) message: Rc<FetchedMessage>,
    /// Buttons behind the recipients.
    pub(super) children: Html,
}

#[component]
pub(super) fn MessageHeader(MessageHeaderProps { message, children }: &MessageHeaderProps) -> Html {
    // The page of a mail catcher has none.
    let control = use_context::<Control>();
    let expanded = use_state_eq(|| false);
    let parsed = &message.parsed;
    let initial = parsed.from.first().and_then(|person| {
        person.name.as_deref().unwrap_or(&person.address).chars().find(|c| c.is_alphanumeric())
    });
    let date = parsed.received.or(parsed.date).map(|date| date.to_utc());
    let toggle = {
        let expanded = expanded.clone();
        Callback::from(move |_: MouseEvent| expanded.set(!*expanded))
    };
    let recipients: Vec<_> = parsed.to.iter().chain(&parsed.cc).collect();
    let more = recipients.len().saturating_sub(RECIPIENTS_SHOWN);
    let to_shown = parsed.to.len().min(RECIPIENTS_SHOWN);
    let cc_shown = parsed.cc.len().min(RECIPIENTS_SHOWN - to_shown);
    html! {
        <>
        <div class="meta">
            <div class="avatar" aria-hidden="true">{ initial.map(|c| c.to_uppercase().to_string()) }</div>
            <span class="from">if parsed.from.is_empty() { { strings::NO_SENDER } } else { { people(&parsed.from) } }</span>
            if let Some(date) = date {
                <span class="secondary date" title={format::guide_date(date)}>{ dates::date_and_time(date) }</span>
            }
            <span class="secondary to">
                { strings::TO_PREFIX }{ names(&parsed.to[..to_shown]) }
                if cc_shown > 0 { { strings::CC_INFIX }{ names(&parsed.cc[..cc_shown]) } }
                if more > 0 {
                    { " " }<button class="link more" type="button" onclick={toggle.clone()}>{ strings::and_more(&format::number(more)) }</button>
                }
                <button class="link" type="button" aria-expanded={expanded.to_string()} onclick={toggle}>{ strings::DETAILS }</button>
                { unsubscribe(control.as_ref(), message) }
                { children.clone() }
            </span>
            if let Some(sent) = parsed.date.filter(|_| is_delayed(parsed)) {
                <span class="secondary to">{ strings::DATED_PREFIX }{ dates::date_and_time(sent.to_utc()) }</span>
            }
            if differs(&parsed.reply_to, &parsed.from) {
                <span class="secondary to">{ strings::REPLIES_GO_TO_PREFIX }{ people(&parsed.reply_to) }</span>
            }
        </div>
        if *expanded { { details(message) } }
        </>
    }
}

/// A button that leaves a mailing list. One-click requests open in a new tab: the page itself connects to its own server only.
fn unsubscribe(control: Option<&Control>, message: &FetchedMessage) -> Html {
    let Some(control) = control.cloned() else { return html! {} };
    match Unsubscribe::find(header::split(&message.raw).0) {
        Some(Unsubscribe::OneClick(url)) => html! {
            <form class="unsubscribe" method="post" action={url} target="_blank" rel="noopener noreferrer">
                <input type="hidden" name="List-Unsubscribe" value="One-Click" />
                <button class="link" type="submit">{ strings::UNSUBSCRIBE }</button>
            </form>
        },
        Some(Unsubscribe::Mail(url)) => {
            let onclick = Callback::from(move |_: MouseEvent| control.compose_to(&url));
            html! { <button class="link" type="button" {onclick}>{ strings::UNSUBSCRIBE }</button> }
        }
        Some(Unsubscribe::Page(url)) => html! {
            <a class="link" href={url} target="_blank" rel="noopener noreferrer">{ strings::UNSUBSCRIBE }</a>
        },
        None => html! {},
    }
}

fn details(message: &FetchedMessage) -> Html {
    let parsed = &message.parsed;
    let row = |label: &'static str, value: Html| html! { <div><dt>{ label }</dt><dd>{ value }</dd></div> };
    let list = |label: &'static str, list: &[NamedAddress]| {
        if list.is_empty() {
            html! {}
        } else {
            row(label, people(list))
        }
    };
    let date = |label: &'static str, date: Option<DateTime<FixedOffset>>| match date {
        Some(date) => row(label, html! { dates::date_and_time(date.to_utc()) }),
        None => html! {},
    };
    html! {
        <dl class="envelope details">
            { list(strings::FROM, &parsed.from) }
            { list(strings::TO, &parsed.to) }
            { list(strings::CC, &parsed.cc) }
            { list(strings::REPLY_TO, &parsed.reply_to) }
            { date(strings::SENT, parsed.date) }
            { date(strings::ARRIVED, parsed.received) }
            { authentication(message).map(|results| row(strings::CHECKS, html! { results })) }
        </dl>
    }
}

/// The results that the own server found out. Other servers' fields may be forged.
fn authentication(message: &FetchedMessage) -> Option<String> {
    let server = message.parsed.received_by.as_ref()?.to_string();
    let results = authentication_results::parse(header::split(&message.raw).0, &server);
    let shown = |(method, result): &(String, String)| {
        let method = method.to_uppercase();
        let result = match result.as_str() {
            "pass" => "passed",
            "fail" | "softfail" => "failed",
            "none" => strings::NOT_USED,
            result => result,
        };
        printable_line(&format!("{method} {result}")).into_owned()
    };
    (!results.is_empty()).then(|| results.iter().map(shown).collect::<Vec<_>>().join(", "))
}

fn differs(reply_to: &[NamedAddress], from: &[NamedAddress]) -> bool {
    let is_sender = |person: &NamedAddress| {
        from.iter().any(|sender| sender.address.eq_ignore_ascii_case(&person.address))
    };
    !reply_to.is_empty() && !reply_to.iter().all(is_sender)
}

/// Whether the message arrived much later than its date says.
fn is_delayed(parsed: &ParsedMessage) -> bool {
    let (Some(sent), Some(received)) = (parsed.date, parsed.received) else { return false };
    (received - sent).num_minutes().abs() > DELAY_SHOWN_MINUTES
}

/// Names in bold with their addresses, each in its own direction.
fn people(people: &[NamedAddress]) -> Html {
    let one = |(at, person): (usize, &NamedAddress)| {
        let name = person.name.as_deref().filter(|_| !person.address.is_empty());
        html! {
            <>
                if at > 0 { { ", " } }
                <bdi>
                    if let Some(name) = name {
                        <b>{ printable_line(name).into_owned() }</b>{ " <" }{ printable_line(&person.address).into_owned() }{ ">" }
                    } else {
                        <b>{ printable_line(&person.to_string()).into_owned() }</b>
                    }
                </bdi>
            </>
        }
    };
    people.iter().enumerate().map(one).collect()
}

/// Names and addresses in one weight.
fn names(people: &[NamedAddress]) -> Html {
    let one = |(at, person): (usize, &NamedAddress)| {
        html! { <>if at > 0 { { ", " } }<bdi>{ printable_line(&person.to_string()).into_owned() }</bdi></> }
    };
    people.iter().enumerate().map(one).collect()
}
