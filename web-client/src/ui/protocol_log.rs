//! The protocol log: the live dialogue with the servers.

use std::rc::Rc;

use mail_core::time::Duration;
use web_sys::HtmlElement;
use yew::platform::spawn_local;
use yew::platform::time::sleep;
use yew::prelude::*;

use crate::control::Control;
use crate::model::state::{Notice, UiAction};
use crate::model::transcript::{Line, Protocol, Side};
use crate::platform::clipboard;
use crate::strings;

/// Polling interval for new lines.
const POLL_INTERVAL: Duration = Duration::from_millis(150);
/// Lines that are drawn. Copy takes all lines.
const LINES_DRAWN_MAX: usize = 400;

#[component]
pub(super) fn ProtocolLog() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let transcript = control.transcript();
    let filter = use_state_eq(|| None::<Protocol>);
    let count = use_state_eq(|| 0);
    let node = use_node_ref();
    {
        let (count, transcript) = (count.clone(), transcript.clone());
        use_effect_with((), move |()| {
            let mounted = Rc::new(());
            let watched = Rc::downgrade(&mounted);
            spawn_local(async move {
                while watched.upgrade().is_some() {
                    count.set(transcript.borrow().count());
                    sleep(POLL_INTERVAL).await;
                }
            });
            move || drop(mounted)
        });
    }
    {
        let node = node.clone();
        use_effect_with((*count, *filter), move |_| {
            if let Some(lines) = node.cast::<HtmlElement>() {
                lines.set_scroll_top(lines.scroll_height());
            }
        });
    }
    let of_filter = |line: &&Rc<Line>| filter.is_none_or(|protocol| line.protocol == protocol);
    let lines: Vec<Rc<Line>> = {
        let transcript = transcript.borrow();
        let mut last: Vec<_> =
            transcript.lines().rev().filter(of_filter).take(LINES_DRAWN_MAX).cloned().collect();
        last.reverse();
        last
    };
    let copy = {
        let (control, transcript, filter) = (control.clone(), transcript.clone(), *filter);
        Callback::from(move |_: MouseEvent| {
            let text: Vec<_> = {
                let transcript = transcript.borrow();
                let lines =
                    transcript.lines().filter(|line| filter.is_none_or(|protocol| line.protocol == protocol));
                lines.map(|line| line.prefixed()).collect()
            };
            let control = control.clone();
            spawn_local(async move {
                control.notify(if clipboard::copy(&text.join("\n")).await {
                    Notice::info(strings::COPIED)
                } else {
                    Notice::error(strings::CANNOT_COPY)
                });
            });
        })
    };
    let close = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.dispatch(UiAction::ProtocolLog(false)))
    };
    let tab = |label: &'static str, protocol: Option<Protocol>| {
        let pressed = (*filter == protocol).to_string();
        let filter = filter.clone();
        let choose = Callback::from(move |_: MouseEvent| filter.set(protocol));
        html! { <button class="tab" type="button" aria-pressed={pressed} onclick={choose}>{ label }</button> }
    };
    html! {
        <section class="protocol-log" aria-label={strings::PROTOCOL_LOG}>
            <div class="tabs">
                <h2>{ strings::PROTOCOL_LOG }</h2>
                { tab(strings::ALL, None) }{ tab("POP3", Some(Protocol::Pop3)) }{ tab("SMTP", Some(Protocol::Smtp)) }
                <span class="spacer"></span>
                <button class="tab" type="button" onclick={copy}>{ strings::COPY }</button>
                <button class="tab" type="button" onclick={close}>{ strings::CLOSE }</button>
            </div>
            <div class="lines" ref={node} tabindex="0" role="log" aria-label={strings::DIALOGUE_WITH_THE_SERVERS}>
                if lines.is_empty() { <p>{ strings::NO_CONNECTION_YET }</p> }
                { for lines.iter().map(line) }
            </div>
        </section>
    }
}

fn line(line: &Rc<Line>) -> Html {
    let class = match line.side {
        Side::Client => "client",
        Side::Server => "server",
        Side::Note => "note",
    };
    html! { <div key={line.number} {class}>{ line.prefixed() }</div> }
}
