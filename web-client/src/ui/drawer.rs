//! The transcript: the live dialogue with the servers.

use std::rc::Rc;

use js_sys::Reflect;
use mail_core::time::Duration;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Clipboard, HtmlElement};
use yew::platform::spawn_local;
use yew::platform::time::sleep;
use yew::prelude::*;

use crate::control::Control;
use crate::state::{Action, Tone};
use crate::transcript::{Line, Protocol, Side};

/// How often the drawer looks for new lines: often enough to look live.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// What is drawn; all of it is copied.
const LINES_DRAWN_MAX: usize = 400;

#[component]
pub(super) fn Drawer() -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let transcript = control.transcript();
    let filter = use_state_eq(|| None::<Protocol>);
    let count = use_state_eq(|| 0);
    let node = use_node_ref();
    {
        let (count, transcript) = (count.clone(), transcript.clone());
        use_effect_with((), move |()| {
            let alive = Rc::new(());
            let watched = Rc::downgrade(&alive);
            spawn_local(async move {
                while watched.upgrade().is_some() {
                    count.set(transcript.borrow().count());
                    sleep(LOOK_EVERY).await;
                }
            });
            move || drop(alive)
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
                lines.map(|line| line.written()).collect()
            };
            let control = control.clone();
            spawn_local(async move {
                let (tone, words) = if copy(&text.join("\n")).await {
                    (Tone::Good, "Copied.")
                } else {
                    (
                        Tone::Bad,
                        "This browser does not allow it here: select the lines and copy them by hand.",
                    )
                };
                control.dispatch(Action::Notice(tone, words.to_owned()));
            });
        })
    };
    let close = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.dispatch(Action::Drawer(false)))
    };
    let tab = |label: &'static str, protocol: Option<Protocol>| {
        let pressed = (*filter == protocol).to_string();
        let filter = filter.clone();
        let choose = Callback::from(move |_: MouseEvent| filter.set(protocol));
        html! { <button class="tab" type="button" aria-pressed={pressed} onclick={choose}>{ label }</button> }
    };
    html! {
        <section class="wire" aria-label="Transcript">
            <div class="tabs">
                <h2>{ "Transcript" }</h2>
                { tab("All", None) }{ tab("POP3", Some(Protocol::Pop3)) }{ tab("SMTP", Some(Protocol::Smtp)) }
                <span class="space"></span>
                <button class="tab" type="button" onclick={copy}>{ "Copy" }</button>
                <button class="tab" type="button" onclick={close}>{ "Close" }</button>
            </div>
            <div class="lines" ref={node} tabindex="0" role="log" aria-label="Dialogue with the servers">
                if lines.is_empty() { <p>{ "Nothing has been said yet." }</p> }
                { for lines.iter().map(line) }
            </div>
        </section>
    }
}

/// Whether the browser has taken it. It has no clipboard for a page without TLS, unless that is a local one.
async fn copy(text: &str) -> bool {
    let Some(window) = web_sys::window() else { return false };
    let clipboard = Reflect::get(&window.navigator(), &"clipboard".into());
    match clipboard.map(Clipboard::unchecked_from_js) {
        Ok(clipboard) if !clipboard.is_undefined() => {
            JsFuture::from(clipboard.write_text(text)).await.is_ok()
        }
        _ => false,
    }
}

fn line(line: &Rc<Line>) -> Html {
    let class = match line.side {
        Side::Client => "c",
        Side::Server => "s",
        Side::Note => "n",
    };
    html! { <div key={line.number} {class}>{ line.written() }</div> }
}
