//! Writing a mail.

use std::rc::Rc;

use mail_core::message::draft::Attachment;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    ClipboardEvent, DataTransfer, DragEvent, File, FileList, HtmlInputElement, HtmlTextAreaElement,
};
use yew::platform::spawn_local;
use yew::prelude::*;

use super::chips::Chips;
use super::icons;
use super::keyboard::focus;
use crate::control::Control;
use crate::form::{Form, Recipients};
use crate::labels;
use crate::state::{Sending, State};

/// From here on the characters that are left are counted down.
const SUBJECT_COUNTED_FROM: isize = 30;

#[derive(Properties, PartialEq)]
pub(super) struct Props {
    pub(super) state: Rc<State>,
}

#[component]
pub(super) fn Compose(Props { state }: &Props) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let forced = use_state_eq(|| false);
    let copies = use_state_eq(|| false);
    let body_node = use_node_ref();
    let form = state.composing.as_ref().map(|composing| composing.form.clone());
    {
        let (forced, copies, body_node) = (forced.clone(), copies.clone(), body_node.clone());
        let answers = form.as_ref().is_some_and(|form| !form.to.chips.is_empty());
        use_effect_with(form.as_ref().map(|form| form.id.clone()), move |_| {
            forced.set(false);
            copies.set(false);
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
    let sending = matches!(composing.sending, Sending::Under { .. });
    let problems = form.problems(*forced);
    let change = {
        let (control, form) = (control.clone(), form.clone());
        move |change: &dyn Fn(&mut Form)| {
            let mut changed = Form::clone(&form);
            change(&mut changed);
            control.write(changed);
        }
    };
    let recipients = |set: fn(&mut Form) -> &mut Recipients| {
        let change = change.clone();
        Callback::from(move |recipients: Recipients| change(&|form| set(form).clone_from(&recipients)))
    };
    let subject = {
        let change = change.clone();
        Callback::from(move |event: InputEvent| {
            let subject = event.target_unchecked_into::<HtmlInputElement>().value();
            change(&|form| form.subject.clone_from(&subject));
        })
    };
    let body = {
        let change = change.clone();
        Callback::from(move |event: InputEvent| {
            let body = event.target_unchecked_into::<HtmlTextAreaElement>().value();
            change(&|form| form.body.clone_from(&body));
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
    let show_copies = {
        let copies = copies.clone();
        Callback::from(move |_: MouseEvent| copies.set(true))
    };
    let with_copies = *copies || form.cc != Recipients::default() || form.bcc != Recipients::default();
    html! {
        <main class="read write" aria-label="Compose" ondrop={dropped(&control)} ondragover={allow_drop()} onpaste={pasted(&control)}>
            <div class="acts" role="toolbar" aria-label="Draft actions">
                <button class="button icon back" type="button" aria-label="Keep the draft and close" onclick={close.clone()}>{ icons::back() }</button>
                <button class="button go" type="button" onclick={send} disabled={sending}>
                    { if sending { "Sending…" } else { "Send" } }
                </button>
                <Attach disabled={sending} />
                <span class="space"></span>
                <button class="button wide" type="button" onclick={close} disabled={sending}>{ "Keep and close" }</button>
                <button class="button" type="button" onclick={discard} disabled={sending}>{ "Discard" }</button>
            </div>
            { progress(&composing.sending) }
            <div class="form">
                <div class="line"><span class="label">{ "From" }</span><span class="from">{ account.address.to_string() }</span>
                    if !with_copies {
                        <button class="link" type="button" onclick={show_copies}>{ "Cc, Bcc" }</button>
                    }
                </div>
                <Chips id="to" label="To" recipients={form.to.clone()} problem={problems.to} disabled={sending}
                    onchange={recipients(|form| &mut form.to)} />
                if with_copies {
                    <Chips id="cc" label="Cc" recipients={form.cc.clone()} problem={problems.cc} disabled={sending}
                        onchange={recipients(|form| &mut form.cc)} />
                    <Chips id="bcc" label="Bcc" recipients={form.bcc.clone()} problem={problems.bcc} disabled={sending}
                        onchange={recipients(|form| &mut form.bcc)} />
                }
                <div class="line">
                    <label for="subject">{ "Subject" }</label>
                    <input id="subject" type="text" value={form.subject.clone()} oninput={subject} disabled={sending}
                        aria-invalid={problems.subject.is_some().to_string()} aria-describedby="subject-left" />
                    <span class={classes!("left", (form.subject_left() < 0).then_some("over"))} id="subject-left">
                        if form.subject_left() <= SUBJECT_COUNTED_FROM { { form.subject_left() } }
                        <span class="aside">{ " characters left" }</span>
                    </span>
                    if let Some(problem) = problems.subject {
                        <p class="problem" role="alert">{ problem }</p>
                    }
                </div>
                { attachments(&form, sending, change.clone()) }
                <textarea id="body" ref={body_node} aria-label="Text" value={form.body.clone()} oninput={body} disabled={sending} />
            </div>
        </main>
    }
}

fn progress(sending: &Sending) -> Html {
    match sending {
        Sending::No => html! {},
        Sending::Under { sent, total } => html! {
            <div class="sending" role="status">
                <progress max={total.to_string()} value={sent.to_string()} aria-label="Sent"></progress>
                <span>{ format!("{} of {}", labels::size(*sent), labels::size(*total)) }</span>
            </div>
        },
        Sending::Failed(why) => html! {
            <p class="refusal" role="alert">{ why }{ " Nothing of the draft is lost." }</p>
        },
    }
}

fn attachments(form: &Form, disabled: bool, change: impl Fn(&dyn Fn(&mut Form)) + Clone + 'static) -> Html {
    if form.attachments.is_empty() {
        return html! {};
    }
    let file = |(at, attachment): (usize, &Rc<Attachment>)| {
        let change = change.clone();
        let remove = Callback::from(move |_: MouseEvent| {
            change(&|form| {
                form.attachments.remove(at);
            });
        });
        html! {
            <li class="chip">
                { &attachment.name }<span class="t">{ labels::size(attachment.bytes.len() as u64) }</span>
                <button class="icon" type="button" aria-label={format!("Remove {}", attachment.name)} {disabled} onclick={remove}>
                    { icons::cross() }
                </button>
            </li>
        }
    };
    html! { <ul class="attached" aria-label="Attachments">{ for form.attachments.iter().enumerate().map(file) }</ul> }
}

#[derive(Properties, PartialEq)]
struct AttachProps {
    disabled: bool,
}

#[component]
fn Attach(AttachProps { disabled }: &AttachProps) -> Html {
    let control = use_context::<Control>().expect("the app provides the control");
    let node = use_node_ref();
    let choose = {
        let node = node.clone();
        Callback::from(move |_: MouseEvent| {
            if let Some(field) = node.cast::<HtmlInputElement>() {
                field.click();
            }
        })
    };
    let chosen = Callback::from(move |event: Event| {
        let field: HtmlInputElement = event.target_unchecked_into();
        attach(&control, field.files());
        // So that the same file can be chosen once more.
        field.set_value("");
    });
    html! {
        <>
            <input class="hidden" type="file" multiple=true ref={node} onchange={chosen} tabindex="-1" aria-label="Files to attach" />
            <button class="button" type="button" onclick={choose} disabled={*disabled}>{ "Attach" }</button>
        </>
    }
}

fn dropped(control: &Control) -> Callback<DragEvent> {
    let control = control.clone();
    Callback::from(move |event: DragEvent| {
        if let Some(files) = event.data_transfer().and_then(|data| files(&data)) {
            event.prevent_default();
            attach(&control, Some(files));
        }
    })
}

fn allow_drop() -> Callback<DragEvent> {
    Callback::from(|event: DragEvent| event.prevent_default())
}

fn pasted(control: &Control) -> Callback<Event> {
    let control = control.clone();
    Callback::from(move |event: Event| {
        let data = event.dyn_ref::<ClipboardEvent>().and_then(ClipboardEvent::clipboard_data);
        if let Some(files) = data.and_then(|data| files(&data)) {
            event.prevent_default();
            attach(&control, Some(files));
        }
    })
}

fn files(data: &DataTransfer) -> Option<FileList> {
    data.files().filter(|files| files.length() > 0)
}

/// Reads the files, each in its own time, and adds them to the draft as it is then.
fn attach(control: &Control, files: Option<FileList>) {
    let Some(files) = files else { return };
    for file in (0..files.length()).filter_map(|at| files.get(at)) {
        let control = control.clone();
        spawn_local(async move {
            match read(&file).await {
                Some(attachment) => control.attach(attachment),
                None => control.cannot_attach(&file.name()),
            }
        });
    }
}

async fn read(file: &File) -> Option<Attachment> {
    let buffer = JsFuture::from(file.array_buffer()).await.ok()?;
    let bytes = js_sys::Uint8Array::new(&buffer).to_vec();
    let mime = Some(file.type_()).filter(|mime| !mime.is_empty());
    let mime = mime.unwrap_or_else(|| "application/octet-stream".to_owned());
    Some(Attachment { name: file.name(), mime, content_id: None, bytes })
}
