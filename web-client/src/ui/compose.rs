//! Writing a mail.

use std::rc::Rc;

use mail_core::message::draft::Attachment;
use web_sys::HtmlTextAreaElement;
use yew::prelude::*;

use super::attach::{Attach, allow_drop, dropped, pasted};
use super::fields::Fields;
use super::icons;
use super::keyboard::focus;
use crate::control::Control;
use crate::form::Form;
use crate::labels;
use crate::state::{Outgoing, Refusal, State};

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) state: Rc<State>,
}

#[component]
pub(super) fn Compose(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let forced = use_state_eq(|| false);
    let body_node = use_node_ref();
    let form = state.composing.as_ref().map(|composing| composing.form.clone());
    {
        let (forced, body_node) = (forced.clone(), body_node.clone());
        let answers = form.as_ref().is_some_and(|form| !form.to.chips.is_empty());
        use_effect_with(form.as_ref().map(|form| form.id.clone()), move |_| {
            forced.set(false);
            if answers {
                // One writes above what is quoted.
                focus("body");
                if let Some(body) = body_node.cast::<HtmlTextAreaElement>() {
                    let _ = body.set_selection_range(0, 0);
                    body.set_scroll_top(0);
                }
            } else {
                focus("to");
            }
        });
    }
    let (Some(composing), Some(form), Some(account)) = (&state.composing, form, &state.account) else {
        return html! {};
    };
    let sending = state.is_outgoing(&form.id);
    let attaching = state.is_attaching(&form.id);
    let body = {
        let control = control.clone();
        Callback::from(move |event: InputEvent| {
            let body = event.target_unchecked_into::<HtmlTextAreaElement>().value();
            control.edit(|form| form.body = body);
        })
    };
    let send = {
        let (control, forced, form) = (control.clone(), forced.clone(), form.clone());
        Callback::from(move |_: MouseEvent| {
            forced.set(true);
            let problems = form.problems(true);
            let wrong = [
                (&problems.to, "to"),
                (&problems.cc, "cc"),
                (&problems.bcc, "bcc"),
                (&problems.subject, "subject"),
            ];
            if let Some((_, id)) = wrong.into_iter().find(|(problem, _)| problem.is_some()) {
                focus(id);
            }
            control.send();
        })
    };
    let close = {
        let control = control.clone();
        Callback::from(move |_: MouseEvent| control.close_draft())
    };
    let discard = {
        let (control, id) = (control.clone(), form.id.clone());
        Callback::from(move |_: MouseEvent| control.discard(&id))
    };
    html! {
        <main class="read write" aria-label="Compose" ondrop={dropped(&control)} ondragover={allow_drop()} onpaste={pasted(&control)}>
            <div class="acts" role="toolbar" aria-label="Draft actions">
                <button class="button icon back" type="button" aria-label="Keep the draft and close" onclick={close.clone()}>{ icons::back() }</button>
                <button class="button go" type="button" onclick={send} disabled={state.outgoing.is_some() || attaching}>
                    { if sending { "Sending…" } else if attaching { "Attaching…" } else { "Send" } }
                </button>
                <Attach disabled={sending} />
                <span class="space"></span>
                <button class="button wide" type="button" onclick={close}>{ "Keep and close" }</button>
                <button class="button" type="button" onclick={discard} disabled={sending}>{ "Discard" }</button>
            </div>
            if let Some(outgoing) = state.outgoing.as_ref().filter(|_| sending) {
                { progress(&control, outgoing) }
            }
            if let Some(refusal) = &composing.refusal {
                <p class="refusal" role="alert">{ reason(refusal) }</p>
            }
            <div class="form">
                <Fields form={form.clone()} from={account.address.to_string()} forced={*forced} disabled={sending} />
                { attachments(&control, &form, sending) }
                <textarea id="body" ref={body_node} aria-label="Text" value={form.body.clone()} oninput={body} disabled={sending} />
            </div>
        </main>
    }
}

fn progress(control: &Control, Outgoing { sent, total, .. }: &Outgoing) -> Html {
    let control = control.clone();
    let cancel = Callback::from(move |_: MouseEvent| control.cancel_sending());
    html! {
        <div class="sending">
            <progress max={total.to_string()} value={sent.to_string()} aria-label="Sent"></progress>
            <span role="status">{ format!("{} of {}", labels::size(*sent), labels::size(*total)) }</span>
            <button class="button" type="button" onclick={cancel}>{ "Cancel" }</button>
        </div>
    }
}

fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Incorrect => {
            "Incorrect format. Nothing is sent until what is marked below is right.".to_owned()
        }
        Refusal::Failed(why) => format!("{why} Nothing of the draft is lost."),
    }
}

fn attachments(control: &Control, form: &Form, disabled: bool) -> Html {
    if form.attachments.is_empty() {
        return html! {};
    }
    let file = |attachment: &Rc<Attachment>| {
        let (control, attachment) = (control.clone(), attachment.clone());
        let remove = {
            let removed = attachment.clone();
            Callback::from(move |_: MouseEvent| {
                control.edit(|form| form.attachments.retain(|file| !Rc::ptr_eq(file, &removed)));
            })
        };
        html! {
            <li class="chip">
                { &attachment.name }<span class="t">{ labels::size(attachment.bytes.len() as u64) }</span>
                <button class="icon" type="button" aria-label={format!("Remove {}", attachment.name)} {disabled} onclick={remove}>
                    { icons::cross() }
                </button>
            </li>
        }
    };
    html! { <ul class="attached" aria-label="Attachments">{ for form.attachments.iter().map(file) }</ul> }
}
