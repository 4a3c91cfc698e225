//! The compose pane.

use std::rc::Rc;

use mail_core::message::draft::Attachment;
use web_sys::HtmlTextAreaElement;
use yew::prelude::*;

use super::attach::{AttachButton, on_drag_over, on_drop, on_paste};
use super::compose_fields::ComposeFields;
use super::element_ids::{BCC_ID, BODY_ID, CC_ID, SUBJECT_ID, TO_ID};
use super::icons;
use super::rich_text_editor::RichTextEditor;
use crate::control::Control;
use crate::model::draft_form::DraftForm;
use crate::model::format;
use crate::model::state::{ComposeState, Outgoing, SendProblem, SessionState};
use crate::platform::{clock, dom};
use crate::strings;

#[derive(Properties, PartialEq)]
pub(super) struct ComposeProps {
    pub(super) session: Rc<SessionState>,
    pub(super) compose: Rc<ComposeState>,
}

#[component]
pub(super) fn Compose(ComposeProps { session, compose }: &ComposeProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let submitted = use_state_eq(|| false);
    let body_node = use_node_ref();
    let form = compose.open.as_ref().map(|open| open.form.clone());
    {
        let (submitted, body_node) = (submitted.clone(), body_node.clone());
        let is_reply = form.as_ref().is_some_and(|form| !form.to.chips.is_empty());
        use_effect_with(form.as_ref().map(|form| form.id.clone()), move |_| {
            submitted.set(false);
            dom::focus(if is_reply { BODY_ID } else { TO_ID });
            // The text goes above the signature and the quotation.
            if let Some(body) = body_node.cast::<HtmlTextAreaElement>() {
                let _ = body.set_selection_range(0, 0);
                body.set_scroll_top(0);
            }
        });
    }
    let (Some(open), Some(form)) = (&compose.open, form) else {
        return html! {};
    };
    let (account, chosen) = (session.account.as_ref(), form.from.as_ref());
    let from = account.map(|account| account.sender(&session.settings, chosen)).unwrap_or_default();
    let (senders, sender) =
        account.map(|account| account.senders(&session.settings, chosen)).unwrap_or_default();
    let sending = compose.is_outgoing(&form.id);
    let attaching = compose.is_attaching(&form.id);
    let body = {
        let control = control.clone();
        Callback::from(move |event: InputEvent| {
            let body = event.target_unchecked_into::<HtmlTextAreaElement>().value();
            control.edit(|form| form.body = body);
        })
    };
    let set_plain = |plain: bool| {
        let control = control.clone();
        Callback::from(move |()| control.set_plain_text(plain))
    };
    let send = {
        let (control, submitted, form) = (control.clone(), submitted.clone(), form.clone());
        Callback::from(move |()| {
            submitted.set(true);
            let problems = form.problems(true);
            let fields = [
                (&problems.to, TO_ID),
                (&problems.cc, CC_ID),
                (&problems.bcc, BCC_ID),
                (&problems.subject, SUBJECT_ID),
            ];
            if let Some((_, id)) = fields.into_iter().find(|(problem, _)| problem.is_some()) {
                dom::focus(id);
            }
            control.send();
        })
    };
    let keydown = {
        let send = send.clone();
        Callback::from(move |event: KeyboardEvent| {
            if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
                event.prevent_default();
                send.emit(());
            }
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
        <main class="reader compose" aria-label="Compose" ondrop={on_drop(&control)} ondragover={on_drag_over()}
            onpaste={on_paste(&control)} onkeydown={keydown}>
            <div class="toolbar" role="toolbar" aria-label="Draft actions">
                <button class="button icon back" type="button" aria-label="Save draft and close" onclick={close.clone()}>{ icons::back() }</button>
                <button class="button primary" type="button" title="Send (Ctrl+Enter)"
                    onclick={send.reform(|_: MouseEvent| ())} disabled={compose.outgoing.is_some() || attaching}>
                    { if sending { "Sending…" } else if attaching { "Attaching…" } else { "Send" } }
                </button>
                <AttachButton disabled={sending} />
                <span class="spacer saved" role="status">
                    if let Some(stored) = open.stored {
                        { format!("Draft saved {}", format::time(clock::local(stored))) }
                    }
                </span>
                <button class="button wide-only" type="button" onclick={close}>{ "Save and close" }</button>
                <button class="button" type="button" onclick={discard} disabled={sending}>{ "Discard" }</button>
            </div>
            if let Some(outgoing) = compose.outgoing.as_ref().filter(|_| sending) {
                { progress(&control, outgoing) }
            }
            if let Some(problem) = &open.problem {
                <p class="error" role="alert">{ problem_text(problem) }</p>
            }
            if open.is_open_elsewhere {
                <p class="warning" role="status">{ strings::DRAFT_OPEN_ELSEWHERE }</p>
            }
            <div class="form">
                <ComposeFields form={form.clone()} {from} {senders} {sender} people={compose.people.clone()} submitted={*submitted} disabled={sending} />
                { attachments(&control, &form, sending) }
                if let Some(document) = &form.rich {
                    <RichTextEditor key={form.id.clone()} document={document.clone()} attachments={form.attachments.clone()}
                        disabled={sending} onplain={set_plain(true)} />
                } else {
                    <div class="format-bar">
                        <button class="format text" type="button" disabled={sending}
                            onclick={set_plain(false).reform(|_: MouseEvent| ())}>{ "Formatting" }</button>
                    </div>
                    <textarea id={BODY_ID} ref={body_node} dir="auto" aria-label="Text" value={form.body.clone()} oninput={body} disabled={sending} />
                }
            </div>
        </main>
    }
}

fn progress(control: &Control, Outgoing { octets_sent, octets, .. }: &Outgoing) -> Html {
    let control = control.clone();
    let cancel = Callback::from(move |_: MouseEvent| control.cancel_sending());
    html! {
        <div class="sending">
            <progress max={octets.to_string()} value={octets_sent.to_string()} aria-label="Sent"></progress>
            <span role="status">{ format!("{} of {}", format::size(*octets_sent), format::size(*octets)) }</span>
            <button class="button" type="button" onclick={cancel}>{ "Cancel" }</button>
        </div>
    }
}

fn problem_text(problem: &SendProblem) -> String {
    match problem {
        SendProblem::InvalidFields => strings::FIX_FIELDS.to_owned(),
        SendProblem::Failed(error) => format!("{error} Your draft is unchanged."),
    }
}

fn attachments(control: &Control, form: &DraftForm, disabled: bool) -> Html {
    if form.listed_attachments().next().is_none() {
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
                { &attachment.name }<span class="secondary">{ format::size(attachment.bytes.len() as u64) }</span>
                <button class="icon" type="button" aria-label={format!("Remove {}", attachment.name)} {disabled} onclick={remove}>
                    { icons::cross() }
                </button>
            </li>
        }
    };
    html! { <ul class="draft-attachments" aria-label="Attachments">{ for form.listed_attachments().map(file) }</ul> }
}
