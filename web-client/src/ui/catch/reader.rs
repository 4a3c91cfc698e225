//! The open message and its views.

use std::rc::Rc;

use mail_core::message::printable::printable_line;
use yew::prelude::*;

use super::views::{self, View};
use crate::catch::api;
use crate::catch::control::CatchControl;
use crate::catch::removed::last_removed;
use crate::catch::state::{Content, Details, LinkCheck, OpenMessage};
use crate::model::format;
use crate::platform::dates;
use crate::sanitize::{RemoteImages, SanitizedHtml, sanitize_html};
use crate::strings;
use crate::ui::element_ids::TITLE_ID;
use crate::ui::icons;

#[derive(Properties, PartialEq)]
pub(super) struct CaughtReaderProps {
    pub(super) open: Option<OpenMessage>,
    /// The catcher releases messages.
    pub(super) can_release: bool,
    /// No message was caught.
    pub(super) is_empty: bool,
}

#[component]
pub(super) fn CaughtReader(CaughtReaderProps { open, can_release, is_empty }: &CaughtReaderProps) -> Html {
    // The chosen view stays when another message is opened.
    let view = use_state_eq(|| None::<View>);
    let onchoose = {
        let view = view.setter();
        Callback::from(move |chosen| view.set(Some(chosen)))
    };
    let Some(open) = open else {
        return html! { <main class="reader"><div class="empty">{ hint(*is_empty) }</div></main> };
    };
    let body = match &open.content {
        Content::Loading => html! { <p class="empty" role="status">{ strings::LOADING_MESSAGE }</p> },
        Content::Failed(error) => html! {
            <div class="empty" role="alert">
                <p>{ error }</p>
                <a href={api::source_path(&open.id)} download="">{ strings::SAVE_THE_SOURCE }</a>
            </div>
        },
        Content::Ready(details) => {
            html! {
                <CaughtView key={open.id.clone()} details={details.clone()} link_check={open.link_check.clone()}
                    chosen={*view} {onchoose} />
            }
        }
    };
    html! { <main class="reader" aria-label={strings::MESSAGE}><Toolbar id={open.id.clone()} can_release={*can_release} />{ body }</main> }
}

fn hint(is_empty: bool) -> Html {
    if !is_empty {
        return html! { <p>{ strings::SELECT_CAUGHT_MESSAGE }</p> };
    }
    html! {
        <>
            <p class="unread-count">{ strings::CATCH_IS_EMPTY }</p>
            <p>{ strings::HOW_TO_CATCH }</p>
        </>
    }
}

#[derive(Properties, PartialEq)]
struct ToolbarProps {
    id: String,
    can_release: bool,
}

#[component]
fn Toolbar(ToolbarProps { id, can_release }: &ToolbarProps) -> Html {
    let control = use_context::<CatchControl>().expect("the app provides the control");
    let act = |act: fn(&CatchControl, String)| {
        let (control, id) = (control.clone(), id.clone());
        Callback::from(move |_: MouseEvent| act(&control, id.clone()))
    };
    html! {
        <div class="toolbar" role="toolbar" aria-label={strings::MESSAGE_ACTIONS}>
            <button class="button icon back" type="button" aria-label={strings::BACK_TO_THE_LIST}
                onclick={act(|control, _| control.close())}>{ icons::back() }</button>
            <button class="button" type="button" onclick={act(CatchControl::mark_unread)}>{ strings::MARK_UNREAD }</button>
            <a class="button" href={api::source_path(id)} download="">{ strings::SAVE_SOURCE }</a>
            if *can_release {
                <button class="button" type="button" onclick={act(CatchControl::ask_to_release)}>{ strings::RELEASE }</button>
            }
            <span class="spacer"></span>
            <button class="button" type="button" onclick={act(CatchControl::delete)}>{ strings::DELETE }</button>
        </div>
    }
}

#[derive(Properties, PartialEq)]
struct CaughtViewProps {
    details: Rc<Details>,
    link_check: LinkCheck,
    chosen: Option<View>,
    onchoose: Callback<View>,
}

/// The sanitised HTML, and what the sanitizer removed.
pub(super) type Sanitized = (SanitizedHtml, Vec<(String, usize)>);

#[component]
fn CaughtView(CaughtViewProps { details, link_check, chosen, onchoose }: &CaughtViewProps) -> Html {
    let sanitized = use_memo(details.clone(), |details| {
        let parsed = &details.message.parsed;
        let html = sanitize_html(parsed.html.as_deref()?, &parsed.attachments, RemoteImages::Blocked)?;
        Some((html, last_removed()))
    });
    let has_html = details.message.parsed.html.is_some();
    let view = match chosen {
        Some(View::Html) | None if !has_html => View::Text,
        None => View::Html,
        Some(view) => *view,
    };
    let defects = details.lint.len();
    let tab = |of: View| {
        let label = match of {
            View::Lint if defects > 0 => strings::lint(&defects),
            of => of.label().to_owned(),
        };
        let choose = onchoose.reform(move |_: MouseEvent| of);
        html! {
            <button class="tab" type="button" disabled={of == View::Html && !has_html} aria-pressed={(of == view).to_string()}
                onclick={choose}>{ label }</button>
        }
    };
    let subject = &details.summary.subject;
    html! {
        <article>
            <h2 class="title" id={TITLE_ID} dir="auto">{ if subject.is_empty() { strings::NO_SUBJECT } else { subject } }</h2>
            { envelope(details) }
            <div class="tabs" role="group" aria-label={strings::VIEWS}>{ for View::ALL.into_iter().map(tab) }</div>
            { views::draw(view, details, &sanitized, link_check) }
        </article>
    }
}

fn envelope(details: &Details) -> Html {
    let summary = &details.summary;
    let author =
        details.message.parsed.from.first().map(|author| printable_line(&author.to_string()).into_owned());
    let from = format!("MAIL FROM:<{}>", printable_line(&details.envelope_from));
    let received = summary.received.map(dates::date_and_time);
    html! {
        <dl class="envelope">
            <div><dt>{ strings::FROM }</dt><dd><bdi>{ author }</bdi>{ " " }<span class="secondary">{ from }</span></dd></div>
            <div><dt>{ strings::TO }</dt><dd>{ summary.to.join(", ") }</dd></div>
            <div><dt>{ strings::RECEIVED }</dt><dd>{ received }<span class="secondary">{ format!(" · {}", format::size(summary.size)) }</span></dd></div>
            if !summary.tags.is_empty() { <div><dt>{ strings::TAGS }</dt><dd>{ summary.tags.join(", ") }</dd></div> }
            if !details.faults.is_empty() { <div><dt>{ strings::FAULTS }</dt><dd>{ details.faults.join(", ") }</dd></div> }
        </dl>
    }
}
