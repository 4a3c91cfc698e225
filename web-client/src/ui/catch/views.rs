//! The views of a message.

use std::collections::BTreeSet;

use std::rc::Rc;

use yew::prelude::*;

use super::reader::Sanitized;
use crate::catch::compatibility::Gap;
use crate::catch::control::CatchControl;
use crate::catch::parts::{PartRow, part_rows};
use crate::catch::state::{Details, DialogueLine, DialogueText, Finding, LinkCheck, LinkStatus};
use crate::model::fetched_message::FetchedMessage;
use crate::model::format;
use crate::platform::PLATFORM;
use crate::ui::attachments::Attachments;
use crate::ui::chunked_text::{ChunkedText, TextOf};
use crate::ui::frame_fit::Sizing;
use crate::ui::message_frame::MessageFrame;
use crate::ui::source;

/// Maximum number of links that are shown.
const LINKS_DRAWN_MAX: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Html,
    Text,
    Source,
    Headers,
    Links,
    Parts,
    Compatibility,
    Dialogue,
    Lint,
}

impl View {
    pub(super) const ALL: [Self; 9] = [
        Self::Html,
        Self::Text,
        Self::Source,
        Self::Headers,
        Self::Links,
        Self::Parts,
        Self::Compatibility,
        Self::Dialogue,
        Self::Lint,
    ];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Html => "HTML",
            Self::Text => "Text",
            Self::Source => "Source",
            Self::Headers => "Headers",
            Self::Links => "Links",
            Self::Parts => "Parts",
            Self::Compatibility => "Compatibility",
            Self::Dialogue => "Dialogue",
            Self::Lint => "Lint",
        }
    }
}

pub(super) fn draw(
    view: View,
    details: &Rc<Details>,
    sanitized: &Rc<Option<Sanitized>>,
    link_check: &LinkCheck,
) -> Html {
    let message = &details.message;
    match view {
        View::Html => html! { <HtmlView message={message.clone()} sanitized={sanitized.clone()} /> },
        View::Text => html! {
            <>
                <ChunkedText message={message.clone()} of={TextOf::Display} />
                <Attachments message={message.clone()} inline={BTreeSet::new()} />
            </>
        },
        View::Source => html! { <div class="source">{ source::whole(&message.raw) }</div> },
        View::Headers => source::headers(&message.raw),
        View::Links => html! { <LinksView details={details.clone()} check={link_check.clone()} /> },
        View::Parts => parts(message),
        View::Compatibility => compatibility(details, sanitized),
        View::Dialogue => dialogue(details),
        View::Lint => lint(&details.lint),
    }
}

#[derive(Properties, PartialEq)]
struct HtmlViewProps {
    message: Rc<FetchedMessage>,
    sanitized: Rc<Option<Sanitized>>,
}

/// Widths of a phone, a tablet and a desktop in pixels; `None` is the width of the pane.
const WIDTHS: [(&str, Option<u32>); 4] =
    [("Fit", None), ("320 px", Some(320)), ("768 px", Some(768)), ("1280 px", Some(1_280))];

#[component]
fn HtmlView(HtmlViewProps { message, sanitized }: &HtmlViewProps) -> Html {
    let width = use_state_eq(|| None::<u32>);
    // Positions of images that the browser could not draw.
    let broken = use_state_eq(Vec::new);
    let onbroken = {
        let broken = broken.setter();
        use_callback((), move |images, ()| broken.set(images))
    };
    let Some((html, _)) = &**sanitized else {
        return html! { <p class="explanation">{ "The HTML could not be made safe, so it is not shown." }</p> };
    };
    let button = |(label, of): (&'static str, Option<u32>)| {
        let pressed = (*width == of).to_string();
        let width = width.setter();
        html! {
            <button class="tab" type="button" aria-pressed={pressed} onclick={Callback::from(move |_: MouseEvent| width.set(of))}>{ label }</button>
        }
    };
    let images = html.images.iter().enumerate().filter(|(at, _)| !broken.contains(at));
    let inline: BTreeSet<usize> = images.filter_map(|(_, attachment)| *attachment).collect();
    let style = width.map(|width| format!("width:{width}px"));
    html! {
        <>
            <div class="widths" role="group" aria-label="Width">
                { for WIDTHS.into_iter().map(button) }
                if html.blocked_images > 0 {
                    <span class="secondary">{ format!("{} blocked", format::count(html.blocked_images, "remote image")) }</span>
                }
            </div>
            // Focusable, so that the keyboard can scroll a wide frame.
            <div class="stage" tabindex="0"><div {style}><MessageFrame document={html.document.clone()} is_themed={html.is_themed} sizing={Sizing::Full} {onbroken} /></div></div>
            <Attachments message={message.clone()} {inline} />
        </>
    }
}

#[derive(Properties, PartialEq)]
struct LinksViewProps {
    details: Rc<Details>,
    check: LinkCheck,
}

#[component]
fn LinksView(LinksViewProps { details, check }: &LinksViewProps) -> Html {
    let control = use_context::<CatchControl>().expect("the app provides the control");
    let start = {
        let id = details.summary.id.clone();
        Callback::from(move |_: MouseEvent| control.check_links(id.clone()))
    };
    let link = |url: &String| {
        html! { <a href={url.clone()} target="_blank" rel="noopener noreferrer">{ url }</a> }
    };
    let status = |status: &LinkStatus| {
        let is_problem = status.code == 0 || status.code >= 400;
        let code = (status.code > 0).then(|| status.code.to_string());
        html! {
            <tr>
                <td class="url">{ link(&status.url) }</td>
                <td class={classes!(is_problem.then_some("problem"))}>{ code }{ " " }{ &status.text }</td>
            </tr>
        }
    };
    let listed = match check {
        LinkCheck::Done(links) => html! {
            <table class="headers">
                <thead><tr><th>{ "Link" }</th><th>{ "Status" }</th></tr></thead>
                <tbody>{ for links.iter().map(status) }</tbody>
            </table>
        },
        _ => html! {
            <ul class="links">
                { for details.links.iter().take(LINKS_DRAWN_MAX).map(|url| html! { <li>{ link(url) }</li> }) }
            </ul>
        },
    };
    let is_running = *check == LinkCheck::Running;
    html! {
        <>
            if !details.codes.is_empty() {
                <h3>{ "One-time codes" }</h3>
                <p>{ for details.codes.iter().map(|code| html! { <><code>{ code }</code>{ " " }</> }) }</p>
            }
            <h3>{ format::count(details.links.len(), "link") }</h3>
            if !details.links.is_empty() {
                <p>
                    <button class="button" type="button" onclick={start} disabled={is_running}>{ "Check links" }</button>
                    <span class="secondary">{ " Sends a HEAD request to each, and follows redirects." }</span>
                </p>
            }
            if is_running { <p role="status">{ "Checking links…" }</p> }
            if let LinkCheck::Failed(error) = check { <p class="problem" role="alert">{ error }</p> }
            { listed }
        </>
    }
}

fn parts(message: &Rc<FetchedMessage>) -> Html {
    let row = |PartRow { depth, media_type, file_name, octets }: PartRow| {
        html! {
            <tr>
                <td style={format!("padding-left:{}px", depth * 20)}><code>{ media_type }</code></td>
                <td><bdi>{ file_name }</bdi></td>
                <td class="number">{ octets.map(format::size) }</td>
            </tr>
        }
    };
    html! {
        <>
            <table class="headers">
                <thead><tr><th>{ "Type" }</th><th>{ "Name" }</th><th class="number">{ "Size" }</th></tr></thead>
                <tbody>{ for part_rows(&message.raw, PLATFORM).into_iter().map(row) }</tbody>
            </table>
            <Attachments message={message.clone()} inline={BTreeSet::new()} />
        </>
    }
}

fn compatibility(details: &Details, sanitized: &Option<Sanitized>) -> Html {
    if details.message.parsed.html.is_none() {
        return html! { <p class="explanation">{ "The message has no HTML." }</p> };
    }
    let gap = |Gap { feature, found, unsupported, partial }: &Gap| {
        let found = (*found > 1).then(|| format!(" × {}", format::number(*found)));
        html! { <tr><th scope="row">{ feature }{ found }</th><td>{ unsupported }</td><td>{ partial }</td></tr> }
    };
    let removed = sanitized.as_ref().map(|(_, removed)| removed.as_slice()).unwrap_or_default();
    let removal = |(kind, count): &(String, usize)| {
        html! { <li><code>{ kind }</code>if *count > 1 { { format!(" × {}", format::number(*count)) } }</li> }
    };
    let gaps = match &details.gaps {
        Err(error) => html! {
            <p class="problem" role="alert">{ format!("The HTML was not checked. {error}") }</p>
        },
        Ok(gaps) if gaps.is_empty() => {
            html! { <p class="explanation">{ "None of the known gaps is in the HTML." }</p> }
        }
        Ok(gaps) => html! {
            <>
                <table class="headers">
                    <thead><tr><th>{ "Feature" }</th><th>{ "Not supported by" }</th><th>{ "Partly supported by" }</th></tr></thead>
                    <tbody>{ for gaps.iter().map(gap) }</tbody>
                </table>
                <p class="secondary">{ "Data: caniemail.com" }</p>
            </>
        },
    };
    html! {
        <>
            <h3>{ "Features that mail programs do not support" }</h3>
            { gaps }
            <h3>{ "Removed by the sanitizer of this page" }</h3>
            if removed.is_empty() {
                <p class="explanation">{ "No element or attribute was removed." }</p>
            } else {
                <ul class="links">{ for removed.iter().map(removal) }</ul>
            }
        </>
    }
}

fn dialogue(details: &Details) -> Html {
    let row = |(label, value): &(&'static str, String)| {
        html! { <tr><th scope="row">{ *label }</th><td>{ value }</td></tr> }
    };
    html! {
        <>
            <table class="headers"><tbody>{ for details.session.iter().map(row) }</tbody></table>
            <div class="lines dialogue">{ for details.dialogue.iter().map(dialogue_line) }</div>
        </>
    }
}

fn dialogue_line(DialogueLine { at, text }: &DialogueLine) -> Html {
    let (class, text) = match text {
        DialogueText::Client(text) => ("client", format!("C: {text}")),
        DialogueText::Server(text) => ("server", format!("S: {text}")),
        DialogueText::Octets(octets) => {
            ("note", format!("({} octets of the message)", format::number(*octets as usize)))
        }
    };
    html! { <div {class}><span class="at">{ format!("{at:.1} ms") }</span><span>{ text }</span></div> }
}

fn lint(findings: &[Finding]) -> Html {
    if findings.is_empty() {
        return html! { <p class="explanation">{ "No defects." }</p> };
    }
    let row = |Finding { rule, is_error, text, line }: &Finding| {
        let severity = if *is_error { "Other servers reject it" } else { "Warning" };
        html! {
            <tr>
                <th scope="row"><code>{ rule }</code></th>
                <td>{ text }if let Some(line) = line { { format!(" (line {})", format::number(*line)) } }</td>
                <td class={classes!(is_error.then_some("problem"))}>{ severity }</td>
            </tr>
        }
    };
    html! { <table class="headers"><tbody>{ for findings.iter().map(row) }</tbody></table> }
}
